//! Opens pages in the person's browser.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::surroundings::Surroundings;

/// Whether this is a session from elsewhere, on a machine with no screen of its own: a browser here would be nobody's.
#[must_use]
pub fn is_elsewhere(around: &Surroundings) -> bool {
    let remote = around.variable("SSH_CONNECTION").is_some() || around.variable("SSH_TTY").is_some();
    let screen = cfg!(target_os = "macos")
        || around.variable("DISPLAY").is_some()
        || around.variable("WAYLAND_DISPLAY").is_some();
    remote && (!screen || cfg!(target_os = "macos")) && around.variable("BROWSER").is_none()
}

/// Opens a page without waiting for the browser. `false` where there is none.
pub fn open(url: &str, around: &Surroundings) -> bool {
    candidates(url, around).into_iter().any(|(program, arguments)| {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().is_ok()
    })
}

/// What may open it, the person's own choice first.
///
/// `BROWSER` is a list of programs with colons between them; `%s` in one stands for the address.
fn candidates(url: &str, around: &Surroundings) -> Vec<(PathBuf, Vec<String>)> {
    let mut all = Vec::new();
    for choice in around.variable("BROWSER").unwrap_or_default().split(':').filter(|choice| !choice.trim().is_empty()) {
        let mut words = choice.split_whitespace();
        let Some(program) = words.next() else { continue };
        let mut arguments: Vec<String> = words.map(|word| word.replace("%s", url)).collect();
        if !choice.contains("%s") {
            arguments.push(url.to_owned());
        }
        let program = if program.contains('/') { Some(PathBuf::from(program)) } else { around.program(program) };
        all.extend(program.map(|program| (program, arguments)));
    }
    let usual: &[&str] = if cfg!(target_os = "macos") { &["open"] } else { &["xdg-open", "wslview"] };
    all.extend(usual.iter().filter_map(|name| around.program(name)).map(|program| (program, vec![url.to_owned()])));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_from_elsewhere_without_a_screen_has_no_browser() {
        let ssh = ("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22");
        assert!(is_elsewhere(&Surroundings::of(&[ssh])));
        assert!(!is_elsewhere(&Surroundings::of(&[ssh, ("BROWSER", "/usr/bin/lynx")])));
        assert!(!is_elsewhere(&Surroundings::of(&[])));
        if !cfg!(target_os = "macos") {
            assert!(!is_elsewhere(&Surroundings::of(&[ssh, ("DISPLAY", ":0")])));
        }
    }

    #[test]
    fn the_persons_own_choice_comes_first() {
        let around = Surroundings::of(&[("BROWSER", "/opt/a --new %s:/opt/b")]);
        let all = candidates("https://x.example/?a=1&b=%s", &around);
        assert_eq!(all[0], ("/opt/a".into(), vec!["--new".to_owned(), "https://x.example/?a=1&b=%s".to_owned()]));
        assert_eq!(all[1], ("/opt/b".into(), vec!["https://x.example/?a=1&b=%s".to_owned()]));
    }
}
