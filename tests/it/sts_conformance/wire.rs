//! Cases as bytes on a socket, with a signer written from the specification again.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sha::sha256;
use openssl::sign::Signer;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rolegate::sys::{Clock as _, SystemClock};
use url::Url;

use super::Outcome;
use super::ground::{Ground, Keys};
use super::table::{Case, Raw};

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// A call that expects nothing yet.
pub fn question(action: &str, params: &[(&str, &str)], caller: &str) -> Case {
    Case {
        name: action.to_owned(),
        facts: String::new(),
        caller: Some(caller.to_owned()),
        action: Some(action.to_owned()),
        params: params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        assertion: None,
        token: None,
        region: None,
        raw: None,
        only_raw: None,
        not_typed: None,
        not_botocore: None,
        status: 200,
        code: None,
        message: None,
        message_like: None,
        no_message: false,
        members: BTreeMap::new(),
        absent: Vec::new(),
        lives: None,
        headers: BTreeMap::new(),
        body_like: None,
        empty: false,
    }
}

pub async fn run(ground: &Ground, base: &Url, callers: &BTreeMap<String, Keys>, case: &Case) -> Outcome {
    run_at(ground, base, callers, case, &At::default()).await
}

/// Where and when a case is sent, if not as it says itself.
#[derive(Debug, Clone, Default)]
pub struct At {
    /// How far the clock there is off.
    pub clock_secs: i64,
    /// The name it goes by.
    pub host: Option<String>,
}

pub async fn run_at(ground: &Ground, base: &Url, callers: &BTreeMap<String, Keys>, case: &Case, at: &At) -> Outcome {
    let fill = |text: &Option<String>| text.as_ref().map(|text| ground.filled(text, 0, callers));
    let raw = match &case.raw {
        Some(raw) => Raw { body: fill(&raw.body), query: fill(&raw.query), ..raw.clone() },
        None => {
            let mut body = format!("Action={}&Version=2011-06-15", case.action.as_deref().unwrap_or_default());
            for (name, value) in ground.params(case, callers) {
                body.push_str(&format!("&{}={}", encoded(&name), encoded(&value)));
            }
            Raw { body: Some(body), region: case.region.clone(), ..Raw::default() }
        }
    };
    let raw = Raw { host: raw.host.clone().or_else(|| at.host.clone()), ..raw };
    let keys = case.caller.as_ref().map(|name| &callers[name]);
    send(base, &raw, keys, at.clock_secs + raw.clock_secs).await
}

pub async fn send(base: &Url, raw: &Raw, keys: Option<&Keys>, clock_secs: i64) -> Outcome {
    let method = raw.method.as_deref().unwrap_or("POST");
    let path = raw.path.as_deref().unwrap_or("/");
    let body = raw.body.clone().unwrap_or_default();
    let host = raw
        .host
        .clone()
        .unwrap_or_else(|| format!("{}:{}", base.host_str().unwrap(), base.port_or_known_default().unwrap()));
    let mut query = raw.query.clone().unwrap_or_default();
    let mut headers: Vec<(String, String)> = vec![("host".to_owned(), host)];
    if method == "POST" {
        let content_type = raw.content_type.as_deref().unwrap_or("application/x-www-form-urlencoded");
        headers.push(("content-type".to_owned(), content_type.to_owned()));
    }
    if let Some(keys) = keys {
        sign(raw, keys, clock_secs, (method, path, &body), &mut query, &mut headers);
    }
    let sent = raw.sent_body.clone().unwrap_or(body);
    let url = format!(
        "{}{}{}",
        base.as_str().trim_end_matches('/'),
        path,
        if query.is_empty() { String::new() } else { format!("?{query}") }
    );
    let client = rolegate::sys::http::client(std::time::Duration::from_secs(5)).unwrap();
    let mut request = client.request(method.parse().unwrap(), url).timeout(std::time::Duration::from_secs(60));
    for (name, value) in &headers {
        request = request.header(name, value);
    }
    if method == "POST" {
        request = request.body(sent.clone());
    }
    match request.send().await {
        Ok(response) => {
            let status = response.status().as_u16();
            let headers = response
                .headers()
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap_or_default().to_owned()))
                .collect();
            let body = response.text().await.unwrap_or_default();
            read(status, headers, body)
        }
        // A server may hang up on too large a body before all of it is sent.
        Err(_) if sent.len() > 10_000_000 => Outcome { status: 413, ..Outcome::default() },
        Err(error) => panic!("{error:?}"),
    }
}

/// Spec: AWS General Reference, "Signature Version 4 signing process".
fn sign(
    raw: &Raw,
    keys: &Keys,
    clock_secs: i64,
    (method, path, body): (&str, &str, &str),
    query: &mut String,
    headers: &mut Vec<(String, String)>,
) {
    let now: Timestamp = SystemClock.now() + SignedDuration::from_secs(clock_secs);
    let date = raw.date.clone().unwrap_or_else(|| now.strftime("%Y%m%dT%H%M%SZ").to_string());
    let day = raw.scope_date.clone().unwrap_or_else(|| date.chars().take(8).collect());
    let region = raw.region.as_deref().unwrap_or("us-east-1");
    let service = raw.service.as_deref().unwrap_or("sts");
    let terminator = raw.terminator.as_deref().unwrap_or("aws4_request");
    let scope = format!("{day}/{region}/{service}/{terminator}");
    let credential = format!("{}/{scope}", keys.id);
    let mut signed_headers: Vec<String> = vec!["host".to_owned()];
    if let Some(seconds) = raw.presigned {
        let mut further = vec![
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
            ("X-Amz-Credential", credential.clone()),
            ("X-Amz-Date", date.clone()),
            ("X-Amz-Expires", seconds.to_string()),
            ("X-Amz-SignedHeaders", "host".to_owned()),
        ];
        further.extend(keys.token.clone().map(|token| ("X-Amz-Security-Token", token)));
        for (name, value) in further {
            query.push_str(&format!("&{name}={}", encoded(&value)));
        }
    } else {
        if raw.omit.as_deref() != Some("X-Amz-Date") {
            headers.push(("x-amz-date".to_owned(), date.clone()));
        }
        if let Some(token) = &keys.token {
            headers.push(("x-amz-security-token".to_owned(), token.clone()));
        }
        signed_headers = match &raw.signed_headers {
            Some(names) => names.split(';').map(str::to_owned).collect(),
            None => headers.iter().map(|(name, _)| name.clone()).collect(),
        };
        signed_headers.sort();
    }
    let mut sorted: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    sorted.sort_unstable();
    let lines: String = signed_headers
        .iter()
        .map(|name| {
            let value = headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str());
            format!("{name}:{}\n", value.trim())
        })
        .collect();
    let names = signed_headers.join(";");
    let canonical =
        format!("{method}\n{path}\n{}\n{lines}\n{names}\n{}", sorted.join("&"), hex(&sha256(body.as_bytes())));
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&sha256(canonical.as_bytes())));
    let key = [day.as_str(), region, service, terminator]
        .iter()
        .fold(format!("AWS4{}", keys.secret).into_bytes(), |key, part| hmac(&key, part));
    let signature = hex(&hmac(&key, &text));
    if raw.presigned.is_some() {
        query.push_str(&format!("&X-Amz-Signature={signature}"));
        return;
    }
    let parts = [("Credential", credential), ("SignedHeaders", names), ("Signature", signature)];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(name, _)| raw.omit.as_deref() != Some(name))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    headers.push(("authorization".to_owned(), format!("AWS4-HMAC-SHA256 {}", parts.join(", "))));
}

fn hmac(key: &[u8], message: &str) -> Vec<u8> {
    let key = PKey::hmac(key).unwrap();
    Signer::new(MessageDigest::sha256(), &key).unwrap().sign_oneshot_to_vec(message.as_bytes()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An answer in one form for all clients.
fn read(status: u16, headers: BTreeMap<String, String>, body: String) -> Outcome {
    let mut outcome = Outcome { status, headers, ..Outcome::default() };
    if let Ok(document) = roxmltree::Document::parse(&body) {
        let root = document.root_element();
        if root.tag_name().name() == "ErrorResponse" {
            let get = |name: &str| {
                let node = root.descendants().find(|node| node.tag_name().name() == name)?;
                Some(node.text().unwrap_or_default().to_owned())
            };
            outcome.code = get("Code");
            outcome.message = get("Message");
        } else if let Some(result) = root.children().find(|node| node.tag_name().name().ends_with("Result")) {
            flatten(result, "", &mut outcome.members);
        }
    }
    outcome.body = body;
    outcome
}

fn flatten(node: roxmltree::Node<'_, '_>, before: &str, out: &mut BTreeMap<String, String>) {
    for child in node.children().filter(roxmltree::Node::is_element) {
        let name = format!("{before}{}", child.tag_name().name());
        if child.children().any(|inner| inner.is_element()) {
            flatten(child, &format!("{name}."), out);
        } else {
            out.insert(name, child.text().unwrap_or_default().to_owned());
        }
    }
}
