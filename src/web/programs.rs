//! What holds for programs that fetch credentials by AWS's own protocols, whichever they speak.

use std::sync::Arc;

use actix_web::http::header::{HeaderName, ORIGIN};
use actix_web::{HttpRequest, web};
use jiff::Timestamp;

use super::caller;
use super::limits::Limits;
use super::principal;
use super::problem::{Kind, Problem};
use crate::access::Asked;
use crate::aws::{AccountId, RoleName};
use crate::flows::issue::{Issue, Wish};
use crate::flows::tokens::LiveToken;
use crate::issuance::Issued;

/// The token a program sent, if it counts and has not been used too often.
///
/// # Errors
/// The request came from a page in a browser, no token was sent, it does not count, or [`Kind::TooManyRequests`].
pub(super) async fn token(request: &HttpRequest, sent: Result<&str, Problem>) -> Result<LiveToken, Problem> {
    refuse_browsers(request)?;
    let token = principal::token(request, sent?).await?;
    let limits = request.app_data::<web::Data<Limits>>().expect("the application sets its limits");
    limits.program(&token.id)?;
    Ok(token)
}

/// No page has business here, not even one of ours. A name that was rebound to this machine would let a page of anybody's
/// ask in the name of its own site; what browsers add to requests, and scripts cannot take away, gives it away.
///
/// `Sec-Fetch-Mode` is no such mark: Node's own `fetch` sends it.
///
/// # Errors
/// [`Kind::CrossSite`].
pub(super) fn refuse_browsers(request: &HttpRequest) -> Result<(), Problem> {
    let marks = [ORIGIN, HeaderName::from_static("sec-fetch-site"), HeaderName::from_static("sec-fetch-dest")];
    match marks.iter().find(|mark| request.headers().contains_key(*mark)) {
        Some(mark) => Err(Problem::new(Kind::CrossSite)
            .detail("This address is for programs. It does not answer pages in a browser.")
            .caused_by(format!("the request has the header `{mark}`"))),
        None => Ok(()),
    }
}

/// Credentials of a role for whom a token stands for, as long as the role gives without being asked.
///
/// # Errors
/// As [`Issue::credentials`]; denials and failures are recorded.
pub(super) async fn credentials(
    request: &HttpRequest,
    issue: &Issue,
    token: LiveToken,
    (account, role): (AccountId, RoleName),
    delivery: &'static str,
) -> Result<Arc<Issued>, Problem> {
    let wish = Wish {
        identity: token.identity,
        asked: Asked { scope: token.scope, ..Asked::role(account, role) },
        token: Some(token.id),
        fresh: false,
        // Where a program cannot ask its person: what is kept is theirs, and the rest is told why it is not.
        mfa: None,
        delivery,
    };
    Ok(issue.credentials(wish, caller(request)).await?)
}

/// RFC 3339 in UTC and whole seconds, the one form every client parses.
pub(super) fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
