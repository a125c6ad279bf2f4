//! Composition root: a [`Config`] goes in, a running broker comes out. The only file that names every concrete type.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::{Compress, from_fn};
use actix_web::{HttpServer, web};
use base64::Engine as _;
use jiff::SignedDuration;
use secrecy::SecretString;
use url::Url;

use crate::audit::{Chain, ChainKey, Event, Kind};
use crate::aws::Partition;
use crate::catalog::Method;
use crate::config::{
    Config, Database, DeviceCodes, Rate, SealingKeySource, StoreConfig, TokenKeysConfig, sealing_key_from_base64,
};
use crate::flows::allowance::Allowance;
use crate::flows::authorize::Authorize;
use crate::flows::clients::Clients;
use crate::flows::connectors::{Connectors, OwnKeys};
use crate::flows::current::CurrentCatalog;
use crate::flows::device::{ApproveFrom, Devices};
use crate::flows::endings::Endings;
use crate::flows::exchange::Exchange;
use crate::flows::finish_sign_in::{FinishSignIn, SessionTimes};
use crate::flows::grant_tokens::GrantTokens;
use crate::flows::issue::Issue;
use crate::flows::judges::Judges;
use crate::flows::personal_tokens::PersonalTokens;
use crate::flows::places::Places;
use crate::flows::receive_code::ReceiveCode;
use crate::flows::receive_logout::ReceiveLogout;
use crate::flows::receive_logout_token::ReceiveLogoutToken;
use crate::flows::receive_reply::ReceiveReply;
use crate::flows::sessions::Sessions;
use crate::flows::sign_out::SignOut;
use crate::flows::start_sign_in::StartSignIn;
use crate::flows::step_up::StepUp;
use crate::flows::token_keys::{TokenKeyRules, TokenKeys};
use crate::flows::tokens::{TokenRules, Tokens};
use crate::flows::{Ground, Tasks};
use crate::issuance::federation::{Federation, FederationSettings};
use crate::issuance::metadata::Metadata;
use crate::issuance::sts::{Addresses, Sts, StsSettings};
use crate::issuance::web_identity::Minter;
use crate::issuance::{Consoles, Issuer, Parts, Regions};
use crate::saml::key::{KeySize, SigningKey};
use crate::store::keys::StoredKey;
use crate::store::{Store, StoreError, keys};
use crate::sys::http::Outbound;
use crate::sys::metrics::{Figure, Page, Process, Registry, Source};
use crate::sys::seal::SealingKey;
use crate::sys::{Clock, Rng};
use crate::web::aws::SamlMetadata;
use crate::web::aws_config::ProfileSource;
use crate::web::context::{Surroundings, content_security_policy, surround};
use crate::web::fields::BodyLimits;
use crate::web::health::Readiness;
use crate::web::limits::Limits;
use crate::web::metrics::Metrics;
use crate::web::picker::HelpText;
use crate::web::routes;
use crate::web::session::Cookies;

/// How many answers of OpenID providers are waited for at once.
const CALLS_AT_ONCE: usize = 64;
/// How many of them may be those of one connector; a provider that hangs must not hold up the others.
const CALLS_OF_ONE_CONNECTOR: usize = 16;

/// Why a broker could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the folder {path} cannot be made; create it, or set data_dir to one that is writable")]
    DataDir { path: PathBuf, source: std::io::Error },
    #[error("the sealing key {path} cannot be read or made")]
    SealingKeyFile { path: PathBuf, source: std::io::Error },
    #[error("the sealing key {path} does not hold a key; restore it from where you keep a copy")]
    SealingKey { path: PathBuf, source: crate::config::InvalidSealingKey },
    #[error("there is no database {path}; check --data-dir, --database and --config, or start `rolegate serve` first")]
    NoDatabase { path: PathBuf },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a key pair cannot be used")]
    Key(#[from] crate::saml::key::KeyError),
    #[error("our metadata cannot be written")]
    Metadata(#[from] crate::issuance::metadata::MetadataError),
    #[error("the outbound HTTP client cannot be made")]
    Http(#[from] reqwest::Error),
    #[error("the address {address} cannot be listened on")]
    Listen { address: SocketAddr, source: std::io::Error },
}

/// What to do when there is no database yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    Create,
    /// A mistyped path must not look like an empty audit log.
    Refuse,
}

/// The database and what is derived from the sealing key: enough for commands that answer no browser.
#[derive(Debug)]
pub struct Base {
    pub store: Store,
    pub chain: Chain,
    sealing: SealingKey,
}

impl Base {
    /// Opens what a [`StoreConfig`] names.
    ///
    /// # Errors
    /// [`StartError`]; [`StartError::NoDatabase`] when nothing is there and nothing may be made.
    pub async fn open_store(config: &StoreConfig, missing: Missing, rng: &dyn Rng) -> Result<Self, StartError> {
        let Database::Sqlite(path) = &config.database;
        if missing == Missing::Refuse && !path.exists() {
            return Err(StartError::NoDatabase { path: path.clone() });
        }
        Self::open(&config.data_dir, &config.database, &config.sealing_key, rng).await
    }

    async fn open(
        data_dir: &Path,
        database: &Database,
        sealing_key: &SealingKeySource,
        rng: &dyn Rng,
    ) -> Result<Self, StartError> {
        private_folder(data_dir).map_err(|source| StartError::DataDir { path: data_dir.to_owned(), source })?;
        let sealing = match sealing_key {
            SealingKeySource::Given(key) => key.clone(),
            SealingKeySource::OwnFile(path) => own_sealing_key(path, rng)?,
        };
        let Database::Sqlite(path) = database;
        let store = Store::open(path).await?;
        let chain = Chain::new(ChainKey::new(sealing.derive("rolegate audit chain v1")));
        Ok(Self { store, chain, sealing })
    }

    /// What flows need.
    #[must_use]
    pub fn ground(&self, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> Ground {
        Ground::new(self.store.clone(), self.chain.clone(), clock, rng, self.sealing.clone())
    }
}

/// Makes a folder that only its owner may look into; one that exists is left as it is.
fn private_folder(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Reads the sealing key from its file, or makes one. Of two processes that start together, one makes it.
fn own_sealing_key(path: &Path, rng: &dyn Rng) -> Result<SealingKey, StartError> {
    use std::io::Write as _;
    let failed = |source| StartError::SealingKeyFile { path: path.to_owned(), source };
    if !path.exists() {
        let mut bytes = zeroize::Zeroizing::new([0_u8; 32]);
        rng.fill(&mut *bytes);
        let text = zeroize::Zeroizing::new(format!("{}\n", base64::engine::general_purpose::STANDARD.encode(*bytes)));
        // Written aside and linked into place, so that nobody ever reads half a key. The name is new each time: a
        // container's process id is not, and what a crash left behind must not be in the way.
        let mut draft = path.as_os_str().to_owned();
        let mut random = [0_u8; 8];
        rng.fill(&mut random);
        draft.push(format!(".{:016x}", u64::from_be_bytes(random)));
        let draft = PathBuf::from(draft);
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(failed)?;
        let linked = file
            .write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::hard_link(&draft, path));
        let _ = std::fs::remove_file(&draft);
        match linked {
            Ok(()) => tracing::warn!(
                path = %path.display(),
                "made a new sealing key; keep a copy apart from the database: without it the signing key is lost"
            ),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    sealing_key_from_base64(&SecretString::from(text))
        .map_err(|source| StartError::SealingKey { path: path.to_owned(), source })
}

/// A broker, ready to listen.
pub struct App {
    pub ground: Ground,
    pub catalog: CurrentCatalog,
    connectors: Connectors,
    services: Services,
    /// Where figures have an address of their own.
    metrics_listener: Option<TcpListener>,
    workers: Option<usize>,
    keep_alive: Duration,
    shutdown_timeout: Duration,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("App")
    }
}

/// What handlers are given.
#[derive(Clone)]
struct Services {
    ground: web::Data<Ground>,
    catalog: web::Data<CurrentCatalog>,
    connectors: web::Data<Connectors>,
    start: web::Data<StartSignIn>,
    receive: web::Data<ReceiveReply>,
    receive_code: web::Data<ReceiveCode>,
    finish: web::Data<FinishSignIn>,
    sessions: web::Data<Sessions>,
    tokens: web::Data<Tokens>,
    personal_tokens: web::Data<PersonalTokens>,
    clients: web::Data<Clients>,
    authorize: web::Data<Authorize>,
    devices: web::Data<Devices>,
    grant_tokens: web::Data<GrantTokens>,
    sign_out: web::Data<SignOut>,
    receive_logout: web::Data<ReceiveLogout>,
    step_up: web::Data<StepUp>,
    receive_logout_token: web::Data<ReceiveLogoutToken>,
    exchange: web::Data<Exchange>,
    issue: web::Data<Issue>,
    limits: web::Data<Limits>,
    cookies: web::Data<Cookies>,
    bodies: web::Data<BodyLimits>,
    surroundings: web::Data<Surroundings>,
    aws_metadata: web::Data<SamlMetadata>,
    token_keys: web::Data<TokenKeys>,
    profiles: web::Data<ProfileSource>,
    help: web::Data<HelpText>,
    metrics: web::Data<Metrics>,
    readiness: web::Data<Readiness>,
}

impl App {
    /// Puts a broker together.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn build(config: &Config, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> Result<Self, StartError> {
        let base = Base::open(&config.data_dir, &config.database, &config.keys.sealing_key, &*rng).await?;
        let ground = base.ground(clock, rng);
        let public_url = config.public_url.as_url();
        let size =
            KeySize::try_from(config.keys.signing_key_bits.get()).expect("the settings allow only sizes there are");
        // Made side by side the first time: each takes a moment.
        let (aws_key, sp_key, client_key) = tokio::try_join!(
            own_key(&ground, &base.sealing, keys::AWS_ASSERTIONS, size, public_url),
            own_key(&ground, &base.sealing, keys::SAML_SERVICE_PROVIDER, size, public_url),
            own_key(&ground, &base.sealing, keys::OIDC_CLIENT, size, public_url),
        )?;
        let token_keys = token_keys(&ground, &config.keys.tokens);
        let own_keys = OwnKeys { saml: Arc::new(sp_key), oidc: Arc::new(client_key) };
        let http = crate::sys::http::client(config.aws.connect_timeout)?;
        let outbound = Outbound::new(http.clone(), config.aws.connect_timeout)?;

        let home = public_url.clone();
        let aws_metadata = Metadata {
            entity_id: &config.keys.entity_id,
            certificates: &[aws_key.certificate_base64()],
            sso_post: &home,
            sso_redirect: &home,
        }
        .to_xml()?;
        let regions = config.aws.region.clone().map_or_else(Regions::default, |region| Regions::default().with(region));
        let regions = regions.with_fallback(config.aws.fallback_regions.clone());
        let consoles =
            Arc::new(Consoles { home: config.aws.console_url.clone(), origins: config.aws.console_origins.clone() });
        let issuer = Arc::new(Issuer::new(Parts {
            entity_id: config.keys.entity_id.clone(),
            signer: Arc::new(aws_key),
            tokens: Minter { issuer: config.keys.tokens.issuer.clone(), keys: Arc::new(token_keys.clone()) },
            sts: Sts::new(
                http.clone(),
                StsSettings {
                    addresses: Addresses {
                        everywhere: config.aws.sts_endpoint.clone(),
                        by_region: config.aws.sts_endpoints.clone(),
                        kind: config.aws.endpoint_kind,
                    },
                    attempt_timeout: config.aws.attempt_timeout,
                    total_timeout: config.aws.total_timeout,
                    max_attempts: config.aws.max_attempts,
                    ..StsSettings::default()
                },
                Arc::clone(&ground.clock),
                Arc::clone(&ground.rng),
            ),
            federation: Federation::new(
                http.clone(),
                FederationSettings {
                    endpoint: config.aws.federation_endpoint.clone(),
                    fips: config.aws.endpoint_kind.fips,
                    attempt_timeout: config.aws.attempt_timeout,
                    total_timeout: config.aws.total_timeout,
                    ..FederationSettings::new(public_url.join("/sign-in").unwrap_or_else(|_| public_url.clone()))
                },
            ),
            regions: regions.clone(),
            clock: Arc::clone(&ground.clock),
            rng: Arc::clone(&ground.rng),
            sealing: ground.sealing.clone(),
        }));

        let registry = Registry::default();
        registry.add(Arc::new(Build));
        registry.add(Arc::new(Process { started: ground.clock.now().as_second() }));
        registry.add(Arc::clone(&ground.figures) as Arc<dyn Source>);
        registry.add(issuer.sts_figures());

        let catalog = CurrentCatalog::new(ground.store.clone());
        let connectors =
            Connectors::new(ground.clone(), outbound.clone(), public_url.clone(), own_keys, config.web.max_body);
        let signed = |limit: Duration| SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX);
        let judges = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let judges = Judges::new(judges, Arc::clone(&ground.clock));
        let endings = Endings { ground: ground.clone(), tokens_too: config.tokens.end_at_sign_out };
        let sessions = Sessions::new(endings.clone());
        let days = |days: u32| SignedDuration::from_hours(24 * i64::from(days));
        let tokens = Tokens::new(
            ground.clone(),
            TokenRules {
                personal: config.tokens.personal,
                personal_max: days(config.tokens.personal_max_days),
                vouched_within: days(config.tokens.vouched_within_days),
                access_token: signed(config.tokens.access_token_lifetime),
                sign_in: signed(config.tokens.sign_in_lifetime),
                refresh_grace: signed(config.tokens.refresh_grace),
            },
        );
        let clients = Clients { ground: ground.clone() };
        let rate = |rate: &Rate| crate::web::limits::Rate { per_minute: rate.per_minute, burst: rate.burst };
        let start = StartSignIn {
            ground: ground.clone(),
            catalog: catalog.clone(),
            connectors: connectors.clone(),
            attempt_ttl: signed(config.sign_in.attempt_ttl),
        };
        let issue = Issue {
            ground: ground.clone(),
            catalog: catalog.clone(),
            issuer,
            consoles,
            regions: regions.clone(),
            allowance: Arc::new(Allowance::new(rate(&config.limits.issue).into(), rate(&config.limits.deliver).into())),
        };
        let services = Services {
            ground: web::Data::new(ground.clone()),
            catalog: web::Data::new(catalog.clone()),
            connectors: web::Data::new(connectors.clone()),
            step_up: web::Data::new(StepUp { ground: ground.clone(), start: start.clone() }),
            start: web::Data::new(start),
            receive: web::Data::new(ReceiveReply {
                ground: ground.clone(),
                catalog: catalog.clone(),
                connectors: connectors.clone(),
                ticket_ttl: signed(config.sign_in.ticket_ttl),
                judges: judges.clone(),
            }),
            receive_code: web::Data::new(ReceiveCode {
                ground: ground.clone(),
                catalog: catalog.clone(),
                connectors: connectors.clone(),
                http: outbound,
                ticket_ttl: signed(config.sign_in.ticket_ttl),
                calls: Places::new(CALLS_AT_ONCE, CALLS_OF_ONE_CONNECTOR),
            }),
            finish: web::Data::new(FinishSignIn::new(
                catalog.clone(),
                SessionTimes {
                    idle: signed(config.session.idle_timeout),
                    absolute: signed(config.session.absolute_timeout),
                },
                endings.clone(),
            )),
            sign_out: web::Data::new(SignOut {
                ground: ground.clone(),
                catalog: catalog.clone(),
                connectors: connectors.clone(),
                sessions: sessions.clone(),
                attempt_ttl: signed(config.sign_in.attempt_ttl),
            }),
            receive_logout: web::Data::new(ReceiveLogout {
                ground: ground.clone(),
                catalog: catalog.clone(),
                connectors: connectors.clone(),
                judges: judges.clone(),
                endings: endings.clone(),
            }),
            receive_logout_token: web::Data::new(ReceiveLogoutToken {
                ground: ground.clone(),
                catalog: catalog.clone(),
                connectors: connectors.clone(),
                judges: judges.clone(),
                endings,
            }),
            sessions: web::Data::new(sessions),
            authorize: web::Data::new(Authorize {
                ground: ground.clone(),
                clients: clients.clone(),
                issuer: public_url.clone(),
            }),
            devices: web::Data::new(Devices {
                ground: ground.clone(),
                from: match config.tokens.device_codes {
                    DeviceCodes::Anywhere => ApproveFrom::Anywhere,
                    DeviceCodes::SameNetwork => ApproveFrom::SameNetwork,
                    DeviceCodes::Off => ApproveFrom::Nowhere,
                },
            }),
            grant_tokens: web::Data::new(GrantTokens { ground: ground.clone(), tokens: tokens.clone() }),
            clients: web::Data::new(clients),
            personal_tokens: web::Data::new(PersonalTokens { tokens: tokens.clone(), catalog: catalog.clone() }),
            tokens: web::Data::new(tokens),
            exchange: web::Data::new(Exchange {
                ground: ground.clone(),
                catalog: catalog.clone(),
                connectors: connectors.clone(),
                judges,
                issue: issue.clone(),
                access_token: signed(config.tokens.access_token_lifetime),
            }),
            issue: web::Data::new(issue),
            limits: web::Data::new(Limits::new(rate(&config.limits.sign_in), rate(&config.limits.deliver))),
            cookies: web::Data::new(Cookies::new(public_url)),
            bodies: web::Data::new(BodyLimits::new(64 * 1024, config.web.max_body)),
            surroundings: web::Data::new(Surroundings {
                trusted_proxies: config.web.trusted_proxies.clone(),
                content_security_policy: content_security_policy(&console_sources(config)),
                https: config.public_url.is_https(),
                rng: Arc::clone(&ground.rng),
            }),
            aws_metadata: web::Data::new(SamlMetadata(aws_metadata)),
            token_keys: web::Data::new(token_keys),
            profiles: web::Data::new(ProfileSource {
                base: public_url.origin().ascii_serialization(),
                sso_name: config.tokens.sso_name.clone(),
                sso_region: regions.of(Partition::Aws),
            }),
            help: web::Data::new(HelpText {
                text: config.support.text.clone(),
                contact: config.support.contact.clone(),
            }),
            metrics: web::Data::new(Metrics::new(registry, config.metrics.token.as_ref())),
            readiness: web::Data::new(Readiness::default()),
        };
        let metrics_listener = config.metrics.listen.map(listen).transpose()?;
        Ok(Self {
            ground,
            catalog,
            connectors,
            services,
            metrics_listener,
            workers: config.web.workers.map(std::num::NonZero::get),
            keep_alive: config.web.keep_alive,
            shutdown_timeout: config.shutdown_timeout,
        })
    }

    /// Serves on a socket that listens already, until told to stop; also starts the background work.
    ///
    /// On SIGTERM or SIGINT it stops accepting and finishes what is in flight, within the shutdown timeout.
    ///
    /// # Errors
    /// The socket cannot be used.
    pub fn serve(&self, listener: TcpListener) -> std::io::Result<Running> {
        let services = self.services.clone();
        let server = HttpServer::new(move || {
            let services = services.clone();
            actix_web::App::new()
                .wrap(Compress::default())
                .wrap(from_fn(surround))
                .configure(move |config| services.mount(config))
        })
        .workers(self.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, std::num::NonZero::get)))
        .keep_alive(self.keep_alive)
        .client_request_timeout(Duration::from_secs(10))
        .client_disconnect_timeout(Duration::from_secs(1))
        .shutdown_timeout(self.shutdown_timeout.as_secs().max(1))
        .listen(listener)?
        .run();
        let metrics = self.serve_metrics()?;
        Ok(Running {
            handle: server.handle(),
            server,
            metrics,
            background: self.background(),
            tasks: self.ground.tasks.clone(),
            patience: self.shutdown_timeout,
        })
    }

    /// The address that tells figures and nothing else, where the settings want one.
    fn serve_metrics(&self) -> std::io::Result<Option<ServerHandle>> {
        let Some(listener) = &self.metrics_listener else { return Ok(None) };
        let metrics = self.services.metrics.clone();
        let server = HttpServer::new(move || {
            actix_web::App::new()
                .app_data(metrics.clone())
                .route("/metrics", web::get().to(crate::web::metrics::show_openly))
        })
        .workers(1)
        // Whoever stops the broker stops this, too.
        .disable_signals()
        .listen(listener.try_clone()?)?
        .run();
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Some(handle))
    }

    /// Where figures are told openly; the system may have chosen the port.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_listener.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Removes what has expired, forgets idle rate-limit keys, drops credentials of those who left elsewhere, keeps
    /// metadata fresh, looks whether an STS that was out is back.
    fn background(&self) -> Vec<tokio::task::JoinHandle<()>> {
        let ground = self.ground.clone();
        let (limits, issue) = (self.services.limits.clone(), self.services.issue.clone());
        let housekeeping = tokio::spawn(every(Duration::from_secs(60), move || {
            let (ground, limits, issue) = (ground.clone(), limits.clone(), issue.clone());
            async move {
                limits.forget_idle();
                issue.allowance.forget_idle();
                match ground.store.remove_expired(ground.clock.now()).await {
                    Ok(0) => {}
                    Ok(rows) => tracing::debug!(rows, "removed expired rows"),
                    Err(error) => tracing::warn!(cause = %error, "expired rows could not be removed"),
                }
            }
        }));
        let (catalog, connectors) = (self.catalog.clone(), self.connectors.clone());
        let metadata = tokio::spawn(every(Duration::from_secs(60), move || {
            let (catalog, connectors) = (catalog.clone(), connectors.clone());
            async move {
                match catalog.get().await {
                    Ok(loaded) => connectors.refresh_due(&loaded).await,
                    Err(error) => tracing::warn!(cause = %error, "the catalog could not be read to refresh metadata"),
                }
            }
        }));
        let (token_keys, catalog) = (self.services.token_keys.clone(), self.catalog.clone());
        let keys = tokio::spawn(every(Duration::from_secs(60), move || {
            let (token_keys, catalog) = (token_keys.clone(), catalog.clone());
            async move {
                let done = match catalog.get().await {
                    Ok(loaded) => {
                        let needed = loaded.catalog.roles().any(|role| role.method == Method::WebIdentity);
                        token_keys.tend(needed).await
                    }
                    Err(error) => Err(error.into()),
                };
                if let Err(error) = done {
                    tracing::warn!(cause = %error, "the keys for tokens could not be looked after");
                }
            }
        }));
        let issue = self.services.issue.clone();
        let departures = tokio::spawn(async move {
            let mut ticks = ticks(Duration::from_secs(5));
            let mut heard = None;
            loop {
                ticks.tick().await;
                match issue.tidy(heard).await {
                    Ok(now) => heard = Some(now),
                    Err(error) => tracing::warn!(cause = %error, "the audit log could not be read for who has left"),
                }
            }
        });
        let issue = self.services.issue.clone();
        let looks = tokio::spawn(every(Duration::from_secs(1), move || {
            let issue = issue.clone();
            async move { issue.issuer.look_at_sts().await }
        }));
        vec![housekeeping, metadata, keys, departures, looks]
    }
}

/// A broker that is listening.
pub struct Running {
    server: Server,
    metrics: Option<ServerHandle>,
    handle: ServerHandle,
    background: Vec<tokio::task::JoinHandle<()>>,
    tasks: Tasks,
    patience: Duration,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Running")
    }
}

impl Running {
    /// For stopping it from elsewhere.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Runs until it is stopped.
    ///
    /// # Errors
    /// The server gives up.
    pub async fn wait(self) -> std::io::Result<()> {
        let ended = self.server.await;
        if let Some(metrics) = self.metrics {
            metrics.stop(false).await;
        }
        for task in self.background {
            task.abort();
        }
        // Requests are answered by now; what remains was begun for clients that have hung up.
        let unfinished = self.tasks.drained(self.patience).await;
        if unfinished > 0 {
            tracing::warn!(tasks = unfinished, "stopped before everything that was begun had ended");
        }
        ended
    }
}

impl Services {
    fn mount(&self, config: &mut web::ServiceConfig) {
        config
            .app_data(self.ground.clone())
            .app_data(self.catalog.clone())
            .app_data(self.connectors.clone())
            .app_data(self.start.clone())
            .app_data(self.receive.clone())
            .app_data(self.receive_code.clone())
            .app_data(self.finish.clone())
            .app_data(self.sign_out.clone())
            .app_data(self.receive_logout.clone())
            .app_data(self.receive_logout_token.clone())
            .app_data(self.sessions.clone())
            .app_data(self.tokens.clone())
            .app_data(self.personal_tokens.clone())
            .app_data(self.clients.clone())
            .app_data(self.authorize.clone())
            .app_data(self.devices.clone())
            .app_data(self.grant_tokens.clone())
            .app_data(self.step_up.clone())
            .app_data(self.exchange.clone())
            .app_data(self.issue.clone())
            .app_data(self.limits.clone())
            .app_data(self.cookies.clone())
            .app_data(self.bodies.clone())
            .app_data(self.surroundings.clone())
            .app_data(self.aws_metadata.clone())
            .app_data(self.token_keys.clone())
            .app_data(self.profiles.clone())
            .app_data(self.help.clone())
            .app_data(self.metrics.clone())
            .app_data(self.readiness.clone());
        routes::mount(config);
    }
}

/// Which program tells the figures.
#[derive(Debug)]
struct Build;

impl Source for Build {
    fn tell(&self, page: &mut Page) {
        page.begin("rolegate_build_info", Figure::Gauge, "Always 1; the label is the version.");
        page.value("rolegate_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    }
}

/// Binds an address, so that a port in use is said before anything else is.
///
/// # Errors
/// [`StartError::Listen`].
pub fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

async fn every<F, Fut>(period: Duration, mut work: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = ()>,
{
    let mut ticks = ticks(period);
    loop {
        ticks.tick().await;
        work().await;
    }
}

/// The keys that sign tokens, as the settings have them.
#[must_use]
pub fn token_keys(ground: &Ground, config: &TokenKeysConfig) -> TokenKeys {
    let rules = TokenKeyRules {
        size: KeySize::try_from(config.bits.get()).expect("the settings allow only sizes there are"),
        every: config.rotation_days.map(|days| SignedDuration::from_hours(24 * i64::from(days.get()))),
        issuer: config.issuer.clone(),
    };
    TokenKeys::new(ground.clone(), rules)
}

/// One tick now, and then one each period; what comes late shifts those after it.
fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks
}

/// Our key pair for a purpose; made, sealed and recorded the first time. Of two processes, one makes it.
async fn own_key(
    ground: &Ground,
    sealing: &SealingKey,
    purpose: &'static str,
    size: KeySize,
    public_url: &Url,
) -> Result<SigningKey, StartError> {
    let kept = |stored: &StoredKey| SigningKey::from_der(&stored.private, &stored.certificate);
    let mut tx = ground.store.begin().await?;
    if let Some(stored) = keys::key_for(&mut tx, purpose, sealing).await? {
        return Ok(kept(&stored)?);
    }
    // Made while nothing is locked: it takes seconds on a busy machine, and another process may be starting too.
    tx.rollback().await.map_err(StoreError::from)?;
    let now = ground.clock.now();
    let name = format!("Rolegate {} {purpose}", public_url.host_str().unwrap_or("rolegate"));
    let rng = Arc::clone(&ground.rng);
    let made = tokio::task::spawn_blocking(move || {
        let name: String = name.chars().take(64).collect();
        SigningKey::generate(size, &name, now, &*rng)
    });
    let key = made.await.expect("making a key does not panic")?;
    let mut tx = ground.store.begin().await?;
    if let Some(stored) = keys::key_for(&mut tx, purpose, sealing).await? {
        // The other one was faster. Ours was never used.
        return Ok(kept(&stored)?);
    }
    let stored = StoredKey { private: key.private_key_der()?, certificate: key.certificate_der().to_vec() };
    keys::add_key(&mut tx, key.id(), purpose, &stored, sealing, &*ground.rng, now).await?;
    let event = Event::new(Kind::KeyCreated).with("purpose", purpose).with("key", key.id()).with("bits", key.bits());
    ground.append(&mut tx, &event).await?;
    tx.commit().await.map_err(StoreError::from)?;
    tracing::info!(key.id = key.id(), key.purpose = purpose, key.bits = key.bits(), "made a key pair");
    Ok(key)
}

/// The origins that a console link leads through, for `form-action`.
fn console_sources(config: &Config) -> Vec<String> {
    let mut sources: Vec<String> = Vec::new();
    for url in [&config.aws.federation_endpoint, &config.aws.console_url].into_iter().flatten() {
        sources.push(url.origin().ascii_serialization());
    }
    if config.aws.federation_endpoint.is_none() {
        sources.extend(
            ["https://*.aws.amazon.com", "https://*.amazonaws-us-gov.com", "https://*.amazonaws.cn"].map(str::to_owned),
        );
    }
    sources.extend(config.aws.console_origins.iter().map(url::Origin::ascii_serialization));
    sources.sort();
    sources.dedup();
    sources
}
