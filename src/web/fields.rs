//! Form and query fields, read strictly.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;

use super::problem::{Kind, Problem};

/// Why a form or a query could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    #[error("the body is not of type application/x-www-form-urlencoded")]
    ContentType,
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not arrive within {0:?}")]
    TooSlow(Duration),
    #[error("the body was cut off")]
    CutOff(#[source] PayloadError),
    #[error("a field was sent twice: {0}")]
    Repeated(String),
    #[error("the field `{0}` is missing")]
    Missing(&'static str),
}

impl FormError {
    /// A stable short name for audit events.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ContentType => "form-of-wrong-type",
            Self::TooLarge(_) => "too-large",
            Self::TooSlow(_) => "form-too-slow",
            Self::CutOff(_) => "form-cut-off",
            Self::Repeated(_) => "form-field-repeated",
            Self::Missing(_) => "form-field-missing",
        }
    }
}

impl From<FormError> for Problem {
    fn from(error: FormError) -> Self {
        let problem = match &error {
            FormError::TooLarge(_) => Self::new(Kind::TooLarge),
            FormError::ContentType => {
                Self::new(Kind::BadRequest).detail("Send the form as application/x-www-form-urlencoded.")
            }
            FormError::TooSlow(_) => Self::new(Kind::BadRequest).detail("The form arrived too slowly."),
            FormError::CutOff(_) => Self::new(Kind::BadRequest),
            FormError::Repeated(_) => Self::new(Kind::BadRequest).detail("A field was sent twice."),
            FormError::Missing(name) => Self::new(Kind::BadRequest).detail(format!("The field `{name}` is missing.")),
        };
        problem.caused_by(error)
    }
}

/// Named values, each name at most once: two values for one name would let two readers see different ones.
#[derive(Debug, Default)]
pub struct Fields(BTreeMap<String, String>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded` text.
    ///
    /// # Errors
    /// A name that stands twice.
    pub fn parse(text: &[u8]) -> Result<Self, FormError> {
        let mut fields = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(text) {
            if let Some((name, _)) = fields.get_key_value(name.as_ref()) {
                return Err(FormError::Repeated(String::clone(name).chars().take(100).collect()));
            }
            fields.insert(name.into_owned(), value.into_owned());
        }
        Ok(Self(fields))
    }

    /// The fields of the request's query.
    ///
    /// # Errors
    /// A name that stands twice.
    pub fn of_query(request: &HttpRequest) -> Result<Self, FormError> {
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
    /// It is not; the error names it.
    pub fn need(&self, name: &'static str) -> Result<&str, FormError> {
        self.get(name).ok_or(FormError::Missing(name))
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
/// Another content type, too large, too slow, cut off, or a name that stands twice.
pub async fn read_form(request: &HttpRequest, payload: &mut Payload, limit: usize) -> Result<Fields, FormError> {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(FormError::ContentType);
    }
    let reading = tokio::time::timeout(SLOWEST, read_body(payload, limit));
    let body = reading.await.map_err(|_| FormError::TooSlow(SLOWEST))??;
    Fields::parse(&body)
}

/// A form that takes longer than this to arrive is given up, so that slow senders cannot hold connections.
const SLOWEST: Duration = Duration::from_secs(15);

async fn read_body(payload: &mut Payload, limit: usize) -> Result<web::BytesMut, FormError> {
    let mut body = web::BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(FormError::CutOff)?;
        if body.len() + chunk.len() > limit {
            return Err(FormError::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A small form of ours.
#[derive(Debug)]
pub struct Form(pub Fields);

fn limits(request: &HttpRequest) -> BodyLimits {
    *request.app_data::<web::Data<BodyLimits>>().expect("the application sets its body limits").get_ref()
}

impl FromRequest for Form {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move { Ok(Self(read_form(&request, &mut payload, limits(&request).form).await?)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_sent_twice_is_refused() {
        let fields = Fields::parse(b"a=1&b=x%20y+z&c=").unwrap();
        assert_eq!((fields.get("a"), fields.get("b"), fields.filled("c")), (Some("1"), Some("x y z"), None));
        assert_eq!(Fields::parse(b"a=1&%61=2").unwrap_err().code(), "form-field-repeated");
        assert_eq!(Problem::from(fields.need("d").unwrap_err()).sentence(), "The field `d` is missing.");
    }
}
