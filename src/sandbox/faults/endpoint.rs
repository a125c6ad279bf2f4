//! `/faults`: setting faults while the sandbox runs.

use actix_web::http::Method;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::{Fault, FaultError, FaultPlan};
use crate::sandbox::State;
use crate::sandbox::pages::{self, Notice};

/// `GET`, `PUT` and `DELETE /faults`.
pub async fn all(request: HttpRequest, body: web::Bytes, state: web::Data<State>) -> HttpResponse {
    let now = state.clock.now();
    if *request.method() == Method::PUT {
        match serde_json::from_slice::<FaultPlan>(&body) {
            Ok(plan) => state.faults.replace(plan, now, &*state.rng),
            Err(error) => return refused(400, &error.to_string()),
        }
    } else if *request.method() == Method::DELETE {
        let _ = state.faults.clear(None);
    }
    shown(&state)
}

/// `PUT` and `DELETE /faults/{name}`.
pub async fn one(
    request: HttpRequest,
    name: web::Path<String>,
    body: web::Bytes,
    state: web::Data<State>,
) -> HttpResponse {
    if *request.method() == Method::PUT {
        let set = serde_json::from_slice::<Fault>(&body)
            .map_err(|error| error.to_string())
            .and_then(|fault| state.faults.set(&name, fault, state.clock.now()).map_err(|error| error.to_string()));
        if let Err(error) = set {
            return refused(400, &error);
        }
    } else if !state.faults.clear(Some(&name)) {
        return refused(404, &format!("no fault is set for `{name}`"));
    }
    shown(&state)
}

fn shown(state: &State) -> HttpResponse {
    HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(state.faults.shown(state.clock.now()))
}

fn refused(status: u16, error: &str) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(status).unwrap_or_default();
    HttpResponse::build(status).json(json!({ "error": error }))
}

/// What the form on the front page sends; what is left empty is no part of the fault.
const FIELDS: [&str; 9] =
    ["throttle", "error", "cut", "dead", "latency_ms", "jitter_ms", "clock_shift_s", "for_s", "count"];

/// `POST /faults`: the form of the front page.
pub async fn form(request: HttpRequest, body: web::Bytes, state: web::Data<State>) -> HttpResponse {
    // A page elsewhere must not give this sandbox a bad day. Browsers say where a form stands; programs say nothing.
    let from = request.headers().get("sec-fetch-site").and_then(|value| value.to_str().ok());
    if !matches!(from, None | Some("same-origin" | "none")) {
        return told(403, "This form stands on the sandbox's own page, and is taken from nowhere else.");
    }
    let field = |name: &str| {
        url::form_urlencoded::parse(&body)
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    };
    match (field("clear"), field("operation")) {
        (Some(_), name) => {
            let _ = state.faults.clear(name.as_deref());
        }
        (None, None) => return told(400, "The form names no operation."),
        (None, Some(name)) => {
            let typed = FIELDS.iter().filter_map(|key| {
                let value = field(key)?;
                let value = if value == "on" {
                    Value::Bool(true)
                } else {
                    serde_json::from_str(&value).unwrap_or(Value::String(value))
                };
                Some(((*key).to_owned(), value))
            });
            let fault = serde_json::from_value::<Fault>(Value::Object(typed.collect()));
            let set = match fault {
                Ok(fault) => {
                    state.faults.set(&name, fault, state.clock.now()).map_err(|error: FaultError| error.to_string())
                }
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = set {
                return told(400, &error);
            }
        }
    }
    HttpResponse::SeeOther().insert_header((LOCATION, "/#faults")).finish()
}

fn told(status: u16, text: &str) -> HttpResponse {
    let link = pages::NoticeLink { text: "Back".to_owned(), href: "/#faults".to_owned() };
    pages::notice(status, &Notice { title: "No fault was set".to_owned(), text: text.to_owned(), link: Some(link) })
}
