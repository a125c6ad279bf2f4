//! Two process-wide switches of xmlsec that no Rust wrapper offers.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::sync::Once;

use samael::crypto::{CertificateDer, Crypto, CryptoProvider};

// Both are in the library samael links; the declarations follow xmlsec/errors.h and xmlsec/io.h of 1.2.
unsafe extern "C" {
    fn xmlSecErrorsDefaultCallbackEnableOutput(enabled: c_int);
    fn xmlSecIOCleanupCallbacks();
}

/// Makes xmlsec silent and blind: a forged message writes nothing to stderr, and no URI can be opened, whatever form a
/// reference has. The gate refuses such references before; this holds if it ever should not.
pub(super) fn once() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: sets one static integer; nothing else in this process does, and `Once` orders us before any use.
        unsafe { xmlSecErrorsDefaultCallbackEnableOutput(0) };
        // samael initialises xmlsec at its first use and keeps it until the process ends. The certificate is no
        // certificate, so nothing more happens.
        let _ = Crypto::verify_signed_xml("<none/>", &CertificateDer::from(vec![0]), None);
        // SAFETY: xmlsec is initialised, so the list exists; every user of xmlsec in this crate calls `once` first and
        // waits in `call_once`, so nobody reads the list while it is emptied. Emptying is what xmlSecShutdown does, and
        // doing it again there finds an empty list.
        unsafe { xmlSecIOCleanupCallbacks() };
    });
}
