//! The portal: which accounts and roles there are, and credentials of one. Service model `sso`.
//!
//! The token comes in a header of its own, and is any live token of ours.

use std::collections::BTreeMap;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::ExposeSecret;
use serde::Serialize;

use crate::aws::{AccountId, RoleName};
use crate::flows::current::CurrentCatalog;
use crate::flows::issue::Issue;
use crate::flows::tokens::{LiveToken, Tokens};
use crate::web::caller;
use crate::web::fields::Fields;
use crate::web::problem::{Kind, Problem};
use crate::web::programs;

/// Where clients send their access token. Some proxies drop headers with an underscore unless they are told otherwise.
const TOKEN: &str = "x-amz-sso_bearer_token";

/// The longest page, and the page of whoever names no length.
const MOST: usize = 100;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Accounts<'a> {
    account_list: Vec<Account<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Account<'a> {
    account_id: AccountId,
    account_name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Roles<'a> {
    role_list: Vec<Role<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Role<'a> {
    role_name: &'a RoleName,
    account_id: AccountId,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Issued<'a> {
    role_credentials: RoleCredentials<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RoleCredentials<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    session_token: &'a str,
    /// In milliseconds, unlike every other instant of the two models.
    expiration: i64,
}

/// `GET /idc/assignment/accounts`: the accounts in which the person has a role that the token covers.
///
/// # Errors
/// The token does not count, or a parameter makes no sense.
pub async fn accounts(request: HttpRequest, catalog: web::Data<CurrentCatalog>) -> Result<HttpResponse, Problem> {
    let token = token(&request).await?;
    let fields = Fields::of_query(&request)?;
    let loaded = catalog.get().await?;
    let decision = loaded.policy.decide(&token.identity);
    let covered = decision.roles().filter(|access| token.scope.covers(access.account().id, &access.role().name));
    let accounts: BTreeMap<AccountId, &str> =
        covered.map(|access| (access.account().id, access.account().name.as_str())).collect();
    let (page, next_token) = page(&fields, accounts.into_iter(), |(id, _)| id.as_str().to_owned())?;
    let account_list =
        page.into_iter().map(|(account_id, account_name)| Account { account_id, account_name }).collect();
    Ok(HttpResponse::Ok().json(Accounts { account_list, next_token }))
}

/// `GET /idc/assignment/roles`: the roles the person has in one account, as far as the token covers them.
///
/// # Errors
/// The token does not count, or a parameter makes no sense. An account with nothing in it for the person has no roles,
/// whether it exists or not.
pub async fn roles(request: HttpRequest, catalog: web::Data<CurrentCatalog>) -> Result<HttpResponse, Problem> {
    let token = token(&request).await?;
    let fields = Fields::of_query(&request)?;
    let account = account_in(&fields)?;
    let loaded = catalog.get().await?;
    let decision = loaded.policy.decide(&token.identity);
    // They come by account and name.
    let roles = decision
        .roles()
        .filter(|access| access.account().id == account && token.scope.covers(account, &access.role().name))
        .map(|access| access.role().name.clone());
    let (page, next_token) = page(&fields, roles, |name| name.as_str().to_owned())?;
    let role_list = page.iter().map(|role_name| Role { role_name, account_id: account }).collect();
    Ok(HttpResponse::Ok().json(Roles { role_list, next_token }))
}

/// `GET /idc/federation/credentials`: credentials of one role.
///
/// # Errors
/// The token does not count, the role is not permitted, or AWS does not answer.
pub async fn credentials(request: HttpRequest, issue: web::Data<Issue>) -> Result<HttpResponse, Problem> {
    let token = token(&request).await?;
    let fields = Fields::of_query(&request)?;
    let role = fields.need("role_name")?.parse();
    let role = role.map_err(|e| Problem::new(Kind::BadRequest).detail("There can be no such role.").caused_by(e))?;
    let issued =
        programs::credentials(&request, &issue, token, (account_in(&fields)?, role), "identity-center").await?;
    let credentials = issued.credentials();
    let role_credentials = RoleCredentials {
        access_key_id: &credentials.access_key_id,
        secret_access_key: credentials.secret_access_key.expose_secret(),
        session_token: credentials.session_token.expose_secret(),
        expiration: credentials.expiration.as_millisecond(),
    };
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(Issued { role_credentials }))
}

/// `POST /idc/logout`: ends what the token belongs to, its refresh token included.
///
/// # Errors
/// The token does not count any more, or the database refuses.
pub async fn logout(request: HttpRequest, tokens: web::Data<Tokens>) -> Result<HttpResponse, Problem> {
    let token = token(&request).await?;
    tokens.revoke(&token.id, "signed-out", &caller(&request)).await?;
    Ok(HttpResponse::Ok().finish())
}

async fn token(request: &HttpRequest) -> Result<LiveToken, Problem> {
    let mut sent = request.headers().get_all(TOKEN);
    let text = match (sent.next(), sent.next()) {
        (Some(value), None) => Ok(value.to_str().unwrap_or("")),
        (None, _) => Err(Problem::new(Kind::SignInRequired).caused_by(format!("the header `{TOKEN}` is missing"))),
        (Some(_), Some(_)) => Err(Problem::new(Kind::BadRequest).detail("The access token was sent twice.")),
    };
    programs::token(request, text).await
}

fn account_in(fields: &Fields) -> Result<AccountId, Problem> {
    let account = fields.need("account_id")?.parse();
    account.map_err(|e| Problem::new(Kind::BadRequest).detail("An account has twelve digits.").caused_by(e))
}

/// As many items as were asked for, behind the last one of the page before, and what to ask for the next with.
///
/// The items come in the order of their names. A name is all a token holds, and one that is gone meanwhile still says
/// where to go on.
fn page<T>(
    fields: &Fields,
    items: impl Iterator<Item = T>,
    name: impl Fn(&T) -> String,
) -> Result<(Vec<T>, Option<String>), Problem> {
    let refused = |what| Problem::new(Kind::BadRequest).detail(what);
    let most = match fields.filled("max_result") {
        None => MOST,
        Some(text) => match text.parse() {
            Ok(most @ 1..=MOST) => most,
            _ => return Err(refused("max_result is a number from 1 to 100.")),
        },
    };
    let after = match fields.filled("next_token") {
        None => None,
        Some(text) => {
            let read = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            Some(read.ok_or_else(|| refused("next_token is none that was given out here."))?)
        }
    };
    let mut items: Vec<T> =
        items.skip_while(|item| after.as_ref().is_some_and(|after| name(item) <= *after)).take(most + 1).collect();
    let next = (items.len() > most).then(|| {
        items.truncate(most);
        items.last().map(|item| URL_SAFE_NO_PAD.encode(name(item))).unwrap_or_default()
    });
    Ok((items, next))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn walk(names: &[String], most: usize) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let query = match &token {
                None => format!("max_result={most}"),
                Some(token) => format!("max_result={most}&next_token={token}"),
            };
            let fields = Fields::parse(query.as_bytes()).unwrap();
            let (page, next) = page(&fields, names.iter().cloned(), Clone::clone).unwrap();
            pages.push(page);
            let Some(next) = next else { return pages };
            token = Some(next);
        }
    }

    proptest! {
        #[test]
        fn pages_put_together_are_the_list(names in proptest::collection::btree_set("[A-Za-z0-9/+=,.@_-]{1,20}", 0..40), most in 1_usize..=100) {
            let names: Vec<String> = names.into_iter().collect();
            let pages = walk(&names, most);
            prop_assert_eq!(pages.concat(), names.clone());
            prop_assert_eq!(pages.len(), names.len().div_ceil(most).max(1));
        }
    }

    #[test]
    fn a_page_goes_on_behind_a_name_that_is_gone() {
        let fields = Fields::parse(format!("next_token={}", URL_SAFE_NO_PAD.encode("b")).as_bytes()).unwrap();
        let (page, next) = page(&fields, ["a", "c"].into_iter(), |name| (*name).to_owned()).unwrap();
        assert_eq!((page, next), (vec!["c"], None));
    }

    #[test]
    fn a_length_or_a_token_that_makes_no_sense_is_refused() {
        for query in
            ["max_result=0", "max_result=101", "max_result=many", "max_result=-1", "next_token=%21", "next_token=_w"]
        {
            let fields = Fields::parse(query.as_bytes()).unwrap();
            let refused = page(&fields, ["a"].into_iter(), |name| (*name).to_owned()).unwrap_err();
            assert_eq!(refused.kind(), Kind::BadRequest, "{query}");
        }
    }
}
