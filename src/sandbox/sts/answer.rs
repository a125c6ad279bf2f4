//! Bodies of answers: XML without a declaration, indented by two spaces, with a newline at the end.

use std::fmt::Write as _;

use super::error::StsError;

const STS: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
/// The namespace of errors that were made before an operation was found.
const FAULT: &str = "http://webservices.amazon.com/AWSFault/2005-15-09";

/// A member of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    Text(&'static str, String),
    Structure(&'static str, Vec<Member>),
}

impl Member {
    pub fn text(name: &'static str, value: impl Into<String>) -> Self {
        Self::Text(name, value.into())
    }

    pub fn write(&self, depth: usize, out: &mut String) {
        let indent = "  ".repeat(depth);
        match self {
            Self::Text(name, value) => {
                let _ = writeln!(out, "{indent}<{name}>{}</{name}>", escaped(value));
            }
            Self::Structure(name, members) => {
                let _ = writeln!(out, "{indent}<{name}>");
                for member in members {
                    member.write(depth + 1, out);
                }
                let _ = writeln!(out, "{indent}</{name}>");
            }
        }
    }
}

/// The body of a success.
pub fn success(operation: &str, members: &[Member], request_id: &str) -> String {
    let mut out = format!("<{operation}Response xmlns=\"{STS}\">\n  <{operation}Result>\n");
    for member in members {
        member.write(2, &mut out);
    }
    let _ = writeln!(out, "  </{operation}Result>");
    Member::Structure("ResponseMetadata", vec![Member::text("RequestId", request_id)]).write(1, &mut out);
    let _ = writeln!(out, "</{operation}Response>");
    out
}

/// The body of a failure.
pub fn failure(error: &StsError, request_id: &str) -> String {
    let namespace = if error.code == "InvalidAction" { FAULT } else { STS };
    let mut members = vec![Member::text("Type", error.fault()), Member::text("Code", error.code)];
    members.extend(error.message.as_ref().map(|message| Member::text("Message", message)));
    let mut out = format!("<ErrorResponse xmlns=\"{namespace}\">\n");
    Member::Structure("Error", members).write(1, &mut out);
    Member::text("RequestId", request_id).write(1, &mut out);
    out.push_str("</ErrorResponse>\n");
    out
}

/// The body of a success of another service; some of its operations have no result.
pub fn success_in(namespace: &str, operation: &str, members: Option<&[Member]>, request_id: &str) -> String {
    let mut out = format!("<{operation}Response xmlns=\"{namespace}\">\n");
    if let Some(members) = members {
        let _ = writeln!(out, "  <{operation}Result>");
        for member in members {
            member.write(2, &mut out);
        }
        let _ = writeln!(out, "  </{operation}Result>");
    }
    Member::Structure("ResponseMetadata", vec![Member::text("RequestId", request_id)]).write(1, &mut out);
    let _ = writeln!(out, "</{operation}Response>");
    out
}

/// The body of a failure of another service.
pub fn failure_in(namespace: &str, error: &StsError, request_id: &str) -> String {
    failure(error, request_id).replace(STS, namespace)
}

/// Text for XML; what XML cannot carry becomes U+FFFD.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#xD;"),
            '\t' | '\n' => out.push(c),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_indented_and_end_with_a_newline() {
        let members = [Member::text("Arn", "a<b"), Member::Structure("S", vec![Member::text("X", "1")])];
        assert_eq!(
            success("GetIt", &members, "id"),
            "<GetItResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  <GetItResult>\n    \
             <Arn>a&lt;b</Arn>\n    <S>\n      <X>1</X>\n    </S>\n  </GetItResult>\n  <ResponseMetadata>\n    \
             <RequestId>id</RequestId>\n  </ResponseMetadata>\n</GetItResponse>\n"
        );
    }

    #[test]
    fn an_error_without_a_message_has_no_message_element() {
        let body = failure(&StsError::malformed_input(None), "id");
        assert!(!body.contains("Message"), "{body}");
        assert!(body.contains("<Code>MalformedInput</Code>"), "{body}");
        assert!(failure(&StsError::invalid_action("X", None), "id").contains("AWSFault"));
    }
}
