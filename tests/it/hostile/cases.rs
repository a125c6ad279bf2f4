//! Replies that must be refused, each with the code its refusal is recorded under.

use super::forge::Forge;

/// A reply that signs nobody in.
pub struct Case {
    pub name: &'static str,
    /// The base64 text of the form field.
    pub form: fn(&Forge) -> String,
    /// The code of the refusal.
    pub expect: &'static str,
}

pub const CASES: &[Case] = &[];
