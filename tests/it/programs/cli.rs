//! The AWS CLI signs in, uses roles and signs out, unmodified.

use serde_json::{Value, json};

use super::clients::{Home, Talk, bad, good, json};
use super::{DEPLOY, PAYMENTS};
use crate::sandboxed::{Person, Sandboxed};

/// What of the two ways to sign in a person sees in the browser.
#[derive(Clone, Copy)]
pub enum Way {
    SameComputer,
    Device,
}

/// `aws sso login`, and somebody at the browser it opens.
pub async fn sign_in(home: &Home, person: &mut Person, way: Way) -> String {
    let mut command = home.aws2();
    command.args(["sso", "login", "--profile", "sso"]);
    if matches!(way, Way::Device) {
        command.arg("--use-device-code");
    }
    let mut login = Talk::start(command);
    let url = home.opened(&mut login).await;
    let page = person.browser.get(&url).await;
    let form = match way {
        Way::SameComputer => page.form_to("/authorize").set("decision", "allow"),
        Way::Device => page.form_to("/device").set("compared", "yes").set("decision", "approve"),
    };
    let done = person.browser.submit(&form).await;
    assert_eq!(done.status, 200, "{}", done.body);
    login.done()
}

fn caller(home: &Home) -> std::process::Command {
    let mut command = home.aws2();
    command.args(["sts", "get-caller-identity", "--profile", "sso", "--output", "json"]);
    command
}

const ARN: &str = "arn:aws:sts::111122223333:assumed-role/Deploy/lin.wei@larkspur.example";

/// The one file in which the CLI keeps its sign-in.
fn kept(home: &Home) -> Value {
    let folder = std::fs::read_dir(home.path(".aws/sso/cache")).unwrap();
    let texts = folder.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let mut kept: Vec<Value> = texts.map(|text| serde_json::from_str(&text).unwrap()).collect();
    kept.retain(|file: &Value| file["accessToken"].is_string());
    assert_eq!(kept.len(), 1, "{kept:?}");
    kept.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_sso_login_with_a_browser_on_the_same_computer_to_aws_sso_logout() {
    let world = Sandboxed::start().await;
    let mut lin = world.sign_in_as("lin").await;
    let home = Home::new(&world, PAYMENTS, DEPLOY);
    let said = sign_in(&home, &mut lin, Way::SameComputer).await;
    assert!(said.contains("Successfully logged into Start URL: https://rolegate.awsapps.com/start"), "{said}");
    assert_eq!(json(caller(&home))["Arn"], ARN);

    let mut export = home.aws2();
    export.args(["configure", "export-credentials", "--profile", "sso"]);
    let credentials = json(export);
    assert_eq!(credentials["Version"], 1);
    // The CLI keeps credentials too, so it asked once.
    let event = world.broker.last_event("issue.succeeded").await;
    assert_eq!((&event["access_key_id"], &event["delivery"]), (&credentials["AccessKeyId"], &json!("identity-center")));

    // The calls of `aws configure sso`, which asks its questions in a terminal.
    let token = kept(&home)["accessToken"].as_str().unwrap().to_owned();
    let list = |what: &[&str]| {
        let mut command = home.aws2();
        command.args(["sso"]).args(what).args(["--access-token", &token, "--profile", "sso", "--output", "json"]);
        json(command)
    };
    let accounts = list(&["list-accounts", "--page-size", "2"]);
    assert!(accounts["accountList"].as_array().unwrap().len() > 2, "{accounts}");
    let roles = list(&["list-account-roles", "--account-id", PAYMENTS, "--page-size", "1"]);
    assert_eq!(roles["roleList"].as_array().unwrap().len(), 3, "{roles}");

    let mut logout = home.aws2();
    logout.args(["sso", "logout", "--profile", "sso"]);
    good(logout);
    let events = world.broker.events().await;
    let (kind, body) = events.last().unwrap();
    assert_eq!((kind.as_str(), &body["cause"]), ("token.revoked", &json!("signed-out")));
    let said = bad(caller(&home));
    assert!(said.contains("Error loading SSO Token: Token for corp does not exist"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_sso_login_with_a_device_code_and_hours_of_silent_refresh() {
    let world = Sandboxed::start().await;
    let mut lin = world.sign_in_as("lin").await;
    let home = Home::new(&world, PAYMENTS, DEPLOY);
    let said = sign_in(&home, &mut lin, Way::Device).await;
    assert!(said.contains("Successfully logged into Start URL"), "{said}");
    let mut tokens = vec![kept(&home)["accessToken"].clone()];
    let mut keys = Vec::new();
    for hour in 0..3 {
        let seconds = hour * 3600;
        home.turn_clock(seconds);
        if hour > 0 {
            world.clock.advance_secs(3600);
        }
        assert_eq!(json(caller(&home))["Arn"], ARN);
        tokens.push(kept(&home)["accessToken"].clone());
        let kind = "issue.succeeded";
        let issued = world.broker.events().await.into_iter().rfind(|(found, _)| found == kind).unwrap().1;
        keys.push(issued["access_key_id"].clone());
    }
    assert_eq!(tokens[0], tokens[1], "an hour is ahead");
    assert!(tokens[1] != tokens[2] && tokens[2] != tokens[3], "renewed twice");
    assert!(keys[0] != keys[1] && keys[1] != keys[2], "{keys:?}");

    // After the whole sign-in has ended there is nothing to refresh with, and the CLI says what to do.
    world.clock.advance_secs(12 * 3600);
    home.turn_clock(15 * 3600);
    let said = bad(caller(&home));
    assert!(said.contains("Token has expired and refresh failed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_version_of_the_cli_uses_what_the_second_signed_in_to() {
    let world = Sandboxed::start().await;
    let mut lin = world.sign_in_as("lin").await;
    let home = Home::new(&world, PAYMENTS, "Admin");
    sign_in(&home, &mut lin, Way::SameComputer).await;
    let mut command = home.aws1();
    command.args(["sts", "get-caller-identity", "--profile", "sso"]);
    let said = bad(command);
    assert!(
        said.contains("(ForbiddenException) when calling the GetRoleCredentials operation: No rule grants it to you."),
        "{said}"
    );
    let token = kept(&home)["accessToken"].as_str().unwrap().to_owned();
    let mut command = home.aws1();
    command.args(["sso", "get-role-credentials", "--account-id", PAYMENTS, "--role-name", DEPLOY]);
    command.args(["--access-token", &token, "--profile", "sso", "--output", "json"]);
    let credentials = json(command)["roleCredentials"].clone();
    assert!(credentials["expiration"].as_i64().unwrap() > world.broker.now().as_millisecond());
}
