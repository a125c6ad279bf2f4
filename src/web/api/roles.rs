//! What somebody may use.

use std::collections::{BTreeMap, HashMap};

use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use utoipa::ToSchema;

use super::{query, wrong};
use crate::access::{AskedAuthentication, Decision, LimitAnswer, RoleAccess, Scope};
use crate::aws::AccountId;
use crate::catalog::RoleId;
use crate::flows::Ground;
use crate::flows::current::CurrentCatalog;
use crate::flows::issue::Issue;
use crate::flows::principal::Principal;
use crate::issuance::profiles::{self, NameTemplate, Place};
use crate::web::fields::Fields;
use crate::web::problem::Problem;
use crate::web::search::Search;
use crate::web::trouble::{AwsState, Trouble};

/// One page of the roles somebody may use, by account id and role name.
#[derive(Debug, Serialize, ToSchema)]
pub struct RolePage {
    pub roles: Vec<RoleEntry>,
    /// How many there are on all pages.
    pub total: usize,
    /// Goes into `cursor` for the next page; null on the last.
    pub next_cursor: Option<String>,
    /// Whether the identity provider sent all groups. If not, roles may be missing.
    pub groups_complete: bool,
    /// Whether AWS answers for these roles just now.
    pub aws: AwsState,
}

/// A role somebody may use.
#[derive(Debug, Serialize, ToSchema)]
pub struct RoleEntry {
    pub account: String,
    pub account_name: String,
    pub account_tags: BTreeMap<String, String>,
    /// The role's name with its path, as it stands in addresses.
    pub role: String,
    pub arn: String,
    pub description: Option<String>,
    /// The region its users work in, where the catalog names one.
    pub region: Option<String>,
    /// What its profile is called in `GET /api/v1/aws-config`, by the default template.
    pub profile: String,
    /// How long credentials live that are asked for without a duration, in seconds.
    pub default_session_s: u32,
    /// The longest, in seconds.
    pub max_session_s: u32,
    /// How AWS is asked: `saml`, `web-identity`, `chain`, `federation-token` or `session-token`.
    pub method: &'static str,
    /// The roles that are passed through on the way, as `account/role`; none where it is reached directly.
    pub through: Vec<String>,
    /// Whether the console can be opened with it.
    pub console: bool,
    /// Why not, in a sentence.
    pub no_console: Option<&'static str>,
    /// Whether new credentials need `mfa_code`, the code of an MFA device.
    pub mfa: bool,
    /// How one must have been recognised to use it; null: that does not matter.
    pub authentication: Option<AskedAuthentication>,
    /// Whether this sign-in is too old or too weak for it: using it is refused until somebody signs in again.
    pub step_up: bool,
    /// What sessions are limited to, whatever is asked for; empty where it is only the role that limits them.
    pub limits: Vec<LimitAnswer>,
    /// The rules that grant it, those that allow the longest sessions first.
    pub reasons: Vec<Reason>,
}

/// A rule that grants a role.
#[derive(Debug, Serialize, ToSchema)]
pub struct Reason {
    /// The rule's id in the catalog.
    pub rule: String,
    pub because: Vec<Because>,
}

/// A value of the person's that met a condition of a rule.
#[derive(Debug, Serialize, ToSchema)]
pub struct Because {
    pub attribute: String,
    pub value: String,
}

/// The most there are on a page, and how many without being asked.
const MOST: usize = 1_000;

/// Where a page begins: behind this role.
///
/// The order of roles never changes, so whatever comes and goes between two pages, no role that stays is left out or told
/// twice.
struct Cursor(RoleId);

impl Cursor {
    fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.to_string())
    }

    fn parse(text: &str) -> Option<Self> {
        let role = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        role.parse().ok().map(Self)
    }
}

/// Which roles are asked for.
#[derive(Debug)]
pub(in crate::web) struct Wanted {
    pub search: Search,
    pub account: Option<AccountId>,
}

impl Wanted {
    /// From a filter and `account`.
    pub(in crate::web) fn of(fields: &Fields, filter: &'static str) -> Result<Self, Problem> {
        let typed = fields.get(filter).unwrap_or_default();
        if typed.chars().count() > Search::LONGEST {
            return Err(wrong(format!("`{filter}` has more than {} characters.", Search::LONGEST)));
        }
        let account = fields.get("account").map(str::parse).transpose();
        let account = account.map_err(|_| wrong("`account` is an AWS account's id: twelve digits."))?;
        Ok(Self { search: Search::new(typed), account })
    }

    pub(in crate::web) fn matches(&self, access: &RoleAccess<'_>) -> bool {
        self.account.is_none_or(|account| access.account().id == account) && self.search.finds_access(access)
    }
}

/// What a token or session may see, with the name each has as a profile. Names are made of all, before any filter.
pub(in crate::web) fn in_scope<'d>(
    decision: &'d Decision,
    scope: &Scope,
    template: &NameTemplate,
) -> Vec<(RoleAccess<'d>, String)> {
    let seen: Vec<RoleAccess<'d>> =
        decision.roles().filter(|access| scope.covers(access.account().id, &access.role().name)).collect();
    // A limited token sees fewer roles, and calls them as its person's other programs do.
    let all: Vec<RoleAccess<'d>> = decision.roles().collect();
    let places: Vec<Place<'d>> =
        all.iter().map(|access| Place { account: access.account(), role: access.role() }).collect();
    let mut names: HashMap<RoleId, String> =
        all.iter().map(RoleAccess::id).zip(profiles::names(template, &places)).collect();
    seen.into_iter().map(|access| (access, names.remove(&access.id()).unwrap_or_default())).collect()
}

/// `GET /api/v1/roles?q=&account=&limit=&cursor=`: what this person may use by this token, for how long and why.
///
/// # Errors
/// A parameter makes no sense, or the database refuses.
#[utoipa::path(
    get,
    path = "/api/v1/roles",
    operation_id = "roles",
    tag = "person",
    params(
        ("q" = Option<String>, Query, max_length = 200, description = "Words, each of which must be somewhere in the role's or its account's name, id, tags or description, as in the picker."),
        ("account" = Option<String>, Query, pattern = "^[0-9]{12}$", description = "Roles of this account only."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "How many on a page; 1000 if left out."),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before. Roles have a fixed order, so what comes and goes between two pages leaves none out and tells none twice."),
    ),
    responses((status = 200, description = "A page of roles, by account id and name.", body = RolePage))
)]
pub async fn roles(
    request: HttpRequest,
    user: Principal,
    ground: web::Data<Ground>,
    catalog: web::Data<CurrentCatalog>,
    issue: web::Data<Issue>,
) -> Result<HttpResponse, Problem> {
    let fields = query(&request, &["q", "account", "limit", "cursor"])?;
    let wanted = Wanted::of(&fields, "q")?;
    let limit = match fields.get("limit").map(str::parse::<usize>) {
        None => MOST,
        Some(Ok(limit)) if (1..=MOST).contains(&limit) => limit,
        Some(_) => return Err(wrong("`limit` is a number from 1 to 1000.")),
    };
    let after = fields.get("cursor").map(|text| {
        Cursor::parse(text)
            .ok_or_else(|| wrong("`cursor` is not one of ours. Send the `next_cursor` of the page before."))
    });
    let after = after.transpose()?;
    let loaded = catalog.get().await?;
    let decision = loaded.policy.decide(user.identity());
    let mut found = in_scope(&decision, &user.scope(), &NameTemplate::default());
    found.retain(|(access, _)| wanted.matches(access));
    let total = found.len();
    if let Some(Cursor(last)) = &after {
        found.retain(|(access, _)| access.id() > *last);
    }
    let more = found.len() > limit;
    found.truncate(limit);
    let next_cursor = found.last().filter(|_| more).map(|(access, _)| Cursor(access.id()).to_text());
    let authentication = &user.identity().authentication;
    let now = ground.clock.now();
    let roles = found
        .into_iter()
        .map(|(access, profile)| {
            let step_up = access.unmet(authentication, now).is_some();
            entry(&access, profile, step_up)
        })
        .collect();
    let aws = AwsState::of(Trouble::of(&decision, &issue.issuer).as_ref());
    let page = RolePage { roles, total, next_cursor, groups_complete: decision.incomplete().is_none(), aws };
    Ok(HttpResponse::Ok().json(page))
}

fn entry(access: &RoleAccess<'_>, profile: String, step_up: bool) -> RoleEntry {
    let (account, role) = (access.account(), access.role());
    let reasons = access.reasons().into_iter().map(|reason| Reason {
        rule: reason.rule.id.to_string(),
        because: reason
            .because
            .iter()
            .map(|(attribute, value)| Because { attribute: attribute.to_string(), value: (*value).to_owned() })
            .collect(),
    });
    RoleEntry {
        account: account.id.to_string(),
        account_name: account.name.clone(),
        account_tags: account.tags.clone(),
        role: role.name.to_string(),
        arn: access.arn().to_string(),
        description: role.description.clone(),
        region: role.region.as_ref().or(account.region.as_ref()).map(ToString::to_string),
        profile,
        default_session_s: access.default_session().as_secs(),
        max_session_s: access.max_session().as_secs(),
        method: role.method.name(),
        through: access.through().into_iter().map(|role| role.id().to_string()).collect(),
        console: role.method.no_console().is_none(),
        no_console: role.method.no_console(),
        mfa: role.method.asks_for_mfa(),
        authentication: access.demand().map(AskedAuthentication::from),
        step_up,
        limits: LimitAnswer::all_of(access),
        reasons: reasons.collect(),
    }
}
