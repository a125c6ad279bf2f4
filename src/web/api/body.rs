//! Bodies of requests: JSON, a form, or nothing.

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use serde_json::Value;

use super::wrong;
use crate::sys::json::{self, JsonError, Object};
use crate::web::fields::{Fields, listed, read_body};
use crate::web::problem::{Kind, Problem};

/// What a request's body says, one member after the other; whoever has taken all there are asks [`Self::end`].
#[derive(Debug)]
pub struct Members {
    sent: Object,
    taken: Vec<&'static str>,
}

impl FromRequest for Members {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let body = read_body(&request, &mut payload).await?;
            let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
            Ok(Self { sent: read(&body, kind)?, taken: Vec::new() })
        })
    }
}

/// As large as any body may be; it was bounded when it was read.
const ANY: usize = usize::MAX;

fn read(body: &[u8], content_type: &str) -> Result<Object, Problem> {
    if body.is_empty() {
        return Ok(Object::new());
    }
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => json::object(body, ANY).map_err(malformed),
        // What `curl -d` says of every body.
        "application/x-www-form-urlencoded" if body.trim_ascii_start().starts_with(b"{") => {
            Err(wrong("The body is JSON. Say so with the header `Content-Type: application/json`."))
        }
        "application/x-www-form-urlencoded" => Ok(of_form(&Fields::parse(body)?)),
        _ => Err(wrong("Send JSON as application/json, a form as application/x-www-form-urlencoded, or nothing.")),
    }
}

fn malformed(error: JsonError) -> Problem {
    let problem = match &error {
        JsonError::Duplicate(name) => wrong(format!("`{name}` stands twice in one object.")),
        JsonError::TooDeep => wrong("The JSON is nested more deeply than anything Rolegate takes."),
        JsonError::NotAnObject => wrong("The body must be one JSON object."),
        JsonError::Malformed(_) => wrong("The body is not JSON."),
        JsonError::TooLarge { .. } => Problem::new(Kind::TooLarge),
    };
    problem.caused_by(error)
}

/// A form says with texts what JSON says with types. A field that was left empty was not filled in.
///
/// What a session is limited to stands in JSON in an object of its own, and in a form beside the rest.
fn of_form(fields: &Fields) -> Object {
    let value = |name: &str, text: &str| match (name, text) {
        ("fresh" | "read_only" | "from_here", "true") => Value::Bool(true),
        ("fresh" | "read_only" | "from_here", "false") => Value::Bool(false),
        ("policy_arns" | "regions" | "networks", list) => list.split_whitespace().map(Value::from).collect(),
        (_, text) => text.into(),
    };
    let filled = fields.iter().filter(|(_, text)| !text.is_empty());
    let mut object: Object = filled.map(|(name, text)| (name.to_owned(), value(name, text))).collect();
    let within = ["read_only", "regions", "networks", "from_here"];
    let scope: Object =
        within.iter().filter_map(|name| object.remove(*name).map(|value| ((*name).to_owned(), value))).collect();
    if !scope.is_empty() && !object.contains_key("scope_down") {
        object.insert("scope_down".to_owned(), scope.into());
    }
    object
}

impl Members {
    /// A member that was sent and is not null.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Value> {
        self.taken.push(name);
        self.sent.remove(name).filter(|value| !value.is_null())
    }

    /// A member that is an object, to be read in the same way.
    pub(super) fn object(&mut self, name: &'static str) -> Result<Option<Self>, Problem> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(sent)) => Ok(Some(Self { sent, taken: Vec::new() })),
            Some(_) => Err(wrong(format!("`{name}` must be an object."))),
        }
    }

    /// A member that is text.
    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(format!("`{name}` must be text."))),
        }
    }

    /// A member that is true or false; false when it was not sent.
    pub(super) fn switch(&mut self, name: &'static str) -> Result<bool, Problem> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(on)) => Ok(on),
            Some(_) => Err(wrong(format!("`{name}` must be true or false."))),
        }
    }

    /// A member that is a list of texts.
    pub(super) fn texts(&mut self, name: &'static str) -> Result<Vec<String>, Problem> {
        let refused = || wrong(format!("`{name}` must be a list of texts."));
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => values
                .into_iter()
                .map(|value| match value {
                    Value::String(text) => Ok(text),
                    _ => Err(refused()),
                })
                .collect(),
            Some(_) => Err(refused()),
        }
    }

    /// Refuses what nobody took.
    pub(super) fn end(self) -> Result<(), Problem> {
        let Some((name, _)) = self.sent.into_iter().next() else { return Ok(()) };
        let name = crate::sys::excerpt(&name);
        Err(wrong(format!("There is no `{name}` here; this takes {}.", listed(&self.taken))))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded";

    fn said(body: &str, kind: &str) -> String {
        match read(body.as_bytes(), kind) {
            Ok(object) => Value::Object(object).to_string(),
            Err(problem) => problem.sentence().to_owned(),
        }
    }

    #[test]
    fn a_form_says_the_same_as_json() {
        let sent = json!({ "duration": "1h", "fresh": true, "policy_arns": ["a", "b"] });
        assert_eq!(said("duration=1h&fresh=true&policy_arns=a+b&region=", FORM), sent.to_string());
        assert_eq!(said(&sent.to_string(), "application/json; charset=utf-8"), sent.to_string());
        let limited = json!({ "duration": "1h", "scope_down": { "read_only": true, "regions": ["eu-west-1"] } });
        assert_eq!(said("duration=1h&read_only=true&regions=eu-west-1", FORM), limited.to_string());
        assert_eq!(said("", "image/png"), "{}");
    }

    #[test]
    fn what_is_neither_is_refused_with_what_to_do() {
        for (body, kind, says) in [
            ("{\"a\":1,\"a\":2}", "application/json", "`a` stands twice in one object."),
            (
                "{\"policy\":{\"Statement\":[],\"Statement\":[]}}",
                "application/json",
                "`Statement` stands twice in one object.",
            ),
            ("[]", "application/json", "The body must be one JSON object."),
            ("{", "application/json", "The body is not JSON."),
            (
                "{\"duration\":\"1h\"}",
                FORM,
                "The body is JSON. Say so with the header `Content-Type: application/json`.",
            ),
            ("a=1&a=2", FORM, "A field was sent twice."),
            (
                "x",
                "text/plain",
                "Send JSON as application/json, a form as application/x-www-form-urlencoded, or nothing.",
            ),
        ] {
            assert_eq!(said(body, kind), says, "{body}");
        }
    }

    #[test]
    fn a_member_that_nobody_takes_is_refused_by_name() {
        let members =
            |text: &str| Members { sent: read(text.as_bytes(), "application/json").unwrap(), taken: Vec::new() };
        let mut some = members("{\"durations\":\"1h\",\"fresh\":null}");
        assert!(!some.switch("fresh").unwrap() && some.text("duration").unwrap().is_none());
        assert_eq!(
            some.end().unwrap_err().sentence(),
            "There is no `durations` here; this takes `fresh` and `duration`."
        );
        assert_eq!(members("{\"a\":1}").text("a").unwrap_err().sentence(), "`a` must be text.");
        assert_eq!(members("{\"a\":\"true\"}").switch("a").unwrap_err().sentence(), "`a` must be true or false.");
        assert_eq!(members("{\"a\":[1]}").texts("a").unwrap_err().sentence(), "`a` must be a list of texts.");
    }
}
