//! Who one is, and what one may use.

use rolegate::access::Scope;
use serde_json::{Value, json};

use super::Program;
use crate::sandboxed::{Sandboxed, problem};

/// `account/role` of a page of roles, in its order.
fn roles_of(page: &Value) -> Vec<String> {
    let text = |role: &Value, name: &str| role[name].as_str().unwrap().to_owned();
    let roles = page["roles"].as_array().unwrap_or_else(|| panic!("no roles in {page}"));
    roles.iter().map(|role| format!("{}/{}", text(role, "account"), text(role, "role"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_learns_who_it_works_for_and_by_which_token() {
    let world = Sandboxed::start().await;
    let scope = Scope { issue: false, roles: Some(["111122223333/ReadOnly".parse().unwrap()].into()) };
    let program = Program::of(&world, "asha", scope).await;
    let me = program.get("/api/v1/me").await.json();
    assert_eq!((&me["email"], &me["csrf"]), (&json!("asha.raman@larkspur.example"), &Value::Null));
    assert_eq!(me["token"]["id"], program.authorization.as_str());
    assert_eq!((&me["token"]["kind"], &me["token"]["client"]), (&json!("sign-in"), &json!("rolegate-cli")));
    assert_eq!((&me["token"]["scope"], &me["token"]["roles"]), (&json!("read"), &json!(["111122223333/ReadOnly"])));
    assert_eq!(me["token"]["expires"], me["session"]["expires"]);

    let lin = world.sign_in_as("lin").await;
    let me = lin.program_get("/api/v1/me").await.json();
    assert_eq!(me["token"], Value::Null);
    assert!(me["csrf"].as_str().is_some_and(|csrf| csrf.len() == 86), "{me}");
    let (sentence, _) = problem(&lin.program_get("/api/v1/me?verbose=1").await, 400, "bad-request");
    assert_eq!(sentence, "There is no `verbose` here; this takes nothing.");
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_told_with_reasons_limits_and_the_name_of_their_profile() {
    let world = Sandboxed::start().await;
    let program = Program::of(&world, "asha", Scope::FULL).await;
    let page = program.get("/api/v1/roles?account=111122223333&q=readonly").await.json();
    assert_eq!(
        (&page["total"], &page["next_cursor"], &page["groups_complete"]),
        (&json!(1), &Value::Null, &json!(true))
    );
    let role = &page["roles"][0];
    assert_eq!(role["arn"], "arn:aws:iam::111122223333:role/ReadOnly");
    assert_eq!(
        role["reasons"][0],
        json!({
            "rule": "engineers-read-workloads",
            "because": [{ "attribute": "groups", "value": "engineering" }],
        })
    );
    assert_eq!((&role["step_up"], &role["authentication"]), (&json!(false), &Value::Null));
    assert_eq!((&role["default_session_s"], &role["account_tags"]["env"]), (&json!(3600), &json!("prod")));
    assert_eq!(role["profile"], "payments-production-ReadOnly");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_for_programs_what_it_finds_on_the_page() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    for typed in ["PAYMENTS prod readonly", "jurisdiction=cn", "recent sign-in", "nothing like it", ""] {
        let query: String = url::form_urlencoded::byte_serialize(typed.as_bytes()).collect();
        let listed = roles_of(&asha.program_get(&format!("/api/v1/roles?q={query}")).await.json());
        let page = asha.open(&format!("/?q={query}")).await;
        let mut offered: Vec<String> = page
            .forms()
            .iter()
            .filter_map(|form| Some(form.action.path().strip_prefix("/roles/")?.strip_suffix("/console")?.to_owned()))
            .collect();
        offered.sort();
        offered.dedup();
        assert_eq!(listed, offered, "{typed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_every_role_once_whatever_comes_and_goes_between_them() {
    let world = Sandboxed::start().await;
    let program = Program::of(&world, "asha", Scope::FULL).await;
    let all = roles_of(&program.get("/api/v1/roles").await.json());
    assert!(all.len() > 8, "{all:?}");
    let (mut seen, mut address) = (Vec::new(), "/api/v1/roles?limit=3".to_owned());
    loop {
        let page = program.get(&address).await.json();
        assert_eq!(page["total"], all.len());
        seen.extend(roles_of(&page));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        address = format!("/api/v1/roles?limit=3&cursor={cursor}");
    }
    assert_eq!(seen, all);

    // What the cursor stands on is granted no more when the next page is asked for.
    let mut first = program.get("/api/v1/roles?limit=1").await.json();
    while !roles_of(&first)[0].ends_with("/ReadOnly") {
        let cursor = first["next_cursor"].as_str().unwrap();
        first = program.get(&format!("/api/v1/roles?limit=1&cursor={cursor}")).await.json();
    }
    let (gone, cursor) = (roles_of(&first)[0].clone(), first["next_cursor"].as_str().unwrap().to_owned());
    let engineers = "when = { groups = \"engineering\" }\ngrant = [{ account_tags = { env = [\"dev\", \"staging\"";
    world.change_catalog(engineers, &engineers.replace("\"engineering\"", "\"nobody\"")).await;
    let rest = roles_of(&program.get(&format!("/api/v1/roles?cursor={cursor}")).await.json());
    let left = roles_of(&program.get("/api/v1/roles").await.json());
    assert!(!left.contains(&gone) && left.len() < all.len(), "{left:?}");
    let behind: Vec<_> = left.into_iter().filter(|role| *role > gone).collect();
    assert_eq!(rest, behind, "nothing that stayed is left out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_token_is_told_of_its_roles_only_and_calls_them_as_others_do() {
    let world = Sandboxed::start().await;
    let free = Program::of(&world, "asha", Scope::FULL).await;
    let scope = Scope { issue: true, roles: Some(["111122223333/ReadOnly".parse().unwrap()].into()) };
    let limited = Program::of(&world, "asha", scope).await;
    let page = limited.get("/api/v1/roles").await.json();
    assert_eq!((roles_of(&page), &page["total"]), (vec!["111122223333/ReadOnly".to_owned()], &json!(1)));
    let listed = free.get("/api/v1/roles").await.json();
    let same = listed["roles"].as_array().unwrap().iter().find(|role| role["arn"] == page["roles"][0]["arn"]);
    assert_eq!(same.unwrap()["profile"], page["roles"][0]["profile"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_that_make_no_sense_are_refused_in_a_sentence() {
    let world = Sandboxed::start().await;
    let program = Program::of(&world, "asha", Scope::FULL).await;
    for (query, says) in [
        ("limit=0", "`limit` is a number from 1 to 1000."),
        ("limit=1001", "`limit` is a number from 1 to 1000."),
        ("limit=all", "`limit` is a number from 1 to 1000."),
        ("cursor=junk", "`cursor` is not one of ours. Send the `next_cursor` of the page before."),
        ("account=payments", "`account` is an AWS account's id: twelve digits."),
        ("search=x", "There is no `search` here; this takes `q`, `account`, `limit` and `cursor`."),
        ("q=a&q=b", "A field was sent twice."),
        (&format!("q={}", "x".repeat(201)), "`q` has more than 200 characters."),
    ] {
        let answer = program.get(&format!("/api/v1/roles?{query}")).await;
        assert_eq!(program.refused(&answer, 400, "bad-request").await, (says.to_owned(), vec![]), "{query}");
    }
}
