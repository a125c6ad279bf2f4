//! A local AWS and a development identity provider, for demos and tests.
//!
//! It stands outside: the broker reaches it by HTTP alone and cannot tell it from the real ones, and it knows the broker
//! by the metadata that is published for AWS and for identity providers.
//!
//! | Path | What |
//! | --- | --- |
//! | `POST /`, `GET /?Action=…` | [`sts`]: all ways to a session, and whose a session is |
//! | `/` with `Version=2010-05-08` | [`iam_query`]: roles, users, keys, policies, providers; [`iam`] holds them |
//! | `/s3/…` | [`s3`]: buckets and objects, to see what a session may do |
//! | `/federation`, `/oauth` | [`federation`]: credentials become a console session |
//! | `/console/…` | [`console`]: who you are, until when, and what you may do |
//! | `/idp/…` | [`idp`]: people to sign in as, by SAML and by OpenID Connect; tokens for CI jobs |
//! | `POST /simulate` | [`simulate`]: may this one do that, and which statement says so |
//! | `GET /mfa` | the codes that users' MFA devices show now |
//! | `/faults` | [`faults`]: throttling, failures, cut connections, latency, wrong clocks |
//! | `GET /` in a browser | what is here |
//!
//! Applications that may ask the identity provider are configured: service providers by their metadata, clients of OpenID
//! Connect as [`OidcClient`]s, which `rolegate sandbox --oidc-clients FILE` reads:
//!
//! ```toml
//! [[client]]
//! client_id = "my-app"
//! client_secret = "…"                      # or jwks_url = "…", or neither for a public client
//! redirect_uris = ["http://localhost:3000/callback"]
//! post_logout_redirect_uris = ["http://localhost:3000/"]
//! backchannel_logout_uri = "http://localhost:3000/backchannel-logout"
//! ```
//!
//! With `--any-loopback-service-provider` nobody on this machine has to be registered: whoever asks for answers on a loopback
//! address is answered, and any client secret will do.
//!
//! Where AWS does not say what it does, the stricter way was taken. Known differences: access key ids begin with `SBOX`
//! and `SBUK`, so that no scanner takes them for leaked ones; encrypted assertions are not opened; nothing is throttled unless a
//! fault says so; packed sizes are estimated; IAM's changes count at once; a bucket answers in every region of its
//! partition and has no policy; the console keeps several sessions of one browser, as AWS does for people who switched that
//! on. `docs/sandbox.md` is for people who use it.

pub mod authorize;
mod catalog;
mod console;
mod credentials;
mod faults;
mod federation;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod iam;
mod iam_query;
mod idp;
mod keys;
mod landing;
pub mod managed;
mod metadata;
pub mod mfa;
mod pages;
pub mod policy;
mod providers;
mod s3;
pub mod simulate;
mod sts;
pub mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use url::{Origin, Url};

pub use catalog::demo_catalog;
pub use faults::{Fault, FaultError, FaultPlan};
pub use idp::oidc::{ClientAuthentication, OidcClient, OidcClientsError};
pub use keys::KeysError;
pub use metadata::MetadataSource;
pub use s3::S3Error;
pub use world::World;

use crate::aws::SamlProviderName;
use crate::sys::seal::SealingKey;
use crate::sys::{Clock, Rng};

/// The connector through which the demo's broker reaches the development identity provider by SAML.
pub const DEMO_CONNECTOR: &str = "dev";

/// The connector through which it does by OpenID Connect; its `client_id` is the same.
pub const DEMO_OIDC_CONNECTOR: &str = "dev-oidc";

/// The connector through which it takes tokens of CI jobs, which look like those of GitHub Actions.
pub const DEMO_WORKLOAD_CONNECTOR: &str = "ci";

/// What [`DEMO_OIDC_CONNECTOR`] shows at the token endpoint. It protects nothing, and holds every kind of character that
/// a client has to encode.
pub const DEMO_OIDC_SECRET: &str = "no secret: 100% sandbox+demo/~";

/// Partners are on this machine or near.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// What a sandbox is made of.
#[derive(Debug)]
pub struct SandboxConfig {
    /// Where browsers, SDKs and the broker reach it, such as `http://127.0.0.1:8081`.
    pub base: Url,
    /// Where its keys are kept; without one they last as long as the process.
    pub data: Option<PathBuf>,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
    pub world: World,
    /// What goes wrong from the start, in place of what the world says.
    pub faults: Option<FaultPlan>,
    /// IAM SAML providers by name, for every account that has one of that name.
    pub saml_providers: BTreeMap<SamlProviderName, MetadataSource>,
    /// Who may ask the development identity provider.
    pub service_providers: Vec<MetadataSource>,
    /// Who may ask it by OpenID Connect.
    pub oidc_clients: Vec<OidcClient>,
    /// Answer service providers and clients that are not registered, if the answer goes to this machine.
    pub any_loopback_service_provider: bool,
}

impl SandboxConfig {
    /// A sandbox for one broker: its metadata for AWS is every account's SAML provider, and its connector
    /// [`DEMO_CONNECTOR`] and [`DEMO_OIDC_CONNECTOR`] are registered at the identity provider.
    #[must_use]
    pub fn for_broker(base: Url, broker: &Url, world: World, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> Self {
        let url = |path: &str| {
            let mut url = broker.clone();
            url.set_path(&format!("{}/{path}", broker.path().trim_end_matches('/')));
            url
        };
        let at = |path: &str| MetadataSource::Url(url(path));
        let client = |path: &str| url(&format!("oidc/{DEMO_OIDC_CONNECTOR}/{path}"));
        // The world is read again with the broker's address in it. It was readable without; where a document cannot hold
        // this one, the broker is simply not trusted as OpenID provider.
        let world = world.for_broker(broker).unwrap_or(world);
        let names = world.accounts().iter().map(|account| account.provider.name().clone());
        Self {
            base,
            data: None,
            clock,
            rng,
            saml_providers: names
                .map(|name| (name, at("aws/saml-metadata.xml")))
                .chain(world.saml_providers().clone())
                .collect(),
            service_providers: vec![at(&format!("saml/{DEMO_CONNECTOR}/metadata"))],
            oidc_clients: vec![OidcClient {
                id: DEMO_OIDC_CONNECTOR.to_owned(),
                authentication: ClientAuthentication::Secret(DEMO_OIDC_SECRET.into()),
                redirect_uris: vec![client("callback").into()],
                post_logout_redirect_uris: vec![client("signed-out").into()],
                backchannel_logout_uri: Some(client("backchannel-logout")),
            }],
            any_loopback_service_provider: false,
            faults: None,
            world,
        }
    }
}

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("the sandbox's address {0} must be an http or https URL without a path")]
    Base(Url),
    #[error("the sandbox has no keys")]
    Keys(#[from] KeysError),
    #[error("the sandbox cannot make HTTP requests")]
    Client(#[from] reqwest::Error),
    #[error("the sandbox cannot fill its buckets")]
    Buckets(#[source] S3Error),
}

/// A running sandbox, ready to be mounted on a server. Clones share it.
#[derive(Debug, Clone)]
pub struct Sandbox(web::Data<State>);

/// What handlers share.
#[derive(Debug)]
struct State {
    base: Url,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    world: World,
    /// What of the world changes: roles, users, keys, policies.
    iam: iam::SharedIam,
    keys: keys::Keys,
    mint: credentials::Mint,
    /// Seals what travels through the browser at the identity provider.
    sealing: SealingKey,
    providers: providers::Providers,
    /// Keys of the OpenID providers that accounts trust.
    issuer_keys: sts::web_identity::keys::IssuerKeys,
    idp: idp::Idp,
    /// Origins of partners, to which a browser may return after logging out.
    partners: BTreeSet<OriginText>,
    federation: federation::Federation,
    faults: faults::Faults,
    buckets: s3::store::Buckets,
    /// When it began: the age of everything a world describes.
    began: Timestamp,
}

/// An origin, in a form that can be sorted.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct OriginText(String);

impl State {
    /// A UUID of version 4.
    fn request_id(&self) -> String {
        let mut bytes = [0_u8; 16];
        self.rng.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    /// Whether the holder of a session is still there.
    fn world_has(&self, session: &credentials::Session) -> bool {
        let iam = self.iam.now();
        authorize::Bearer::of_session(session).is_somebody(&iam) && self.world.account(session.account()).is_some()
    }

    fn is_partner(&self, origin: &Origin) -> bool {
        self.partners.contains(&OriginText(origin.ascii_serialization()))
    }
}

/// Cookies ignore ports, and several sandboxes may run on one host.
fn cookie_named(name: &str, base: &Url) -> String {
    format!("{name}_{}", base.port_or_known_default().unwrap_or_default())
}

impl Sandbox {
    /// Makes or reads the keys, which takes a moment the first time: call it off the async threads.
    ///
    /// # Errors
    /// [`SandboxError`]
    pub fn build(config: SandboxConfig) -> Result<Self, SandboxError> {
        let base = config.base;
        if !matches!(base.scheme(), "http" | "https") || base.path() != "/" || base.query().is_some() {
            return Err(SandboxError::Base(base));
        }
        let client = crate::sys::http::client(CONNECT_TIMEOUT)?;
        let keys = keys::Keys::load(config.data.as_deref(), config.clock.now(), &*config.rng)?;
        let sources = config.saml_providers.values().chain(&config.service_providers);
        let partners = sources
            .filter_map(|source| match source {
                MetadataSource::Url(url) => Some(OriginText(url.origin().ascii_serialization())),
                MetadataSource::Inline(_) => None,
            })
            .collect();
        let plan = config.faults.unwrap_or_else(|| config.world.faults().clone());
        let began = config.clock.now();
        let buckets = s3::store::Buckets::new(config.world.buckets(), began).map_err(SandboxError::Buckets)?;
        Ok(Self(web::Data::new(State {
            began,
            buckets,
            faults: faults::Faults::new(plan, config.clock.now(), &*config.rng),
            base,
            clock: config.clock,
            rng: config.rng,
            iam: iam::SharedIam::new(config.world.iam().clone()),
            world: config.world,
            mint: credentials::Mint::new(&keys.master),
            sealing: SealingKey::from_bytes(*keys.master),
            keys,
            providers: providers::Providers::new(client.clone(), config.saml_providers),
            issuer_keys: sts::web_identity::keys::IssuerKeys::new(client.clone()),
            idp: idp::Idp {
                sessions: idp::sessions::Sessions::default(),
                leavings: idp::leaving::Leavings::default(),
                service_providers: idp::saml::partners::Partners::new(
                    client.clone(),
                    config.service_providers,
                    config.any_loopback_service_provider,
                ),
                oidc: idp::oidc::Provider::new(
                    client,
                    config.oidc_clients,
                    config.any_loopback_service_provider,
                    idp::oidc::keys::KeyRing::new(config.data.clone(), idp::oidc::keys::ID_TOKENS),
                ),
                workload: idp::workload::Issuers {
                    keys: idp::oidc::keys::KeyRing::new(config.data, idp::oidc::keys::WORKLOADS),
                },
            },
            partners,
            federation: federation::Federation::new(),
        })))
    }

    #[must_use]
    pub fn world(&self) -> &World {
        &self.0.world
    }

    /// Mounts everything: `HttpServer::new(move || App::new().configure(sandbox.configure()))`.
    pub fn configure(&self) -> impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static {
        let state = self.0.clone();
        move |service| {
            service
                .app_data(state.clone())
                // A signed answer of an identity provider can be large; nothing else here is.
                .app_data(web::FormConfig::default().limit(512 * 1024))
                .service(web::resource("/").route(web::get().to(sts::endpoint)).route(web::post().to(sts::endpoint)))
                .service(
                    web::resource("/federation")
                        .route(web::get().to(federation::endpoint))
                        .route(web::post().to(federation::endpoint)),
                )
                .service(
                    web::resource("/faults")
                        .route(web::get().to(faults::endpoint::all))
                        .route(web::put().to(faults::endpoint::all))
                        .route(web::delete().to(faults::endpoint::all))
                        .route(web::post().to(faults::endpoint::form)),
                )
                .service(
                    web::resource("/faults/{name}")
                        .route(web::put().to(faults::endpoint::one))
                        .route(web::delete().to(faults::endpoint::one)),
                )
                .route("/s3", web::to(s3::endpoint))
                .route("/s3/{path:.*}", web::to(s3::endpoint))
                .route("/simulate", web::post().to(simulate::endpoint))
                .route("/mfa", web::get().to(simulate::mfa_codes))
                .route("/oauth", web::get().to(federation::oauth))
                .route("/console/{session}/try", web::post().to(console::try_it))
                .route("/console/{session}/log-out", web::post().to(console::log_out))
                .route("/console", web::get().to(console::page))
                .route("/console/{path:.*}", web::get().to(console::page))
                .route("/idp", web::get().to(idp::home))
                .route("/idp/sign-in", web::post().to(idp::sign_in))
                .route("/idp/sign-out", web::post().to(idp::sign_out))
                .route("/idp/saml/metadata", web::get().to(idp::saml::metadata))
                .route("/idp/saml/sso", web::get().to(idp::saml::sso_redirect))
                .route("/idp/saml/sso", web::post().to(idp::saml::sso_post))
                .route("/idp/saml/slo", web::get().to(idp::saml::logout::redirect))
                .route("/idp/saml/slo", web::post().to(idp::saml::logout::post))
                .route("/idp/saml/initiate", web::get().to(idp::saml::initiate))
                .route("/idp/oidc/.well-known/openid-configuration", web::get().to(idp::oidc::discovery))
                .route("/idp/oidc/authorize", web::get().to(idp::oidc::authorize::by_get))
                .route("/idp/oidc/authorize", web::post().to(idp::oidc::authorize::by_post))
                .route("/idp/oidc/token", web::post().to(idp::oidc::token::endpoint))
                .route("/idp/oidc/userinfo", web::get().to(idp::oidc::userinfo::endpoint))
                .route("/idp/oidc/userinfo", web::post().to(idp::oidc::userinfo::endpoint))
                .route("/idp/oidc/jwks.json", web::get().to(idp::oidc::jwks))
                .route("/idp/oidc/rotate", web::post().to(idp::oidc::rotate))
                .route("/idp/oidc/logout", web::get().to(idp::oidc::logout::by_get))
                .route("/idp/oidc/logout", web::post().to(idp::oidc::logout::by_post))
                .route("/idp/oidc/logout/answer", web::post().to(idp::oidc::logout::answer))
                .route("/idp/workload/{like}/.well-known/openid-configuration", web::get().to(idp::workload::discovery))
                .route("/idp/workload/jwks.json", web::get().to(idp::workload::jwks))
                .route("/idp/workload/token", web::get().to(idp::workload::token))
                .route("/idp/workload/token", web::post().to(idp::workload::token))
                .route("/static/sandbox.css", web::get().to(landing::style))
                .route("/static/sandbox.js", web::get().to(landing::script))
                .route("/favicon.ico", web::get().to(landing::icon))
                .route("/healthz", web::get().to(async || HttpResponse::Ok().body("ok\n")))
                .default_service(web::to(nothing_here));
        }
    }
}

/// Programs are told what STS tells them; people get a page.
async fn nothing_here(request: HttpRequest) -> HttpResponse {
    if sts::wants_html(&request) {
        pages::notice(
            404,
            &pages::Notice {
                title: "There is no such page".to_owned(),
                text: "This is the sandbox: a local AWS and an identity provider for development.".to_owned(),
                link: Some(pages::NoticeLink { text: "See what is here".to_owned(), href: "/".to_owned() }),
            },
        )
    } else {
        sts::unknown_operation()
    }
}
