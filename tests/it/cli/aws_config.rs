//! Profiles in `~/.aws/config`.

use super::{Home, Run, mode};
use crate::sandboxed::Sandboxed;
use crate::tools::aws;

const THEIRS: &str =
    "# my own\n[default]\nregion = us-west-2\n\n[profile \"my own\"]\nrole_arn = arn:aws:iam::1:role/x\n";

#[tokio::test(flavor = "multi_thread")]
async fn profiles_are_merged_into_a_file_without_touching_what_is_there() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    home.sign_in("lin").await;
    let config = home.at(".aws/config");
    let dry = home.run(&["aws-config", "--dry-run"]);
    assert!(dry.words.contains("Would add ") && dry.data.contains("+ profile "), "{} {}", dry.words, dry.data);
    assert!(!home.at(".aws").exists());

    assert_eq!(home.run(&["aws-config"]).code, Some(0));
    assert_eq!((mode(&config), mode(config.parent().unwrap())), (0o600, 0o700));
    std::fs::write(&config, THEIRS).unwrap();
    let run = home.run(&["aws-config"]);
    assert!(run.words.contains(&format!("sections in {}.", config.display())), "{}", run.words);
    let text = std::fs::read_to_string(&config).unwrap();
    assert!(text.starts_with(THEIRS), "{text}");
    assert_eq!(std::fs::read_to_string(home.at(".aws/config.rolegate-backup")).unwrap(), THEIRS);
    let program = std::fs::canonicalize(env!("CARGO_BIN_EXE_rolegate")).unwrap();
    assert!(text.contains(&format!("\ncredential_process = {} credential-process ", program.display())), "{text}");

    let again = home.run(&["aws-config"]);
    assert_eq!((again.data.as_str(), again.words), ("", format!("{} is up to date.\n", config.display())));
    assert_eq!(std::fs::read_to_string(&config).unwrap(), text);

    let name = text.lines().find_map(|line| line.strip_prefix("[profile ")?.strip_suffix("Deploy]")).unwrap();
    let mut ask = aws();
    home.surround(&mut ask);
    ask.args([
        "--profile",
        &format!("{name}Deploy"),
        "sts",
        "get-caller-identity",
        "--query",
        "Arn",
        "--output",
        "text",
    ]);
    ask.env("AWS_CONFIG_FILE", &config).env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null").env("AWS_PAGER", "");
    ask.env("AWS_REGION", "us-east-1").env("AWS_ENDPOINT_URL_STS", world.aws.base.as_str());
    assert!(Run::of(ask).good().contains(":assumed-role/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_follow_the_roles_and_the_filter() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    home.sign_in("lin").await;
    let file = home.at("config").display().to_string();
    home.run(&["aws-config", "--file", &file, "--way", "sso"]).good();
    let all = std::fs::read_to_string(&file).unwrap();
    assert!(all.contains("[sso-session ") && all.contains("[services ") && all.contains("sso_role_name = "), "{all}");
    let run = home.run(&["aws-config", "--file", &file, "--way", "sso", "--filter", "payments prod deploy"]);
    assert!(run.data.lines().all(|line| line.starts_with("- profile ")), "{}", run.data);
    let some = std::fs::read_to_string(&file).unwrap();
    assert_eq!(some.matches("[profile ").count(), 1, "{some}");
    let named = ["aws-config", "--file", "-", "--template", "x-{role}", "--filter", "payments prod deploy"];
    let printed = home.run(&named).good();
    assert_eq!(printed.matches("[profile x-").count(), 1, "{printed}");
    home.run(&["aws-config", "--template", "{nonsense}"]).refused(1, "nonsense");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_followed_and_names_and_keys_of_ones_own_are_pointed_out() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    home.sign_in("lin").await;
    let printed = home.run(&["aws-config", "--file", "-", "--filter", "payments prod deploy"]).good();
    let name = printed.lines().next().unwrap().strip_prefix("[profile ").unwrap().strip_suffix(']').unwrap();
    std::fs::create_dir_all(home.at(".aws")).unwrap();
    std::fs::create_dir_all(home.at("dotfiles")).unwrap();
    let own = format!("[profile {name}]\r\nregion = eu-west-3\r\n");
    std::fs::write(home.at("dotfiles/config"), &own).unwrap();
    std::fs::write(home.at(".aws/credentials"), format!("[{name}]\naws_access_key_id = AKIA\n")).unwrap();
    std::os::unix::fs::symlink("../dotfiles/config", home.at(".aws/config")).unwrap();
    let run = home.run(&["aws-config"]);
    assert!(
        run.words.contains(&format!("Left alone, since they are not of this Rolegate: profile {name}.")),
        "{}",
        run.words
    );
    assert!(run.words.contains(&format!("has keys for `{name}`, which win over the profile")), "{}", run.words);
    assert!(run.data.contains(&format!("! profile {name}\n")));
    assert!(home.at(".aws/config").is_symlink());
    let text = std::fs::read_to_string(home.at("dotfiles/config")).unwrap();
    assert!(text.starts_with(&own) && text.matches('\n').count() == text.matches("\r\n").count(), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_at_once_leave_one_whole_file() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    home.sign_in("lin").await;
    std::fs::create_dir_all(home.at(".aws")).unwrap();
    std::fs::write(home.at(".aws/config"), THEIRS).unwrap();
    let all: Vec<_> = (0..8)
        .map(|n| home.rolegate(&["aws-config", "--way", if n % 2 == 0 { "sso" } else { "process" }]))
        .map(|command| std::thread::spawn(move || Run::of(command)))
        .collect();
    for run in all {
        run.join().unwrap().good();
    }
    home.run(&["aws-config", "--way", "process"]).good();
    let after = std::fs::read_to_string(home.at(".aws/config")).unwrap();
    assert!(after.starts_with(THEIRS), "{after}");
    let alone = home.run(&["aws-config", "--file", "-"]).good();
    assert_eq!(after.matches("[profile ").count(), alone.matches("[profile ").count() + 1);
    assert!(!after.contains("sso_session"), "{after}");
}
