//! The page where somebody types the code of a device, compares it and decides.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::ability;
use crate::flows::Ground;
use crate::flows::current::CurrentCatalog;
use crate::flows::device::{Decision, DeviceError, Devices, Network, UserCode};
use crate::flows::grant_tokens::GrantTokens;
use crate::web::fields::Fields;
use crate::web::limits::Limits;
use crate::web::picker::shell;
use crate::web::problem::{Kind, Problem};
use crate::web::session::{CsrfForm, SignedIn};
use crate::web::views::sessions::Moment;
use crate::web::views::{DeviceConfirmPage, DeviceDonePage, DevicePage, Shell};
use crate::web::{caller, context, data, page, words};

/// `GET /device?user_code=`: asks for the code, then shows which device it is. Nothing is decided by looking at it.
///
/// # Errors
/// Too many tries; device codes are off, or the device is elsewhere; the database refuses.
pub async fn ask(
    request: HttpRequest,
    user: SignedIn,
    flow: web::Data<Devices>,
    limits: web::Data<Limits>,
) -> Result<HttpResponse, Problem> {
    let fields = Fields::of_query(&request)?;
    match fields.filled("user_code") {
        None => {
            flow.offered()?;
            Ok(page(&DevicePage { shell: frame(&request, &user).await?, typed: String::new(), error: String::new() }))
        }
        Some(typed) => {
            limits.guess(&user.0.identity.person(), context::client_address(&request))?;
            match typed.parse() {
                Ok(code) => confirm(&request, &user, &flow, &code, "").await,
                Err(_) => mistyped(&request, &user, typed, SHAPE).await,
            }
        }
    }
}

/// `POST /device`: yes or no to a device.
///
/// # Errors
/// As [`ask`]; another site's form.
pub async fn decide(
    request: HttpRequest,
    user: SignedIn,
    form: CsrfForm,
    flow: web::Data<Devices>,
    limits: web::Data<Limits>,
) -> Result<HttpResponse, Problem> {
    limits.guess(&user.0.identity.person(), context::client_address(&request))?;
    let typed = form.0.need("user_code")?;
    let Ok(code) = typed.parse::<UserCode>() else { return mistyped(&request, &user, typed, SHAPE).await };
    let decision = match form.0.get("decision") {
        // Whoever was sent a link has a code here too: the tick says that they have looked at the device.
        Some("approve") if form.0.get("compared") != Some("yes") => {
            let mut response = confirm(&request, &user, &flow, &code, COMPARE).await?;
            *response.status_mut() = StatusCode::BAD_REQUEST;
            return Ok(response);
        }
        Some("approve") => Decision::Approve,
        Some("refuse") => Decision::Refuse,
        _ => return Err(Problem::new(Kind::BadRequest)),
    };
    match flow.decide(&user.0, &code, decision, &caller(&request)).await {
        Ok(()) => {
            let approved = decision == Decision::Approve;
            Ok(page(&DeviceDonePage { shell: frame(&request, &user).await?, approved }))
        }
        Err(error) => nowhere(&request, &user, &code, error).await,
    }
}

const SHAPE: &str = "A code has eight letters, such as BCDF-GHJK, and no vowels or digits.";
const COMPARE: &str = "Compare the code with the one on your device, and tick the box if they are the same.";

/// The page that shows a device and asks about it.
async fn confirm(
    request: &HttpRequest,
    user: &SignedIn,
    flow: &Devices,
    code: &UserCode,
    error: &str,
) -> Result<HttpResponse, Problem> {
    let waiting = match flow.look(&user.0, code, &caller(request)).await {
        Ok(waiting) => waiting,
        Err(error) => return nowhere(request, user, code, error).await,
    };
    let loaded = data::<CurrentCatalog>(request).get().await?;
    let ground = data::<Ground>(request);
    let now = ground.clock.now();
    let until = data::<GrantTokens>(request).sign_in_until(&user.0.identity, user.0.expires, now);
    let roles = loaded.policy.decide(&user.0.identity).roles().count();
    Ok(page(&DeviceConfirmPage {
        shell: shell(&user.0, &loaded.catalog, ground, &super::device_path()),
        code: code.to_string(),
        client: waiting.client_name,
        address: waiting.address,
        same_network: waiting.network == Network::Same,
        network_known: waiting.network != Network::Unknown,
        software: words::device(&waiting.user_agent),
        asked: Moment { text: words::ago(waiting.asked, now), iso: waiting.asked.to_string() },
        ability: ability(&waiting.scope, roles),
        until: Moment { text: words::date_and_time(until), iso: until.to_string() },
        error: error.to_owned(),
    }))
}

/// A code that leads to no device: asks for another.
async fn nowhere(
    request: &HttpRequest,
    user: &SignedIn,
    code: &UserCode,
    error: DeviceError,
) -> Result<HttpResponse, Problem> {
    let sentence = match error {
        DeviceError::Unknown => "No device waits with that code. Compare it with the one your device shows.",
        DeviceError::Expired => "That code has expired. Start again on the device: it shows another.",
        DeviceError::Decided => {
            "That code was approved or refused already. If it was not you who did that, tell your administrator."
        }
        other => return Err(other.into()),
    };
    mistyped(request, user, &code.to_string(), sentence).await
}

async fn mistyped(request: &HttpRequest, user: &SignedIn, typed: &str, error: &str) -> Result<HttpResponse, Problem> {
    let typed = typed.chars().take(40).collect();
    let mut response = page(&DevicePage { shell: frame(request, user).await?, typed, error: error.to_owned() });
    *response.status_mut() = StatusCode::NOT_FOUND;
    Ok(response)
}

async fn frame(request: &HttpRequest, user: &SignedIn) -> Result<Shell, Problem> {
    let loaded = data::<CurrentCatalog>(request).get().await?;
    Ok(shell(&user.0, &loaded.catalog, data::<Ground>(request), &super::device_path()))
}

impl From<DeviceError> for Problem {
    fn from(error: DeviceError) -> Self {
        let problem = match &error {
            DeviceError::Store(_) | DeviceError::Interrupted => Self::new(Kind::Unavailable),
            DeviceError::Off => Self::new(Kind::DeviceRefused).detail(
                "Device codes are switched off here. Sign in with a browser on the computer that needs it: `rolegate login` or `aws sso login` open one.",
            ),
            DeviceError::OtherNetwork { asked_from } => Self::new(Kind::DeviceRefused).detail(format!(
                "The device asked from {asked_from}, and you are on another network. Here a device is approved from its own network only. If you did not start this yourself, somebody wanted to trick you: tell your administrator."
            )),
            DeviceError::NetworkUnknown => Self::new(Kind::DeviceRefused).detail(
                "Here a device is approved from its own network only, and Rolegate cannot tell which network you are on: you come through a proxy that its settings do not name. Tell your administrator: it belongs in `web.trusted_proxies`.",
            ),
            DeviceError::Unknown | DeviceError::Expired | DeviceError::Decided => Self::new(Kind::NotFound),
        };
        problem.caused_by(error)
    }
}
