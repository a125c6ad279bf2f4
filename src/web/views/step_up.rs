//! Being asked to sign in again for one role, and going on afterwards.

use askama::Template;

use super::shell::{RoleTitle, Shell};

/// Instead of the console or the credentials of a role that asks for more than this sign-in was. Nothing is posted.
#[derive(Debug, Clone, Template)]
#[template(path = "step_up/step_up.html")]
pub struct StepUpPage {
    pub shell: Shell,
    pub role: RoleTitle,
    /// Such as `a sign-in within the last 15 min`.
    pub asked: String,
    /// How this sign-in falls short, in a sentence.
    pub why: String,
    /// The name of the connector.
    pub connector: String,
    /// `/step-up/{click}`
    pub href: String,
}

/// `GET /continue/{click}`: the click once more.
///
/// Form: `POST {action}` with `csrf` and [`fields`](Self::fields). Scripts press the button.
#[derive(Debug, Clone, Template)]
#[template(path = "step_up/continue.html")]
pub struct ContinuePage {
    pub shell: Shell,
    pub role: RoleTitle,
    pub action: String,
    pub fields: Vec<(&'static str, String)>,
    /// What the button says.
    pub button: String,
}

impl StepUpPage {
    #[must_use]
    pub fn samples() -> Vec<(&'static str, Self)> {
        let recent = Self {
            shell: Shell::sample(),
            role: RoleTitle::sample(),
            asked: "a sign-in within the last 15 min".to_owned(),
            why: "You signed in 3 hours ago.".to_owned(),
            connector: "Okta".to_owned(),
            href: "/step-up/c3JmLXNhbXBsZS1zYW1wbGUtc2FtcGxlLXNhbXBsZS0".to_owned(),
        };
        let strong = Self {
            asked: "a sign-in within the last 15 min by several factors with hardware key or passkey".to_owned(),
            why: "You signed in by password.".to_owned(),
            ..recent.clone()
        };
        vec![("step-up", recent), ("step-up-strong", strong)]
    }
}

impl ContinuePage {
    #[must_use]
    pub fn samples() -> Vec<(&'static str, Self)> {
        let role = RoleTitle::sample();
        let console = Self {
            shell: Shell::sample(),
            action: format!("{}/console", role.url),
            role,
            fields: vec![("duration", "3600".to_owned())],
            button: "Open console".to_owned(),
        };
        let mut file = console.clone();
        file.action = format!("{}/credentials", file.role.url);
        file.fields.push(("format", "env".to_owned()));
        let file = Self { button: "Download the file".to_owned(), ..file };
        vec![("continue", console), ("continue-file", file)]
    }
}
