//! Signing in and out.

use serde_json::json;

use super::{Home, Run, Waiting, allow, mode, script};
use crate::browser_client::Browser;
use crate::sandboxed::{Sandboxed, enter};

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_in_with_a_browser_here_and_the_server_is_remembered() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    home.run(&["whoami"])
        .refused(2, "which Rolegate? Write --server https://aws.example.com once with `rolegate login`");
    let words = home.sign_in("lin").await;
    let base = &world.broker.base;
    assert!(words.contains(&format!("Signed in at {base} as Lin ")), "{words}");
    let file = home.sign_in_file();
    assert!(words.contains(&format!("The sign-in is kept in {}, which only you can read.", file.display())), "{words}");
    assert!(words.contains("Commands that name no server call this one."), "{words}");
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    assert!(!words.contains("rga_") && !words.contains("rgr_"), "{words}");
    let config = std::fs::read_to_string(home.at(".config/rolegate/config.toml")).unwrap();
    assert_eq!(config, format!("server = \"{base}\"\n"));

    let who = home.run(&["whoami"]).good();
    assert!(who.starts_with("Lin ") && who.contains(&format!(", at {base}, for ")), "{who}");
    let all: serde_json::Value = serde_json::from_str(&home.run(&["whoami", "--json"]).good()).unwrap();
    assert_eq!(all["token"]["client"], "rolegate-cli");
    assert_eq!(all["csrf"], json!(null));
    home.run(&["whoami", "--server", "http://127.0.0.1:9"])
        .refused(3, "not signed in at http://127.0.0.1:9; run `rolegate login`");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_browser_that_a_person_chose_is_opened_with_the_address() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    script(
        &home.at("browser"),
        "#!/bin/sh\necho \"$2\" > \"$HOME/asked.new\" && mv \"$HOME/asked.new\" \"$HOME/asked\"\n",
    );
    let mut command = home.rolegate(&["login", "--server", &world.broker.base]);
    command.env("BROWSER", format!("/no/such/browser:{} --tab %s", home.at("browser").display()));
    let mut waiting = Waiting::of(command);
    let address = waiting.says(r"(?ms)Your browser opens\..*^  (http\S+)$");
    let asked = loop {
        match std::fs::read_to_string(home.at("asked")) {
            Ok(asked) => break asked,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    };
    assert_eq!(asked.trim(), address);
    allow(&mut Browser::new(), &address, "lin", "allow").await;
    assert_eq!(waiting.ended().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_no_in_the_browser_is_not_signed_in() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    let mut waiting = home.begin(&[]);
    let address = waiting.address();
    let page = allow(&mut Browser::new(), &address, "lin", "refuse").await;
    assert!(page.body.contains("<h1>You are not signed in</h1>"), "{}", page.body);
    waiting.ended().refused(4, "you said no in the browser; nothing was allowed");
    home.run(&["whoami", "--server", &world.broker.base]).refused(3, "run `rolegate login`");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_without_the_state_of_this_try_neither_signs_in_nor_keeps_anybody_from_it() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    let mut waiting = home.begin(&[]);
    let address = waiting.address();
    let redirect = url::Url::parse(&address).unwrap();
    let redirect = redirect.query_pairs().find(|(name, _)| name == "redirect_uri").unwrap().1.into_owned();
    let mut stranger = Browser::new();
    for query in ["?code=x&state=guessed", "?error=access_denied&state=guessed", "?error=access_denied", ""] {
        assert_eq!(stranger.get(&format!("{redirect}{query}")).await.status, 404);
    }
    assert_eq!(stranger.get(&redirect.replace("/callback", "/favicon.ico")).await.status, 404);
    let page = allow(&mut Browser::new(), &address, "lin", "allow").await;
    assert!(page.body.contains("You are signed in"), "{}", page.body);
    assert_eq!(waiting.ended().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn over_ssh_without_a_display_a_code_is_typed_where_the_browser_is() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    let mut command = home.rolegate(&["login", "--server", &world.broker.base]);
    command.env("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22");
    let mut waiting = Waiting::of(command);
    waiting.says("(This is an SSH session without a display, so sign in with a browser where you are.)");
    let address = waiting.says(r"Open (http\S+) in a browser and type this code");
    let code = waiting.says(r"(?m)^  ([A-Z]{4}-[A-Z]{4})$");
    assert!(waiting.says(r"(?ms)Or open this, and compare the code:.*^  (http\S+)$").contains(&code));
    let mut browser = Browser::new();
    let asked = enter(&mut browser, &address, "lin").await;
    let typed = browser.submit(&asked.form_with("user_code").set("user_code", &code)).await;
    let form = typed.form_with("user_code").set("compared", "yes").set("decision", "approve");
    let done = browser.submit(&form).await;
    assert_eq!(done.status, 200, "{}", done.body);
    let run = waiting.ended();
    assert_eq!(run.code, Some(0), "{}", run.words);
    assert!(run.words.contains("Signed in at ") && run.data.is_empty(), "{}", run.words);
    assert!(home.run(&["whoami"]).good().starts_with("Lin "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lets_no_devices_in_is_told_apart() {
    let world = Sandboxed::with(crate::broker::Broker::wishes().set("tokens.device_codes", "off")).await;
    let home = Home::new(&world);
    let run = Run::of(home.rolegate(&["login", "--server", &world.broker.base, "--device"]));
    run.refused(1, "does not let devices sign in by a code; run `rolegate login` where there is a browser");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_sign_in_at_the_server_and_here() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    home.sign_in("lin").await;
    let token = home.run(&["token"]).good();
    let run = home.run(&["logout"]);
    assert_eq!((run.code, run.words), (Some(0), format!("Signed out at {}.\n", world.broker.base)));
    home.run(&["whoami"]).refused(3, "not signed in at");
    let mut with_token = home.rolegate(&["whoami"]);
    with_token.env("ROLEGATE_TOKEN", token.trim());
    Run::of(with_token).refused(3, "ROLEGATE_TOKEN was refused");
    let again = home.run(&["logout"]);
    assert_eq!((again.code, again.words), (Some(0), format!("You were not signed in at {}.\n", world.broker.base)));
    let all = home.run(&["logout", "--all"]);
    assert_eq!((all.code, all.words.as_str()), (Some(0), "You were not signed in anywhere.\n"));
    assert!(
        std::fs::read_dir(home.at(".local/state/rolegate/sign-ins"))
            .unwrap()
            .all(|entry| { entry.unwrap().path().extension().is_some_and(|extension| extension == "lock") })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_again_ends_the_sign_in_before_and_another_server_is_another_sign_in() {
    let (world, other) = (Sandboxed::start().await, Sandboxed::start().await);
    let home = Home::new(&world);
    home.sign_in("lin").await;
    home.sign_in("mateo").await;
    assert!(home.run(&["whoami"]).good().starts_with("Mateo "));
    let live = world.broker.app.ground.store.all_authorizations().await.unwrap();
    assert_eq!(live.len(), 1);
    let elsewhere = Home { folder: home.folder, server: other.broker.base.clone() };
    let words = elsewhere.sign_in("lin").await;
    assert!(!words.contains("Commands that name no server"), "{words}");
    assert!(elsewhere.run(&["whoami"]).good().starts_with("Mateo "));
    assert!(elsewhere.run(&["whoami", "--server", &other.broker.base]).good().starts_with("Lin "));
    let mut by_variable = elsewhere.rolegate(&["whoami"]);
    by_variable.env("ROLEGATE_URL", &other.broker.base);
    assert!(Run::of(by_variable).good().starts_with("Lin "));
    let out = elsewhere.run(&["logout", "--all"]);
    assert_eq!((out.code, out.words.matches("Signed out at ").count()), (Some(0), 2), "{}", out.words);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyring_that_is_there_holds_the_tokens() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    script(
        &home.at("bin/secret-tool"),
        "#!/bin/sh\ncase $1 in\nstore) cat > \"$HOME/kept\" ;;\nlookup) cat \"$HOME/kept\" ;;\nclear) rm \"$HOME/kept\" ;;\nesac\n",
    );
    let path = format!("{}:{}", home.at("bin").display(), std::env::var("PATH").unwrap());
    let with_keyring = |arguments: &[&str]| {
        let mut command = home.rolegate(arguments);
        command.env("PATH", &path).env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere");
        command
    };
    let mut waiting = Waiting::of(with_keyring(&["login", "--no-browser", "--server", &world.broker.base]));
    let address = waiting.address();
    allow(&mut Browser::new(), &address, "lin", "allow").await;
    let run = waiting.ended();
    assert!(run.code == Some(0) && !run.words.contains("kept in"), "{}", run.words);
    assert_eq!(home.kept(), json!({ "server": world.broker.base }));
    assert!(Run::of(with_keyring(&["whoami"])).good().starts_with("Lin "));
    home.run(&["whoami"]).refused(3, "the sign-in is in the keyring, which cannot be used here; run `rolegate login`");
    assert_eq!(Run::of(with_keyring(&["logout"])).code, Some(0));
    assert!(!home.at("kept").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_no_rolegates_is_told_so() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    let sandbox = world.aws.base.to_string();
    home.run(&["login", "--server", &sandbox]).refused(1, "does not answer as a Rolegate does");
    home.run(&["login", "--server", "http://127.0.0.1:9"]).refused(5, "http://127.0.0.1:9 cannot be reached");
    let clear = home.run(&["login", "--server", "http://aws.example.com"]);
    clear.refused(2, "http://aws.example.com would carry keys over the network in clear; write https://");
    let other_name = world.broker.base.replace("127.0.0.1", "localhost");
    home.run(&["login", "--server", &other_name]).refused(1, &format!("it calls itself {}", world.broker.base));
}
