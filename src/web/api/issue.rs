//! Using a role: credentials, and links to the console.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::body::Members;
use super::{Acting, query, scope_down, switch, wrong};
use crate::access::Asked;
use crate::aws::{AccountId, InvalidMfaCode, InvalidName, Region, RoleName, ScopeDown, SessionDuration};
use crate::flows::current::Loaded;
use crate::flows::issue::{Issue, Wish};
use crate::flows::principal::Principal;
use crate::issuance::formats::Context;
use crate::issuance::{Format, Mfa};
use crate::web::caller;
use crate::web::fields::Fields;
use crate::web::problem::{Kind, Problem};
use crate::web::roles::{region_of, role_in};

/// What credentials are asked for. Everything may be left out.
#[derive(Debug)]
pub struct CredentialsRequest {
    /// How long they are to live: seconds, or a text such as `1h`, `90m` or `3600`. The role and its rule may allow less.
    pub duration: Option<SessionDuration>,
    /// What they are to be limited to, beyond what their role is: also `policy` and `policy_arns` in the request.
    pub scope_down: ScopeDown,
    /// The region whose STS is called, and that formats with a region name; else what the catalog says.
    pub region: Option<Region>,
    /// Whether only credentials that nobody has had yet will do.
    pub fresh: bool,
    /// What the person read from their MFA device, where the role asks for it.
    pub mfa: Option<Mfa>,
}

impl CredentialsRequest {
    fn read(mut members: Members) -> Result<Self, Problem> {
        let read = Self {
            duration: duration(members.take("duration"))?,
            scope_down: scope_down::read(&mut members)?,
            region: members.text("region")?.map(|text| region(&text)).transpose()?,
            fresh: members.switch("fresh")?,
            mfa: mfa(members.text("mfa_code")?, members.text("mfa_serial")?)?,
        };
        members.end()?;
        Ok(read)
    }
}

/// What page of the console is asked for. Everything may be left out.
#[derive(Debug)]
pub struct ConsoleRequest {
    /// A page of the AWS Management Console; else the role's own, or the console's home.
    pub destination: Option<String>,
    /// How long the console may be used: seconds, or a text such as `1h`. The role and its rule may allow less.
    pub duration: Option<SessionDuration>,
    /// What it is to be limited to, beyond what its role is: also `policy` and `policy_arns` in the request.
    pub scope_down: ScopeDown,
}

impl ConsoleRequest {
    fn read(mut members: Members) -> Result<Self, Problem> {
        let read = Self {
            destination: members.text("destination")?.filter(|text| !text.is_empty()),
            duration: duration(members.take("duration"))?,
            scope_down: scope_down::read(&mut members)?,
        };
        members.end()?;
        Ok(read)
    }
}

/// A link to the console.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConsoleLink {
    /// Opens the console for whoever has it: a secret until it was used or has expired.
    pub url: String,
    /// Until when the link can be opened.
    pub expires: Timestamp,
    /// When the console that it opens ends.
    pub session_expires: Timestamp,
}

fn duration(value: Option<Value>) -> Result<Option<SessionDuration>, Problem> {
    let refused = || Problem::new(Kind::DurationInvalid);
    match value {
        None => Ok(None),
        Some(Value::String(text)) => text.parse().map(Some).map_err(|e| refused().caused_by(e)),
        Some(Value::Number(seconds)) => {
            let seconds = seconds.as_u64().and_then(|seconds| u32::try_from(seconds).ok()).ok_or_else(refused)?;
            SessionDuration::from_secs(seconds).map(Some).map_err(|e| refused().caused_by(e))
        }
        Some(_) => Err(refused()),
    }
}

/// A code and, where the catalog does not name it, the device it was read from.
pub(in crate::web) fn mfa(code: Option<String>, serial: Option<String>) -> Result<Option<Mfa>, Problem> {
    let filled = |text: &String| !text.trim().is_empty();
    let Some(code) = code.filter(filled) else { return Ok(None) };
    let code = code.trim().parse().map_err(|e: InvalidMfaCode| {
        Problem::new(Kind::MfaRequired).detail("An MFA code is the six digits that the device shows.").caused_by(e)
    })?;
    let serial = serial.filter(filled).map(|serial| {
        serial.trim().parse().map_err(|e: InvalidName| {
            let how = "its ARN, such as arn:aws:iam::111122223333:mfa/jane, or the serial number on its back";
            Problem::new(Kind::MfaRequired).detail(format!("That names no MFA device: write {how}.")).caused_by(e)
        })
    });
    Ok(Some(Mfa { serial: serial.transpose()?, code }))
}

fn region(text: &str) -> Result<Region, Problem> {
    text.parse().map_err(|e| wrong("`region` is the name of an AWS region, such as eu-west-1.").caused_by(e))
}

/// The word for a delivery in the audit log.
const fn delivery(format: Format) -> &'static str {
    match format {
        Format::Json => "api:json",
        Format::Process => "api:process",
        Format::Env => "api:env",
        Format::Fish => "api:fish",
        Format::PowerShell => "api:powershell",
        Format::Cmd => "api:cmd",
        Format::Ini => "api:ini",
    }
}

fn wish(user: &Principal, asked: Asked, fresh: bool, mfa: Option<Mfa>, delivery: &'static str) -> Wish {
    Wish {
        identity: Arc::clone(user.identity()),
        asked: Asked { scope: user.scope(), ..asked },
        token: user.token_id().map(str::to_owned),
        fresh,
        mfa,
        delivery,
    }
}

/// A region that the role's partition does not have is refused to whoever may use the role; others are told that they may
/// not, and nothing about its account.
fn fits(
    loaded: &Loaded,
    user: &Principal,
    account: AccountId,
    role: &RoleName,
    region: &Region,
) -> Result<(), Problem> {
    let decision = loaded.policy.decide(user.identity());
    match decision.role(account, role).map(|access| access.account().partition) {
        Some(partition) if !partition.has_region(region) => {
            Err(wrong(format!("The region {region} is not in this account's partition, {partition}.")))
        }
        _ => Ok(()),
    }
}

/// `POST /api/v1/roles/{account}/{role}/credentials?format=&download=`.
///
/// # Errors
/// The request makes no sense, or [`IssueFlowError`](crate::flows::issue::IssueFlowError) as people are told it.
#[utoipa::path(
    post,
    path = "/api/v1/roles/{account}/{role}/credentials",
    operation_id = "credentials",
    tag = "use",
    params(
        ("account" = String, Path, pattern = "^[0-9]{12}$", example = "111122223333", description = "The account's id."),
        ("role" = String, Path, example = "ReadOnly", description = "The role's name with its path, whose slashes may stand as they are."),
        ("format" = Option<String>, Query, pattern = "^(json|process|env|fish|powershell|cmd|ini)$", description = "How they are written: json (if left out), process, env, fish, powershell, cmd or ini."),
        ("download" = Option<bool>, Query, description = "Whether a browser is to save them as a file."),
    ),
    responses((status = 200, description = "Credentials."))
)]
pub async fn credentials(
    request: HttpRequest,
    user: Acting,
    path: web::Path<(String, String)>,
    members: Members,
    flow: web::Data<Issue>,
) -> Result<HttpResponse, Problem> {
    let Acting(user) = user;
    let fields = query(&request, &["format", "download"])?;
    let format = format(&fields)?;
    let download = switch(&fields, "download")?;
    let (account, role) = role_in(&path)?;
    let body = CredentialsRequest::read(members)?;
    let loaded = flow.catalog.get().await?;
    if let Some(region) = &body.region {
        fits(&loaded, &user, account, &role, region)?;
    }
    let asked = Asked {
        duration: body.duration,
        scope_down: body.scope_down,
        region: body.region.clone(),
        ..Asked::role(account, role.clone())
    };
    let issued = flow.credentials(wish(&user, asked, body.fresh, body.mfa, delivery(format)), caller(&request)).await?;
    let region = body.region.or_else(|| region_of(&loaded.catalog, account, &role));
    let context = Context { role: issued.role(), region: region.as_ref(), packed_percent: issued.packed_percent() };
    let mut response = HttpResponse::Ok();
    response.content_type(format.content_type()).insert_header((header::CACHE_CONTROL, "no-store"));
    if download {
        let name = format!("attachment; filename=\"{}\"", format.file_name(&context));
        response.insert_header((header::CONTENT_DISPOSITION, name));
    }
    Ok(response.body(format.render(issued.credentials(), &context).expose_secret().to_owned()))
}

fn format(fields: &Fields) -> Result<Format, Problem> {
    let Some(text) = fields.get("format") else { return Ok(Format::Json) };
    text.parse().map_err(|e| {
        wrong("There is no such format; use json, process, env, fish, powershell, cmd or ini.").caused_by(e)
    })
}

/// `POST /api/v1/roles/{account}/{role}/console`.
///
/// # Errors
/// The request makes no sense, or [`IssueFlowError`](crate::flows::issue::IssueFlowError) as people are told it.
#[utoipa::path(
    post,
    path = "/api/v1/roles/{account}/{role}/console",
    operation_id = "console",
    tag = "use",
    params(
        ("account" = String, Path, pattern = "^[0-9]{12}$", example = "111122223333", description = "The account's id."),
        ("role" = String, Path, example = "ReadOnly", description = "The role's name with its path, whose slashes may stand as they are."),
    ),
    responses((status = 200, description = "A link, for one person and a short time.", body = ConsoleLink))
)]
pub async fn console(
    request: HttpRequest,
    user: Acting,
    path: web::Path<(String, String)>,
    members: Members,
    flow: web::Data<Issue>,
) -> Result<HttpResponse, Problem> {
    let Acting(user) = user;
    query(&request, &[])?;
    let (account, role) = role_in(&path)?;
    let body = ConsoleRequest::read(members)?;
    let asked = Asked { duration: body.duration, scope_down: body.scope_down, ..Asked::role(account, role) };
    let login = flow.console(wish(&user, asked, true, None, "api:console"), body.destination, caller(&request)).await?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(ConsoleLink {
        url: login.expose().to_owned(),
        expires: login.opens_until,
        session_expires: login.ends,
    }))
}
