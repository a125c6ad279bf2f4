//! Our own style sheet, scripts and pictures, under names that change when they do.
//!
//! A page refers to `/static/app.3f9c….css`; the name carries the start of the file's SHA-256, so a browser may keep
//! the answer for ever and still never shows an old one.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use rust_embed::RustEmbed;

use super::problem::{Kind, Problem};

/// Where the files are served.
pub const PREFIX: &str = "/static/";

/// How many bytes of the digest stand in the name.
const NAMED_BYTES: usize = 8;

#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

struct Asset {
    /// `/static/app.3f9c….css`
    path: String,
    /// The whole digest in quotes, as the header wants it.
    etag: String,
    content_type: &'static str,
    body: actix_web::web::Bytes,
}

/// By plain name (`app.css`). Read once, also in debug builds: a name and the bytes it promises never part.
static ASSETS: LazyLock<HashMap<String, Asset>> = LazyLock::new(|| {
    Files::iter()
        .filter_map(|name| {
            let file = Files::get(&name)?;
            let digest = hex(&openssl::sha::sha256(&file.data));
            let (stem, extension) = name.rsplit_once('.')?;
            let asset = Asset {
                path: format!("{PREFIX}{stem}.{}.{extension}", &digest[..NAMED_BYTES * 2]),
                etag: format!("\"{digest}\""),
                content_type: content_type(extension)?,
                body: file.data.into_owned().into(),
            };
            Some((name.into_owned(), asset))
        })
        .collect()
});

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What we serve and nothing else: a stray file of another kind has no address.
fn content_type(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    })
}

/// The address of a file in `static/`: `asset("app.css")` is `/static/app.3f9c….css`.
///
/// A name that does not exist gives [`PREFIX`] alone, which answers 404; a test follows every reference a page makes.
#[must_use]
pub fn asset(name: &str) -> &'static str {
    ASSETS.get(name).map_or(PREFIX, |asset| asset.path.as_str())
}

/// Every file with its address and bytes; for looking at rendered samples without a server.
pub fn all() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    ASSETS.values().map(|asset| (asset.path.as_str(), asset.body.as_ref()))
}

/// `app.3f9c….css` without its digest, when there is one.
fn plain_name(path: &str) -> Option<String> {
    let (rest, extension) = path.rsplit_once('.')?;
    let (stem, digest) = rest.rsplit_once('.')?;
    let named = digest.len() == NAMED_BYTES * 2 && digest.bytes().all(|b| b.is_ascii_hexdigit());
    named.then(|| format!("{stem}.{extension}"))
}

/// `GET /static/{path:.*}`.
///
/// A digest that is not the current one, as during an upgrade with several replicas, is answered with the file as it
/// is now, to be asked for again next time: a page of the other release is better styled than bare.
///
/// # Errors
/// There is no such file.
pub async fn serve(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let path = request.path();
    let found = path.strip_prefix(PREFIX).and_then(plain_name).and_then(|name| ASSETS.get(&name));
    let Some(asset) = found else { return Err(Problem::new(Kind::NotFound)) };
    let cache = if asset.path == path { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known = request.headers().get_all(header::IF_NONE_MATCH).any(|value| names(value, &asset.etag));
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::CACHE_CONTROL, cache))
        .insert_header((header::ETAG, asset.etag.as_str()))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    Ok(if known { response.finish() } else { response.content_type(asset.content_type).body(asset.body.clone()) })
}

/// Whether an `If-None-Match` value holds this tag; compression by the way may have weakened it with `W/`.
fn names(value: &HeaderValue, etag: &str) -> bool {
    let tag = |text: &str| text.trim().trim_start_matches("W/") == etag;
    value.to_str().is_ok_and(|list| list.split(',').any(tag))
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError as _;
    use actix_web::body::MessageBody;
    use actix_web::http::StatusCode;
    use actix_web::test::TestRequest;

    use super::*;

    async fn get(path: &str, if_none_match: Option<&str>) -> HttpResponse {
        let mut request = TestRequest::get().uri(path);
        if let Some(tag) = if_none_match {
            request = request.insert_header((header::IF_NONE_MATCH, tag));
        }
        serve(request.to_http_request()).await.unwrap_or_else(|problem| problem.error_response())
    }

    fn header(response: &HttpResponse, name: header::HeaderName) -> &str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[actix_web::test]
    async fn a_file_under_its_current_name_may_be_kept_for_ever() {
        let path = asset("app.css");
        assert!(path.starts_with("/static/app.") && path.ends_with(".css"), "{path}");
        let response = get(path, None).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, header::CACHE_CONTROL), "public, max-age=31536000, immutable");
        assert_eq!(header(&response, header::CONTENT_TYPE), "text/css; charset=utf-8");
        assert_eq!(header(&response, header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert!(!response.into_body().try_into_bytes().unwrap().is_empty());
    }

    #[actix_web::test]
    async fn a_browser_that_has_the_file_is_told_so() {
        let path = asset("app.css");
        let tag = header(&get(path, None).await, header::ETAG).to_owned();
        for sent in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}")] {
            assert_eq!(get(path, Some(&sent)).await.status(), StatusCode::NOT_MODIFIED, "{sent}");
        }
        assert_eq!(get(path, Some("\"other\"")).await.status(), StatusCode::OK);
    }

    #[actix_web::test]
    async fn a_name_of_another_release_is_served_but_not_kept() {
        let response = get("/static/app.0123456789abcdef.css", None).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, header::CACHE_CONTROL), "no-cache");
    }

    #[actix_web::test]
    async fn anything_else_is_not_found() {
        for path in ["/static/", "/static/app.css", "/static/none.0123456789abcdef.css", "/static/../Cargo.toml", "/x"]
        {
            assert_eq!(get(path, None).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }
}
