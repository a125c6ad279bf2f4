//! From claims as one provider sends them to a person as we know people.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::json::Object;
use super::judge::scalar;
use super::{OidcError, Settings};
use crate::catalog::{ClaimGroups, ClaimPath, Prefer};
use crate::identity::{Attributes, Groups};
use crate::saml::names::trimmed;
use crate::signin::{Received, Source};

/// A subject longer than this is nobody's name.
const MAX_SUBJECT_BYTES: usize = 1024;

/// What the claims say about the person.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Person {
    pub subject: String,
    pub email: Option<String>,
    pub name: Option<String>,
    pub groups: Groups,
    pub attributes: Attributes,
}

/// The claims about one person, from the ID token and perhaps from userinfo.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    pub id_token: &'a Object,
    pub userinfo: Option<&'a Object>,
    pub prefer: Prefer,
}

impl<'a> Sources<'a> {
    pub fn id_token(id_token: &'a Object) -> Self {
        Self { id_token, userinfo: None, prefer: Prefer::IdToken }
    }

    /// Everything as it arrived, the ID token's first.
    pub fn received(self) -> Vec<Received> {
        let mut all = Vec::new();
        let id_token = self.id_token.iter().map(|claim| (Source::IdToken, claim));
        let userinfo = self.userinfo.into_iter().flatten().map(|claim| (Source::Userinfo, claim));
        for (source, (name, value)) in id_token.chain(userinfo) {
            unfold(source, name.clone(), value, &mut all);
        }
        all
    }

    /// What counts first comes first.
    fn in_order(self) -> impl Iterator<Item = &'a Object> {
        let (first, second) = match (self.prefer, self.userinfo) {
            (Prefer::UserInfo, Some(userinfo)) => (userinfo, Some(self.id_token)),
            (_, userinfo) => (self.id_token, userinfo),
        };
        std::iter::once(first).chain(second)
    }

    fn find(self, path: &ClaimPath) -> Option<&'a Value> {
        self.in_order().find_map(|source| walk(source, path))
    }

    /// Something the catalog maps that nobody has sent, by its path; what only looks better on a page comes last.
    pub fn missing(self, settings: &Settings) -> Option<Missing> {
        let map = &settings.claims;
        let wanted = map.subject.iter().chain([&map.email]).chain(map.extra.values());
        if let Some(path) = wanted.into_iter().find(|path| self.find(path).is_none()) {
            return Some(Missing::Mapped(path.to_string()));
        }
        let groups = map.groups.as_ref().filter(|groups| self.find(&groups.claim).is_none());
        // Left out with a pointer to elsewhere: another answer of this provider will not have them either.
        if let Some(groups) = groups.filter(|groups| !self.left_out(&groups.claim)) {
            return Some(Missing::Mapped(groups.claim.to_string()));
        }
        // An address without a word on its check is not taken; the word may be in the other answer. A "no" is a word.
        let unchecked = !settings.trust_email
            && self.find(&map.email).is_some()
            && self.in_order().all(|source| !source.contains_key("email_verified"));
        (unchecked || self.find(&map.name).is_none()).then_some(Missing::Wished)
    }

    /// Whether the provider says that it has a claim and did not send it.
    ///
    /// Spec: OpenID Connect Core 1.0, section 5.6.2 (distributed claims). Where `_claim_sources` points is never called:
    /// it is an address chosen by others, and it would get a token.
    fn left_out(self, claim: &ClaimPath) -> bool {
        let parts = claim.parts();
        self.in_order().any(|source| {
            let named = source.get("_claim_names").and_then(Value::as_object);
            let named = named.is_some_and(|names| parts.first().is_some_and(|first| names.contains_key(first)));
            // Entra ID, where a token has to stay short.
            let has_groups = parts.len() == 1 && parts[0] == "groups" && source.get("hasgroups").is_some_and(is_true);
            named || has_groups
        })
    }
}

/// What was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Missing {
    /// Something that says who somebody is or what they may do.
    Mapped(String),
    /// Something that another answer may add, and without which nobody is mistaken for anybody else.
    Wished,
}

/// Members of objects by the way to them, as the catalog would name them. Nesting was bounded when it was read.
fn unfold(source: Source, name: String, value: &Value, into: &mut Vec<Received>) {
    let one = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let values = match value {
        Value::Object(members) if !members.is_empty() => {
            for (member, value) in members {
                unfold(source, format!("{name} → {member}"), value, into);
            }
            return;
        }
        Value::Array(items) => items.iter().map(one).collect(),
        other => vec![one(other)],
    };
    into.push(Received { source, name, values });
}

pub(in crate::signin) fn walk<'a>(source: &'a Object, path: &ClaimPath) -> Option<&'a Value> {
    let (first, inner) = path.parts().split_first()?;
    let start = source.get(first)?;
    let value = inner.iter().try_fold(start, |value, part| value.as_object()?.get(part))?;
    (!value.is_null()).then_some(value)
}

/// Reads the person; `sub` is that of the ID token.
pub(super) fn person(settings: &Settings, sub: &str, sources: Sources<'_>) -> Result<Person, OidcError> {
    let map = &settings.claims;
    let subject = match &map.subject {
        None => sub.to_owned(),
        Some(path) => match sources.find(path).map(texts).unwrap_or_default().as_slice() {
            [only] => only.clone(),
            // None names nobody, and of two nobody can say which.
            _ => return Err(OidcError::SubjectClaim(path.to_string())),
        },
    };
    if subject.len() > MAX_SUBJECT_BYTES || subject.chars().any(char::is_control) {
        return Err(OidcError::SubjectUnusable { limit: MAX_SUBJECT_BYTES });
    }
    let mut attributes = BTreeMap::new();
    for (ours, path) in &map.extra {
        let values = sources.find(path).map(texts).unwrap_or_default();
        if !values.is_empty() {
            attributes.insert(ours.to_string(), values);
        }
    }
    Ok(Person {
        subject,
        email: email(settings, sources),
        name: sources.find(&map.name).and_then(|value| texts(value).into_iter().next()),
        groups: map.groups.as_ref().map_or_else(Groups::default, |source| groups(source, settings, sources)),
        attributes: Attributes(attributes),
    })
}

/// The address, if somebody has checked that it is the person's. Address and check come from the same answer, and the
/// check is about the claim `email` alone: of an address in any other claim nobody has said anything.
fn email(settings: &Settings, sources: Sources<'_>) -> Option<String> {
    for source in sources.in_order() {
        let address = walk(source, &settings.claims.email).and_then(|value| texts(value).into_iter().next());
        let Some(address) = address else { continue };
        let checked = source.get("email_verified").is_some_and(is_true)
            && source.get("email").and_then(Value::as_str) == Some(address.as_str());
        if checked || settings.trust_email {
            return Some(address);
        }
        // What counts more has said no: the other answer does not overrule it.
        if source.contains_key("email_verified") {
            return None;
        }
    }
    None
}

fn is_true(value: &Value) -> bool {
    // Amazon Cognito writes its booleans as text.
    value == &Value::Bool(true) || value == "true"
}

/// The values of a claim; what is itself an object or a list inside the list has none.
pub(in crate::signin) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(scalar).collect(),
        one => scalar(one).into_iter().collect(),
    }
}

fn groups(source: &ClaimGroups, settings: &Settings, sources: Sources<'_>) -> Groups {
    let sent: &[Value] = match sources.find(&source.claim) {
        None => &[],
        Some(Value::Array(items)) => items,
        // One group may come without its list (LemonLDAP::NG), or all of them in one text.
        Some(one) => std::slice::from_ref(one),
    };
    let (mut count, mut unreadable) = (0_usize, false);
    let (mut seen, mut values) = (HashSet::new(), Vec::new());
    let mut add = |value: &str| {
        let value = trimmed(value);
        if value.is_empty() {
            return;
        }
        count += 1;
        let value = match &source.prefix {
            None => Some(value),
            Some(prefix) => value.strip_prefix(prefix.as_str()),
        };
        if let Some(value) = value.filter(|value| !value.is_empty())
            && seen.insert(value.to_owned())
        {
            values.push(value.to_owned());
        }
    };
    for item in sent {
        match (item, scalar(item)) {
            (Value::Array(_) | Value::Object(_), _) => unreadable = true,
            (_, None) => {}
            (_, Some(text)) => match source.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty()) {
                None => add(&text),
                Some(delimiter) => text.split(delimiter).for_each(&mut add),
            },
        }
    }
    let reason = if sources.left_out(&source.claim) {
        Some(format!(
            "the provider left {} out and pointed elsewhere, as Entra ID does for people in more than 200 groups; send \
             only the groups assigned to the application",
            source.claim
        ))
    } else if unreadable {
        Some(format!("{} holds something that is not a group's name", source.claim))
    } else if settings.groups_limit.is_some_and(|limit| usize::try_from(limit) == Ok(count)) {
        Some(format!("exactly {count} groups came, which is where this provider cuts the list off"))
    } else {
        None
    };
    match reason {
        None => Groups::Complete { values },
        Some(reason) => Groups::Incomplete { values, reason },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::forge::settings;
    use super::*;

    fn object(value: Value) -> Object {
        match value {
            Value::Object(object) => object,
            other => panic!("{other}"),
        }
    }

    fn path(parts: &[&str]) -> ClaimPath {
        ClaimPath::new(parts.iter().map(|part| (*part).to_owned()).collect()).unwrap()
    }

    fn read(settings: &Settings, claims: Value) -> Result<Person, &'static str> {
        let claims = object(claims);
        person(settings, "sub-1", Sources::id_token(&claims)).map_err(|e| e.code())
    }

    fn groups_of(
        claim: ClaimPath,
        delimiter: Option<&str>,
        prefix: Option<&str>,
        limit: Option<u32>,
        claims: Value,
    ) -> Groups {
        let mut settings = settings();
        let owned = |text: Option<&str>| text.map(str::to_owned);
        settings.claims.groups = Some(ClaimGroups { claim, delimiter: owned(delimiter), prefix: owned(prefix) });
        settings.groups_limit = limit;
        read(&settings, claims).unwrap().groups
    }

    fn complete(values: &[&str]) -> Groups {
        Groups::Complete { values: values.iter().map(|value| (*value).to_owned()).collect() }
    }

    #[test]
    fn groups_come_as_a_list_as_one_text_or_joined() {
        let simple = |value: Value| groups_of(path(&["groups"]), None, None, None, json!({"groups": value}));
        assert_eq!(simple(json!(["a", "b", "a", "", " c "])), complete(&["a", "b", "c"]));
        assert_eq!(simple(json!("a,b")), complete(&["a,b"]));
        assert_eq!(simple(json!([7, true, null])), complete(&["7", "true"]));
        assert_eq!(simple(json!(null)), complete(&[]));
        let split = |value: Value| groups_of(path(&["groups"]), Some(","), Some("/"), None, json!({"groups": value}));
        assert_eq!(split(json!("/a, /b/c,d,/")), complete(&["a", "b/c"]));
        assert_eq!(split(json!(["/a,/b", "/c"])), complete(&["a", "b", "c"]));
    }

    #[test]
    fn a_name_is_literal_and_a_path_walks() {
        let claims = json!({
            "https://corp.example/groups": ["literal"],
            "realm_access.roles": ["dotted"],
            "realm_access": {"roles": ["walked"], "text": "x"},
        });
        let at = |parts: &[&str]| groups_of(path(parts), None, None, None, claims.clone());
        assert_eq!(at(&["https://corp.example/groups"]), complete(&["literal"]));
        assert_eq!(at(&["realm_access.roles"]), complete(&["dotted"]));
        assert_eq!(at(&["realm_access", "roles"]), complete(&["walked"]));
        assert_eq!(at(&["realm_access", "text", "more"]), complete(&[]));
        assert_eq!(at(&["absent", "roles"]), complete(&[]));
    }

    #[test]
    fn what_was_left_out_is_incomplete_and_never_none() {
        let pointer = json!({"endpoint": "https://graph.example/x", "access_token": "t"});
        let distributed = json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": pointer}});
        let groups = |claim: &[&str], limit, claims: Value| groups_of(path(claim), None, None, limit, claims);
        for claims in [
            distributed.clone(),
            json!({"hasgroups": true}),
            json!({"hasgroups": "true"}),
            json!({"groups": ["a", ["b"]]}),
            json!({"groups": {"a": 1}}),
            json!({"groups": ["a"], "_claim_names": {"groups": "src1"}}),
        ] {
            let found = groups(&["groups"], None, claims.clone());
            assert!(matches!(found, Groups::Incomplete { .. }), "{claims}: {found:?}");
        }
        assert!(matches!(
            groups(&["resource_access", "x"], None, json!({"_claim_names": {"resource_access": "s"}})),
            Groups::Incomplete { .. }
        ));
        // About another claim.
        assert_eq!(groups(&["roles"], None, distributed), complete(&[]));
        assert_eq!(groups(&["roles"], None, json!({"hasgroups": true, "roles": ["a"]})), complete(&["a"]));
        assert_eq!(groups(&["groups"], None, json!({"hasgroups": false})), complete(&[]));

        let many = |count: usize| json!({"groups": (0..count).map(|n| format!("g{n}")).collect::<Vec<_>>()});
        assert!(matches!(groups(&["groups"], Some(3), many(2)), Groups::Complete { .. }));
        let cut = groups(&["groups"], Some(3), many(3));
        assert!(matches!(&cut, Groups::Incomplete { values, .. } if values.len() == 3), "{cut:?}");
        assert!(matches!(groups(&["groups"], Some(3), many(4)), Groups::Complete { .. }));
    }

    #[test]
    fn a_list_is_cut_before_our_prefix_picks_from_it() {
        let claims = json!({"groups": ["/a", "b", "c"]});
        let found = groups_of(path(&["groups"]), None, Some("/"), Some(3), claims);
        assert!(matches!(found, Groups::Incomplete { values, .. } if values == ["a"]));
    }

    #[test]
    fn an_address_counts_only_when_somebody_has_checked_it() {
        let mut settings = settings();
        let email = |settings: &Settings, claims: Value| read(settings, claims).unwrap().email;
        let some = Some("a@corp.example".to_owned());
        assert_eq!(email(&settings, json!({"email": "a@corp.example", "email_verified": true})), some);
        assert_eq!(email(&settings, json!({"email": "a@corp.example", "email_verified": "true"})), some);
        for doubtful in [json!(false), json!("false"), json!(null), json!(1), json!("yes"), json!([true])] {
            assert_eq!(email(&settings, json!({"email": "a@corp.example", "email_verified": doubtful})), None);
        }
        // The check is about `email`; whoever can choose their `upn` must not ride on it.
        settings.claims.email = path(&["upn"]);
        let other = json!({"email": "own@mail.example", "email_verified": true, "upn": "a@corp.example"});
        assert_eq!(email(&settings, other.clone()), None);
        settings.trust_email = true;
        assert_eq!(email(&settings, other), some);
    }

    #[test]
    fn an_address_and_its_check_come_from_one_answer() {
        let settings = settings();
        let id_token = object(json!({"email": "a@corp.example"}));
        let userinfo = object(json!({"email_verified": true}));
        let sources = |userinfo| Sources { id_token: &id_token, userinfo: Some(userinfo), prefer: Prefer::IdToken };
        assert_eq!(person(&settings, "s", sources(&userinfo)).unwrap().email, None);
        let both = object(json!({"email": "b@corp.example", "email_verified": true}));
        let refused = object(json!({"email": "b@corp.example", "email_verified": false}));
        let overruled = Sources { id_token: &refused, userinfo: Some(&both), prefer: Prefer::IdToken };
        assert_eq!(person(&settings, "s", overruled).unwrap().email, None);
        assert_eq!(person(&settings, "s", sources(&both)).unwrap().email.as_deref(), Some("b@corp.example"));
    }

    #[test]
    fn the_subject_is_exactly_one_usable_text() {
        let mut settings = settings();
        assert_eq!(read(&settings, json!({"sub": "not read here"})).unwrap().subject, "sub-1");
        settings.claims.subject = Some(path(&["oid"]));
        assert_eq!(read(&settings, json!({"oid": "o-1"})).unwrap().subject, "o-1");
        assert_eq!(read(&settings, json!({"oid": ["o-1"]})).unwrap().subject, "o-1");
        assert_eq!(read(&settings, json!({"oid": 7})).unwrap().subject, "7");
        for missing in
            [json!({}), json!({"oid": ""}), json!({"oid": ["a", "b"]}), json!({"oid": {}}), json!({"oid": null})]
        {
            assert_eq!(read(&settings, missing.clone()), Err("subject-claim-missing"), "{missing}");
        }
        assert_eq!(read(&settings, json!({"oid": "a\u{0}"})), Err("subject-unusable"));
        assert_eq!(read(&settings, json!({"oid": "x".repeat(1_025)})), Err("subject-unusable"));
    }

    #[test]
    fn further_claims_become_attributes() {
        let mut settings = settings();
        settings.claims.extra.insert("cost".parse().unwrap(), path(&["costs", "center"]));
        settings.claims.extra.insert("gone".parse().unwrap(), path(&["gone"]));
        let person = read(&settings, json!({"costs": {"center": [4711, "x"]}, "gone": {}})).unwrap();
        assert_eq!(person.attributes.values("cost"), ["4711", "x"]);
        assert!(person.attributes.values("gone").is_empty());
    }
}
