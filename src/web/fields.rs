//! Form and query fields, read strictly.

use std::collections::BTreeMap;

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;

use super::problem::{Kind, Problem};

/// Named values, each name at most once: two values for one name would let two readers see different ones.
#[derive(Debug, Default)]
pub struct Fields(BTreeMap<String, String>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded` text.
    ///
    /// # Errors
    /// A name that stands twice.
    pub fn parse(text: &[u8]) -> Result<Self, Problem> {
        let mut fields = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(text) {
            if fields.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(Problem::new(Kind::BadRequest).detail("A field was sent twice."));
            }
        }
        Ok(Self(fields))
    }

    /// The fields of the request's query.
    ///
    /// # Errors
    /// A name that stands twice.
    pub fn of_query(request: &HttpRequest) -> Result<Self, Problem> {
        Self::parse(request.query_string().as_bytes())
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A field that was sent and is not empty.
    #[must_use]
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// A field that must be there.
    ///
    /// # Errors
    /// It is not; the problem names it.
    pub fn need(&self, name: &'static str) -> Result<&str, Problem> {
        self.get(name).ok_or_else(|| Problem::new(Kind::BadRequest).detail(format!("The field `{name}` is missing.")))
    }
}

/// How large a form may be. Replies from identity providers have their own, larger limit.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    pub form: usize,
    pub reply: usize,
}

/// Reads a whole form body of at most `limit` bytes. Bodies are never decompressed, so the limit means what it says.
///
/// # Errors
/// Another content type, too large, or cut off.
pub async fn read_form(request: &HttpRequest, payload: &mut Payload, limit: usize) -> Result<Fields, Problem> {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Problem::new(Kind::BadRequest).detail("Send the form as application/x-www-form-urlencoded."));
    }
    let reading = tokio::time::timeout(SLOWEST, read_body(payload, limit));
    let body = reading.await.map_err(|_| Problem::new(Kind::BadRequest).detail("The form arrived too slowly."))??;
    Fields::parse(&body)
}

/// A form that takes longer than this to arrive is given up, so that slow senders cannot hold connections.
const SLOWEST: std::time::Duration = std::time::Duration::from_secs(15);

async fn read_body(payload: &mut Payload, limit: usize) -> Result<web::BytesMut, Problem> {
    let mut body = web::BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|e| Problem::new(Kind::BadRequest).caused_by(e))?;
        if body.len() + chunk.len() > limit {
            return Err(Problem::new(Kind::TooLarge));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A small form of ours.
#[derive(Debug)]
pub struct Form(pub Fields);

/// An identity provider's form, which may carry thousands of groups.
#[derive(Debug)]
pub struct ReplyForm(pub Fields);

fn limits(request: &HttpRequest) -> BodyLimits {
    *request.app_data::<web::Data<BodyLimits>>().expect("the application sets its body limits").get_ref()
}

impl FromRequest for Form {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move { read_form(&request, &mut payload, limits(&request).form).await.map(Self) })
    }
}

impl FromRequest for ReplyForm {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move { read_form(&request, &mut payload, limits(&request).reply).await.map(Self) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_sent_twice_is_refused() {
        let fields = Fields::parse(b"a=1&b=x%20y+z&c=").unwrap();
        assert_eq!((fields.get("a"), fields.get("b"), fields.filled("c")), (Some("1"), Some("x y z"), None));
        assert_eq!(Fields::parse(b"a=1&%61=2").unwrap_err().kind(), Kind::BadRequest);
        assert_eq!(fields.need("d").unwrap_err().sentence(), "The field `d` is missing.");
    }
}
