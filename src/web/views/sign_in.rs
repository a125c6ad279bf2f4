//! Coming and going: choosing a connector, confirming a sign-in nobody here began, and leaving.

use askama::Template;

use super::shell::{Notice, Shell, Tone};

/// `GET /sign-in`: choose a connector. Links only; nothing is posted.
#[derive(Debug, Clone, Template)]
#[template(path = "signin/sign_in.html")]
pub struct SignIn {
    pub shell: Shell,
    /// The one used last first, the others by name. Empty while the catalog has no connector.
    pub connectors: Vec<ConnectorChoice>,
}

/// One way in.
#[derive(Debug, Clone)]
pub struct ConnectorChoice {
    pub name: String,
    /// `/saml/{id}/start?return_to=…`, encoded.
    pub href: String,
    /// Where it leads, such as the host of the identity provider; may be empty.
    pub host: String,
    pub last_used: bool,
}

/// A reply nobody here asked for (IdP-initiated): the person says whether they meant it.
///
/// Form: `POST {action}` with `csrf` and `ticket`. Cancelling is a link to [`cancel_href`](Self::cancel_href).
#[derive(Debug, Clone, Template)]
#[template(path = "signin/confirm.html")]
pub struct ConfirmSignIn {
    pub shell: Shell,
    pub name: String,
    pub email: Option<String>,
    /// The name of the connector.
    pub connector: String,
    pub action: String,
    pub ticket: String,
    pub cancel_href: String,
}

/// After `POST /sign-out`.
#[derive(Debug, Clone, Template)]
#[template(path = "signin/signed_out.html")]
pub struct SignedOut {
    pub shell: Shell,
    /// The connector whose own session lives on, so that signing in again may ask nothing; none when it ended too.
    pub still_signed_in_at: Option<String>,
    pub sign_in_href: String,
}

impl SignIn {
    #[must_use]
    pub fn samples() -> Vec<(&'static str, Self)> {
        let choice = |name: &str, id: &str, host: &str, last_used| ConnectorChoice {
            name: name.to_owned(),
            href: format!("/saml/{id}/start?return_to=%2F"),
            host: host.to_owned(),
            last_used,
        };
        let several = Self {
            shell: Shell::sample_anonymous(),
            connectors: vec![
                choice("Okta", "okta", "northwind.okta.example", true),
                choice("Contractors", "contractors", "id.partners.example", false),
                choice("Entra ID", "entra", "login.microsoftonline.example", false),
            ],
        };
        let mut one = several.clone();
        one.connectors.truncate(1);
        one.connectors[0].last_used = false;
        let mut expired = one.clone();
        expired
            .shell
            .notices
            .push(Notice::new(Tone::Info, "Your session has ended. Sign in again to go on where you were."));
        let none = Self { shell: Shell::sample_anonymous(), connectors: Vec::new() };
        vec![("sign-in", several), ("sign-in-one", one), ("sign-in-expired", expired), ("sign-in-none", none)]
    }
}

impl ConfirmSignIn {
    #[must_use]
    pub fn sample() -> Self {
        Self {
            shell: Shell::sample_anonymous(),
            name: "Asha Rao".to_owned(),
            email: Some("asha.rao@northwind.example".to_owned()),
            connector: "Okta".to_owned(),
            action: "/saml/okta/continue".to_owned(),
            ticket: "dGlja2V0LXNhbXBsZQ".to_owned(),
            cancel_href: "/sign-in".to_owned(),
        }
    }
}

impl SignedOut {
    #[must_use]
    pub fn samples() -> Vec<(&'static str, Self)> {
        let here = Self {
            shell: Shell::sample_anonymous(),
            still_signed_in_at: Some("Okta".to_owned()),
            sign_in_href: "/sign-in".to_owned(),
        };
        let everywhere = Self { still_signed_in_at: None, ..here.clone() };
        vec![("signed-out", here), ("signed-out-everywhere", everywhere)]
    }
}
