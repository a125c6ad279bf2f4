//! `rolegate config check`, as an operator runs it.

use crate::tools::rolegate;

#[test]
fn right_settings_are_printed_with_their_origins_and_the_exit_status_is_zero() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rolegate.toml"), "\npublic_url = 'https://aws.example.com'\n").unwrap();
    let output = rolegate()
        .args(["config", "check", "--listen", "127.0.0.1:0"])
        .env("ROLEGATE_SESSION_IDLE_TIMEOUT", "30m")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let (said, printed) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(said, "");
    let lines: Vec<Vec<_>> = printed.lines().map(|line| line.split("  # ").map(str::trim).collect()).collect();
    for expected in [
        ["public_url = \"https://aws.example.com\"", "rolegate.toml:2"],
        ["listen = \"127.0.0.1:0\"", "flag --listen"],
        ["session.idle_timeout = \"30m\"", "variable ROLEGATE_SESSION_IDLE_TIMEOUT"],
        ["session.absolute_timeout = \"12h\"", "default"],
    ] {
        assert!(lines.iter().any(|line| line == &expected), "{expected:?} is missing:\n{printed}");
    }
}

#[test]
fn wrong_settings_are_all_named_on_stderr_and_the_exit_status_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let output = rolegate()
        .args(["config", "check", "--set", "log.level=loud=er", "--config", "none.toml"])
        .env("ROLEGATE_LISTEN", "here")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(output.stdout.is_empty());
    for part in ["3 mistakes", "none.toml", "(variable ROLEGATE_LISTEN)", "`log.level`"] {
        assert!(said.contains(part), "`{part}` is missing:\n{said}");
    }
}
