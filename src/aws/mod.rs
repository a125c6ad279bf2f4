//! AWS vocabulary: plain values that cannot be wrong once they exist.

mod arn;
mod credentials;
mod duration;
mod names;
mod network;
mod partition;
mod session_policy;
mod user;

pub use arn::{AccountId, InvalidArn, ProviderArn, RoleArn, RoleName, SamlProviderName};
pub use credentials::Credentials;
pub use duration::{DurationOutOfRange, InvalidDuration, SessionDuration};
pub use names::{ExternalId, FederatedName, InvalidName, SessionName, SourceIdentity};
pub use network::{InvalidNetwork, Network};
pub use partition::{EndpointKind, Partition, Region, UnknownPartition};
pub use session_policy::{
    Budget, CannotCompose, InvalidPolicyArn, InvalidSessionPolicy, Part, PolicyArn, PolicyDocument, ScopeDown,
    SessionPolicy, Source, compose,
};
pub use user::{AccessKeyId, InvalidMfaCode, MfaCode, MfaSerial, UserName};

#[cfg(test)]
mod tests;
