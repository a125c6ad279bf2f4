//! Using a role for less than it allows.

use std::sync::Arc;

use askama::Template;

use super::picker::{DurationStep, duration_steps};
use super::shell::{RoleTitle, Shell};
use crate::aws::SessionDuration;
use crate::web::scope_down::FieldErrors;

/// `GET /roles/{account}/{role}/options`, and what is shown again when something in it cannot be.
///
/// Form: `POST {role.url}/console` (in a new tab) or, by its other buttons, `POST {role.url}/credentials` and
/// `POST {role.url}/options`, each with `csrf`, `duration`, `destination` where there is one, `read_only` and `from_here`
/// (`true`, or absent), `regions`, `networks` and `policy_arns` (lists parted by spaces, commas or line breaks) and
/// `policy`. `options` answers with this page again; scripts ask it while somebody types, and show its `#outcome`.
#[derive(Debug, Clone, Template)]
#[template(path = "picker/options.html")]
pub struct OptionsPage {
    pub shell: Shell,
    pub role: RoleTitle,
    /// May be empty.
    pub destination: String,
    pub durations: Arc<[DurationStep]>,
    /// Why sessions cannot be limited; empty where they can.
    pub cannot: String,
    /// Whether AWS opens the console with such a session.
    pub console: bool,
    /// What holds whatever is chosen.
    pub always: Vec<Always>,
    /// What was typed.
    pub typed: Typed,
    pub errors: FieldErrors,
    /// Whether reading is all there is, whatever is chosen.
    pub always_reads: bool,
    /// Where Rolegate sees the person, when it does and AWS would.
    pub address: String,
    /// Why the whole of it cannot be; empty when it can.
    pub problem: String,
    /// What it comes to, when it can be.
    pub outcome: Option<Outcome>,
    /// How much room AWS had left the last time; empty when that is not known.
    pub packed: String,
    pub packed_is_tight: bool,
}

/// A limit of the catalog.
#[derive(Debug, Clone)]
pub struct Always {
    /// `The role`, or `The rule x, for sessions longer than 1 h`.
    pub by: String,
    pub says: Vec<String>,
}

/// The fields as they were typed.
#[derive(Debug, Clone, Default)]
pub struct Typed {
    pub read_only: bool,
    pub regions: String,
    pub networks: String,
    pub from_here: bool,
    pub policy: String,
    pub policy_arns: String,
}

/// The session policy all limits come to.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub characters: usize,
    pub characters_left: usize,
    pub most_characters: usize,
    pub arns: usize,
    pub arns_left: usize,
    /// The inline policy, indented; empty when there is none.
    pub inline: String,
    pub managed: Vec<String>,
}

impl OptionsPage {
    /// Whether the part with policies is open from the start.
    #[must_use]
    pub fn policies_open(&self) -> bool {
        let Typed { policy, policy_arns, .. } = &self.typed;
        [policy, policy_arns, &self.errors.policy, &self.errors.policy_arns].iter().any(|text| !text.trim().is_empty())
    }

    #[must_use]
    pub fn samples() -> Vec<(&'static str, Self)> {
        let plain = Self {
            shell: Shell::sample(),
            role: RoleTitle::sample(),
            destination: String::new(),
            durations: duration_steps(SessionDuration::HOUR, SessionDuration::MAX),
            cannot: String::new(),
            console: true,
            always: Vec::new(),
            typed: Typed::default(),
            errors: FieldErrors::default(),
            always_reads: false,
            address: "203.0.113.7".to_owned(),
            problem: String::new(),
            outcome: Some(Outcome {
                characters: 0,
                characters_left: 2_048,
                most_characters: 2_048,
                arns: 0,
                arns_left: 10,
                inline: String::new(),
                managed: Vec::new(),
            }),
            packed: String::new(),
            packed_is_tight: false,
        };
        let inline = "{\n  \"Statement\": [\n    {\n      \"Action\": \"*\",\n      \"Condition\": {\n        \
                      \"NotIpAddress\": {\n          \"aws:SourceIp\": \"203.0.113.0/24\"\n        }\n      },\n      \
                      \"Effect\": \"Deny\",\n      \"Resource\": \"*\"\n    }\n  ],\n  \"Version\": \"2012-10-17\"\n}";
        let limited = Self {
            always: vec![
                Always { by: "The role".to_owned(), says: vec!["only reading".to_owned()] },
                Always {
                    by: "The rule contractors, for sessions longer than 1 h".to_owned(),
                    says: vec!["only in eu-west-1 and eu-central-1".to_owned()],
                },
            ],
            always_reads: true,
            typed: Typed { networks: "203.0.113.0/24".to_owned(), ..Typed::default() },
            outcome: Some(Outcome {
                characters: 633,
                characters_left: 1_415,
                arns: 1,
                arns_left: 9,
                inline: inline.to_owned(),
                managed: vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()],
                most_characters: 2_048,
            }),
            packed:
                "Last time, policy and tags took 83\u{a0}% of the room AWS has for them; the most ever was 91\u{a0}%."
                    .to_owned(),
            packed_is_tight: true,
            ..plain.clone()
        };
        let wrong = Self {
            typed: Typed {
                regions: "eu-west-1 moon".to_owned(),
                networks: "office".to_owned(),
                policy: "{ \"Statement\": ".to_owned(),
                from_here: true,
                ..Typed::default()
            },
            errors: FieldErrors {
                regions: "`moon` is not a valid region: write a name such as eu-west-1.".to_owned(),
                networks: "`office` is no network; write a CIDR block such as 203.0.113.0/24, or one address."
                    .to_owned(),
                policy: "An inline session policy is a JSON object with a `Statement`.".to_owned(),
                policy_arns: String::new(),
            },
            outcome: None,
            ..plain.clone()
        };
        let impossible = Self {
            problem: "No region is left: the role's own limit and what you ask for have none in common.".to_owned(),
            outcome: None,
            typed: Typed { regions: "us-east-1".to_owned(), ..Typed::default() },
            ..limited.clone()
        };
        let unlimited = Self {
            cannot:
                "AWS takes no session policy for the session of an IAM user, so it cannot be limited to less than the \
                     user may do."
                    .to_owned(),
            console: false,
            ..plain.clone()
        };
        vec![
            ("options-unlimited", unlimited),
            ("options", plain),
            ("options-limited", limited),
            ("options-wrong", wrong),
            ("options-impossible", impossible),
        ]
    }
}
