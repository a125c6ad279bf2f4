//! RFC 9457 for people: what happened, what to do next, and how support finds it.

use askama::Template;

use super::shell::{Link, Shell};

/// Any 4xx or 5xx answered to a browser. Nothing is posted.
#[derive(Debug, Clone, Template)]
#[template(path = "problem.html")]
pub struct ProblemPage {
    pub shell: Shell,
    pub status: u16,
    /// A few words, such as `That sign-in took too long`.
    pub title: String,
    /// What happened, in a sentence or two. May be empty.
    pub detail: String,
    /// What to do now, one sentence each.
    pub next_steps: Vec<String>,
    /// With 429 and 503: how long to wait, such as `30 seconds`.
    pub retry_after: Option<String>,
    /// The `instance` id that finds the log line.
    pub support_id: String,
    /// The way on, most useful first.
    pub links: Vec<Link>,
}

impl ProblemPage {
    #[must_use]
    pub fn samples() -> Vec<(&'static str, Self)> {
        let link = |href: &str, text: &str| Link { href: href.to_owned(), text: text.to_owned() };
        let base = Self {
            shell: Shell::sample(),
            status: 404,
            title: "There is nothing at this address".to_owned(),
            detail: "The page was moved or removed, or the address was mistyped.".to_owned(),
            next_steps: Vec::new(),
            retry_after: None,
            support_id: "0199f3a2-7c41-7e08-9b54-2f6d1c0e8a37".to_owned(),
            links: vec![link("/", "Your roles")],
        };
        let refused = Self {
            shell: Shell::sample_anonymous(),
            status: 400,
            title: "That sign-in could not be accepted".to_owned(),
            detail: "The reply from Okta did not pass our checks, so you are not signed in.".to_owned(),
            next_steps: vec![
                "Start again from the sign-in page.".to_owned(),
                "If it happens twice, give the support id below to your platform team: it leads to the exact reason."
                    .to_owned(),
            ],
            links: vec![link("/sign-in", "Sign in again")],
            ..base.clone()
        };
        let busy = Self {
            status: 429,
            title: "That was a little fast".to_owned(),
            detail: "You have asked for credentials many times in the last minute.".to_owned(),
            retry_after: Some("30 seconds".to_owned()),
            ..base.clone()
        };
        let aws = Self {
            status: 502,
            title: "AWS refused to issue this role".to_owned(),
            detail:
                "The trust policy of ReadOnly in Payments production (111122223333) does not accept our SAML provider."
                    .to_owned(),
            next_steps: vec![
                "Whoever owns that account needs to correct the role's trust policy; trying again will not help."
                    .to_owned(),
            ],
            ..base.clone()
        };
        let broken = Self {
            status: 500,
            title: "Something went wrong on our side".to_owned(),
            detail: "Nothing was issued.".to_owned(),
            next_steps: vec![
                "Please try again; if it stays, the support id below helps whoever looks into it.".to_owned(),
            ],
            ..base.clone()
        };
        vec![
            ("problem-404", base),
            ("problem-400-sign-in", refused),
            ("problem-429", busy),
            ("problem-502-aws", aws),
            ("problem-500", broken),
        ]
    }
}
