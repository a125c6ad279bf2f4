//! What is said to people: on stderr, without anything that would move their cursor.

use std::io::Write as _;

/// A text of somebody else's, fit for a terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Says something on stderr. Nobody may be listening, which is no reason to stop.
pub fn say(words: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{words}");
}

/// A text as one word of a POSIX shell.
#[must_use]
pub fn shell_word(text: &str) -> String {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-/:".contains(&b));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// How long something lasts, in the largest two units: `7 h 59 min`.
#[must_use]
pub fn lasting(left: jiff::SignedDuration) -> String {
    let minutes = left.as_mins().max(0);
    match (minutes / (24 * 60), minutes / 60 % 24, minutes % 60) {
        (0, 0, 0) => "less than a minute".to_owned(),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (1, 0, _) => "1 day".to_owned(),
        (days, 0, _) => format!("{days} days"),
        (1, hours, _) => format!("1 day {hours} h"),
        (days, hours, _) => format!("{days} days {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn what_lasts_is_told_in_the_largest_two_units() {
        for (seconds, text) in [
            (-1, "less than a minute"),
            (59, "less than a minute"),
            (60, "1 min"),
            (28_740, "7 h 59 min"),
            (3_600, "1 h"),
            (86_400 + 3_600, "1 day 1 h"),
            (3 * 86_400 + 59, "3 days"),
        ] {
            assert_eq!(lasting(SignedDuration::from_secs(seconds)), text);
        }
    }
}
