//! Showing what a provider sent without showing what nobody should see.

use serde::{Deserialize, Serialize};

/// The longest value that is shown in full, in characters.
const LONGEST: usize = 120;
/// The most values of one name that are shown.
const MOST: usize = 100;
/// Texts without a space that are at least this long may be keys.
const LONG: usize = 40;
/// So many changes between letters and digits are no words.
const CHANGES: usize = 5;

/// Values made fit to be shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// How many there were.
    pub count: usize,
    /// At most the first hundred, masked and shortened.
    pub values: Vec<String>,
}

/// The values of an attribute as they may be shown.
pub fn shown<'v>(name: &str, values: impl IntoIterator<Item = &'v str>) -> Shown {
    let (mut count, mut shown) = (0, Vec::new());
    for value in values {
        count += 1;
        if shown.len() < MOST {
            shown.push(one(name, value));
        }
    }
    Shown { count, values: shown }
}

fn one(name: &str, value: &str) -> String {
    let length = value.chars().count();
    if let Some(why) = secret(name, value) {
        return format!("[hidden: {why}, {length} characters]");
    }
    if length <= LONGEST {
        return plain(value);
    }
    let start: String = value.chars().take(LONGEST).collect();
    format!("{}… [{length} characters]", plain(&start))
}

/// The text without what moves a terminal's cursor, or the eye: control characters and changes of direction.
#[must_use]
pub fn plain(text: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    text.chars().map(|c| if c.is_control() || turns(c) { '\u{fffd}' } else { c }).collect()
}

/// Why a value must not be shown.
fn secret(name: &str, value: &str) -> Option<&'static str> {
    if name_of_secret(name) {
        Some("by its name a secret")
    } else if is_jwt(value) {
        Some("a token")
    } else if value.contains("PRIVATE KEY-----") {
        Some("a private key")
    } else if !names_somebody(name) && looks_random(value) {
        Some("looks like a key or a token")
    } else {
        None
    }
}

fn name_of_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    let inside = ["password", "passwd", "passphrase", "secret", "token", "credential", "privatekey", "apikey", "nonce"];
    // Whole words only: `pin` is in `shopping`, and `otp` in `hotplate`.
    let words = ["pwd", "pin", "otp", "totp", "cookie"];
    let together: String = name.chars().filter(|c| c.is_alphanumeric()).collect();
    inside.iter().any(|word| together.contains(word))
        || name.split(|c: char| !c.is_alphanumeric()).any(|part| words.contains(&part))
}

/// What identifies a person or a session may be as random as a key, and is what the operator wants to see.
fn names_somebody(name: &str) -> bool {
    let last = name.rsplit(['/', ':', '→', ' ']).next().unwrap_or(name);
    matches!(
        last.to_lowercase().as_str(),
        "nameid" | "sub" | "oid" | "sid" | "uid" | "index" | "objectidentifier" | "nameidentifier" | "subject-id"
    )
}

fn is_jwt(value: &str) -> bool {
    let parts = value.split('.').collect::<Vec<_>>();
    (3..=5).contains(&parts.len()) && value.starts_with("eyJ") && parts.iter().all(|part| part.bytes().all(is_base64))
}

/// Long, without a space, and letters and digits mixed as nobody writes them.
fn looks_random(value: &str) -> bool {
    if value.len() < LONG || !value.bytes().all(is_base64) {
        return false;
    }
    let bytes = value.as_bytes();
    let changes = bytes
        .windows(2)
        .filter(|two| two.iter().all(u8::is_ascii_alphanumeric) && two[0].is_ascii_digit() != two[1].is_ascii_digit());
    changes.count() >= CHANGES
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(name: &str, value: &str) -> String {
        shown(name, [value]).values.concat()
    }

    #[test]
    fn what_people_are_called_is_shown_as_it_came() {
        for (name, value) in [
            ("mail", "asha.rao@northwind.example"),
            ("groups", "aws-111122223333-PlatformAdministratorAccessForEverything"),
            ("groups", "9b3e1d0a-4c5d-4e2f-8a1b-7c6d5e4f3a2b"),
            ("groups", "cn=Engineering and Operations,ou=Groups,dc=corp,dc=example"),
            ("memberOf", "/company/departments/engineering/platform/on-call"),
            ("sub", "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ9x8y7"),
            ("NameID", "_ce3d2948b4cf20146dee0a0b3dd6f69b6cf86f62d7"),
            ("aud", "rolegate"),
            ("shopping", "yes"),
        ] {
            assert_eq!(seen(name, value), value, "{name}");
        }
    }

    #[test]
    fn what_looks_like_a_secret_is_hidden_by_name_or_by_shape() {
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";
        for (name, value) in [
            ("userPassword", "hunter2"),
            ("urn:x:client-secret", "hunter2"),
            ("access_token", "hunter2"),
            ("Api-Key", "hunter2"),
            ("pin", "1234"),
            ("nonce", "hunter2"),
            ("note", token),
            ("groups", token),
            ("sub", token),
            ("note", "ce3d2948b4cf20146dee0a0b3dd6f69b6cf86f62"),
            ("note", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY5x2x9"),
            ("note", "-----BEGIN PRIVATE KEY-----\nMII"),
        ] {
            let shown = seen(name, value);
            assert!(shown.starts_with("[hidden: ") && shown.contains("characters]"), "{name}: {shown}");
            assert!(!shown.contains(&value[..4]), "{name}: {shown}");
        }
    }

    #[test]
    fn long_values_are_cut_many_are_counted_and_nothing_moves_the_cursor() {
        let long = "é ".repeat(LONGEST);
        let shown_long = seen("note", &long);
        assert!(shown_long.ends_with("… [240 characters]") && shown_long.chars().count() < 150, "{shown_long}");
        let many = shown("groups", std::iter::repeat_n("g", MOST + 7));
        assert_eq!((many.count, many.values.len()), (MOST + 7, MOST));
        assert_eq!(seen("note", "a\u{1b}[2Jb\u{202e}c\r\n"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}\u{fffd}");
    }
}
