//! Catalogs and people for property tests: from small vocabularies, so that they have to do with each other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::aws::{Partition, ScopeDown, SessionDuration};
use crate::identity::{Attributes, Authentication, Demand, Groups, NameIdQualifiers, SubjectId, VerifiedIdentity};

const ACCOUNTS: [&str; 3] = ["111122223333", "444455556666", "777788889999"];
const ROLES: [&str; 4] = ["Read", "Write", "team/Read", "team/Admin"];
const KEYS: [&str; 3] = ["legacy", "jane", "j.-_1"];
const CONNECTORS: [&str; 2] = ["okta", "entra"];
const VALUES: [&str; 10] = [
    "a",
    "b",
    "ab",
    "abc",
    "A",
    "aws-111122223333-Read",
    "aws-444455556666-Write",
    "aws-777788889999-Admin",
    "team-Admin",
    "x\ny",
];
const GLOBS: [&str; 7] = ["a*", "*b", "?b", "*", "aws-*-Read", "x?y", "a*c"];
const EXPRESSIONS: [&str; 7] = [
    r"aws-(?<account>\d{12})-(?<role>\w+)",
    r"team-(?<role>.*)",
    r"(?<role>[A-Z][a-z]+)-(?<account>\d+)|aws-(?<account2>\d+)-(?<role2>.*)",
    "(?i)AB?",
    "[ab]+",
    "a|ab",
    "(?s).*",
];

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug> + std::fmt::Debug>(text: &str) -> T {
    text.parse().unwrap()
}

/// Text of any kind that is not blank.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("plain".to_owned()),
        Just("'''\"\"\" \\ \t\r\n{x} # ]".to_owned()),
        any::<String>().prop_filter("blank", |text| !text.trim().is_empty()),
    ]
}

fn duration() -> impl Strategy<Value = SessionDuration> {
    (900_u32..=129_600).prop_map(|seconds| SessionDuration::from_secs(seconds).unwrap())
}

fn tags() -> impl Strategy<Value = Tags> {
    btree_map(select(vec!["env", "level", "a.b c"]), select(vec!["prod", "test", "\"q\""]), 0..3)
        .prop_map(|tags| tags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

fn attribute() -> impl Strategy<Value = Attribute> {
    select(vec!["groups", "groups", "connector", "email", "name", "subject", "department"]).prop_map(parsed)
}

fn pattern() -> impl Strategy<Value = Pattern> {
    prop_oneof![
        4 => select(VALUES.as_slice()).prop_map(|text| Pattern::Exact(text.into())),
        1 => select(CONNECTORS.as_slice()).prop_map(|text| Pattern::Exact(text.into())),
        2 => select(GLOBS.as_slice()).prop_map(|text| Pattern::Glob(Glob::new(text).unwrap())),
        3 => select(EXPRESSIONS.as_slice()).prop_map(|text| Pattern::Matches(Expression::new(text).unwrap())),
    ]
}

fn tag_selector() -> impl Strategy<Value = TagSelector> {
    btree_map(select(vec!["env", "level"]), btree_set(select(vec!["prod", "test"]), 1..3), 0..2).prop_map(|tags| {
        tags.into_iter()
            .map(|(key, values)| (key.to_owned(), values.into_iter().map(str::to_owned).collect::<BTreeSet<_>>()))
            .collect()
    })
}

fn grant() -> impl Strategy<Value = Grant> {
    let account = prop_oneof![
        Just(AccountSelector::Any),
        btree_set(select(ACCOUNTS.as_slice()), 1..3)
            .prop_map(|ids| AccountSelector::Ids(ids.into_iter().map(parsed).collect())),
        Just(AccountSelector::Captured(parsed("{account}"))),
    ];
    let role = prop_oneof![
        Just(RoleSelector::Any),
        btree_set(select(ROLES.as_slice()), 1..3)
            .prop_map(|names| RoleSelector::Names(names.into_iter().map(parsed).collect())),
        select(vec!["{role}", "team/{role}"]).prop_map(|template| RoleSelector::Captured(parsed(template))),
    ];
    (account, tag_selector(), role, tag_selector()).prop_map(|(account, account_tags, role, role_tags)| Grant {
        account,
        account_tags,
        role,
        role_tags,
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let conditions = btree_map(attribute(), vec(pattern(), 1..3).prop_map(|p| AnyOf::new(p).unwrap()), 1..3);
    (0..20_u8, option::of(text()), conditions, vec(grant(), 1..4), option::of(duration()), scope_down()).prop_map(
        |(id, description, when, grants, max_session, scope_down)| Rule {
            id: parsed(&format!("rule-{id}")),
            description,
            when,
            grants,
            max_session,
            scope_down,
        },
    )
}

fn connector() -> impl Strategy<Value = Connector> {
    let metadata = prop_oneof![
        Just(MetadataSource::Url(parsed("https://idp.example/metadata?x=%20"))),
        Just(MetadataSource::Inline(tests::METADATA.clone())),
    ];
    let groups = option::of(
        (text(), option::of(text()), option::of(text())).prop_map(|(attribute, delimiter, prefix)| GroupSource {
            attribute,
            delimiter,
            prefix,
        }),
    );
    let attributes = (option::of(text()), option::of(text()), option::of(text()), groups, text(), any::<bool>())
        .prop_map(|(subject, email, name, groups, department, friendly_names)| AttributeMap {
            subject,
            email,
            name,
            groups,
            extra: BTreeMap::from([(parsed("department"), department)]),
            friendly_names,
        });
    let authn = option::of(
        (select(AuthnComparison::ALL.as_slice()), vec(text(), 1..3))
            .prop_map(|(comparison, classes)| RequestedAuthnContext { comparison, classes }),
    );
    let saml = (metadata, option::of(text()), attributes, any::<[bool; 5]>(), 0..=600_u32, authn).prop_map(
        |(metadata, entity_id, attributes, [a, b, c, d, e], skew, authn_context)| SamlConnector {
            metadata,
            idp_entity_id: None,
            sp_entity_id: entity_id,
            attributes,
            idp_initiated: a,
            sign_requests: b,
            encrypt_assertions: c,
            force_authn: d,
            allow_sha1: e,
            clock_skew: ClockSkew::from_secs(skew).unwrap(),
            name_id_format: a.then(|| "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent".to_owned()),
            authn_context,
            logout_issuer: None,
        },
    );
    let kind = prop_oneof![
        2 => saml.prop_map(|saml| ConnectorKind::Saml(Box::new(saml))),
        1 => oidc().prop_map(|oidc| ConnectorKind::Oidc(Box::new(oidc))),
        1 => workload().prop_map(|workload| ConnectorKind::Workload(Box::new(workload))),
    ];
    let domains = btree_set(select(vec!["corp.example", "partner.example"]).prop_map(parsed), 0..2);
    let limit = || option::of((60_u64..100_000).prop_map(Duration::from_secs));
    (select(CONNECTORS.as_slice()), text(), prop::bool::weighted(0.8), kind, limit(), limit(), domains).prop_map(
        |(id, name, enabled, kind, idle, absolute, email_domains)| {
            let (id, people) = (parsed(id), !matches!(kind, ConnectorKind::Workload(_)));
            let session = if people { SessionLimits { idle, absolute } } else { SessionLimits::default() };
            let email_domains = if people { email_domains } else { BTreeSet::new() };
            Connector { id, name, enabled, kind, session, email_domains, default: people && idle.is_some() }
        },
    )
}

fn workload() -> impl Strategy<Value = WorkloadConnector> {
    let issuer =
        select(vec!["https://ci.example", "https://ci.example/", "https://token.actions.githubusercontent.com"]);
    let jwks = r#"{"keys":[{"kty":"RSA","n":"'''","e":"AQAB"}]}"#;
    let keys = prop_oneof![
        Just(KeySource::Discovery),
        Just(KeySource::Url(parsed("https://ci.example/jwks?x=%20"))),
        Just(KeySource::Inline(jwks.to_owned())),
    ];
    let algorithms = btree_set(select(JwsAlgorithm::ALL), 1..4);
    let required = vec(pattern(), 1..3).prop_map(|patterns| AnyOf::new(patterns).unwrap());
    (issuer, option::of(text()), keys, algorithms, any::<[bool; 4]>(), 0..=600_u32, 60..=86_400_u64, required, claim())
        .prop_map(|(issuer, audience, keys, signing_algorithms, on, skew, age, required, department)| {
            WorkloadConnector {
                audience,
                keys,
                signing_algorithms,
                private_addresses: on[0],
                clock_skew: ClockSkew::from_secs(skew).unwrap(),
                max_token_age: Duration::from_secs(age),
                once: on[1],
                other_audiences: on[2],
                require: BTreeMap::from([(if on[3] { Attribute::Subject } else { parsed("department") }, required)]),
                attributes: BTreeMap::from([
                    (parsed("department"), department),
                    (parsed("a.dotted-name"), ClaimPath::literal("kubernetes.io")),
                ]),
                ..WorkloadConnector::new(parsed(issuer))
            }
        })
}

fn claim() -> impl Strategy<Value = ClaimPath> {
    vec(text(), 1..3).prop_map(|parts| ClaimPath::new(parts).unwrap())
}

fn oidc() -> impl Strategy<Value = OidcConnector> {
    let groups = option::of(
        (claim(), option::of(text()), option::of(text())).prop_map(|(claim, delimiter, prefix)| ClaimGroups {
            claim,
            delimiter,
            prefix,
        }),
    );
    let claims =
        (option::of(claim()), claim(), groups, claim()).prop_map(|(subject, email, groups, department)| ClaimMap {
            subject,
            email,
            groups,
            extra: BTreeMap::from([(parsed("department"), department)]),
            ..ClaimMap::default()
        });
    let issuer = select(vec!["https://idp.example", "https://idp.example/", "http://localhost:9000/realms/a"]);
    let algorithms = btree_set(select(JwsAlgorithm::ALL), 1..4);
    let asked =
        (option::of(select(Prompt::ALL)), vec(select(vec!["urn:mfa", "phr"]), 0..3), option::of(60_u64..90_000));
    let options = (select(UserInfo::ALL), select(Prefer::ALL), select(ResponseMode::ALL), option::of(1_u32..500));
    (issuer, text(), claims, algorithms, asked, options, any::<[bool; 6]>(), 0..=600_u32).prop_map(
        |(
            issuer,
            client_id,
            claims,
            signing_algorithms,
            (prompt, acr, max_age),
            (userinfo, prefer, mode, limit),
            on,
            skew,
        )| {
            let sealed = || Secret::Sealed(parsed("c2VhbGVk"));
            OidcConnector {
                client_secret: on[0].then(sealed),
                client_auth: on[1].then_some(if on[0] { ClientAuth::Post } else { ClientAuth::PrivateKeyJwt }),
                scopes: if on[2] { vec!["openid".into(), "groups".into()] } else { vec!["openid".into()] },
                signing_algorithms,
                userinfo,
                prefer,
                acr_values: acr.into_iter().map(str::to_owned).collect(),
                prompt,
                max_age: max_age.map(Duration::from_secs),
                force_authn: on[3],
                login_hint: on[4],
                response_mode: mode,
                private_addresses: on[5],
                trust_email: on[0],
                groups_limit: limit,
                clock_skew: ClockSkew::from_secs(skew).unwrap(),
                claims,
                ..OidcConnector::new(parsed(issuer), client_id)
            }
        },
    )
}

fn link() -> impl Strategy<Value = Link> {
    (0..3_u8, btree_set(select(CONNECTORS.as_slice()), 1..3), attribute()).prop_map(|(id, connectors, attribute)| {
        Link { id: parsed(&format!("link-{id}")), connectors: connectors.into_iter().map(parsed).collect(), attribute }
    })
}

fn demand() -> impl Strategy<Value = Demand> {
    (option::of(60_u64..90_000), vec(text(), 0..3), vec(text(), 1..3)).prop_map(|(max_age, contexts, methods)| Demand {
        max_age: max_age.map(Duration::from_secs),
        contexts,
        methods,
    })
}

fn account() -> impl Strategy<Value = Account> {
    let region = select(vec!["eu-west-1", "cn-north-1", "us-gov-west-1"]);
    (select(ACCOUNTS.as_slice()), text(), tags(), select(Partition::ALL.as_slice()), any::<bool>(), option::of(region))
        .prop_map(|(id, name, tags, partition, usual, region)| Account {
            id: parsed(id),
            name,
            tags,
            partition,
            saml_provider: parsed(if usual { DEFAULT_SAML_PROVIDER } else { "other" }),
            oidc_audience: if usual { OidcAudience::default() } else { parsed("rolegate+{'/}") },
            region: region.map(parsed).filter(|region| partition.has_region(region)),
        })
}

/// Most of them as they usually are; those that lead nowhere are taken out with their role.
fn method() -> impl Strategy<Value = Method> {
    let key = || select(KEYS.as_slice()).prop_map(parsed::<UserKeyId>);
    let external_id = option::of(select(vec!["ab", "rolegate:1/2=@"]).prop_map(parsed));
    let tags = btree_set(select(vec!["Department", "Cost Center"]).prop_map(parsed), 0..2);
    let via = (select(ACCOUNTS.as_slice()), select(ROLES.as_slice()))
        .prop_map(|(account, name)| RoleId { account: parsed(account), name: parsed(name) });
    let chain = (via, external_id, tags).prop_map(|(via, external_id, transitive_tags)| Chain {
        via,
        external_id,
        transitive_tags,
    });
    let serial = option::of(Just("arn:aws:iam::111122223333:mfa/jane").prop_map(parsed));
    prop_oneof![
        6 => Just(Method::Saml),
        2 => Just(Method::WebIdentity),
        6 => chain.prop_map(Method::Chain),
        1 => key().prop_map(|key| Method::FederationToken(FederationToken { key })),
        1 => (key(), serial).prop_map(|(key, mfa_serial)| Method::SessionToken(SessionToken { key, mfa_serial })),
    ]
}

fn user_key() -> impl Strategy<Value = UserKey> {
    (select(KEYS.as_slice()), select(ACCOUNTS.as_slice())).prop_map(|(id, account)| UserKey {
        id: parsed(id),
        account: parsed(account),
        user: parsed("jane.doe+aws"),
        access_key_id: parsed("SBUKEXAMPLEEXAMPLE12"),
        secret_access_key: Secret::Sealed(parsed("c2VhbGVk")),
    })
}

fn role() -> impl Strategy<Value = Role> {
    let session_tags = btree_map(
        select(vec!["Department", "Cost Center", "x:y/z"]).prop_map(parsed::<TagKey>),
        prop_oneof![
            Just(TagSource::Attribute(Attribute::Email)),
            Just(TagSource::Attribute(parsed("department"))),
            Just(TagSource::Value("4 2".into())),
        ],
        0..3,
    );
    let key = (select(ACCOUNTS.as_slice()), select(ROLES.as_slice()));
    let asked = (option::of(demand()), method());
    let more = (any::<bool>(), any::<bool>(), session_tags, asked, scope_down());
    (key, option::of(text()), tags(), duration(), option::of(duration()), more).prop_map(
        |((account, name), description, tags, max, default, more)| {
            let (far, transitive, session_tags, (authentication, method), scope_down) = more;
            let max_session = max.min(method.longest());
            let plain = matches!(method, Method::SessionToken(_));
            let session_tags = if plain { BTreeMap::new() } else { session_tags };
            Role {
                account: parsed(account),
                name: parsed(name),
                description,
                tags,
                max_session,
                default_session: default.map(|default| default.min(max_session)),
                destination: (far && !plain)
                    .then(|| parsed("https://console.aws.amazon.com/s3/home?region=eu-west-1#x")),
                region: None,
                transitive_tags: match method {
                    Method::FederationToken(_) => BTreeSet::new(),
                    _ => session_tags.keys().filter(|_| transitive).cloned().collect(),
                },
                session_tags,
                scope_down: match method {
                    Method::SessionToken(_) => ScopeDown::default(),
                    Method::FederationToken(_) if scope_down.is_empty() => {
                        ScopeDown { read_only: true, ..ScopeDown::default() }
                    }
                    _ => scope_down,
                },
                authentication,
                method,
            }
        },
    )
}

/// Nothing, mostly.
fn scope_down() -> impl Strategy<Value = ScopeDown> {
    let policy = r#"{"Statement":[{"Action":"s3:*","Effect":"Deny","Resource":"arn:aws:s3:::it's/*"}]}"#;
    let arn = "arn:aws:iam::aws:policy/job-function/ViewOnlyAccess";
    let regions = btree_set(select(vec!["eu-west-1", "us-gov-west-1"]).prop_map(parsed), 0..3);
    let networks = btree_set(select(vec!["203.0.113.0/24", "2001:db8::1"]).prop_map(parsed), 0..2);
    let some = (any::<[bool; 4]>(), regions, networks).prop_map(move |(on, regions, networks)| ScopeDown {
        read_only: on[0],
        regions,
        networks,
        from_here: on[1],
        policy: on[2].then(|| parsed(policy)),
        policy_arns: if on[3] { vec![parsed(arn)] } else { Vec::new() },
    });
    prop_oneof![2 => Just(ScopeDown::default()), 1 => some]
}

fn support() -> impl Strategy<Value = Support> {
    let contact = option::of(select(vec!["help@corp.example", "https://corp.example/help?a=b"]).prop_map(parsed));
    (option::of(text()), contact).prop_map(|(text, contact)| Support { text, contact })
}

/// What holds together of these parts: entries that do not fit are taken out until the rest does.
pub(crate) fn consistent(mut parts: Parts) -> Catalog {
    loop {
        let Err(found) = Catalog::assemble(parts.clone()) else { return Catalog::assemble(parts).unwrap() };
        let mut misfits: Vec<(Section, usize)> = found.0.iter().map(|one| (one.section, one.index)).collect();
        misfits.sort_unstable();
        misfits.dedup();
        for (section, index) in misfits.into_iter().rev() {
            match section {
                Section::Connector => drop(parts.connectors.remove(index)),
                Section::Account => drop(parts.accounts.remove(index)),
                Section::Role => drop(parts.roles.remove(index)),
                Section::Rule => drop(parts.rules.remove(index)),
                Section::Key => drop(parts.keys.remove(index)),
                Section::Link => drop(parts.links.remove(index)),
            }
        }
    }
}

pub(crate) fn catalog() -> impl Strategy<Value = Catalog> {
    let rest = (vec(user_key(), 0..4), vec(link(), 0..3), support());
    (vec(connector(), 1..4), vec(account(), 1..6), vec(role(), 0..12), vec(rule(), 0..10), rest).prop_map(
        |(connectors, accounts, roles, rules, (keys, links, support))| {
            consistent(Parts { connectors, accounts, roles, rules, keys, links, support })
        },
    )
}

pub(crate) fn person() -> impl Strategy<Value = VerifiedIdentity> {
    let values = || vec(select(VALUES.as_slice()).prop_map(str::to_owned), 0..6);
    let one = || option::of(select(VALUES.as_slice()).prop_map(str::to_owned));
    (select(CONNECTORS.as_slice()), values(), values(), one(), one(), any::<bool>()).prop_map(
        |(connector, groups, departments, name, email, complete)| VerifiedIdentity {
            subject: SubjectId { connector: parsed(connector), value: "a".into() },
            asserted: None,
            link: None,
            qualifiers: NameIdQualifiers::default(),
            name,
            email,
            groups: if complete {
                Groups::Complete { values: groups }
            } else {
                Groups::Incomplete { values: groups, reason: "overage".into() }
            },
            attributes: Attributes(BTreeMap::from([("department".to_owned(), departments)])),
            authentication: Authentication {
                instant: Some(jiff::Timestamp::UNIX_EPOCH),
                methods: Vec::new(),
                context_class: None,
                session_index: None,
                session_not_on_or_after: None,
            },
        },
    )
}
