//! How far a provider's clock is off ours.

use jiff::{SignedDuration, Timestamp};

use super::Findings;
use crate::catalog::ClockSkew;

/// `Date` has whole seconds: the instant it names may be this much earlier.
const ROUNDED: SignedDuration = SignedDuration::from_secs(1);

/// Holds the `Date` of an answer that was asked for at `sent` and was there at `came` against what the connector allows.
///
/// What cannot be told apart from the time the answer took is not held against anybody.
pub(super) fn examine(
    date: Option<Timestamp>,
    sent: Timestamp,
    came: Timestamp,
    allowed: ClockSkew,
    found: &mut Findings,
) {
    let Some(date) = date else {
        return found.ok("clock", "the answer has no Date, so the clocks cannot be compared");
    };
    let half = came.duration_since(sent) / 2;
    let middle = sent.saturating_add(half).unwrap_or(came);
    let off = date.duration_since(middle);
    let unsure = half + ROUNDED;
    let surely = (off.abs() - unsure).max(SignedDuration::ZERO);
    let allowed = SignedDuration::from_secs(allowed.as_secs().into());
    let side = if off.is_negative() { "behind" } else { "ahead of" };
    let (amount, skew) = (span(off.abs()), span(allowed));
    if surely > allowed {
        found.fail(
            "clock",
            format!("the provider's clock is {amount} {side} ours, and {skew} are allowed (clock_skew)"),
            "set both clocks by NTP: what is signed now seems to be from another time",
        );
    } else if surely > allowed / 2 {
        found.warn(
            "clock",
            format!("the provider's clock is {amount} {side} ours, more than half of the {skew} allowed (clock_skew)"),
            "set both clocks by NTP before they drift further",
        );
    } else if surely.is_zero() {
        found.ok("clock", format!("no difference beyond what cannot be measured ({})", span(unsure)));
    } else {
        found.ok("clock", format!("the provider's clock is {amount} {side} ours; {skew} are allowed"));
    }
}

/// A time in words: `4 s`, `2 min 5 s`, `3 h 20 min`.
fn span(of: SignedDuration) -> String {
    let seconds = of.as_secs() + i64::from(of.subsec_nanos() > 0);
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}
