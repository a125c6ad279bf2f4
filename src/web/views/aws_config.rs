//! A configuration for AWS's tools, made to order.

use askama::Template;

use super::shell::Shell;
use crate::issuance::profiles::{Helper, Way};

/// `GET /aws-config`: choose, look, take it away.
///
/// Form: `GET /aws-config` with `way`, `helper`, `template`, `filter`, `region` and `token_file`. Scripts send it while one
/// types and put the answer's preview in place of this page's.
#[derive(Debug, Clone, Template)]
#[template(path = "aws_config/aws_config.html")]
pub struct AwsConfigPage {
    pub shell: Shell,
    pub chosen: Chosen,
    pub errors: FieldErrors,
    /// None where a field has an error.
    pub preview: Option<Preview>,
}

/// What stands in the form.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// `sso`, `container` or `process`.
    pub way: String,
    /// `rolegate` or `curl`.
    pub helper: String,
    pub template: String,
    pub filter: String,
    pub region: String,
    pub token_file: String,
}

/// What is wrong with a field; empty where nothing is.
#[derive(Debug, Clone, Default)]
pub struct FieldErrors {
    pub template: String,
    pub filter: String,
    pub region: String,
    pub token_file: String,
    /// Of a choice that the form does not offer.
    pub other: String,
}

impl FieldErrors {
    #[must_use]
    pub fn of(field: &str, sentence: &str) -> Self {
        let mut errors = Self::default();
        let place = match field {
            "template" => &mut errors.template,
            "filter" => &mut errors.filter,
            "region" => &mut errors.region,
            "token_file" => &mut errors.token_file,
            _ => &mut errors.other,
        };
        // Beside its field a name needs no marks.
        *place = sentence.replace('`', "");
        if let Some(first) = place.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        errors
    }
}

/// The file and what to do with it.
#[derive(Debug, Clone)]
pub struct Preview {
    pub text: String,
    /// Whether there is no profile in it.
    pub empty: bool,
    /// Such as `12 profiles of 40 roles`.
    pub summary: String,
    /// Where it is downloaded from.
    pub download: String,
    /// The name of one of its profiles.
    pub example: String,
    /// The container endpoint of that profile's role.
    pub container_uri: String,
    pub token_file: String,
    pub sso_name: String,
    pub way: Way,
    pub helper: Helper,
}

impl Chosen {
    fn is(&self, way: &str) -> bool {
        self.way == way
    }

    fn by(&self, helper: &str) -> bool {
        self.helper == helper
    }
}

impl AwsConfigPage {
    #[must_use]
    pub fn samples() -> Vec<(&'static str, Self)> {
        let chosen = Chosen {
            way: "sso".to_owned(),
            helper: "rolegate".to_owned(),
            template: "{account_name}-{role}".to_owned(),
            filter: "prod read".to_owned(),
            region: "eu-west-1".to_owned(),
            token_file: "/home/you/.config/rolegate/token".to_owned(),
        };
        let text = "[sso-session rolegate]\nsso_start_url = https://rolegate.awsapps.com/start\nsso_region = us-east-1\n\
                    sso_registration_scopes = sso:account:access\n\n[services rolegate]\nsso =\n  endpoint_url = \
                    https://aws.northwind.example/idc\nsso_oidc =\n  endpoint_url = https://aws.northwind.example/idc\n\
                    sso-oidc =\n  endpoint_url = https://aws.northwind.example/idc\n\n\
                    [profile payments-production-ReadOnly]\nsso_session = rolegate\nsso_account_id = 111122223333\n\
                    sso_role_name = ReadOnly\nservices = rolegate\nregion = eu-west-1\n";
        let preview = Preview {
            text: text.to_owned(),
            empty: false,
            summary: "1 profile of 40 roles".to_owned(),
            download: "/api/v1/aws-config?way=sso&download=true".to_owned(),
            example: "payments-production-ReadOnly".to_owned(),
            container_uri: "https://aws.northwind.example/api/v1/container/111122223333/ReadOnly".to_owned(),
            token_file: chosen.token_file.clone(),
            sso_name: "rolegate".to_owned(),
            way: Way::Sso,
            helper: Helper::Rolegate,
        };
        let page = |chosen: &Chosen, preview: Option<Preview>| Self {
            shell: Shell::sample(),
            chosen: chosen.clone(),
            errors: FieldErrors::default(),
            preview,
        };
        let container = Chosen { way: "container".to_owned(), ..chosen.clone() };
        let process = Chosen { way: "process".to_owned(), ..chosen.clone() };
        let curl = Chosen { helper: "curl".to_owned(), ..process.clone() };
        let by = |way, helper| Preview { way, helper, ..preview.clone() };
        let nothing = Preview {
            text: String::new(),
            empty: true,
            summary: "0 profiles of 40 roles".to_owned(),
            ..preview.clone()
        };
        let wrong = "There is no `{roles}`; use {account}, {account_name}, {role} or {account_tags.NAME}.";
        let mut mistaken = page(&Chosen { template: "{roles}".to_owned(), ..chosen.clone() }, None);
        mistaken.errors = FieldErrors::of("template", wrong);
        vec![
            ("aws-config", page(&chosen, Some(preview.clone()))),
            ("aws-config-container", page(&container, Some(by(Way::Container, Helper::Rolegate)))),
            ("aws-config-process", page(&process, Some(by(Way::Process, Helper::Rolegate)))),
            ("aws-config-curl", page(&curl, Some(by(Way::Process, Helper::Curl)))),
            ("aws-config-nothing", page(&chosen, Some(nothing))),
            ("aws-config-mistaken", mistaken),
        ]
    }
}
