//! SAML mechanics without policy: strict gate, signatures, encryption, bindings, canonical writing.
