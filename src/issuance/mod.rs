//! A `Permit` becomes credentials or a console URL.
//!
//! [`Issuer`] is the only way in, and it takes a [`Permit`](crate::access::Permit) by value:
//!
//! 1. [`assertion`] mints one signed SAML response that names exactly one role;
//! 2. [`sts`] exchanges it for credentials, unsigned, as AWS defines `AssumeRoleWithSAML`, in the first region that
//!    answers; each operation of STS is a value that its client tries at one place after another;
//! 3. [`federation`] turns credentials into a link to the console, at a destination [`console`] allows;
//! 4. [`formats`] writes credentials down the way shells and SDKs read them.
//!
//! [`cache`] keeps what programs may be given again, against a permit of their own; [`profiles`] writes the configuration
//! by which AWS's tools come for them; [`metadata`] is what an AWS account is told to trust.

pub mod assertion;
mod breaker;
pub mod cache;
pub mod console;
mod endpoint;
#[cfg(test)]
mod fake;
pub mod federation;
mod figures;
pub mod formats;
mod issuer;
pub mod metadata;
pub mod profiles;
pub mod sts;
pub mod web_identity;

pub use console::{ConsoleDestination, Consoles, DestinationRefused};
pub use federation::{ConsoleLogin, FederationError};
pub use figures::StsFigures;
pub use formats::Format;
pub use issuer::{Console, IssueError, Issued, Issuer, Mfa, Parts, Passed, Proof, Regions, Step, StsReach};
pub use sts::StsError;
