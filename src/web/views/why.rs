//! "Why do I have this role?"

use askama::Template;

use super::options::Always;
use super::shell::{RoleTitle, Shell};

/// `GET /roles/{account}/{role}/why`.
///
/// Forms: `POST {role.url}/console` and `POST {role.url}/credentials`, each with `csrf`; the duration is the default.
#[derive(Debug, Clone, Template)]
#[template(path = "picker/why.html")]
pub struct Why {
    pub shell: Shell,
    pub role: RoleTitle,
    /// `arn:aws:iam::111122223333:role/teams/payments/Deploy`
    pub arn: String,
    /// May be empty.
    pub description: String,
    /// Every rule that grants it, the one that is used first.
    pub grants: Vec<Grant>,
    /// What sessions get when nothing is chosen, such as `1 h`.
    pub default_duration: String,
    /// The longest they may be, such as `12 h`.
    pub longest_duration: String,
    /// Everything that caps the duration.
    pub limits: Vec<Limit>,
    /// What sessions are limited to, whatever is chosen.
    pub always: Vec<Always>,
    /// How one must have signed in, such as `a sign-in within the last 15 min`; empty where that does not matter.
    pub asks: String,
    /// How it is reached, and what follows from it, in sentences.
    pub reached: Vec<String>,
    /// Whether the console can be opened.
    pub console: bool,
}

/// A rule that grants the role.
#[derive(Debug, Clone)]
pub struct Grant {
    pub rule: String,
    /// What the rule says about itself; may be empty.
    pub description: String,
    pub reasons: Vec<Reason>,
    /// Whether it is the one issuance would record.
    pub used: bool,
}

/// One condition of a rule and the value of the person's that met it.
#[derive(Debug, Clone)]
pub struct Reason {
    /// Such as `groups`.
    pub attribute: String,
    /// How the rule asks for it, such as `is any of engineering, platform`; may be empty.
    pub condition: String,
    /// The person's own value.
    pub value: String,
}

/// Something that caps the duration.
#[derive(Debug, Clone)]
pub struct Limit {
    /// Such as `The role's maximum in the catalog`.
    pub what: String,
    /// Such as `12 h`, or `until 18:00 UTC`.
    pub value: String,
    /// Whether it is the one that decides.
    pub decides: bool,
}

impl Why {
    #[must_use]
    pub fn sample() -> Self {
        let limit =
            |what: &str, value: &str, decides| Limit { what: what.to_owned(), value: value.to_owned(), decides };
        let reason = |attribute: &str, condition: &str, value: &str| Reason {
            attribute: attribute.to_owned(),
            condition: condition.to_owned(),
            value: value.to_owned(),
        };
        Self {
            shell: Shell::sample(),
            role: RoleTitle::sample(),
            arn: "arn:aws:iam::111122223333:role/teams/payments/Deploy".to_owned(),
            description: "Ship the payments services: ECS, CodeDeploy and their logs".to_owned(),
            grants: vec![
                Grant {
                    rule: "payments-deployers".to_owned(),
                    description: "People on the payments rota deploy their own services".to_owned(),
                    reasons: vec![
                        reason("groups", "is any of payments-oncall, payments-leads", "payments-oncall"),
                        reason("department", "is", "Payments"),
                    ],
                    used: true,
                },
                Grant {
                    rule: "by-convention".to_owned(),
                    description: String::new(),
                    reasons: vec![reason("groups", "matches aws-(account)-(role)", "aws-111122223333-Deploy")],
                    used: false,
                },
            ],
            default_duration: "1 h".to_owned(),
            longest_duration: "4 h".to_owned(),
            limits: vec![
                limit("The role's maximum in the catalog", "12 h", false),
                limit("The rule payments-deployers", "4 h", true),
                limit("Your session at Okta", "until 18:00 UTC", false),
            ],
            always: vec![Always {
                by: "The rule payments-oncall, for sessions longer than 1 h".to_owned(),
                says: vec!["only reading".to_owned(), "only in eu-west-1".to_owned()],
            }],
            asks: "a sign-in within the last 15 min".to_owned(),
            reached: vec!["Rolegate vouches for you with a SAML assertion, and AWS gives you the role.".to_owned()],
            console: true,
        }
    }
}
