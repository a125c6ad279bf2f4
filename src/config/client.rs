//! The variables that are no settings of a broker: they are for the commands that call one.

/// A variable that client commands read. On a machine that does both, `rolegate serve` must not take it for a
/// mistyped setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientVariable {
    /// Which server to call.
    Url,
    /// A token to call it with.
    Token,
    /// A file that holds the token.
    TokenFile,
    /// `off` keeps sign-ins out of the keyring.
    Keyring,
}

impl ClientVariable {
    pub const ALL: [Self; 4] = [Self::Url, Self::Token, Self::TokenFile, Self::Keyring];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Url => "ROLEGATE_URL",
            Self::Token => "ROLEGATE_TOKEN",
            Self::TokenFile => "ROLEGATE_TOKEN_FILE",
            Self::Keyring => "ROLEGATE_KEYRING",
        }
    }

    pub(super) fn is_named(name: &str) -> bool {
        Self::ALL.iter().any(|variable| variable.name() == name)
    }
}
