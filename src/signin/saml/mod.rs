//! Rolegate as a SAML service provider: which replies are believed, and what is read from them.
