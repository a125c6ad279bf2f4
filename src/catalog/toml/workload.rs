//! `[[connector]]` with `kind = "workload"`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::connector::{read_algorithms, read_claim, read_clock_skew};
use super::reader::{Item, Keys};
use super::{ReadFile, read_when};
use crate::catalog::workload::check_jwks;
use crate::catalog::{AttributeName, ClaimPath, Issuer, KeySource, WorkloadConnector};

/// `None` only where nothing could be made of it, which was reported.
pub(super) fn read_workload(keys: &Keys<'_, '_>, read: ReadFile<'_>) -> Option<WorkloadConnector> {
    let issuer = keys.required("issuer", "issuer = \"https://token.actions.githubusercontent.com\"");
    let issuer: Option<Issuer> = issuer.and_then(|item| item.parsed());
    // What cannot be read is reported; the rest is read all the same, so that all mistakes are said at once.
    let standing_in = || "https://unread.invalid".parse().expect("it is an https URL");
    let unread = issuer.is_none();
    let mut workload = WorkloadConnector::new(issuer.unwrap_or_else(standing_in));
    workload.audience = keys.get("audience").and_then(|item| item.filled_text());
    workload.keys = read_keys(keys, read);
    read_algorithms(keys, &mut workload.signing_algorithms);
    workload.private_addresses = keys.boolean("private_addresses", false);
    workload.clock_skew = read_clock_skew(keys);
    if let Some(age) = keys.get("max_token_age").and_then(|item| read_age(&item)) {
        workload.max_token_age = age;
    }
    workload.once = keys.boolean("once", false);
    workload.other_audiences = keys.boolean("other_audiences", false);
    workload.require = keys.get("require").map(|item| read_when(&item)).unwrap_or_default();
    workload.attributes = keys.get("attributes").map(|item| read_attributes(&item)).unwrap_or_default();
    if unread {
        keys.finish();
        return None;
    }
    Some(workload)
}

fn read_age(item: &Item<'_, '_>) -> Option<Duration> {
    let seconds = item.seconds()?;
    if (60..=WorkloadConnector::LONGEST_AGE.as_secs()).contains(&seconds) {
        Some(Duration::from_secs(seconds))
    } else {
        item.fail("a token may be between 1m and 24h old");
        None
    }
}

fn read_keys(keys: &Keys<'_, '_>, read: ReadFile<'_>) -> KeySource {
    let given: Vec<_> = ["jwks_file", "jwks_uri", "jwks"].into_iter().filter(|key| keys.has(key)).collect();
    if given.len() > 1 {
        keys.fail(format!("{} are given together; keep one of them", given.join(" and ")));
    }
    let inline = |item: &Item<'_, '_>, text: &str| {
        check_jwks(text).map_err(|why| item.fail(why)).ok().map(|()| KeySource::Inline(text.to_owned()))
    };
    let from_file = keys.get("jwks_file").and_then(|item| {
        let path = item.filled_text()?;
        match read(Path::new(&path)).map(String::from_utf8) {
            Ok(Ok(text)) => inline(&item, &text),
            Ok(Err(_)) => {
                item.fail(format!("{path} is not UTF-8"));
                None
            }
            Err(error) => {
                item.fail(format!("{path} cannot be read: {error}; the path is relative to the catalog file"));
                None
            }
        }
    });
    let written = keys.get("jwks").and_then(|item| inline(&item, &item.filled_text()?));
    let url = keys.get("jwks_uri").and_then(|item| item.parsed().map(KeySource::Url));
    // What was given and could not be read was reported: no catalog will be made of it.
    let unread = || if given.is_empty() { KeySource::Discovery } else { KeySource::Inline(String::new()) };
    from_file.or(written).or(url).unwrap_or_else(unread)
}

fn read_attributes(item: &Item<'_, '_>) -> BTreeMap<AttributeName, ClaimPath> {
    let Some(keys) = item.keys("{ our_name = \"their claim\" }") else { return BTreeMap::new() };
    let entry = |(key, item): (&str, Item<'_, '_>)| {
        let theirs = read_claim(&item);
        Some((item.parse_key(key)?, theirs?))
    };
    keys.all().into_iter().filter_map(entry).collect()
}
