//! The six digits of an MFA device.

use askama::Template;

use super::shell::{RoleTitle, Shell};

/// Instead of credentials, where the role asks for a code.
///
/// Form: `POST {role.url}/credentials` with `csrf`, [`fields`](Self::fields), `mfa_code` and, where the catalog does not name
/// the device, `mfa_serial`.
#[derive(Debug, Clone, Template)]
#[template(path = "credentials/mfa.html")]
pub struct MfaPage {
    pub shell: Shell,
    pub role: RoleTitle,
    /// The IAM user whose device it is.
    pub user: String,
    /// As the catalog names it.
    pub device: Option<String>,
    /// What was typed before.
    pub typed_device: String,
    /// What the click came with.
    pub fields: Vec<(&'static str, String)>,
    /// Why it is asked again; empty the first time.
    pub error: String,
}

impl MfaPage {
    #[must_use]
    pub fn samples() -> Vec<(&'static str, Self)> {
        let first = Self {
            shell: Shell::sample(),
            role: RoleTitle::sample(),
            user: "jane".to_owned(),
            device: Some("arn:aws:iam::111122223333:mfa/jane".to_owned()),
            typed_device: String::new(),
            fields: vec![("duration", "43200".to_owned())],
            error: String::new(),
        };
        let again = Self {
            device: None,
            typed_device: "arn:aws:iam::111122223333:mfa/jane".to_owned(),
            error: "AWS did not accept that code. Please type the one your device shows now; each counts once."
                .to_owned(),
            ..first.clone()
        };
        vec![("mfa", first), ("mfa-again", again)]
    }
}
