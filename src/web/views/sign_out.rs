//! Leaving: on the way to the identity provider, and after it.

use askama::Template;

use super::shell::Shell;

/// After signing out, here or anywhere.
#[derive(Debug, Clone, Template)]
#[template(path = "signin/signed_out.html")]
pub struct SignedOut {
    pub shell: Shell,
    /// What became of it at the identity provider.
    pub reach: Reach,
    /// The name of the connector; none where that is not known any more.
    pub connector: Option<String>,
    /// Somebody has signed in again since: then nothing else is said.
    pub back_again: bool,
    pub sign_in_href: String,
}

/// How far a sign-out reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The provider signed the person out, and wherever else it signed them in.
    Everywhere,
    /// The provider signed the person out, but not everywhere it signed them in.
    Partly,
    /// The provider was asked, and sent the person back; its protocol has no way to say more.
    SentBack,
    /// The provider offers no sign-out.
    NotOffered,
    /// The provider could not be asked.
    Unreachable,
    /// The provider said no.
    Unconfirmed,
    /// Nothing is known.
    Unknown,
}

impl Reach {
    const ALL: [Self; 7] = [
        Self::Everywhere,
        Self::Partly,
        Self::SentBack,
        Self::NotOffered,
        Self::Unreachable,
        Self::Unconfirmed,
        Self::Unknown,
    ];

    /// How it is called in an address.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Everywhere => "everywhere",
            Self::Partly => "partly",
            Self::SentBack => "sent-back",
            Self::NotOffered => "not-offered",
            Self::Unreachable => "unreachable",
            Self::Unconfirmed => "unconfirmed",
            Self::Unknown => "unknown",
        }
    }

    /// Reads it out of an address; what is not understood is not known.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self::ALL.into_iter().find(|reach| reach.as_str() == text).unwrap_or(Self::Unknown)
    }
}

/// On the way to another site with a form: a script posts it, a button does without scripts.
///
/// Every field is the other site's own; our form value does not leave the house.
#[derive(Debug, Clone, Template)]
#[template(path = "signin/onward_by_form.html")]
pub struct OnwardByForm {
    pub shell: Shell,
    pub title: String,
    pub lead: String,
    pub action: String,
    pub fields: Vec<(&'static str, String)>,
    pub button: String,
}

impl SignedOut {
    #[must_use]
    pub fn samples() -> Vec<(&'static str, Self)> {
        let names = [
            "signed-out-everywhere",
            "signed-out-partly",
            "signed-out-sent-back",
            "signed-out-not-offered",
            "signed-out-unreachable",
            "signed-out-unconfirmed",
            "signed-out",
        ];
        let sample = |reach| Self {
            shell: Shell::sample_anonymous(),
            reach,
            connector: Some("Okta".to_owned()),
            back_again: false,
            sign_in_href: "/sign-in?choose=1".to_owned(),
        };
        let mut samples: Vec<_> = names.into_iter().zip(Reach::ALL.map(sample)).collect();
        let again = sample(Reach::Everywhere);
        samples.push(("signed-out-again", Self { back_again: true, ..again.clone() }));
        samples.push(("signed-out-nobody", Self { connector: None, reach: Reach::Unknown, ..again }));
        samples
    }
}

impl OnwardByForm {
    #[must_use]
    pub fn sample() -> Self {
        Self {
            shell: Shell::sample_anonymous(),
            title: "Signing you out at Okta".to_owned(),
            lead: "Your session here has ended. If this page stays, please go on by hand.".to_owned(),
            action: "https://northwind.okta.example/slo".to_owned(),
            fields: vec![
                ("SAMLRequest", "PHNhbWxwOkxvZ291dFJlcXVlc3Q".to_owned()),
                ("RelayState", "handle".to_owned()),
            ],
            button: "Go on to Okta".to_owned(),
        }
    }
}
