//! The commands as they are named: in completions, manual pages, documentation, and in the source.

use std::process::Command;

use super::{Run, rolegate};
use crate::tools::{repository, stdout, system_tool};

#[test]
fn completions_are_what_each_shell_reads() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let text = stdout(rolegate().args(["completions", shell]));
        assert!(text.contains("credential-process") && text.contains("policy-arn"), "{shell}: {text}");
        if shell == "bash" {
            let path = folder.path().join("completions");
            std::fs::write(&path, text).unwrap();
            let ask = format!(
                "source {}; COMP_WORDS=(rolegate cre); COMP_CWORD=1; _rolegate rolegate cre rolegate; echo ${{COMPREPLY[@]}}",
                path.display()
            );
            assert_eq!(stdout(Command::new(system_tool("bash")).args(["-c", &ask])), "creds credential-process\n");
        }
    }
    let mut unknown = rolegate();
    unknown.args(["completions", "tcsh"]);
    Run::of(unknown).refused(2, "[possible values: bash, elvish, fish, powershell, zsh]");
}

#[test]
fn there_is_a_manual_page_for_each_command() {
    let folder = tempfile::tempdir().unwrap();
    stdout(rolegate().arg("man").arg(folder.path()));
    for name in ["rolegate", "rolegate-login", "rolegate-exec", "rolegate-catalog", "rolegate-catalog-apply"] {
        let page = std::fs::read_to_string(folder.path().join(format!("{name}.1"))).unwrap();
        assert!(page.contains(".SH NAME") && page.contains(&name.replace('-', "\\-")), "{name}: {page}");
    }
    assert!(stdout(rolegate().arg("man")).contains(".SH SYNOPSIS"));
}

#[test]
fn the_help_page_tells_commands_for_people_from_those_for_operators() {
    let page = stdout(rolegate().arg("--help"));
    let (people, operators) = page.split_once("Running one:").unwrap();
    assert!(people.contains("  login ") && operators.contains("  serve "), "{page}");
}

#[test]
fn client_commands_know_the_server_by_its_addresses_only() {
    let folder = repository().join("src/cli/client");
    let mut files = vec![folder];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for inside in ["app", "flows", "store", "web", "signin", "access", "audit", "catalog", "sandbox"] {
            assert!(!text.contains(&format!("crate::{inside}")), "{} knows crate::{inside}", path.display());
        }
    }
}
