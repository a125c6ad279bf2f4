//! The names SAML, XML Signature and XML Encryption give to things, and how its text and time are read.

use jiff::Timestamp;

pub use crate::sys::excerpt;

/// Namespace of assertions.
pub const SAML: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
/// Namespace of protocol messages.
pub const SAMLP: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
/// Namespace of metadata.
pub const MD: &str = "urn:oasis:names:tc:SAML:2.0:metadata";
/// Namespace of XML Signature.
pub const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
/// Namespace of XML Encryption 1.0.
pub const XENC: &str = "http://www.w3.org/2001/04/xmlenc#";
/// Namespace of XML Encryption 1.1.
pub const XENC11: &str = "http://www.w3.org/2009/xmlenc11#";
/// Namespace of `xsi:type` and `xsi:nil`.
pub const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";
/// Namespace of `xml:lang`.
pub const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// The front-channel bindings.
pub const BINDING_POST: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST";
/// See [`BINDING_POST`].
pub const BINDING_REDIRECT: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect";

/// The only `SubjectConfirmation` method of browser sign-in.
pub const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
/// The only top-level status that means yes.
pub const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
/// The second-level status of a logout that some of the provider's other partners did not confirm.
pub const PARTIAL_LOGOUT: &str = "urn:oasis:names:tc:SAML:2.0:status:PartialLogout";
/// The format of a name whose kind nobody says; the same as no format.
pub const UNSPECIFIED: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified";

/// XML's white space, which is less than Unicode's: a no-break space is part of a name.
const XML_SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// Without the white space that pretty-printers put around text.
#[must_use]
pub fn trimmed(text: &str) -> &str {
    text.trim_matches(XML_SPACE)
}

/// An `xs:dateTime` with a zone. SAML asks for UTC; an offset names an instant just as well, no zone does not.
#[must_use]
pub fn timestamp(text: &str) -> Option<Timestamp> {
    let text = trimmed(text);
    let shape = text.as_bytes();
    // jiff reads more than xs:dateTime does; the shape is fixed first so that only the value is left to it.
    let date_time = shape.len() <= 40
        && shape.get(..19).is_some_and(|head| {
            head.iter().enumerate().all(|(at, byte)| match at {
                4 | 7 => *byte == b'-',
                10 => *byte == b'T',
                13 | 16 => *byte == b':',
                _ => byte.is_ascii_digit(),
            })
        });
    let zone = shape.get(19..).is_some_and(|tail| {
        let digits = match tail.split_first() {
            Some((b'.', rest)) => rest.iter().take_while(|b| b.is_ascii_digit()).count() + 1,
            _ => 0,
        };
        digits != 1
            && match tail.get(digits..) {
                Some([b'Z']) => true,
                Some([b'+' | b'-', h1, h2, b':', m1, m2]) => [h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()),
                _ => false,
            }
    });
    if date_time && zone { text.parse().ok() } else { None }
}

/// An instant as SAML writes it: UTC, whole seconds.
#[must_use]
pub fn date_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_needs_a_zone_and_nothing_else_than_xs_date_time_is_read() {
        let noon: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        for good in [
            "2026-11-21T12:00:00Z",
            " 2026-11-21T12:00:00.000Z\n",
            "2026-11-21T12:00:00.0000000Z",
            "2026-11-21T13:30:00+01:30",
        ] {
            assert_eq!(timestamp(good), Some(noon), "{good}");
        }
        for bad in [
            "",
            "2026-11-21",
            "2026-11-21T12:00:00",
            "2026-11-21 12:00:00Z",
            "2026-11-21T12:00Z",
            "2026-11-21T12:00:00.Z",
            "2026-11-21T12:00:00[UTC]",
            "2026-11-21T12:00:00Z[UTC]",
            "2026-11-21T12:00:00z",
            "2026-13-21T12:00:00Z",
            "+002026-11-21T12:00:00Z",
            "99999-11-21T12:00:00Z",
        ] {
            assert_eq!(timestamp(bad), None, "{bad}");
        }
        assert_eq!(date_time(noon), "2026-11-21T12:00:00Z");
    }
}
