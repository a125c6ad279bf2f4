//! How a role's credentials are obtained, and IAM users' keys.

use super::connector::read_secret;
use super::reader::{Item, Keys};
use super::{ReadFile, nearest};
use crate::catalog::{Chain, FederationToken, Method, SessionToken, UserKey};

/// `method`, and the table that is named like it. `None` when it cannot be read, which is reported.
pub(super) fn read_method(role: &Keys<'_, '_>) -> Option<Method> {
    let written = role.get("method");
    let word = written.as_ref().map_or(Some("saml".to_owned()), Item::text);
    // All of them are asked for, so that each is known wherever it stands.
    let tables = [role.get("chain"), role.get("federation-token"), role.get("session-token")];
    let [chain, federation, session] = &tables;
    for (table, name) in tables.iter().zip(["chain", "federation-token", "session-token"]) {
        let Some(table) = table else { continue };
        match word.as_deref() {
            Some(word) if word != name && written.is_none() => {
                table.fail(format!("this says how to obtain credentials another way; write method = \"{name}\" too"));
            }
            Some(word) if word != name && Method::NAMES.contains(&word) => {
                table.fail(format!("the method of this role is {word}; leave [role.{name}] out or change the method"));
            }
            _ => {}
        }
    }
    match word?.as_str() {
        "saml" => Some(Method::Saml),
        "web-identity" => Some(Method::WebIdentity),
        "chain" => read_chain(role, chain.as_ref()).map(Method::Chain),
        "federation-token" => read_federation_token(role, federation.as_ref()).map(Method::FederationToken),
        "session-token" => read_session_token(role, session.as_ref()).map(Method::SessionToken),
        other => {
            let near = nearest(other, Method::NAMES);
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            if let Some(item) = written {
                item.fail(format!("`{other}` is no method; write one of {}{hint}", Method::NAMES.join(", ")));
            }
            None
        }
    }
}

fn table<'a, 's>(
    role: &Keys<'a, 's>,
    name: &'static str,
    item: Option<&Item<'a, 's>>,
    how: &str,
) -> Option<Keys<'a, 's>> {
    match item {
        Some(item) => item.keys(how),
        None => {
            role.missing(name, how);
            None
        }
    }
}

fn read_chain<'a, 's>(role: &Keys<'a, 's>, item: Option<&Item<'a, 's>>) -> Option<Chain> {
    const VIA: &str = "via = \"111122223333/Hub\": the role it is reached from, as another [[role]] has it";
    let keys = table(role, "chain", item, "chain = { via = \"111122223333/Hub\" }")?;
    let via = keys.required("via", VIA).and_then(|item| item.parsed());
    let external_id = keys.get("external_id").map(|item| item.parsed());
    let transitive = keys.get("transitive_tags");
    let transitive = transitive.map(|item| item.one_or_list().iter().filter_map(Item::parsed).collect());
    keys.finish();
    Some(Chain {
        via: via?,
        // Without an external ID that was written and cannot be read, it would be another role.
        external_id: external_id.map_or(Some(None), |read| read.map(Some))?,
        transitive_tags: transitive.unwrap_or_default(),
    })
}

fn read_federation_token<'a, 's>(role: &Keys<'a, 's>, item: Option<&Item<'a, 's>>) -> Option<FederationToken> {
    let keys = table(role, "federation-token", item, "federation-token = { key = \"…\" }, the id of a [[key]]")?;
    let key = keys.required("key", "key = \"…\", the id of a [[key]]").and_then(|item| item.parsed());
    keys.finish();
    Some(FederationToken { key: key? })
}

fn read_session_token<'a, 's>(role: &Keys<'a, 's>, item: Option<&Item<'a, 's>>) -> Option<SessionToken> {
    let keys = table(role, "session-token", item, "session-token = { key = \"…\" }, the id of a [[key]]")?;
    let key = keys.required("key", "key = \"…\", the id of a [[key]]").and_then(|item| item.parsed());
    let mfa_serial = keys.get("mfa_serial").map(|item| item.parsed());
    keys.finish();
    Some(SessionToken { key: key?, mfa_serial: mfa_serial.map_or(Some(None), |read| read.map(Some))? })
}

pub(super) fn read_key(item: &Item<'_, '_>, read: ReadFile<'_>) -> Option<UserKey> {
    let keys = item.keys("[[key]] and its keys below")?;
    let id = keys.required("id", "id = \"legacy-uploads\"").and_then(|item| item.parsed());
    let account = keys.required("account", "account = \"111122223333\", in quotes").and_then(|item| item.parsed());
    let user = keys.required("user", "user = \"jane\", the name of the IAM user").and_then(|item| item.parsed());
    let access_key_id = keys.required("access_key_id", "access_key_id = \"AKIA…\"").and_then(|item| item.parsed());
    const NAMES: [&str; 3] = ["secret_access_key_file", "secret_access_key", "secret_access_key_sealed"];
    let secret_access_key = read_secret(&keys, read, NAMES, "the secret access key");
    if NAMES.into_iter().all(|name| !keys.has(name)) {
        keys.missing(NAMES[0], "secret_access_key_file = \"legacy.secret\", a file with the secret access key alone");
    }
    keys.finish();
    Some(UserKey {
        id: id?,
        account: account?,
        user: user?,
        access_key_id: access_key_id?,
        secret_access_key: secret_access_key?,
    })
}
