//! A stranger is sent to an identity provider.

use jiff::SignedDuration;
use url::Url;

use super::connectors::{ConnectorError, Connectors, Provider};
use super::current::CurrentCatalog;
use super::receive_code::attempt_key;
use super::{Caller, Ground, chain_of, test_sign_in};
use crate::audit::Kind;
use crate::catalog::Connector;
use crate::identity::{ConnectorId, Demand, VerifiedIdentity};
use crate::saml::write::Signer;
use crate::signin::{oidc, saml};
use crate::store::StoreError;
use crate::store::sign_in::Attempt;
use crate::sys::{LocalPath, Token, TokenHash};

/// Sends people to identity providers.
#[derive(Debug, Clone)]
pub struct StartSignIn {
    pub ground: Ground,
    pub catalog: CurrentCatalog,
    pub connectors: Connectors,
    /// How long a person may take at the identity provider.
    pub attempt_ttl: SignedDuration,
}

/// How somebody wants to sign in.
#[derive(Debug)]
pub struct Wish<'w> {
    /// Where they go afterwards.
    pub return_to: &'w LocalPath,
    /// The browser's secret, where it has one already.
    pub browser: Option<Token>,
    /// What is asked of how they are recognised this time, beyond what the connector asks always.
    pub demand: Option<Demand>,
    /// Who they say they are, for providers that take a hint.
    pub login_hint: Option<&'w str>,
}

/// Where to send the browser, and the cookie that will recognise it.
#[derive(Debug)]
pub struct Started {
    pub location: Url,
    pub browser: Token,
}

/// Why nobody was sent anywhere.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("no enabled connector is called `{0}`")]
    NoConnector(ConnectorId),
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    #[error("the test is unknown, begun already or over")]
    NoTest,
    #[error("the authentication request cannot be made")]
    Request(#[from] saml::StartError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StartError {
    /// A stable short name.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoConnector(_) => "connector-unknown",
            Self::Connector(error) => error.code(),
            Self::NoTest => "no-test",
            Self::Request(_) => "request-unwritable",
            Self::Store(_) => "store",
        }
    }
}

impl StartSignIn {
    /// # Errors
    /// [`StartError`]. What a provider says about itself and is not believed is recorded: whoever asks for it again within
    /// seconds is not, so that strangers cannot fill the audit log by asking.
    pub async fn run(&self, connector: &ConnectorId, wish: Wish<'_>, caller: &Caller) -> Result<Started, StartError> {
        let started = self.begin(connector, wish, None).await;
        if let Err(StartError::Connector(error)) = &started
            && error.is_about_the_provider()
        {
            let event = caller
                .event(Kind::SignInRefused)
                .with("connector", connector.as_str())
                .with("cause", error.code())
                .with("detail", chain_of(error));
            let ground = self.ground.clone();
            // Were the writing to panic, the refusal would stand all the same.
            self.ground.tasks.uninterrupted(async move { ground.record(&event).await }).await.transpose()?;
        }
        started
    }

    /// Takes up a test: the same, except that what comes of it is a report and no session. Each is taken up once.
    ///
    /// # Errors
    /// [`StartError`]; whoever waits for the report is told, unless there is no such test.
    pub async fn run_test(
        &self,
        connector: &ConnectorId,
        code: &Token,
        browser: Option<Token>,
    ) -> Result<Started, StartError> {
        let code = code.hash();
        if !self.ground.store.start_test(&code, connector, self.ground.clock.now()).await? {
            return Err(StartError::NoTest);
        }
        let wish = Wish { return_to: &LocalPath::home(), browser, demand: None, login_hint: None };
        let begun = self.begin(connector, wish, Some(code)).await;
        if let Err(error) = &begun {
            let detail = chain_of(error);
            test_sign_in::refused_alone(&self.ground, Some(&code), connector, error.code(), &detail).await?;
        }
        begun
    }

    /// Sends somebody who is signed in through the connector they came by, once more.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn again(
        &self,
        identity: &VerifiedIdentity,
        return_to: &LocalPath,
        browser: Option<Token>,
        demand: Option<Demand>,
        caller: &Caller,
    ) -> Result<Started, StartError> {
        let connector = &identity.subject.connector;
        let loaded = self.catalog.get().await?;
        let hinted = loaded.catalog.connector(connector).is_some_and(Connector::takes_login_hint);
        let login_hint = identity.email.as_deref().filter(|_| hinted);
        self.run(connector, Wish { return_to, browser, demand, login_hint }, caller).await
    }

    async fn begin(
        &self,
        connector: &ConnectorId,
        wish: Wish<'_>,
        test: Option<TokenHash>,
    ) -> Result<Started, StartError> {
        let loaded = self.catalog.get().await?;
        let found = loaded.catalog.connector(connector).filter(|found| found.enabled && found.is_for_people());
        let found = found.ok_or_else(|| StartError::NoConnector(connector.clone()))?;
        let provider = self.connectors.ready(found, loaded.revision).await?;
        let now = self.ground.clock.now();
        let handle = Token::generate(&*self.ground.rng);
        // A browser keeps its cookie over several attempts, so that two tabs do not spoil each other.
        let browser = wish.browser.unwrap_or_else(|| Token::generate(&*self.ground.rng));
        let demand = wish.demand.as_ref();
        let (location, request_id, force_authn, demand) = match provider {
            Provider::Saml(provider) => {
                let signer = provider.signer.as_deref().map(|key| key as &dyn Signer);
                let rng = &*self.ground.rng;
                let sent = saml::start(&provider.settings, handle.expose_secret(), demand, signer, rng, now)?;
                (sent.redirect, sent.attempt.request_id, sent.attempt.force_authn, sent.attempt.demand)
            }
            Provider::Oidc(provider) => {
                let secrets = oidc::AttemptSecrets::derive(&attempt_key(&self.ground), &handle);
                let sent = oidc::start(&provider.settings, &handle, &secrets, demand, wish.login_hint, now);
                // There is no request id: the answer names the attempt by `state`, the ID token by its nonce.
                (sent.redirect, String::new(), sent.attempt.force_authn, sent.attempt.demand)
            }
            Provider::Workload(_) => return Err(StartError::NoConnector(connector.clone())),
        };
        let attempt = Attempt {
            connector: connector.clone(),
            request_id,
            browser: browser.hash(),
            return_to: wish.return_to.to_string(),
            force_authn,
            demand,
            started: now,
            expires: now.checked_add(self.attempt_ttl).unwrap_or(jiff::Timestamp::MAX),
            test,
        };
        self.ground.store.add_attempt(&handle.hash(), &attempt).await?;
        Ok(Started { location, browser })
    }
}
