//! Bodies of uploads: what current SDKs wrap around an object, and the checksums they send along.
//!
//! Spec: S3 API Reference, "Authenticating requests: chunked upload" and "Checking object integrity".

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openssl::hash::{MessageDigest, hash};

use super::error::S3Error;

/// A checksum over a whole object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    pub algorithm: Algorithm,
    /// In base64, as it stands in headers.
    pub value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    pub const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// The header or trailer that carries it.
    #[must_use]
    pub fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    fn of(self, bytes: &[u8]) -> Result<String, S3Error> {
        let digest = |algorithm| {
            hash(algorithm, bytes)
                .map(|digest| STANDARD.encode(digest))
                .map_err(|error| S3Error::internal(error.to_string()))
        };
        Ok(match self {
            Self::Crc32 => STANDARD.encode(crc32(bytes).to_be_bytes()),
            Self::Crc32c => STANDARD.encode(crc32c(bytes).to_be_bytes()),
            Self::Crc64Nvme => STANDARD.encode(crc64_nvme(bytes).to_be_bytes()),
            Self::Sha1 => digest(MessageDigest::sha1())?,
            Self::Sha256 => digest(MessageDigest::sha256())?,
        })
    }
}

/// One step per byte, from the least significant bit: `polynomial` is written in reverse.
const fn table(polynomial: u64) -> [u64; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut value = at as u64;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ polynomial } else { value >> 1 };
            bit += 1;
        }
        table[at] = value;
        at += 1;
    }
    table
}

static CRC32: [u64; 256] = table(0xedb8_8320);
static CRC32C: [u64; 256] = table(0x82f6_3b78);
static CRC64_NVME: [u64; 256] = table(0x9a6c_9329_ac4b_c9b5);

fn crc(table: &[u64; 256], ones: u64, bytes: &[u8]) -> u64 {
    let step = |crc: u64, byte: &u8| table[usize::from((crc as u8) ^ byte)] ^ (crc >> 8);
    bytes.iter().fold(ones, step) ^ ones
}

fn crc32(bytes: &[u8]) -> u32 {
    crc(&CRC32, u32::MAX.into(), bytes) as u32
}

fn crc32c(bytes: &[u8]) -> u32 {
    crc(&CRC32C, u32::MAX.into(), bytes) as u32
}

fn crc64_nvme(bytes: &[u8]) -> u64 {
    crc(&CRC64_NVME, u64::MAX, bytes)
}

/// What an upload carries: the object itself, and the checksum that was sent with it.
#[derive(Debug, PartialEq, Eq)]
pub struct Upload {
    pub object: Vec<u8>,
    pub checksum: Option<Checksum>,
}

/// Unwraps the body of an upload and checks it against everything that was said about it. `header` finds a header by its
/// name in lower case.
///
/// # Errors
/// Signed chunks are not implemented; a body that is not what its headers say is refused as at S3.
pub fn unwrap<'a>(header: impl Fn(&str) -> Option<&'a str>, body: &[u8]) -> Result<Upload, S3Error> {
    let declared = header("x-amz-content-sha256").unwrap_or("UNSIGNED-PAYLOAD");
    let (object, trailers) = match declared {
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => {
            let (object, trailers) = chunks(body)?;
            let length = header("x-amz-decoded-content-length").and_then(|text| text.parse::<usize>().ok());
            if length.is_some_and(|length| length != object.len()) {
                return Err(S3Error::incomplete_body());
            }
            (object, trailers)
        }
        streaming if streaming.starts_with("STREAMING-") => {
            return Err(S3Error::not_implemented("Chunks that are signed one by one"));
        }
        "UNSIGNED-PAYLOAD" => (body.to_vec(), Vec::new()),
        digest => {
            let hex: String = openssl::sha::sha256(body).iter().map(|byte| format!("{byte:02x}")).collect();
            if hex != digest.to_ascii_lowercase() {
                return Err(S3Error::content_sha256_mismatch());
            }
            (body.to_vec(), Vec::new())
        }
    };
    if let Some(expected) = header("content-md5")
        && expected != STANDARD.encode(md5(&object)?)
    {
        return Err(S3Error::bad_digest("Content-MD5"));
    }
    let mut checksum = None;
    for algorithm in Algorithm::ALL {
        let trailer = trailers.iter().find(|(name, _)| name == algorithm.header()).map(|(_, value)| value.as_str());
        if let Some(value) = trailer.or_else(|| header(algorithm.header())) {
            if algorithm.of(&object)? != value {
                return Err(S3Error::bad_digest(algorithm.header()));
            }
            checksum = Some(Checksum { algorithm, value: value.to_owned() });
        }
    }
    // A trailer that was announced has to come.
    if let Some(announced) = header("x-amz-trailer")
        && !trailers.iter().any(|(name, _)| name.eq_ignore_ascii_case(announced))
    {
        return Err(S3Error::malformed_trailer());
    }
    Ok(Upload { object, checksum })
}

/// What an ETag is made of.
///
/// # Errors
/// Where the system's OpenSSL has no MD5.
pub fn md5(bytes: &[u8]) -> Result<Vec<u8>, S3Error> {
    hash(MessageDigest::md5(), bytes)
        .map(|digest| digest.to_vec())
        .map_err(|error| S3Error::internal(error.to_string()))
}

type Trailers = Vec<(String, String)>;

/// `aws-chunked`: `{size in hex}\r\n{that many bytes}\r\n`, at last a size of 0, trailers, and an empty line.
fn chunks(body: &[u8]) -> Result<(Vec<u8>, Trailers), S3Error> {
    let mut object = Vec::with_capacity(body.len());
    let mut rest = body;
    loop {
        let (line, after) = line(rest)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| S3Error::incomplete_body())?;
        rest = after;
        if size == 0 {
            break;
        }
        let chunk = rest.get(..size).ok_or_else(S3Error::incomplete_body)?;
        object.extend_from_slice(chunk);
        rest = rest[size..].strip_prefix(b"\r\n").ok_or_else(S3Error::incomplete_body)?;
    }
    let mut trailers = Vec::new();
    while !rest.is_empty() {
        let (line, after) = line(rest)?;
        rest = after;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(S3Error::malformed_trailer)?;
        trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok((object, trailers))
}

fn line(bytes: &[u8]) -> Result<(&str, &[u8]), S3Error> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n").ok_or_else(S3Error::incomplete_body)?;
    let line = std::str::from_utf8(&bytes[..end]).map_err(|_| S3Error::incomplete_body())?;
    Ok((line, &bytes[end + 2..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRAILED: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

    fn with<'a>(headers: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<&'a str> {
        |name| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    #[test]
    fn checksums_are_those_of_their_specifications() {
        let check = b"123456789";
        assert_eq!(crc32(check), 0xcbf4_3926);
        assert_eq!(crc32c(check), 0xe306_9283);
        assert_eq!(crc64_nvme(check), 0xae8b_1486_0a79_9888);
        assert_eq!(Algorithm::Crc32.of(b"hello\n").unwrap(), "NjowIA==");
    }

    #[test]
    fn an_object_is_taken_out_of_its_chunks_and_checked() {
        let body = b"6\r\nhello\n\r\n0\r\nx-amz-checksum-crc32:NjowIA==\r\n\r\n";
        let headers = [
            ("x-amz-content-sha256", TRAILED),
            ("x-amz-trailer", "x-amz-checksum-crc32"),
            ("x-amz-decoded-content-length", "6"),
        ];
        let upload = unwrap(with(&headers), body).unwrap();
        assert_eq!(upload.object, b"hello\n");
        assert_eq!(upload.checksum.unwrap().value, "NjowIA==");
        let code = |headers: &[(&str, &str)], body: &[u8]| unwrap(with(headers), body).unwrap_err().code;
        assert_eq!(code(&headers, b"6\r\nhellO\n\r\n0\r\nx-amz-checksum-crc32:NjowIA==\r\n\r\n"), "BadDigest");
        assert_eq!(code(&headers, b"6\r\nhello\n\r\n0\r\n\r\n"), "MalformedTrailerError");
        assert_eq!(code(&headers, b"7\r\nhello\n\r\n"), "IncompleteBody");
        assert_eq!(code(&headers, b"5\r\nhello\r\n0\r\n\r\n"), "IncompleteBody");
        assert_eq!(code(&headers, b""), "IncompleteBody");
        let signed = [("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")];
        assert_eq!(code(&signed, body), "NotImplemented");
        let digest = [("x-amz-content-sha256", "00")];
        assert_eq!(code(&digest, b"hello\n"), "XAmzContentSHA256Mismatch");
        assert_eq!(code(&[("content-md5", "AAAA")], b"hello\n"), "BadDigest");
        let sum = [("x-amz-checksum-sha256", "WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM=")];
        assert_eq!(unwrap(with(&sum), b"hello\n").unwrap().object, b"hello\n");
        assert_eq!(code(&sum, b"hello"), "BadDigest");
    }

    proptest! {
        #[test]
        fn no_body_can_do_harm(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = unwrap(with(&[("x-amz-content-sha256", TRAILED)]), &body);
        }

        #[test]
        fn what_was_cut_into_chunks_comes_out_whole(object in proptest::collection::vec(any::<u8>(), 0..300), size in 1..50_usize) {
            let mut body = Vec::new();
            for chunk in object.chunks(size) {
                body.extend(format!("{:x}\r\n", chunk.len()).bytes());
                body.extend(chunk);
                body.extend(b"\r\n");
            }
            body.extend(b"0\r\n\r\n");
            prop_assert_eq!(unwrap(with(&[("x-amz-content-sha256", TRAILED)]), &body).unwrap().object, object);
        }
    }
}
