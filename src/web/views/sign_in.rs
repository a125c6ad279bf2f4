//! Coming: choosing a connector, and confirming a sign-in nobody here began.

use askama::Template;

use super::shell::{Notice, Shell, Tone};

/// `GET /sign-in`: choose a connector. Nothing is posted.
///
/// Form, where an address leads somewhere: `GET /sign-in` with `email`, `return_to` and `choose`.
#[derive(Debug, Clone, Template)]
#[template(path = "signin/sign_in.html")]
pub struct SignIn {
    pub shell: Shell,
    /// The one used last first, the others by name. Empty while the catalog has no connector.
    pub connectors: Vec<ConnectorChoice>,
    /// Where some connector is found by the domain of an address.
    pub email: Option<EmailField>,
    /// Where they go afterwards.
    pub return_to: String,
}

/// The address somebody typed, and what is wrong with it; both may be empty.
#[derive(Debug, Clone, Default)]
pub struct EmailField {
    pub value: String,
    pub error: String,
}

/// On the way to another site: a page that leads on by itself, and has a link for browsers that do not follow.
#[derive(Debug, Clone, Template)]
#[template(path = "signin/onward.html")]
pub struct Onward {
    pub shell: Shell,
    pub title: String,
    pub lead: String,
    pub href: String,
    pub link: String,
}

/// One way in.
#[derive(Debug, Clone)]
pub struct ConnectorChoice {
    pub name: String,
    /// `/saml/{id}/start?return_to=…` or `/oidc/…`, encoded.
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

/// After a test: nobody was signed in.
#[derive(Debug, Clone, Template)]
#[template(path = "signin/tested.html")]
pub struct Tested {
    pub shell: Shell,
    /// The id of the connector.
    pub connector: String,
}

impl SignIn {
    /// Whether an address was typed that leads nowhere.
    fn is_mistaken(&self) -> bool {
        self.email.as_ref().is_some_and(|email| !email.error.is_empty())
    }

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
            email: None,
            return_to: "/".to_owned(),
        };
        let by_email = Self { email: Some(EmailField::default()), ..several.clone() };
        let unknown = EmailField {
            value: "asha@elsewhere.example".to_owned(),
            error: "No way to sign in is known for addresses of that domain. Choose one from the list.".to_owned(),
        };
        let unknown = Self { email: Some(unknown), ..several.clone() };
        let mut one = several.clone();
        one.connectors.truncate(1);
        one.connectors[0].last_used = false;
        let mut expired = one.clone();
        expired
            .shell
            .notices
            .push(Notice::new(Tone::Info, "Your session has ended. Sign in again to go on where you were."));
        let none = Self { connectors: Vec::new(), ..several.clone() };
        vec![
            ("sign-in", several),
            ("sign-in-email", by_email),
            ("sign-in-email-unknown", unknown),
            ("sign-in-one", one),
            ("sign-in-expired", expired),
            ("sign-in-none", none),
        ]
    }
}

impl Onward {
    #[must_use]
    pub fn sample() -> Self {
        Self {
            shell: Shell::sample_anonymous(),
            title: "To Entra ID".to_owned(),
            lead: "You are being sent to Entra ID to sign in.".to_owned(),
            href: "/oidc/entra/start?return_to=%2F".to_owned(),
            link: "Continue with Entra ID".to_owned(),
        }
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

impl Tested {
    #[must_use]
    pub fn sample() -> Self {
        Self { shell: Shell::sample_anonymous(), connector: "okta".to_owned() }
    }
}
