//! Where to go next on our own site.

use std::fmt;

/// A path with optional query on this very site. Redirects take one, so that an open redirect cannot be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPath(String);

const LONGEST: usize = 2_000;

impl LocalPath {
    /// The front page.
    #[must_use]
    pub fn home() -> Self {
        Self("/".to_owned())
    }

    /// Accepts a text that every browser reads as a path on this site.
    ///
    /// Refused are `//host` and `/\host` (another site), backslashes and control characters anywhere (browsers drop
    /// or rewrite them before they look), fragments, and what is too long for a cookie or a header.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let local = text.starts_with('/')
            && !text.starts_with("//")
            && text.len() <= LONGEST
            && text.bytes().all(|b| (0x21..=0x7e).contains(&b) && b != b'\\' && b != b'#');
        local.then(|| Self(text.to_owned()))
    }

    /// The path, or the front page when it is not one of ours.
    #[must_use]
    pub fn parse_or_home(text: Option<&str>) -> Self {
        text.and_then(Self::parse).unwrap_or_else(Self::home)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LocalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_paths_on_this_site_are_taken() {
        for good in ["/", "/go?account=1&role=a%2Fb", "/roles/1/x"] {
            assert_eq!(LocalPath::parse(good).map(|p| p.to_string()).as_deref(), Some(good));
        }
        for bad in [
            "",
            "x",
            "//evil.example",
            "/\\evil.example",
            "/a\\b",
            "https://evil.example",
            "/a\nb",
            "/\t/evil.example",
            "/é",
            "/a#b",
            "\u{0}/",
        ] {
            assert_eq!(LocalPath::parse(bad), None, "{bad:?}");
        }
        assert_eq!(LocalPath::parse(&format!("/{}", "a".repeat(2_000))), None);
    }

    proptest! {
        #[test]
        fn no_text_leads_to_another_site(text in "[/\\\\a-z:.@?#\t\n ]{0,12}") {
            if let Some(path) = LocalPath::parse(&text) {
                let base = url::Url::parse("https://rolegate.example/x").unwrap();
                prop_assert_eq!(base.join(path.as_str()).unwrap().origin(), base.origin());
            }
        }
    }
}
