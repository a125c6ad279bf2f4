//! What pages show: one struct per page, holding finished values only.
//!
//! A handler fills one and calls [`html`]; the template beside it in `templates/` loops, chooses and escapes, and
//! never computes. Each struct documents the forms its page posts: their names are the contract with the handlers.
//! Each also has samples, error and empty states included, so every page can be rendered in a test and looked at:
//! `ROLEGATE_RENDER_DIR=/some/dir cargo test --lib views` writes them all.

pub mod aws_config;
pub mod credentials;
pub mod go;
pub mod mfa;
pub mod oauth;
pub mod options;
pub mod picker;
pub mod problem;
pub mod sessions;
pub mod shell;
pub mod sign_in;
pub mod sign_out;
pub mod step_up;
pub mod tokens;
pub mod why;

pub use aws_config::AwsConfigPage;
pub use credentials::{CredentialsPage, Format};
pub use go::Go;
pub use mfa::MfaPage;
pub use oauth::{ConsentPage, DeviceConfirmPage, DeviceDonePage, DevicePage};
pub use options::OptionsPage;
pub use picker::{AccountGroup, DurationStep, NoRoles, Picker, RoleRow, duration_steps};
pub use problem::ProblemPage;
pub use sessions::{SessionRow, SessionsPage};
pub use shell::{Link, Notice, Person, RoleTitle, Shell, Tone};
pub use sign_in::{ConfirmSignIn, ConnectorChoice, EmailField, Onward, SignIn, Tested};
pub use sign_out::{OnwardByForm, Reach, SignedOut};
pub use step_up::{ContinuePage, StepUpPage};
pub use tokens::{TokenForm, TokenMade, TokenRow, TokensPage};
pub use why::{Grant, Limit, Reason, Why};

/// Renders a page.
///
/// Templates only fail when writing fails, and writing to memory does not; should it ever, the page says so in words
/// rather than half of it being sent.
#[must_use]
pub fn html(page: &impl askama::Template) -> String {
    page.render().unwrap_or_else(|_| "This page could not be written. Please try again.".to_owned())
}

/// A count with its noun: `1 role`, `1,500 roles`.
#[must_use]
pub fn counted(count: usize, one: &str, many: &str) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + many.len() + 4);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text.push(' ');
    text.push_str(if count == 1 { one } else { many });
    text
}

#[cfg(test)]
mod tests;
