//! Form and query fields, read strictly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
    #[error("as many large bodies as there are places for were being read")]
    NoPlace,
    #[error("the body was cut off")]
    CutOff(#[source] PayloadError),
    #[error("a field was sent twice: {0}")]
    Repeated(String),
    #[error("the field `{0}` is missing")]
    Missing(&'static str),
    #[error("there is no field `{name}` here, only {known}")]
    Unknown { name: String, known: String },
}

impl FormError {
    /// A stable short name for audit events.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ContentType => "form-of-wrong-type",
            Self::TooLarge(_) => "too-large",
            Self::TooSlow(_) => "form-too-slow",
            Self::NoPlace => "busy",
            Self::CutOff(_) => "form-cut-off",
            Self::Repeated(_) => "form-field-repeated",
            Self::Missing(_) => "form-field-missing",
            Self::Unknown { .. } => "form-field-unknown",
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
            FormError::NoPlace => Self::new(Kind::TooManyRequests).retry_after(Duration::from_secs(5)),
            FormError::CutOff(_) => Self::new(Kind::BadRequest),
            FormError::Repeated(_) => Self::new(Kind::BadRequest).detail("A field was sent twice."),
            FormError::Missing(name) => Self::new(Kind::BadRequest).detail(format!("The field `{name}` is missing.")),
            FormError::Unknown { name, known } => {
                Self::new(Kind::BadRequest).detail(format!("There is no `{name}` here; this takes {known}."))
            }
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

    /// Nothing but these fields may have been sent.
    ///
    /// # Errors
    /// Another was; the error names it.
    pub fn only(&self, known: &[&str]) -> Result<(), FormError> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(FormError::Unknown { name: crate::sys::excerpt(name), known: listed(known) }),
            None => Ok(()),
        }
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
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

/// Names of fields, for a sentence: `a`, `b` and `c`.
#[must_use]
pub fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// How large a form may be, in bytes. Replies from identity providers have their own, larger limit.
///
/// A stranger may send a reply, over as many connections as they like and as slowly as we wait. So beyond the size of
/// an ordinary form, which most replies are below, a body needs one of a few places: what strangers can make us hold is
/// bounded by those, and not by what they send.
#[derive(Debug, Clone)]
pub struct BodyLimits {
    pub form: usize,
    pub reply: usize,
    pub large: Arc<Semaphore>,
    /// How long a large body waits for its place.
    pub patience: Duration,
}

impl BodyLimits {
    /// So many large replies are read and judged at once; an honest one takes its place for a moment.
    const LARGE_AT_ONCE: usize = 32;

    #[must_use]
    pub fn new(form: usize, reply: usize) -> Self {
        Self { form, reply, large: Arc::new(Semaphore::new(Self::LARGE_AT_ONCE)), patience: Duration::from_secs(5) }
    }

    fn of(request: &HttpRequest) -> Self {
        Self::clone(request.app_data::<web::Data<Self>>().expect("the application sets its body limits"))
    }
}

/// The place of a large body: to be kept for as long as what was in it.
#[derive(Debug)]
#[must_use = "without its place a large body is not counted"]
pub struct Place {
    _permit: Option<OwnedSemaphorePermit>,
}

/// Reads a whole form body of at most [`BodyLimits::form`] bytes. Bodies are never decompressed, so the limit means
/// what it says.
///
/// # Errors
/// Another content type, too large, too slow, cut off, or a name that stands twice.
pub async fn read_form(request: &HttpRequest, payload: &mut Payload) -> Result<Fields, FormError> {
    let limits = BodyLimits::of(request);
    read(request, payload, &limits, limits.form).await.map(|(fields, _)| fields)
}

/// Reads a whole form body of at most [`BodyLimits::reply`] bytes.
///
/// # Errors
/// As [`read_form`], and when a large one finds no place.
pub async fn read_reply(request: &HttpRequest, payload: &mut Payload) -> Result<(Fields, Place), FormError> {
    let limits = BodyLimits::of(request);
    read(request, payload, &limits, limits.reply).await
}

/// Reads a whole form body of at most [`BodyLimits::form`] bytes and leaves it as it was encoded.
///
/// # Errors
/// As [`read_form`]; what is not UTF-8 was cut off somewhere or never a form.
pub async fn read_text(request: &HttpRequest, payload: &mut Payload) -> Result<String, FormError> {
    let limits = BodyLimits::of(request);
    let (body, _) = read_bytes(request, payload, &limits, limits.form).await?;
    String::from_utf8(body.to_vec()).map_err(|_| FormError::ContentType)
}

async fn read(
    request: &HttpRequest,
    payload: &mut Payload,
    limits: &BodyLimits,
    limit: usize,
) -> Result<(Fields, Place), FormError> {
    let (body, place) = read_bytes(request, payload, limits, limit).await?;
    Ok((Fields::parse(&body)?, place))
}

async fn read_bytes(
    request: &HttpRequest,
    payload: &mut Payload,
    limits: &BodyLimits,
    limit: usize,
) -> Result<(web::BytesMut, Place), FormError> {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(FormError::ContentType);
    }
    in_time(payload, limits, limit).await
}

/// Reads a whole body of at most [`BodyLimits::form`] bytes, whatever it is said to be.
///
/// # Errors
/// Too large, too slow, or cut off.
pub async fn read_body(request: &HttpRequest, payload: &mut Payload) -> Result<web::BytesMut, FormError> {
    let limits = BodyLimits::of(request);
    in_time(payload, &limits, limits.form).await.map(|(body, _)| body)
}

async fn in_time(
    payload: &mut Payload,
    limits: &BodyLimits,
    limit: usize,
) -> Result<(web::BytesMut, Place), FormError> {
    let reading = tokio::time::timeout(SLOWEST, collect(payload, limits, limit));
    reading.await.map_err(|_| FormError::TooSlow(SLOWEST))?
}

/// A form that takes longer than this to arrive is given up, so that slow senders cannot hold connections.
const SLOWEST: Duration = Duration::from_secs(15);

async fn collect(
    payload: &mut Payload,
    limits: &BodyLimits,
    limit: usize,
) -> Result<(web::BytesMut, Place), FormError> {
    let mut body = web::BytesMut::new();
    let mut place = None;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(FormError::CutOff)?;
        let size = body.len() + chunk.len();
        if size > limit {
            return Err(FormError::TooLarge(limit));
        }
        if size > limits.form && place.is_none() {
            let waiting = tokio::time::timeout(limits.patience, Arc::clone(&limits.large).acquire_owned());
            place = Some(waiting.await.ok().and_then(Result::ok).ok_or(FormError::NoPlace)?);
        }
        body.extend_from_slice(&chunk);
    }
    Ok((body, Place { _permit: place }))
}

/// A small form of ours.
#[derive(Debug)]
pub struct Form(pub Fields);

impl FromRequest for Form {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move { Ok(Self(read_form(&request, &mut payload).await?)) })
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_field_sent_twice_is_refused() {
        let fields = Fields::parse(b"a=1&b=x%20y+z&c=").unwrap();
        assert_eq!((fields.get("a"), fields.get("b"), fields.filled("c")), (Some("1"), Some("x y z"), None));
        assert_eq!(Fields::parse(b"a=1&%61=2").unwrap_err().code(), "form-field-repeated");
        assert_eq!(Problem::from(fields.need("d").unwrap_err()).sentence(), "The field `d` is missing.");
    }

    #[actix_web::test]
    async fn what_strangers_can_make_us_hold_is_bounded_and_small_replies_need_no_place() {
        let limits = BodyLimits {
            large: Arc::new(Semaphore::new(1)),
            patience: Duration::from_millis(50),
            ..BodyLimits::new(100, 1_000)
        };
        let data = web::Data::new(limits.clone());
        let reply = async |bytes: usize| {
            let (request, mut payload) = TestRequest::post()
                .app_data(data.clone())
                .insert_header((CONTENT_TYPE, "application/x-www-form-urlencoded"))
                .set_payload("a".repeat(bytes))
                .to_http_parts();
            read_reply(&request, &mut payload).await.map_err(|error| error.code())
        };
        let held = reply(500).await.unwrap();
        assert_eq!(limits.large.available_permits(), 0);
        assert!(reply(100).await.is_ok());
        assert_eq!(reply(500).await.unwrap_err(), "busy");
        drop(held);
        assert!(reply(500).await.is_ok());
        assert_eq!(reply(1_001).await.unwrap_err(), "too-large");
    }
}
