//! `~/.aws/config` for one person: which profiles, and by which way they get credentials.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::api::roles::{Wanted, in_scope};
use super::fields::Fields;
use super::picker::shell;
use super::problem::{Kind, Problem};
use super::session::SignedIn;
use super::views::aws_config::{AwsConfigPage, Chosen, FieldErrors, Preview};
use super::{here, page, views};
use crate::access::{Policy, Scope};
use crate::aws::Region;
use crate::flows::Ground;
use crate::flows::current::CurrentCatalog;
use crate::identity::VerifiedIdentity;
use crate::issuance::profiles::{Helper, NameTemplate, Place, Plan, TokenFile, Way};
use crate::web::search::Search;

/// Where profiles lead; one per application.
#[derive(Debug, Clone)]
pub struct ProfileSource {
    /// Our own address, without a closing slash.
    pub base: String,
    pub sso_name: String,
    pub sso_region: Region,
}

/// What was chosen, on the page or by a program.
#[derive(Debug)]
pub(super) struct Choice {
    way: Way,
    helper: Helper,
    template: NameTemplate,
    region: Option<Region>,
    token_file: TokenFile,
    wanted: Wanted,
}

/// A choice that cannot be, with the field it stands in.
#[derive(Debug)]
pub(super) struct WrongChoice {
    field: &'static str,
    sentence: String,
}

impl From<WrongChoice> for Problem {
    fn from(wrong: WrongChoice) -> Self {
        Self::new(Kind::BadRequest).detail(wrong.sentence)
    }
}

/// The parameters there are, `download` aside.
pub(super) const PARAMETERS: [&str; 6] = ["way", "template", "filter", "region", "helper", "token_file"];

impl Choice {
    pub(super) fn of(fields: &Fields) -> Result<Self, WrongChoice> {
        let wrong = |field, words: String| WrongChoice { field, sentence: sentence(&words) };
        let way = match fields.filled("way") {
            None => Way::Sso,
            Some(text) => text.parse().map_err(|_| wrong("way", "`way` is sso, container or process".to_owned()))?,
        };
        let helper = match fields.filled("helper") {
            None => Helper::Rolegate,
            Some(text) => text.parse().map_err(|_| wrong("helper", "`helper` is rolegate or curl".to_owned()))?,
        };
        let template = match fields.filled("template") {
            None => NameTemplate::default(),
            Some(text) => text.parse().map_err(|e| wrong("template", format!("{e}")))?,
        };
        let region =
            match fields.filled("region") {
                None => None,
                Some(text) => Some(text.parse().map_err(|_| {
                    wrong("region", "`region` is the name of an AWS region, such as eu-west-1".to_owned())
                })?),
            };
        let token_file = fields.filled("token_file").unwrap_or(default_token_file(way, helper));
        let token_file = token_file.parse().map_err(|_| {
            let words = "`token_file` is an absolute path of letters, digits and ._@+-/ only, so that no shell reads more \
                         into it";
            wrong("token_file", words.to_owned())
        })?;
        let typed = fields.get("filter").unwrap_or_default();
        if typed.chars().count() > Search::LONGEST {
            return Err(wrong("filter", format!("`filter` has more than {} characters", Search::LONGEST)));
        }
        let wanted = Wanted { search: Search::new(typed), account: None };
        Ok(Self { way, helper, template, region, token_file, wanted })
    }

    fn plan<'a>(&'a self, source: &'a ProfileSource) -> Plan<'a> {
        Plan {
            base: &source.base,
            sso_name: &source.sso_name,
            sso_region: &source.sso_region,
            way: self.way,
            helper: self.helper,
            token_file: &self.token_file,
            region: self.region.as_ref(),
        }
    }

    /// The file, and what is worth saying about it.
    pub(super) fn generate(
        &self,
        source: &ProfileSource,
        policy: &Policy,
        identity: &VerifiedIdentity,
        scope: &Scope,
    ) -> Generated {
        let decision = policy.decide(identity);
        let mut found = in_scope(&decision, scope, &self.template);
        let total = found.len();
        found.retain(|(access, _)| self.wanted.matches(access));
        let plan = self.plan(source);
        let place =
            |at: usize| found.get(at).map(|(access, _)| Place { account: access.account(), role: access.role() });
        let text = plan.write(
            found
                .iter()
                .map(|(access, name)| (name.as_str(), Place { account: access.account(), role: access.role() })),
        );
        Generated {
            text,
            count: found.len(),
            total,
            first: found.first().map(|(_, name)| name.clone()),
            container_uri: place(0).map(|place| plan.container_uri(place)),
        }
    }
}

/// A file of profiles.
#[derive(Debug)]
pub(super) struct Generated {
    pub text: String,
    count: usize,
    /// How many there are before the filter.
    total: usize,
    /// The name of the first profile, for an example.
    first: Option<String>,
    container_uri: Option<String>,
}

/// Where somebody may have put a token, for an example: what `curl` is told to read is a whole header.
const fn default_token_file(way: Way, helper: Helper) -> &'static str {
    match (way, helper) {
        (Way::Process, Helper::Curl) => "/home/you/.config/rolegate/header",
        _ => "/home/you/.config/rolegate/token",
    }
}

/// Words of ours as a sentence.
fn sentence(words: &str) -> String {
    let mut text = format!("{words}.");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

/// `GET /aws-config?way=&template=&filter=&region=&helper=&token_file=`: the file, ready to be taken away.
///
/// # Errors
/// A parameter nobody knows, or the database refuses. A choice that cannot be is said beside its field.
pub async fn show(
    request: HttpRequest,
    user: SignedIn,
    ground: web::Data<Ground>,
    catalog: web::Data<CurrentCatalog>,
    source: web::Data<ProfileSource>,
) -> Result<HttpResponse, Problem> {
    let fields = Fields::of_query(&request)?;
    fields.only(&PARAMETERS)?;
    let loaded = catalog.get().await?;
    let shell = shell(&user.0, &loaded.catalog, &ground, &here(&request));
    let (chosen, choice) = (chosen(&fields), Choice::of(&fields));
    let (errors, preview) = match &choice {
        Ok(choice) => {
            let generated = choice.generate(&source, &loaded.policy, &user.0.identity, &Scope::FULL);
            (FieldErrors::default(), Some(preview(&fields, choice, generated, &source)))
        }
        Err(wrong) => (FieldErrors::of(wrong.field, &wrong.sentence), None),
    };
    let mut response = page(&AwsConfigPage { shell, chosen, errors, preview });
    if choice.is_err() {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    Ok(response)
}

/// What stands in the form: what was sent, else what holds without it.
fn chosen(fields: &Fields) -> Chosen {
    let text = |name: &str, default: &str| fields.filled(name).unwrap_or(default).to_owned();
    let way = text("way", Way::Sso.name());
    let helper = text("helper", Helper::Rolegate.name());
    let file = default_token_file(way.parse().unwrap_or(Way::Sso), helper.parse().unwrap_or(Helper::Rolegate));
    Chosen {
        template: text("template", NameTemplate::default().as_str()),
        filter: text("filter", ""),
        region: text("region", ""),
        token_file: text("token_file", file),
        way,
        helper,
    }
}

fn preview(fields: &Fields, choice: &Choice, generated: Generated, source: &ProfileSource) -> Preview {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(fields.iter().filter(|(_, value)| !value.is_empty()));
    query.append_pair("download", "true");
    let summary = views::counted(generated.count, "profile", "profiles");
    let summary = match generated.total {
        total if total == generated.count => summary,
        total => format!("{summary} of {}", views::counted(total, "role", "roles")),
    };
    Preview {
        text: generated.text,
        empty: generated.count == 0,
        summary,
        download: format!("/api/v1/aws-config?{}", query.finish()),
        example: generated.first.unwrap_or_default(),
        container_uri: generated.container_uri.unwrap_or_default(),
        token_file: choice.token_file.as_str().to_owned(),
        sso_name: source.sso_name.clone(),
        way: choice.way,
        helper: choice.helper,
    }
}
