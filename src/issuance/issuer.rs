//! The single entry to issuance.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::assertion::{self, Assertion, Opened};
use super::console::ConsoleDestination;
use super::federation::{ConsoleLogin, Federation, FederationError};
use super::figures::StsFigures;
use super::sts::{
    Answer, AssumeRoleWithSaml, AssumeRoleWithWebIdentity, GetFederationToken, GetSessionToken, LongTermKey, Operation,
    Reason, Sts, StsError,
};
use super::web_identity::{self, Minter, NoKey, Statement, Token, TokenError};
use crate::access::{Entry, Federation as Believes, Means, Permit};
use crate::aws::{
    AccessKeyId, Credentials, MfaCode, MfaSerial, Partition, Region, RoleArn, SessionDuration, SessionName,
    SessionPolicy,
};
use crate::catalog::{Method, SecretError, UserKey, UserKeyId};
use crate::saml::write::{Signer, WriteError};
use crate::sys::seal::SealingKey;
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
    /// Opens the keys of IAM users.
    pub sealing: SealingKey,
}

/// What somebody read from their MFA device.
#[derive(Debug, Clone)]
pub struct Mfa {
    /// Where the catalog does not say which device it is.
    pub serial: Option<MfaSerial>,
    pub code: MfaCode,
}

/// Turns permits into credentials, and credentials into links to the console.
#[derive(Debug)]
pub struct Issuer {
    parts: Arc<Parts>,
    /// As many signatures at once as there are processors: a crowd waits here rather than on every blocking thread.
    signing: Arc<Semaphore>,
}

/// Whether STS can be reached, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StsReach {
    Well,
    /// Where it should be asked it does not answer, and another region is asked.
    Elsewhere {
        since: Timestamp,
    },
    /// Nowhere.
    Out {
        since: Timestamp,
    },
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
    /// By which method, as the catalog calls it.
    method: &'static str,
    principal_arn: Option<String>,
    packed_percent: Option<u32>,
    request_id: Option<String>,
    proof: Option<Proof>,
    passed: Vec<Passed>,
    key: Option<(UserKeyId, AccessKeyId)>,
    console: Console,
}

/// Our word for a person, by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Of SAML.
    Assertion(String),
    /// Of OpenID Connect.
    Token(String),
}

impl Proof {
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Assertion(id) | Self::Token(id) => id,
        }
    }
}

/// A role that was passed through on the way. Its credentials are gone already: they were nobody's but ours.
#[derive(Debug, Clone)]
pub struct Passed {
    pub role: RoleArn,
    pub access_key_id: String,
    pub region: Region,
    pub request_id: Option<String>,
}

/// Whether the console can be opened with credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Console {
    /// It then lasts as long as they do: a duration of its own is never asked for, and with a chain or a federated user it must
    /// not be.
    Yes,
    /// The reason, as a sentence for people.
    No(&'static str),
}

/// Where on the way to a role something went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Counted from 1; the first is the one where our own word counts.
    pub number: usize,
    pub of: usize,
    /// The role that was not reached.
    pub role: RoleArn,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {} of {}, {}", self.number, self.of, self.role)
    }
}

/// Why nothing was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    #[error("the assertion could not be minted")]
    Mint(#[source] WriteError),
    #[error("the token could not be minted")]
    Token(#[source] TokenError),
    #[error(transparent)]
    NoKey(NoKey),
    #[error("what we say about the person was not finished: its thread ended")]
    Interrupted,
    #[error(transparent)]
    Sts(#[from] StsError),
    /// The role is reached over others, and it went wrong at one of them.
    #[error("{step}: {error}")]
    OnTheWay { step: Step, error: Box<IssueError> },
    #[error("the secret of key `{key}` cannot be opened")]
    Key { key: UserKeyId, source: SecretError },
    #[error("a federation token without a session policy may do nothing, so none was asked for")]
    NoSessionPolicy,
    #[error("there is no code of an MFA device, or it is not said which device")]
    NoMfa,
}

impl IssueError {
    /// A stable name for audit events and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Mint(_) => "mint-failed",
            Self::Token(_) => "token-failed",
            Self::NoKey(_) => "token-no-key",
            Self::Interrupted => "mint-interrupted",
            Self::Sts(error) => error.code(),
            Self::OnTheWay { error, .. } => error.code(),
            Self::Key { .. } => "key-not-opened",
            Self::NoSessionPolicy => "no-session-policy",
            Self::NoMfa => "no-mfa",
        }
    }

    /// When trying again is worth it, for what is temporary.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.sts().and_then(StsError::retry_after)
    }

    /// What a person is told.
    #[must_use]
    pub fn sentence(&self) -> Cow<'static, str> {
        match self {
            Self::Mint(WriteError::ForbiddenCharacter { .. }) => {
                "Your identity provider sent a character that AWS cannot be told. A Rolegate administrator finds \
                 where in the audit log."
                    .into()
            }
            Self::Token(TokenError::TooLong(_)) => {
                "The session tags of this role are too large for AWS. A Rolegate administrator must map fewer or shorter \
                 ones."
                    .into()
            }
            Self::Mint(_) | Self::Token(_) | Self::NoKey(_) | Self::Interrupted => {
                "Rolegate could not sign the request to AWS. Please tell whoever runs it.".into()
            }
            Self::Sts(error) => error.sentence().into(),
            Self::OnTheWay { step, error } => format!(
                "This role is reached in {} steps, and it went wrong at step {}, the role {} in account {}. {}",
                step.of,
                step.number,
                step.role.role(),
                step.role.account(),
                error.sentence()
            )
            .into(),
            Self::Key { .. } => {
                "The key this role is reached with cannot be opened here. A Rolegate administrator must seal it again, \
                 with `rolegate catalog apply`."
                    .into()
            }
            Self::NoSessionPolicy => {
                "This role gives nothing without a session policy. A Rolegate administrator must add one in the catalog."
                    .into()
            }
            Self::NoMfa => {
                "This role asks for a code of your MFA device, and for the device where the catalog does not name it."
                    .into()
            }
        }
    }

    /// What STS had to do with it.
    #[must_use]
    pub fn sts(&self) -> Option<&StsError> {
        match self {
            Self::Sts(error) => Some(error),
            Self::OnTheWay { error, .. } => error.sts(),
            Self::Mint(_)
            | Self::Token(_)
            | Self::NoKey(_)
            | Self::Interrupted
            | Self::Key { .. }
            | Self::NoSessionPolicy
            | Self::NoMfa => None,
        }
    }

    /// Where on the way it was.
    #[must_use]
    pub fn step(&self) -> Option<&Step> {
        match self {
            Self::OnTheWay { step, .. } => Some(step),
            Self::Sts(_)
            | Self::Mint(_)
            | Self::Token(_)
            | Self::NoKey(_)
            | Self::Interrupted
            | Self::Key { .. }
            | Self::NoSessionPolicy
            | Self::NoMfa => None,
        }
    }
}

impl Issuer {
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let signatures = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self { parts: Arc::new(parts), signing: Arc::new(Semaphore::new(signatures)) }
    }

    /// What is counted of the calls of STS.
    #[must_use]
    pub fn sts_figures(&self) -> Arc<StsFigures> {
        self.parts.sts.figures()
    }

    /// Looks whether an STS that is left alone answers again; costs nothing where none is.
    pub async fn look_at_sts(&self) {
        self.parts.sts.look().await;
    }

    /// Whether every STS is well that was called so far.
    #[must_use]
    pub fn is_sts_well(&self) -> bool {
        self.parts.sts.is_well()
    }

    /// How STS is reached for what has `first` for its region.
    #[must_use]
    pub fn sts_reach(&self, partition: Partition, first: Option<&Region>) -> StsReach {
        let out = self.parts.sts.left_alone(partition, &self.parts.regions.in_order(partition, first));
        match (out.first().copied().flatten(), out.iter().copied().collect::<Option<Vec<Timestamp>>>()) {
            (None, _) => StsReach::Well,
            // All are out; the trouble is as old as the last of them that went.
            (Some(_), Some(all)) => StsReach::Out { since: all.into_iter().max().unwrap_or(Timestamp::MAX) },
            (Some(since), None) => StsReach::Elsewhere { since },
        }
    }

    /// Spends a permit, by the means it names.
    ///
    /// When STS says the role allows no sessions this long, it is asked once more for one hour, which every role allows;
    /// [`Issued::is_shortened`] then says so.
    ///
    /// # Errors
    /// [`IssueError`]; the permit is spent all the same.
    pub async fn credentials(&self, permit: Permit, mfa: Option<&Mfa>) -> Result<Issued, IssueError> {
        let permit = Arc::new(permit);
        match permit.means() {
            Means::Federated(_) => {
                let entry = Arc::new(permit.entry().expect("our word opens the role itself"));
                let asked = permit.duration();
                let first = self.enter(&permit, &entry, asked, permit.session_policy()).await;
                let (granted, (answer, proof)) = match first {
                    Err(IssueError::Sts(StsError::Refused(Reason::DurationAboveMaximum, _)))
                        if asked > SessionDuration::HOUR =>
                    {
                        let hour = SessionDuration::HOUR;
                        (hour, self.enter(&permit, &entry, hour, permit.session_policy()).await?)
                    }
                    done => (asked, done?),
                };
                Ok(Issued { proof: Some(proof), ..Issued::new(&permit, granted, answer) })
            }
            Means::Chain { entry, hops } => self.go(&permit, entry, hops).await,
            Means::FederationToken(key) => self.federation_token(&permit, key).await,
            Means::SessionToken { key, mfa_serial } => {
                let mfa = mfa.ok_or(IssueError::NoMfa)?;
                let serial = mfa_serial.as_ref().or(mfa.serial.as_ref()).ok_or(IssueError::NoMfa)?;
                self.session_token(&permit, key, serial, &mfa.code).await
            }
        }
    }

    /// Into the role that our own word opens.
    async fn enter(
        &self,
        permit: &Arc<Permit>,
        entry: &Arc<Entry>,
        duration: SessionDuration,
        session_policy: &SessionPolicy,
    ) -> Result<(Answer, Proof), IssueError> {
        let partition = entry.role.partition();
        let regions = self.parts.regions.in_order(partition, entry.region.as_ref());
        match &entry.by {
            Believes::Saml(provider) => {
                let assertion = self.mint(Arc::clone(permit), Arc::clone(entry), duration).await?;
                let operation = Operation::AssumeRoleWithSaml(AssumeRoleWithSaml {
                    role: &entry.role,
                    provider,
                    assertion: &assertion,
                    duration,
                    session_policy,
                });
                let answer = self.parts.sts.ask(operation, partition, &regions).await?;
                Ok((answer, Proof::Assertion(assertion.id)))
            }
            Believes::WebIdentity(_) => {
                let token = self.token(Arc::clone(permit), Arc::clone(entry)).await?;
                let operation = Operation::AssumeRoleWithWebIdentity(AssumeRoleWithWebIdentity {
                    role: &entry.role,
                    session_name: permit.session_name(),
                    token: &token,
                    duration,
                    session_policy,
                });
                let answer = self.parts.sts.ask(operation, partition, &regions).await?;
                Ok((answer, Proof::Token(token.id().to_owned())))
            }
        }
    }

    async fn token(&self, permit: Arc<Permit>, entry: Arc<Entry>) -> Result<Token, IssueError> {
        let signer = self.parts.tokens.keys.current().await.map_err(IssueError::NoKey)?;
        let turn = Arc::clone(&self.signing).acquire_owned().await.map_err(|_| IssueError::Interrupted)?;
        let parts = Arc::clone(&self.parts);
        let minting = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let Believes::WebIdentity(audience) = &entry.by else { return Err(IssueError::Interrupted) };
            let along = entry.tags.iter().filter(|tag| tag.transitive);
            let transitive: Vec<String> = along.map(|tag| tag.key.clone()).collect();
            let statement = Statement {
                issuer: &parts.tokens.issuer,
                audience: audience.as_str(),
                subject: permit.subject(),
                role: &entry.role,
                source_identity: permit.source_identity(),
                tags: &entry.tags,
                transitive: &transitive,
            };
            web_identity::mint(&statement, &*signer, parts.clock.now(), &*parts.rng).map_err(IssueError::Token)
        });
        minting.await.map_err(|_| IssueError::Interrupted)?
    }

    /// Signing takes a millisecond or a trip to a device: neither belongs on an async thread.
    async fn mint(
        &self,
        permit: Arc<Permit>,
        entry: Arc<Entry>,
        duration: SessionDuration,
    ) -> Result<Assertion, IssueError> {
        let turn = Arc::clone(&self.signing).acquire_owned().await.map_err(|_| IssueError::Interrupted)?;
        let parts = Arc::clone(&self.parts);
        let minting = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let opened = Opened::of(&entry).expect("the account believes a SAML provider");
            let now = parts.clock.now();
            assertion::mint(&permit, &opened, duration, &parts.entity_id, &*parts.signer, now, &*parts.rng)
        });
        minting.await.map_err(|_| IssueError::Interrupted)?.map_err(IssueError::Mint)
    }

    async fn federation_token(&self, permit: &Permit, key: &UserKey) -> Result<Issued, IssueError> {
        if permit.session_policy().is_none() {
            return Err(IssueError::NoSessionPolicy);
        }
        let opened = self.open(key)?;
        let operation = Operation::GetFederationToken(GetFederationToken {
            key: &opened,
            name: permit.federated_name(),
            tags: permit.session_tags(),
            duration: permit.duration(),
            session_policy: permit.session_policy(),
        });
        self.by_user(permit, key, operation).await
    }

    async fn session_token(
        &self,
        permit: &Permit,
        key: &UserKey,
        mfa_serial: &MfaSerial,
        mfa_code: &MfaCode,
    ) -> Result<Issued, IssueError> {
        let opened = self.open(key)?;
        let duration = permit.duration();
        let operation = GetSessionToken { key: &opened, mfa_serial, mfa_code, duration };
        let issued = self.by_user(permit, key, Operation::GetSessionToken(operation)).await?;
        let user = format!("arn:{}:iam::{}:user/{}", permit.role().partition(), key.account, key.user);
        Ok(Issued { principal_arn: Some(user), console: Console::No(Method::NO_CONSOLE), ..issued })
    }

    async fn by_user(&self, permit: &Permit, key: &UserKey, operation: Operation<'_>) -> Result<Issued, IssueError> {
        let partition = permit.role().partition();
        let regions = self.parts.regions.in_order(partition, permit.region());
        let answer = self.parts.sts.ask(operation, partition, &regions).await?;
        let named = (key.id.clone(), key.access_key_id.clone());
        Ok(Issued { key: Some(named), ..Issued::new(permit, permit.duration(), answer) })
    }

    /// In clear for the time of one call.
    fn open(&self, key: &UserKey) -> Result<LongTermKey, IssueError> {
        let opened = key.secret_access_key.open(&key.id, &self.parts.sealing);
        let secret = opened.map_err(|source| IssueError::Key { key: key.id.clone(), source })?;
        Ok(LongTermKey { id: key.access_key_id.clone(), secret })
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
        if let Console::No(reason) = issued.console {
            return Err(FederationError::Impossible(reason));
        }
        let partition = issued.role.partition();
        let now = self.parts.clock.now();
        let federation = &self.parts.federation;
        // Where STS has just answered, AWS is well.
        federation.log_in(&issued.credentials, partition, &issued.region, destination, now, &*self.parts.rng).await
    }
}

impl Issued {
    fn new(permit: &Permit, granted: SessionDuration, answer: Answer) -> Self {
        let Answer { credentials, region, principal_arn, packed_percent, request_id } = answer;
        Self {
            credentials,
            role: permit.role().clone(),
            session_name: permit.session_name().clone(),
            asked: permit.duration(),
            granted,
            region,
            method: permit.means().name(),
            principal_arn,
            packed_percent,
            request_id,
            proof: None,
            passed: Vec::new(),
            key: None,
            console: Console::Yes,
        }
    }

    /// What STS would have given, for tests of what comes after it.
    #[cfg(test)]
    pub(super) fn for_tests(permit: &Permit, expiration: Timestamp) -> Self {
        let answer = Answer {
            credentials: Credentials {
                access_key_id: "ASIAEXAMPLEEXAMPLE12".to_owned(),
                secret_access_key: "secret/marker".into(),
                session_token: "token/marker".into(),
                expiration,
            },
            region: permit.role().partition().default_region(),
            principal_arn: None,
            packed_percent: None,
            request_id: None,
        };
        Self::new(permit, permit.duration(), answer)
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

    /// By which method, as the catalog calls it.
    #[must_use]
    pub fn method(&self) -> &'static str {
        self.method
    }

    /// Whom CloudTrail will name: the session of a role, a federated user, or the IAM user.
    #[must_use]
    pub fn principal_arn(&self) -> Option<&str> {
        self.principal_arn.as_deref()
    }

    /// The roles that were passed through on the way.
    #[must_use]
    pub fn passed(&self) -> &[Passed] {
        &self.passed
    }

    /// The IAM user's key it was done with: our name for it, and AWS's.
    #[must_use]
    pub fn key(&self) -> Option<(&UserKeyId, &AccessKeyId)> {
        self.key.as_ref().map(|(ours, theirs)| (ours, theirs))
    }

    #[must_use]
    pub fn console(&self) -> Console {
        self.console
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

    /// Our word for the person, where it was given.
    #[must_use]
    pub fn proof(&self) -> Option<&Proof> {
        self.proof.as_ref()
    }
}

mod chain;
#[cfg(test)]
mod tests;
