//! A small S3, so that what a session may do can be seen: `aws s3 ls`, `cp`, `rm` against it are allowed and denied by the
//! policies of whoever asks.
//!
//! Buckets belong to accounts of the world and hold what is written, in memory. The protocol is S3's own: keys in the path
//! (`/s3/{bucket}/{key}`) or buckets in the host (`{bucket}.localhost`), XML, Signature Version 4 in the header or in the
//! query, and the wrapping of uploads that current SDKs send. There are no bucket policies, so no account gets into the
//! buckets of another; versions, tags, multipart uploads and signed chunks are not implemented and say so. A bucket answers
//! in every region of its partition: `aws:RequestedRegion` is the region the request was signed for.
//!
//! Spec: Amazon S3 API Reference; Service Authorization Reference, "Actions, resources, and condition keys for Amazon S3".

mod body;
mod error;
pub mod operation;
pub mod store;
mod xml;

use actix_web::http::header::{CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LAST_MODIFIED};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpResponse, HttpResponseBuilder, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::StreamExt;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use super::State;
use super::authorize::Wire;
use super::faults::{self, Failure, Met, Service};
use super::sts::{self, HttpRequest};
pub use body::Upload;
pub use error::S3Error;
use operation::{Asker, Operation, Outcome, Write};
use store::{Listing, Object};
use xml::ListStyle;

/// An object, and what its chunks are wrapped in.
const MAX_BODY: usize = store::MAX_OBJECT + 1024 * 1024;
const MAX_KEYS: usize = 1000;

/// Subresources of S3 that are not here, which must not be mistaken for the resource itself.
const NOT_HERE: [&str; 33] = [
    "accelerate",
    "acl",
    "analytics",
    "attributes",
    "cors",
    "delete",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "partNumber",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "renameObject",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
];

/// What of the request remains to be known when the answer is written.
struct Asked {
    bucket: String,
    listing: Listing,
    style: ListStyle,
    location: bool,
    copy: bool,
    range: Option<String>,
    wants_checksum: bool,
}

/// `/s3` and everything below.
pub async fn endpoint(request: actix_web::HttpRequest, payload: web::Payload, state: web::Data<State>) -> HttpResponse {
    let request_id = state.request_id();
    let body = read_body(payload).await;
    let (path, query) = (request.uri().path(), request.query_string());
    let headers = sts::headers(&request);
    let header = |name: &str| find(&headers, name);
    let (bucket, key) = address(&state, header("host"), path);
    let resource = format!("/{bucket}{}{key}", if key.is_empty() { "" } else { "/" });
    let head = request.method() == Method::HEAD;
    let refused = |error: &S3Error| failed(error, &resource, head, &request_id);

    let body = match body {
        Ok(body) => body,
        Err(error) => return refused(&error),
    };
    let read = read(request.method(), query, &headers, &bucket, &key);
    // What is no operation here is counted too.
    let name = read.as_ref().map_or("other", |(operation, _)| operation.name());
    let time = match faults::meet(&state, Service::S3, name).await {
        Met::Serve(time) => time,
        Met::Throttle => return refused(&S3Error::slow_down()),
        Met::Fail(Failure::Internal) => return refused(&S3Error::internal("a fault was set")),
        Met::Fail(Failure::Unavailable) => return refused(&S3Error::unavailable()),
        Met::CutOff => return faults::cut_off(),
    };
    let signed = HttpRequest { method: request.method().as_str(), path, query, headers: headers.clone(), body: &body };
    let outcome = sts::authenticate(&state, &signed, "s3", time.now)
        .map_err(|error| S3Error::unauthenticated(&error, header("x-amz-security-token").is_some()))
        .and_then(|who| {
            let (mut operation, asked) = read?;
            if let Operation::PutObject { write, .. } = &mut operation {
                write.upload = Some(body::unwrap(header, &body)?);
            }
            let wire = Wire {
                now: time.now,
                source_ip: request.peer_addr().map(|peer| peer.ip()),
                secure_transport: state.base.scheme() == "https",
                user_agent: header("user-agent"),
                referer: header("referer"),
                region: who.region.as_str(),
            };
            let asker = Asker { caller: &who.caller, context: &wire.context(), now: time.now };
            let (_, outcome) = operation::perform(&state, asker, operation);
            Ok((outcome?, asked, who.caller.account().to_string()))
        })
        .and_then(|(outcome, asked, account)| answered(outcome, &asked, &account));
    let mut answer = match outcome {
        Ok(mut answer) => {
            tracing::info!(s3.operation = name, "the sandbox's S3 answered {name}");
            if let Ok(id) = HeaderValue::from_str(&request_id) {
                answer.headers_mut().insert(HeaderName::from_static("x-amz-request-id"), id);
            }
            answer
        }
        Err(error) => refused(&error),
    };
    time.stamp(&mut answer);
    answer
}

async fn read_body(mut payload: web::Payload) -> Result<web::BytesMut, S3Error> {
    let mut body = web::BytesMut::new();
    let mut too_large = false;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| S3Error::incomplete_body())?;
        // It is read to its end all the same: clients hear an answer only when they have said everything.
        too_large |= body.len() + chunk.len() > MAX_BODY;
        if !too_large {
            body.extend_from_slice(&chunk);
        }
    }
    if too_large { Err(S3Error::too_large(store::MAX_OBJECT)) } else { Ok(body) }
}

/// The bucket and the key of a request; either may be empty.
fn address(state: &State, host: Option<&str>, path: &str) -> (String, String) {
    let path = path.strip_prefix("/s3").unwrap_or(path).trim_start_matches('/');
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let host = host.map(|host| host.split(':').next().unwrap_or_default());
    let here = state.base.host_str().unwrap_or_default();
    match host.and_then(|host| host.strip_suffix(here)?.strip_suffix('.')) {
        Some(bucket) if !bucket.is_empty() => (bucket.to_owned(), decode(path)),
        _ => {
            let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
            (decode(bucket), decode(key))
        }
    }
}

/// What a request asks for.
fn read(
    method: &Method,
    query: &str,
    headers: &[(String, String)],
    bucket: &str,
    key: &str,
) -> Result<(Operation, Asked), S3Error> {
    let header = |name: &str| find(headers, name);
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let get = |name: &str| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    if let Some(name) = NOT_HERE.iter().find(|name| get(name).is_some()) {
        return Err(S3Error::not_implemented(&format!("Requests with `{name}`")));
    }
    let second = get("list-type") == Some("2");
    let max_keys = match get("max-keys").map(str::parse::<usize>) {
        None => MAX_KEYS,
        Some(Ok(asked)) => asked.min(MAX_KEYS),
        Some(Err(_)) => {
            return Err(S3Error::invalid_argument("Provided max-keys not an integer or within integer range"));
        }
    };
    let token = get("continuation-token").map(|token| {
        URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| S3Error::invalid_argument("The continuation token provided is incorrect"))
    });
    let after = match (second, token.transpose()?) {
        (true, Some(token)) => token,
        (true, None) => get("start-after").unwrap_or_default().to_owned(),
        (false, _) => get("marker").unwrap_or_default().to_owned(),
    };
    let listing = Listing {
        prefix: get("prefix").unwrap_or_default().to_owned(),
        delimiter: get("delimiter").unwrap_or_default().to_owned(),
        after,
        max_keys,
    };
    let copy_source = header("x-amz-copy-source");
    let asked = Asked {
        bucket: bucket.to_owned(),
        listing: listing.clone(),
        style: ListStyle { second, encoded: get("encoding-type") == Some("url") },
        location: get("location").is_some(),
        copy: copy_source.is_some(),
        range: header("range").map(str::to_owned),
        wants_checksum: header("x-amz-checksum-mode").is_some_and(|mode| mode.eq_ignore_ascii_case("enabled")),
    };
    let (bucket, key) = (bucket.to_owned(), key.to_owned());
    let write = || Write {
        upload: None,
        content_type: header("content-type").map(str::to_owned),
        metadata: headers.iter().filter(|(name, _)| is_kept(name)).cloned().collect(),
    };
    let operation = match (method, bucket.is_empty(), key.is_empty()) {
        (&Method::GET, true, _) => Operation::ListBuckets,
        (&Method::HEAD, false, true) => Operation::HeadBucket { bucket },
        (&Method::GET, false, true) if asked.location => Operation::GetBucketLocation { bucket },
        (&Method::GET, false, true) => Operation::ListObjects { bucket, listing },
        (&Method::GET, false, false) => Operation::GetObject { bucket, key },
        (&Method::HEAD, false, false) => Operation::HeadObject { bucket, key },
        (&Method::PUT, false, false) => match copy_source {
            Some(source) => Operation::CopyObject { bucket, key, from: copied_from(source)?, write: write() },
            None => Operation::PutObject { bucket, key, write: write() },
        },
        (&Method::DELETE, false, false) => Operation::DeleteObject { bucket, key },
        (&Method::PUT | &Method::DELETE, false, true) => {
            return Err(S3Error::not_implemented("Making and deleting buckets"));
        }
        _ => return Err(S3Error::method_not_allowed()),
    };
    Ok((operation, asked))
}

/// `/{bucket}/{key}`, encoded.
fn copied_from(source: &str) -> Result<(String, String), S3Error> {
    let source = percent_decode_str(source.trim_start_matches('/')).decode_utf8_lossy().into_owned();
    match source.split_once('/') {
        Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => Ok((bucket.to_owned(), key.to_owned())),
        _ => {
            Err(S3Error::invalid_argument("Copy Source must mention the source bucket and key: sourcebucket/sourcekey"))
        }
    }
}

/// Headers that stay with an object.
fn is_kept(name: &str) -> bool {
    name.starts_with("x-amz-meta-") || matches!(name, "cache-control" | "content-disposition" | "content-language")
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn failed(error: &S3Error, resource: &str, head: bool, request_id: &str) -> HttpResponse {
    tracing::info!(s3.error = error.code, "the sandbox's S3 refused: {error}");
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = HttpResponse::build(status);
    answer.insert_header(("x-amz-request-id", request_id));
    if head {
        // There is no body to tell more in.
        return answer.finish();
    }
    answer.insert_header((CONTENT_TYPE, "application/xml")).body(xml::error(error, resource, request_id))
}

fn answered(outcome: Outcome, asked: &Asked, account: &str) -> Result<HttpResponse, S3Error> {
    let document = |text: String| HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/xml")).body(text);
    Ok(match outcome {
        Outcome::Buckets(buckets) => document(xml::buckets(&buckets, account)),
        Outcome::Bucket { region } if asked.location => document(xml::location(&region)),
        Outcome::Bucket { region } => HttpResponse::Ok().insert_header(("x-amz-bucket-region", region)).finish(),
        Outcome::Objects(page) => {
            let token = page.next.as_ref().map(|next| URL_SAFE_NO_PAD.encode(next));
            document(xml::objects(&asked.bucket, &asked.listing, asked.style, &page, token.as_deref()))
        }
        Outcome::Object(object) => dressed(&object, asked)?,
        Outcome::Written(object) if asked.copy => document(xml::copied(&object)),
        Outcome::Written(object) => {
            let mut answer = HttpResponse::Ok();
            answer.insert_header((ETAG, format!("\"{}\"", object.etag)));
            checksum(&mut answer, &object);
            answer.finish()
        }
        Outcome::Deleted => HttpResponse::NoContent().finish(),
    })
}

fn checksum(answer: &mut HttpResponseBuilder, object: &Object) {
    if let Some(checksum) = &object.checksum {
        answer
            .insert_header((checksum.algorithm.header(), checksum.value.as_str()))
            .insert_header(("x-amz-checksum-type", "FULL_OBJECT"));
    }
}

/// An object, or a part of it.
fn dressed(object: &Object, asked: &Asked) -> Result<HttpResponse, S3Error> {
    let whole = object.bytes.len();
    let part = asked.range.as_deref().and_then(|range| part(range, whole)).transpose()?;
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((ETAG, format!("\"{}\"", object.etag)))
        .insert_header((LAST_MODIFIED, http_date(object.modified)))
        .insert_header(("accept-ranges", "bytes"))
        .insert_header((CONTENT_TYPE, object.content_type.as_deref().unwrap_or("binary/octet-stream")));
    for (name, value) in &object.metadata {
        answer.insert_header((name.as_str(), value.as_str()));
    }
    let bytes = match part {
        Some((from, to)) => {
            answer.status(StatusCode::PARTIAL_CONTENT);
            answer.insert_header((CONTENT_RANGE, format!("bytes {from}-{to}/{whole}")));
            object.bytes.slice(from..=to)
        }
        None => {
            if asked.wants_checksum {
                checksum(&mut answer, object);
            }
            object.bytes.clone()
        }
    };
    // For HEAD the server counts the bytes and leaves them out.
    Ok(answer.body(bytes))
}

fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// `bytes=0-9`, `bytes=10-`, `bytes=-5`: the first and last byte. `None` where it says nothing that can be used, which is
/// then ignored as at S3.
fn part(range: &str, whole: usize) -> Option<Result<(usize, usize), S3Error>> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    let last = whole.checked_sub(1);
    let (from, to) = match (from, to) {
        ("", suffix) => (whole.saturating_sub(suffix.parse().ok()?), last),
        (from, "") => (from.parse().ok()?, last),
        (from, to) => (from.parse().ok()?, last.map(|last| to.parse::<usize>().unwrap_or(last).min(last))),
    };
    Some(to.filter(|to| from <= *to).map(|to| (from, to)).ok_or_else(S3Error::invalid_range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_object_are_cut_as_http_says() {
        for (range, cut) in [
            ("bytes=0-3", Some((0, 3))),
            ("bytes=4-", Some((4, 9))),
            ("bytes=-2", Some((8, 9))),
            ("bytes=-20", Some((0, 9))),
            ("bytes=5-100", Some((5, 9))),
            ("bytes=10-", None),
            ("bytes=7-3", None),
        ] {
            assert_eq!(part(range, 10).unwrap().ok(), cut, "{range}");
        }
        assert!(part("lines=1-2", 10).is_none() && part("bytes=a-b", 10).is_none());
        assert!(part("bytes=0-", 0).unwrap().is_err());
    }

    #[test]
    fn requests_are_understood_or_refused() {
        let name = |method: Method, query: &str, bucket: &str, key: &str| {
            read(&method, query, &[], bucket, key).map_or_else(|error| error.code, |(operation, _)| operation.name())
        };
        for (method, query, bucket, key, expected) in [
            (Method::GET, "", "", "", "ListBuckets"),
            (Method::GET, "x-id=ListBuckets", "", "", "ListBuckets"),
            (Method::GET, "list-type=2&prefix=a", "b", "", "ListObjects"),
            (Method::GET, "location", "b", "", "GetBucketLocation"),
            (Method::HEAD, "", "b", "", "HeadBucket"),
            (Method::GET, "x-id=GetObject", "b", "k/l", "GetObject"),
            (Method::HEAD, "", "b", "k", "HeadObject"),
            (Method::PUT, "", "b", "k", "PutObject"),
            (Method::DELETE, "", "b", "k", "DeleteObject"),
            (Method::GET, "policy", "b", "", "NotImplemented"),
            (Method::POST, "uploads", "b", "k", "NotImplemented"),
            (Method::PUT, "partNumber=1&uploadId=x", "b", "k", "NotImplemented"),
            (Method::PUT, "", "b", "", "NotImplemented"),
            (Method::POST, "", "b", "k", "MethodNotAllowed"),
            (Method::GET, "list-type=2&continuation-token=%21", "b", "", "InvalidArgument"),
            (Method::GET, "max-keys=many", "b", "", "InvalidArgument"),
        ] {
            assert_eq!(name(method, query, bucket, key), expected, "{query}");
        }
        let copy = [("x-amz-copy-source".to_owned(), "b/a%20b".to_owned())];
        let (operation, _) = read(&Method::PUT, "", &copy, "b", "k").unwrap();
        assert!(matches!(operation, Operation::CopyObject { from, .. } if from == ("b".into(), "a b".into())));
    }
}
