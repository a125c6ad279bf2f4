//! Other people's texts, shortened.

/// The beginning of a text that somebody else wrote, for an error: without control characters, and short enough to log.
#[must_use]
pub fn excerpt(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut characters = text.chars().filter(|c| !c.is_control());
    let mut short: String = characters.by_ref().take(LONGEST).collect();
    if characters.next().is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_and_fits_on_a_line() {
        assert_eq!(excerpt("a\nb\u{1b}[0m"), "ab[0m");
        assert_eq!(excerpt(&"é".repeat(100_000)).chars().count(), 201);
    }
}
