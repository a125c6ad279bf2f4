//! An OpenID connector's discovery document and keys.

use std::collections::BTreeSet;

use super::{Doctor, Findings, clock, listed, told};
use crate::catalog::{Catalog, ClientAuth, Connector, JwsAlgorithm, OidcConnector, UserInfo};
use crate::flows::connectors::oidc::{SLOWEST, is_of_use, reach};
use crate::signin::oidc::{Keys, ProviderMetadata, discovery_url};
use crate::store::StoreError;

impl Doctor {
    pub(super) async fn examine_oidc(
        &self,
        catalog: &Catalog,
        connector: &Connector,
        oidc: &OidcConnector,
        found: &mut Findings,
    ) -> Result<(), StoreError> {
        let url = discovery_url(&oidc.issuer);
        let kept = self.ground.store.fetched_metadata(&connector.id).await?;
        // An issuer that differs by the slash at its end has its document at the same address, and no use for the copy.
        let kept = kept.filter(|kept| kept.url == url.as_str() && is_of_use(&connector.id, oidc, &kept.document));
        let goes_on = match kept {
            Some(kept) => format!("; until then sign-ins go on with the broker's copy of {:.0}", kept.fetched),
            None => String::new(),
        };
        self.examine_secret(connector, oidc, found);
        let sent = self.ground.clock.now();
        let asked = self.http.ask(reach(oidc), &url, ProviderMetadata::MAX_BYTES, SLOWEST).await;
        let came = self.ground.clock.now();
        let answer = match asked {
            Ok(answer) => answer,
            Err(error) => {
                let advice = format!("check the issuer, and whether this machine may call it{goes_on}");
                found.fail("discovery", told(&error), advice);
                return Ok(());
            }
        };
        clock::examine(answer.date, sent, came, oidc.clock_skew, found);
        if answer.status != 200 {
            let advice = format!("check the issuer: its discovery document has to be there{goes_on}");
            found.fail("discovery", format!("{url} answered with status {}", answer.status), advice);
            return Ok(());
        }
        let took = came.duration_since(sent).as_millis();
        let provider = match ProviderMetadata::read(&answer.body, &oidc.issuer) {
            Ok(provider) => provider,
            Err(error) => {
                let media = answer.content_type.unwrap_or_else(|| "no content type".to_owned());
                let detail = format!("{url} answered in {took} ms ({media}), and it cannot be used: {}", told(&error));
                found.fail("discovery", detail, format!("write the issuer exactly as the provider does{goes_on}"));
                return Ok(());
            }
        };
        found.ok("discovery", format!("{url} answered in {took} ms"));
        found.ok("issuer", format!("it calls itself {}, as the catalog does", provider.issuer));
        examine(&provider, catalog, oidc, found);
        self.examine_keys(&provider, oidc, &goes_on, found).await;
        Ok(())
    }

    fn examine_secret(&self, connector: &Connector, oidc: &OidcConnector, found: &mut Findings) {
        match oidc.client_secret.as_ref().map(|secret| secret.open(&connector.id, &self.ground.sealing)) {
            None => found.ok("client-secret", "there is none"),
            Some(Ok(_)) => found.ok("client-secret", "it is there, and opens with the sealing key"),
            Some(Err(error)) => found.fail(
                "client-secret",
                told(&error),
                "apply the catalog again with the secret in client_secret or client_secret_file",
            ),
        }
    }

    async fn examine_keys(
        &self,
        provider: &ProviderMetadata,
        oidc: &OidcConnector,
        goes_on: &str,
        found: &mut Findings,
    ) {
        let url = &provider.jwks_uri;
        let asked = self.http.ask(reach(oidc), url, Keys::MAX_BYTES, SLOWEST).await;
        let keys = match asked {
            Err(error) => Err(told(&error)),
            Ok(answer) if answer.status != 200 => Err(format!("{url} answered with status {}", answer.status)),
            Ok(answer) => Keys::read(&answer.body).map_err(|error| told(&error)),
        };
        match keys {
            Ok(keys) => examine_keys(&keys, &oidc.signing_algorithms, found),
            Err(detail) => found.fail(
                "jwks",
                detail,
                format!("nothing the provider signs can be checked; ask whoever runs it{goes_on}"),
            ),
        }
    }
}

/// What a document that can be used offers, held against what the connector wants.
pub(super) fn examine(provider: &ProviderMetadata, catalog: &Catalog, oidc: &OidcConnector, found: &mut Findings) {
    let endpoint = |url: &url::Url| url.as_str().to_owned();
    let mut endpoints = vec![endpoint(&provider.authorization_endpoint), endpoint(&provider.token_endpoint)];
    endpoints.extend(provider.userinfo_endpoint.as_ref().map(endpoint));
    endpoints.push(endpoint(&provider.jwks_uri));
    found.ok("endpoints", listed(endpoints));
    client_auth(provider, oidc, found);

    algorithms(&provider.signing_algorithms, &oidc.signing_algorithms, found);
    let methods = &provider.code_challenge_methods;
    if methods.iter().any(|method| method == "S256") {
        found.ok("pkce", "S256 is offered, and always used");
    } else if methods.is_empty() {
        found.ok("pkce", "S256 is not mentioned; it is sent all the same, as most providers expect");
    } else {
        let detail = format!("only {} is mentioned, and S256 is what is sent", listed(methods));
        found.warn("pkce", detail, "try a test sign-in");
    }
    found.ok(
        "iss-parameter",
        if provider.iss_parameter {
            "answers name their issuer (RFC 9207), and one that does not is refused"
        } else {
            "answers need not name their issuer (RFC 9207); one that does has to be right"
        },
    );
    match (&provider.userinfo_endpoint, oidc.userinfo) {
        (Some(_), wanted) => found.ok("userinfo", format!("it has an endpoint; it is asked: {wanted}")),
        (None, UserInfo::Always) => found.warn(
            "userinfo",
            "it has no endpoint, and userinfo = \"always\"",
            "every claim has to be in the ID token; take userinfo out",
        ),
        (None, _) => found.ok("userinfo", "it has no endpoint: every claim has to be in the ID token"),
    }
    found.ok(
        "sign-out",
        match (provider.end_session_endpoint.is_some(), provider.backchannel_logout) {
            (true, true) => "people are signed out there too, and it tells us when they sign out elsewhere",
            (true, false) => "people are signed out there too; it does not say that it tells us (back-channel)",
            (false, true) => "it has no place to sign people out; it tells us when they sign out there",
            (false, false) => "it offers none: signing out ends the session here only",
        },
    );
    offered_or_not("scopes", &oidc.scopes, provider.scopes.as_deref(), "scopes", found);
    if !oidc.scopes.iter().any(|scope| scope == "openid") {
        found.fail("scopes", "`openid` is not asked for, so there is no ID token", "add it to scopes");
    }
    offered_or_not("acr-values", &oidc.acr_values, provider.acr_values.as_deref(), "acr_values", found);
    contexts(provider, catalog, found);
}

fn client_auth(provider: &ProviderMetadata, oidc: &OidcConnector, found: &mut Findings) {
    let offered = provider.token_auth_methods.as_deref();
    let auth = match provider.client_auth(oidc.client_auth, oidc.client_secret.is_some()) {
        Ok(auth) => auth,
        Err(error) => return found.fail("client-authentication", told(&error), "set client_auth to one it offers"),
    };
    if matches!(auth, ClientAuth::Basic | ClientAuth::Post) && oidc.client_secret.is_none() {
        let detail = format!("{auth} is used, and there is no client secret");
        return found.fail("client-authentication", detail, "set client_secret_file, or another client_auth");
    }
    match offered {
        Some(offered) if !offered.iter().any(|method| method == auth.as_str()) => found.warn(
            "client-authentication",
            format!("{auth} is used, and it offers {}", listed(offered)),
            "set client_auth to one it offers, or try a test sign-in",
        ),
        Some(offered) => {
            found.ok("client-authentication", format!("{auth} is used; it offers {}", listed(offered)));
        }
        None => found.ok("client-authentication", format!("{auth} is used; it does not say what it offers")),
    }
}

fn offered_or_not(
    check: &'static str,
    wanted: &[String],
    offered: Option<&[String]>,
    setting: &str,
    found: &mut Findings,
) {
    if wanted.is_empty() {
        return found.ok(check, "none are asked for");
    }
    let Some(offered) = offered else {
        return found.ok(check, format!("{} are asked for; it does not say what it offers", listed(wanted)));
    };
    let unknown: Vec<&String> = wanted.iter().filter(|one| !offered.contains(one)).collect();
    if unknown.is_empty() {
        found.ok(check, format!("{} are asked for, and offered", listed(wanted)));
    } else {
        found.warn(
            check,
            format!("{} is asked for, and it offers {}", listed(unknown), listed(offered)),
            format!("some providers refuse what they do not know: compare {setting} with theirs"),
        );
    }
}

/// Roles that insist on a context the provider does not list are out of reach through it.
fn contexts(provider: &ProviderMetadata, catalog: &Catalog, found: &mut Findings) {
    let Some(offered) = provider.acr_values.as_deref().filter(|offered| !offered.is_empty()) else { return };
    let beyond: Vec<String> = catalog
        .roles()
        .filter(|role| {
            let contexts = role.authentication.as_ref().map(|demand| demand.contexts.as_slice()).unwrap_or_default();
            !contexts.is_empty() && !contexts.iter().any(|context| offered.contains(context))
        })
        .map(|role| format!("{}/{}", role.account, role.name))
        .collect();
    if !beyond.is_empty() {
        found.warn(
            "role-contexts",
            format!("it offers {}, and these roles ask for other contexts: {}", listed(offered), listed(beyond)),
            "add what it offers to the `contexts` of their `authentication`, or expect them to be out of reach from here",
        );
    }
}

/// What the provider signs with, held against what is accepted.
pub(super) fn algorithms(offered: &[String], accepted: &BTreeSet<JwsAlgorithm>, found: &mut Findings) {
    let pinned = accepted.iter().map(|algorithm| algorithm.as_str());
    let common = |name: &&str| offered.iter().any(|offered| offered == name);
    if offered.is_empty() {
        let detail = format!("it lists none; only {} will be accepted", listed(pinned));
        found.warn("signing-algorithms", detail, "compare with what the provider's pages say");
    } else if pinned.clone().any(|name| common(&name)) {
        let detail = format!("{} will be accepted; it offers {}", listed(pinned.filter(common)), listed(offered));
        found.ok("signing-algorithms", detail);
    } else {
        let detail = format!("only {} will be accepted, and it offers {}", listed(pinned), listed(offered));
        found.fail("signing-algorithms", detail, "set signing_algorithms to one that it offers");
    }
}

/// Which keys can have signed something we accept.
pub(super) fn examine_keys(keys: &Keys, accepted: &BTreeSet<JwsAlgorithm>, found: &mut Findings) {
    let mut usable = false;
    for key in keys.iter() {
        let id = key.id().map_or_else(|| "a key without kid".to_owned(), |id| format!("kid {id}"));
        let fits: Vec<&str> =
            accepted.iter().filter(|algorithm| key.fits(**algorithm)).map(|algorithm| algorithm.as_str()).collect();
        usable |= !fits.is_empty();
        let what = format!("{id} ({})", key.kind());
        if fits.is_empty() {
            found.ok("jwks-key", format!("{what} is for none of the accepted algorithms"));
        } else {
            found.ok("jwks-key", format!("{what} can sign with {}", listed(fits)));
        }
    }
    for skipped in keys.skipped() {
        let id = skipped.id.as_ref().map_or_else(|| "a key without kid".to_owned(), |id| format!("kid {id}"));
        found.ok("jwks-key", format!("{id} is not used: {}", skipped.why));
    }
    if !usable {
        let pinned = accepted.iter().map(|algorithm| algorithm.as_str());
        let detail = format!("no key can sign with {}", listed(pinned));
        found.fail("jwks", detail, "set signing_algorithms to what the provider signs with");
    }
}
