//! The single entry to issuance.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::assertion::{self, Assertion};
use super::console::ConsoleDestination;
use super::federation::{ConsoleLogin, Federation, FederationError};
use super::sts::{Answer, AssumeRoleWithSaml, Operation, Sts, StsError};
use super::web_identity::Minter;
use crate::access::Permit;
use crate::aws::{Credentials, Partition, Region, RoleArn, SessionDuration, SessionName};
use crate::saml::write::{Signer, WriteError};
use crate::sys::{Clock, Rng};

/// The regions in which each partition's STS and sign-in service are called.
#[derive(Debug, Clone, Default)]
pub struct Regions {
    /// The partition's default region where none is set.
    main: BTreeMap<Partition, Region>,
    fallback: Vec<Region>,
}

impl Regions {
    /// Sets the region of the partition it belongs to.
    #[must_use]
    pub fn with(mut self, region: Region) -> Self {
        if let Some(partition) = Partition::ALL.into_iter().find(|partition| partition.has_region(&region)) {
            self.main.insert(partition, region);
        }
        self
    }

    /// Sets the regions that are tried when the main one does not answer, each in the partition it belongs to.
    #[must_use]
    pub fn with_fallback(self, fallback: Vec<Region>) -> Self {
        Self { fallback, ..self }
    }

    #[must_use]
    pub fn of(&self, partition: Partition) -> Region {
        self.main.get(&partition).cloned().unwrap_or_else(|| partition.default_region())
    }

    /// The partition's regions, none twice: `first` or else the main one, then those to fall back to.
    #[must_use]
    pub fn in_order(&self, partition: Partition, first: Option<&Region>) -> Vec<Region> {
        let mut regions = vec![first.cloned().unwrap_or_else(|| self.of(partition))];
        for region in self.fallback.iter().filter(|region| partition.has_region(region)) {
            if !regions.contains(region) {
                regions.push(region.clone());
            }
        }
        regions
    }
}

/// What an [`Issuer`] is made of.
#[derive(Debug)]
pub struct Parts {
    /// Our name toward AWS, as in the metadata.
    pub entity_id: String,
    pub signer: Arc<dyn Signer>,
    /// What signs for accounts that trust us as an OpenID provider.
    pub tokens: Minter,
    pub sts: Sts,
    pub federation: Federation,
    pub regions: Regions,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
}

/// Turns permits into credentials, and credentials into links to the console.
#[derive(Debug)]
pub struct Issuer {
    parts: Arc<Parts>,
    /// As many signatures at once as there are processors: a crowd waits here rather than on every blocking thread.
    signing: Arc<Semaphore>,
}

/// Credentials, and how they came about. Only an [`Issuer`] makes one, from a permit.
#[derive(Debug)]
pub struct Issued {
    credentials: Credentials,
    role: RoleArn,
    session_name: SessionName,
    asked: SessionDuration,
    granted: SessionDuration,
    region: Region,
    assumed_role_arn: Option<String>,
    packed_percent: Option<u32>,
    request_id: Option<String>,
    assertion_id: String,
}

/// Why nothing was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    #[error("the assertion could not be minted")]
    Mint(#[source] WriteError),
    #[error("the assertion was not finished: its thread ended")]
    Interrupted,
    #[error(transparent)]
    Sts(#[from] StsError),
}

impl IssueError {
    /// A stable name for audit events and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Mint(_) => "mint-failed",
            Self::Interrupted => "mint-interrupted",
            Self::Sts(error) => error.code(),
        }
    }

    /// What a person is told.
    #[must_use]
    pub const fn sentence(&self) -> &'static str {
        match self {
            Self::Mint(WriteError::ForbiddenCharacter { .. }) => {
                "Your identity provider sent a character that AWS cannot be told. A Rolegate administrator finds \
                 where in the audit log."
            }
            Self::Mint(_) | Self::Interrupted => {
                "Rolegate could not sign the request to AWS. Please tell whoever runs it."
            }
            Self::Sts(error) => error.sentence(),
        }
    }
}

impl Issuer {
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let signatures = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self { parts: Arc::new(parts), signing: Arc::new(Semaphore::new(signatures)) }
    }

    /// Spends a permit: mints an assertion and has STS exchange it.
    ///
    /// When STS says the role allows no sessions this long, a new assertion is minted and tried once with one hour,
    /// which every role allows; [`Issued::is_shortened`] then says so.
    ///
    /// # Errors
    /// [`IssueError`]; the permit is spent all the same.
    pub async fn credentials(&self, permit: Permit) -> Result<Issued, IssueError> {
        let permit = Arc::new(permit);
        let asked = permit.duration();
        match self.assume(&permit, asked).await {
            Err(IssueError::Sts(StsError::DurationAboveMaximum(_)))
                if asked.as_secs() > SessionDuration::HOUR.as_secs() =>
            {
                self.assume(&permit, SessionDuration::HOUR).await
            }
            done => done,
        }
    }

    async fn assume(&self, permit: &Arc<Permit>, duration: SessionDuration) -> Result<Issued, IssueError> {
        let assertion = self.mint(Arc::clone(permit), duration).await?;
        let regions = self.parts.regions.in_order(permit.role().partition(), permit.region());
        let operation = Operation::AssumeRoleWithSaml(AssumeRoleWithSaml {
            role: permit.role(),
            provider: permit.provider(),
            assertion: &assertion,
            duration,
            session_policy: permit.session_policy(),
        });
        let Answer { credentials, region, principal_arn, packed_percent, request_id } =
            self.parts.sts.ask(operation, permit.role().partition(), &regions).await?;
        Ok(Issued {
            credentials,
            role: permit.role().clone(),
            session_name: permit.session_name().clone(),
            asked: permit.duration(),
            granted: duration,
            region,
            assumed_role_arn: principal_arn,
            packed_percent,
            request_id,
            assertion_id: assertion.id,
        })
    }

    /// Signing takes a millisecond or a trip to a device: neither belongs on an async thread.
    async fn mint(&self, permit: Arc<Permit>, duration: SessionDuration) -> Result<Assertion, IssueError> {
        let turn = Arc::clone(&self.signing).acquire_owned().await.map_err(|_| IssueError::Interrupted)?;
        let parts = Arc::clone(&self.parts);
        let minting = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let now = parts.clock.now();
            assertion::mint(&permit, duration, &parts.entity_id, &*parts.signer, now, &*parts.rng)
        });
        minting.await.map_err(|_| IssueError::Interrupted)?.map_err(IssueError::Mint)
    }

    /// A link that opens the console with credentials just issued.
    ///
    /// # Errors
    /// [`FederationError`].
    pub async fn console(
        &self,
        issued: &Issued,
        destination: &ConsoleDestination,
    ) -> Result<ConsoleLogin, FederationError> {
        let partition = issued.role.partition();
        let now = self.parts.clock.now();
        let federation = &self.parts.federation;
        // Where STS has just answered, AWS is well.
        federation.log_in(&issued.credentials, partition, &issued.region, destination, now, &*self.parts.rng).await
    }
}

impl Issued {
    /// What STS would have given, for tests of what comes after it.
    #[cfg(test)]
    pub(super) fn for_tests(permit: &Permit, expiration: jiff::Timestamp) -> Self {
        Self {
            credentials: Credentials {
                access_key_id: "ASIAEXAMPLEEXAMPLE12".to_owned(),
                secret_access_key: "secret/marker".into(),
                session_token: "token/marker".into(),
                expiration,
            },
            role: permit.role().clone(),
            session_name: permit.session_name().clone(),
            asked: permit.duration(),
            granted: permit.duration(),
            region: permit.role().partition().default_region(),
            assumed_role_arn: None,
            packed_percent: None,
            request_id: None,
            assertion_id: "_test".to_owned(),
        }
    }

    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    #[must_use]
    pub fn role(&self) -> &RoleArn {
        &self.role
    }

    #[must_use]
    pub fn session_name(&self) -> &SessionName {
        &self.session_name
    }

    /// How long the permit allowed.
    #[must_use]
    pub fn asked(&self) -> SessionDuration {
        self.asked
    }

    /// How long STS was finally asked for. The expiration in the credentials has the last word.
    #[must_use]
    pub fn granted(&self) -> SessionDuration {
        self.granted
    }

    /// Whether the role's own maximum made the session shorter than was asked.
    #[must_use]
    pub fn is_shortened(&self) -> bool {
        self.granted != self.asked
    }

    /// The region whose STS answered.
    #[must_use]
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Whom CloudTrail will name.
    #[must_use]
    pub fn assumed_role_arn(&self) -> Option<&str> {
        self.assumed_role_arn.as_deref()
    }

    /// How much of the room for session policies and tags was taken, in percent; none where STS did not say.
    #[must_use]
    pub fn packed_percent(&self) -> Option<u32> {
        self.packed_percent
    }

    /// STS's request id, for AWS support and for finding the call in CloudTrail.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    #[must_use]
    pub fn assertion_id(&self) -> &str {
        &self.assertion_id
    }
}

#[cfg(test)]
mod tests;
