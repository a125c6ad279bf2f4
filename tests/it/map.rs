//! The map of modules in `src/lib.rs`, held against what the modules import.

use std::fs;
use std::path::{Path, PathBuf};

/// From what may see much to what sees little. Modules of one layer may see each other.
const LAYERS: [&[&str]; 8] = [
    &["app", "cli"],
    &["web", "sandbox", "config"],
    &["flows"],
    &["store"],
    &["signin", "issuance", "access", "audit"],
    &["catalog", "saml"],
    &["identity", "aws"],
    &["sys"],
];

fn layer(module: &str) -> usize {
    LAYERS.iter().position(|layer| layer.contains(&module)).unwrap_or_else(|| panic!("`{module}` is not on the map"))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The modules of ours that a text names, `use crate::{…}` aside, which nobody writes here.
fn imports(text: &str) -> impl Iterator<Item = &str> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split("crate::").skip(1))
        .filter_map(|rest| rest.split(|c: char| !c.is_ascii_lowercase()).next())
        .filter(|module| !module.is_empty())
}

#[test]
fn imports_point_one_way_and_only_the_command_line_and_the_composition_root_read_settings() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    for path in sources(&src) {
        let inside = path.strip_prefix(&src).unwrap();
        let module = inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        if matches!(module, "lib" | "main") {
            continue;
        }
        // A module's own tests may look anywhere.
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        if inside.ends_with("tests.rs") {
            continue;
        }
        for import in imports(text).filter(|import| *import != module) {
            assert!(layer(module) <= layer(import), "{} imports `{import}`, which points back", inside.display());
            assert!(import != "config" || matches!(module, "app" | "cli"), "{} reads settings", inside.display());
            seen += 1;
        }
    }
    assert!(seen > 300, "only {seen} imports were found: is this test still reading them?");
}
