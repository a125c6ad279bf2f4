//! What the documentation says to paste is pasted.

use rolegate::access::Scope;

use super::Program;
use crate::sandboxed::Sandboxed;
use crate::tools::{repository, system_tool};

/// The blocks of shell in a page that call `curl`, each with its line.
fn blocks(page: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in page.lines().enumerate() {
        match (&mut open, line) {
            (None, "```sh") => open = Some((number + 2, String::new())),
            (Some(_), "```") => found.extend(open.take()),
            (Some((_, text)), line) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, _) => {}
        }
    }
    found.retain(|(_, text)| text.contains("curl "));
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_curl_in_the_documentation_works_as_pasted() {
    let world = Sandboxed::start().await;
    let program = Program::of(&world, "asha", Scope::FULL).await;
    for (page, least) in [("README.md", 2), ("docs/api.md", 8)] {
        let mut pasted = 0;
        let text = std::fs::read_to_string(repository().join(page)).unwrap();
        for (line, block) in blocks(&text) {
            // What only builds or starts Rolegate is another test's.
            if !block.contains("$ROLEGATE_URL") {
                continue;
            }
            let folder = tempfile::tempdir().unwrap();
            let run = tokio::process::Command::new(system_tool("bash"))
                .args(["-eu", "-o", "pipefail", "-c", &block])
                .env("ROLEGATE_URL", &world.broker.base)
                .env("ROLEGATE_TOKEN", program.token.expose_secret())
                .env("HOME", folder.path())
                .current_dir(folder.path())
                .output();
            let run = run.await.unwrap();
            let said = String::from_utf8_lossy(&run.stderr).into_owned();
            assert!(run.status.success(), "{page}:{line}\n{block}\n{said}");
            pasted += 1;
        }
        assert!(pasted >= least, "only {pasted} blocks were found in {page}: does this test still read them?");
    }
}
