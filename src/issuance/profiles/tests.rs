use std::collections::{BTreeMap, BTreeSet, HashSet};

use proptest::prelude::*;

use super::*;
use crate::aws::{ScopeDown, SessionDuration};

fn account(id: &str, name: &str) -> Account {
    Account {
        id: id.parse().unwrap(),
        name: name.to_owned(),
        tags: BTreeMap::from([("env".to_owned(), "prod".to_owned())]),
        partition: Partition::Aws,
        saml_provider: "rolegate".parse().unwrap(),
        oidc_audience: crate::catalog::OidcAudience::default(),
        region: None,
    }
}

fn role(account: &Account, name: &str) -> Role {
    Role {
        account: account.id,
        name: name.parse().unwrap(),
        description: None,
        tags: BTreeMap::new(),
        max_session: SessionDuration::HOUR,
        default_session: None,
        destination: None,
        region: None,
        session_tags: BTreeMap::new(),
        transitive_tags: BTreeSet::new(),
        scope_down: ScopeDown::default(),
        authentication: None,
        method: crate::catalog::Method::Saml,
    }
}

/// The names of roles that are given as account id, account name and role.
fn called(template: &str, roles: &[(&str, &str, &str)]) -> Vec<String> {
    let held: Vec<(Account, Role)> = roles
        .iter()
        .map(|(id, name, called)| {
            let account = account(id, name);
            let role = role(&account, called);
            (account, role)
        })
        .collect();
    let places: Vec<Place<'_>> = held.iter().map(|(account, role)| Place { account, role }).collect();
    names(&template.parse().unwrap(), &places)
}

const ONE: &str = "111122223333";
const TWO: &str = "444455556666";

#[test]
fn a_template_is_filled_and_made_fit_for_a_name() {
    for (template, account, role, name) in [
        ("{account_name}-{role}", "Payments production", "ReadOnly", "payments-production-ReadOnly"),
        ("{account_name}-{role}", " Zürich / (EU) ", "x=y,z", "z-rich-eu-x-y-z"),
        ("{account_name}-{role}", "支付", "teams/payments/Deploy", "111122223333-Deploy"),
        ("{account}.{role}@{account_tags.env}", "P", "Admin", "111122223333.Admin@prod"),
        ("corp {account_tags.none} {role}", "P", "Admin", "corp-Admin"),
        ("{role}\n[profile default]", "P", "Admin", "Admin-profile-default"),
    ] {
        assert_eq!(called(template, &[(ONE, account, role)]), [name], "{template}");
    }
}

#[test]
fn what_is_no_template_is_refused_in_a_sentence() {
    for (text, says) in [
        ("", "a template has 1 to 200 characters"),
        ("{roles}", "there is no `{roles}`; use {account}, {account_name}, {role} or {account_tags.NAME}"),
        (
            "{account_tags.}",
            "there is no `{account_tags.}`; use {account}, {account_name}, {role} or {account_tags.NAME}",
        ),
        ("{role", "a `{` or `}` has no partner"),
        ("role}", "a `{` or `}` has no partner"),
        ("a}{role}", "a `{` or `}` has no partner"),
        ("{a{role}}", "a `{` or `}` has no partner"),
        ("prod", "a template needs a placeholder, or all profiles would be called the same"),
    ] {
        assert_eq!(text.parse::<NameTemplate>().unwrap_err().to_string(), says, "{text}");
    }
    let default = NameTemplate::default();
    assert_eq!(default.as_str().parse::<NameTemplate>().unwrap(), default);
}

#[test]
fn where_two_would_be_called_the_same_neither_is() {
    let two = [(ONE, "Payments", "Admin"), (TWO, "Payments", "Admin"), (TWO, "Search", "Admin")];
    assert_eq!(
        called("{account_name}-{role}", &two),
        ["payments-Admin-111122223333", "payments-Admin-444455556666", "search-Admin"]
    );
    let paths = called("{account_name}-{role}", &[(ONE, "P", "a/Deploy"), (ONE, "P", "b/Deploy")]);
    assert!(paths.iter().all(|name| name.starts_with("p-Deploy-111122223333-") && name.len() == 30), "{paths:?}");
    assert_ne!(paths[0], paths[1]);
    let taken = called("{role}", &[(ONE, "P", "x"), (TWO, "P", "x"), (ONE, "P", "x-111122223333")]);
    assert_eq!(taken.iter().collect::<HashSet<_>>().len(), 3, "{taken:?}");
}

#[test]
fn nobody_is_given_a_default_profile() {
    assert_eq!(called("{role}", &[(ONE, "P", "default")]), ["default-111122223333"]);
    assert_eq!(called("{account_tags.none}", &[(ONE, "P", "x")]), ["111122223333"]);
}

fn plan<'a>(way: Way, helper: Helper, region: &'a Region, token_file: &'a TokenFile) -> Plan<'a> {
    Plan {
        base: "https://aws.larkspur.example",
        sso_name: "larkspur",
        sso_region: region,
        way,
        helper,
        token_file,
        region: None,
    }
}

fn written(way: Way, helper: Helper) -> String {
    let (region, file) = ("us-east-1".parse().unwrap(), "/home/asha/.rolegate-token".parse().unwrap());
    let mut payments = account(ONE, "Payments");
    payments.region = Some("eu-west-1".parse().unwrap());
    let mut gov = account(TWO, "Gov");
    gov.partition = Partition::AwsUsGov;
    let (deploy, admin) = (role(&payments, "teams/payments/Deploy"), role(&gov, "Admin+x"));
    let places = [Place { account: &payments, role: &deploy }, Place { account: &gov, role: &admin }];
    plan(way, helper, &region, &file).write(["pay", "gov"].into_iter().zip(places))
}

#[test]
fn a_file_for_the_way_of_identity_center_names_where_tokens_and_credentials_come_from() {
    insta::assert_snapshot!(written(Way::Sso, Helper::Rolegate));
}

#[test]
fn a_file_for_containers_says_the_two_variables() {
    insta::assert_snapshot!(written(Way::Container, Helper::Rolegate));
}

#[test]
fn a_file_for_a_process_has_a_command_in_each_profile() {
    insta::assert_snapshot!(written(Way::Process, Helper::Rolegate));
    insta::assert_snapshot!(written(Way::Process, Helper::Curl));
}

#[test]
fn a_command_holds_nothing_that_a_shell_would_read() {
    let (region, file) = ("us-east-1".parse().unwrap(), "/t".parse().unwrap());
    let payments = account(ONE, "Payments");
    let odd = role(&payments, "$(id)/;x/Deploy");
    let place = Place { account: &payments, role: &odd };
    assert_eq!(plan(Way::Process, Helper::Rolegate, &region, &file).command(place), None);
    let command = plan(Way::Process, Helper::Curl, &region, &file).command(place).unwrap();
    assert!(command.contains("/%24%28id%29/%3Bx/Deploy/"), "{command}");
    let text = plan(Way::Process, Helper::Rolegate, &region, &file).write([("x", place)]);
    assert!(!text.contains('$') && text.contains("# No command:"), "{text}");
}

#[test]
fn a_region_is_the_one_asked_for_where_the_partition_has_it() {
    let mut gov = account(TWO, "Gov");
    gov.partition = Partition::AwsUsGov;
    let (admin, asked) = (role(&gov, "Admin"), "eu-west-1".parse().unwrap());
    assert_eq!(Place { account: &gov, role: &admin }.region(Some(&asked)).unwrap().as_str(), "us-gov-west-1");
    let payments = account(ONE, "Payments");
    let read = role(&payments, "ReadOnly");
    assert_eq!(Place { account: &payments, role: &read }.region(Some(&asked)), Some(asked));
    assert_eq!(Place { account: &payments, role: &read }.region(None), None);
}

#[test]
fn the_path_of_a_token_file_means_nothing_to_any_shell() {
    for good in ["/home/asha/.config/rolegate/token", "C:/Users/asha/token", "/t"] {
        assert_eq!(good.parse::<TokenFile>().unwrap().as_str(), good);
    }
    for bad in [
        "", "/", "token", "~/token", "/a b", "/a\"b", "/a'b", "/$HOME", "/a;b", "/a`b", "/a\nb", "/a\\b", "C:\\a",
        "é:/x", "/ü",
    ] {
        assert!(bad.parse::<TokenFile>().is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn names_need_no_quoting_and_are_never_two_the_same(
        roles in proptest::collection::btree_set(("[12]{12}", "[ab]", "([xy]/)?[xy]|default"), 1..12),
        template in "[a{}\\]\n ]{0,2}\\{(role|account_name|account_tags.env)\\}[-a]{0,3}",
    ) {
        prop_assume!(template.parse::<NameTemplate>().is_ok());
        let roles: Vec<_> = roles.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str())).collect();
        let names = called(&template, &roles);
        for name in &names {
            prop_assert!(!name.is_empty() && name != "default", "{names:?}");
            prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._@+-".contains(&b)), "{names:?}");
        }
        let mut distinct: Vec<_> = roles.iter().map(|(a, _, c)| (a, c)).collect();
        distinct.dedup();
        prop_assert!(names.iter().collect::<HashSet<_>>().len() >= distinct.len(), "{names:?}");
    }
}
