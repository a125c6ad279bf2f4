//! S3's XML: no query protocol, but documents of its own.

use std::fmt::Write as _;

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::error::S3Error;
use super::store::{BucketLine, Listing, Object, Page};
use crate::sandbox::sts::escaped;

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
/// What `encoding-type=url` leaves as it is.
const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

fn element(out: &mut String, name: &str, text: &str) {
    let _ = write!(out, "<{name}>{}</{name}>", escaped(text));
}

fn instant(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

pub fn error(error: &S3Error, resource: &str, request_id: &str) -> String {
    let mut out = format!("{HEAD}<Error>");
    element(&mut out, "Code", error.code);
    element(&mut out, "Message", &error.message);
    for (name, text) in &error.about {
        element(&mut out, name, text);
    }
    element(&mut out, "Resource", resource);
    element(&mut out, "RequestId", request_id);
    element(&mut out, "HostId", "rolegate-sandbox");
    out.push_str("</Error>");
    out
}

pub fn buckets(buckets: &[BucketLine], owner: &str) -> String {
    let mut out = format!("{HEAD}<ListAllMyBucketsResult xmlns=\"{NAMESPACE}\"><Owner>");
    element(&mut out, "ID", owner);
    out.push_str("</Owner><Buckets>");
    for bucket in buckets {
        out.push_str("<Bucket>");
        element(&mut out, "Name", &bucket.name);
        element(&mut out, "CreationDate", &instant(bucket.created));
        element(&mut out, "BucketRegion", &bucket.region);
        out.push_str("</Bucket>");
    }
    out.push_str("</Buckets></ListAllMyBucketsResult>");
    out
}

/// The region of a bucket; the oldest region goes without saying.
pub fn location(region: &str) -> String {
    let region = if region == "us-east-1" { "" } else { region };
    format!("{HEAD}<LocationConstraint xmlns=\"{NAMESPACE}\">{}</LocationConstraint>", escaped(region))
}

/// How a list is to be written.
#[derive(Debug, Clone, Copy)]
pub struct ListStyle {
    /// `list-type=2`
    pub second: bool,
    /// `encoding-type=url`
    pub encoded: bool,
}

pub fn objects(bucket: &str, listing: &Listing, style: ListStyle, page: &Page, token: Option<&str>) -> String {
    let name = |key: &str| if style.encoded { utf8_percent_encode(key, KEY).to_string() } else { key.to_owned() };
    let mut out = format!("{HEAD}<ListBucketResult xmlns=\"{NAMESPACE}\">");
    element(&mut out, "Name", bucket);
    element(&mut out, "Prefix", &name(&listing.prefix));
    if !listing.delimiter.is_empty() {
        element(&mut out, "Delimiter", &name(&listing.delimiter));
    }
    element(&mut out, "MaxKeys", &listing.max_keys.to_string());
    if style.encoded {
        element(&mut out, "EncodingType", "url");
    }
    element(&mut out, "IsTruncated", if page.next.is_some() { "true" } else { "false" });
    if style.second {
        element(&mut out, "KeyCount", &(page.objects.len() + page.prefixes.len()).to_string());
        if let Some(token) = token {
            element(&mut out, "NextContinuationToken", token);
        }
    } else {
        element(&mut out, "Marker", &name(&listing.after));
        if let Some(next) = &page.next {
            element(&mut out, "NextMarker", &name(next));
        }
    }
    for (key, object) in &page.objects {
        out.push_str("<Contents>");
        element(&mut out, "Key", &name(key));
        element(&mut out, "LastModified", &instant(object.modified));
        element(&mut out, "ETag", &quoted(&object.etag));
        element(&mut out, "Size", &object.bytes.len().to_string());
        element(&mut out, "StorageClass", "STANDARD");
        out.push_str("</Contents>");
    }
    for prefix in &page.prefixes {
        out.push_str("<CommonPrefixes>");
        element(&mut out, "Prefix", &name(prefix));
        out.push_str("</CommonPrefixes>");
    }
    out.push_str("</ListBucketResult>");
    out
}

pub fn copied(object: &Object) -> String {
    let mut out = format!("{HEAD}<CopyObjectResult xmlns=\"{NAMESPACE}\">");
    element(&mut out, "LastModified", &instant(object.modified));
    element(&mut out, "ETag", &quoted(&object.etag));
    out.push_str("</CopyObjectResult>");
    out
}
