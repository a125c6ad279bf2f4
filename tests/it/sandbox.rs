//! The sandbox as other programs meet it: over HTTP, with an identity provider of the tests' own in the broker's place.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use actix_web::{App, HttpServer};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use rolegate::aws::Partition;
use rolegate::saml::key::{KeySize, SigningKey};
use rolegate::saml::names::date_time;
use rolegate::saml::write::{DS, Element, MD, SAML, SAMLP};
use rolegate::sandbox::{MetadataSource, Sandbox, SandboxConfig, World};
use rolegate::sys::{Clock, ManualClock, Rng, SystemClock, SystemRng};
use url::Url;

mod assume_role;
mod console;
mod faults;
mod idp;
mod oidc;
mod protocol;
mod services;

const BROKER: &str = "https://broker.example.test/saml/idp";
const READ_ONLY: &str = "arn:aws:iam::111122223333:role/ReadOnly";
const DEPLOY: &str = "arn:aws:iam::111122223333:role/teams/payments/Deploy";
const PROVIDER: &str = "arn:aws:iam::111122223333:saml-provider/rolegate";
const RECIPIENT: &str = "https://signin.aws.amazon.com/saml";
const PREFIX: &str = "https://aws.amazon.com/SAML/Attributes/";

fn key(name: &str) -> SigningKey {
    SigningKey::generate(KeySize::Rsa2048, name, start(), &SystemRng).unwrap()
}

/// The key in the metadata of the accounts' SAML provider, and one that is in no metadata.
pub(crate) static TRUSTED: LazyLock<SigningKey> = LazyLock::new(|| key("broker"));
pub(crate) static STRANGE: LazyLock<SigningKey> = LazyLock::new(|| key("stranger"));

fn start() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

pub(crate) fn broker_metadata(key: &SigningKey) -> String {
    let certificate = Element::new(DS, "X509Certificate").text(key.certificate_base64());
    let key = Element::new(DS, "KeyInfo").child(Element::new(DS, "X509Data").child(certificate));
    Element::new(MD, "EntityDescriptor")
        .attr("entityID", BROKER)
        .child(
            Element::new(MD, "IDPSSODescriptor")
                .attr("protocolSupportEnumeration", SAMLP.uri)
                .child(Element::new(MD, "KeyDescriptor").attr("use", "signing").child(key)),
        )
        .write()
        .unwrap()
        .into_string()
}

const SP: &str = "https://broker.example.test/saml/dev/metadata";
const ACS: &str = "https://broker.example.test/saml/dev/acs";

fn sp_metadata() -> String {
    format!(
        "<md:EntityDescriptor xmlns:md=\"{}\" entityID=\"{SP}\"><md:SPSSODescriptor \
         protocolSupportEnumeration=\"{}\"><md:SingleLogoutService Location=\"https://broker.example.test/saml/dev/slo\" \
         Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\"/><md:AssertionConsumerService index=\"0\" \
         Location=\"{ACS}\" Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\"/></md:SPSSODescriptor>\
         </md:EntityDescriptor>",
        MD.uri, SAMLP.uri
    )
}

/// A running sandbox whose clock the test moves.
struct Running {
    base: Url,
    clock: Arc<ManualClock>,
    client: reqwest::Client,
}

pub(crate) fn serve(clock: Arc<dyn Clock>, change: impl FnOnce(&mut SandboxConfig)) -> Url {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base: Url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let mut config = SandboxConfig {
        base: base.clone(),
        data: None,
        clock,
        rng: Arc::new(SystemRng),
        world: World::larkspur(),
        saml_providers: BTreeMap::new(),
        service_providers: vec![MetadataSource::Inline(sp_metadata())],
        oidc_clients: Vec::new(),
        any_loopback_service_provider: false,
        faults: None,
    };
    let provider = "rolegate".parse().unwrap();
    config.saml_providers.insert(provider, MetadataSource::Inline(broker_metadata(&TRUSTED)));
    change(&mut config);
    let sandbox = Sandbox::build(config).unwrap();
    let server = HttpServer::new(move || App::new().configure(sandbox.configure()))
        .workers(1)
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run();
    actix_web::rt::spawn(server);
    base
}

fn client() -> reqwest::Client {
    rolegate::sys::http::client(std::time::Duration::from_secs(5)).unwrap()
}

impl Running {
    fn start() -> Self {
        Self::start_with(|_| {})
    }

    fn start_with(change: impl FnOnce(&mut SandboxConfig)) -> Self {
        let clock = Arc::new(ManualClock::at(start()));
        Self { base: serve(clock.clone(), change), clock, client: client() }
    }

    fn at(&self, path: &str) -> Url {
        self.base.join(path).unwrap()
    }

    async fn call(&self, params: &[(&str, &str)]) -> Answer {
        Answer::of(self.client.post(self.base.clone()).form(params).send().await.unwrap()).await
    }

    /// `AssumeRoleWithSAML` with what an assertion says, at the pair of role and provider it names first.
    async fn assume(&self, assertion: &Assertion) -> Answer {
        self.assume_with(assertion, &[]).await
    }

    async fn assume_with(&self, assertion: &Assertion, further: &[(&str, &str)]) -> Answer {
        let xml = STANDARD.encode(assertion.write(self.clock.now()));
        let mut params = further.to_vec();
        params.extend([
            ("Action", "AssumeRoleWithSAML"),
            ("Version", "2011-06-15"),
            ("RoleArn", READ_ONLY),
            ("PrincipalArn", PROVIDER),
            ("SAMLAssertion", &xml),
        ]);
        self.call(&params).await
    }
}

/// What STS answered.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: String,
}

impl Answer {
    async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.text().await.unwrap() }
    }

    fn text(&self, element: &str) -> Option<String> {
        let document = roxmltree::Document::parse(&self.body).ok()?;
        let node = document.descendants().find(|node| node.tag_name().name() == element)?;
        Some(node.text().unwrap_or_default().to_owned())
    }

    #[track_caller]
    fn get(&self, element: &str) -> String {
        self.text(element).unwrap_or_else(|| panic!("no {element} in {} {}", self.status, self.body))
    }

    /// Status, code and message of an error.
    fn error(&self) -> (u16, String, String) {
        (self.status, self.get("Code"), self.text("Message").unwrap_or_default())
    }

    #[track_caller]
    fn is_refused(&self, status: u16, code: &str, message: &str) {
        let (was_status, was_code, was_message) = self.error();
        assert_eq!((was_status, was_code.as_str()), (status, code), "{was_message}");
        assert!(was_message.starts_with(message), "{was_message}");
    }

    /// How long the credentials live.
    fn lifetime_secs(&self, now: Timestamp) -> i64 {
        self.get("Expiration").parse::<Timestamp>().unwrap().as_second() - now.as_second()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    Assertion,
    Response,
    Both,
    Neither,
}

/// A response for AWS, right until a test spoils it.
#[derive(Clone)]
pub(crate) struct Assertion {
    pub(crate) issuer: &'static str,
    pub(crate) key: &'static SigningKey,
    pub(crate) sign: Sign,
    pub(crate) status: &'static str,
    pub(crate) name_id: Option<(&'static str, &'static str)>,
    pub(crate) recipient: Option<&'static str>,
    pub(crate) confirmed_for_secs: Option<i64>,
    pub(crate) audience: Option<&'static str>,
    pub(crate) issued_secs_ago: i64,
    pub(crate) conditions_for_secs: i64,
    pub(crate) session_for_secs: Option<i64>,
    pub(crate) attributes: Vec<(String, Vec<String>)>,
}

impl Default for Assertion {
    fn default() -> Self {
        Self {
            issuer: BROKER,
            key: &TRUSTED,
            sign: Sign::Assertion,
            status: "Success",
            name_id: Some(("asha", "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent")),
            recipient: Some(RECIPIENT),
            confirmed_for_secs: Some(300),
            audience: Some(Partition::Aws.saml_audience()),
            issued_secs_ago: 0,
            conditions_for_secs: 300,
            session_for_secs: None,
            attributes: Vec::new(),
        }
        .with("Role", &[&format!("{READ_ONLY},{PROVIDER}")])
        .with("RoleSessionName", &["asha.raman@larkspur.example"])
    }
}

impl Assertion {
    /// Sets one of AWS's attributes; no values leave it out.
    pub(crate) fn with(mut self, name: &str, values: &[&str]) -> Self {
        let name = format!("{PREFIX}{name}");
        self.attributes.retain(|(known, _)| *known != name);
        if !values.is_empty() {
            self.attributes.push((name, values.iter().map(ToString::to_string).collect()));
        }
        self
    }

    /// For another role of the same account.
    fn for_role(self, role: &str) -> Self {
        self.with("Role", &[&format!("{role},{PROVIDER}")])
    }

    pub(crate) fn write(&self, now: Timestamp) -> String {
        let rng: &dyn Rng = &SystemRng;
        let at = |seconds: i64| date_time(now + SignedDuration::from_secs(seconds));
        let issued = at(-self.issued_secs_ago);
        let data = Element::new(SAML, "SubjectConfirmationData")
            .attr_some("Recipient", self.recipient)
            .attr_some("NotOnOrAfter", self.confirmed_for_secs.map(at));
        let confirmation = Element::new(SAML, "SubjectConfirmation")
            .attr("Method", "urn:oasis:names:tc:SAML:2.0:cm:bearer")
            .child(data);
        let mut subject = Element::new(SAML, "Subject");
        if let Some((name, format)) = self.name_id {
            subject = subject.child(Element::new(SAML, "NameID").attr("Format", format).text(name));
        }
        let mut conditions = Element::new(SAML, "Conditions").attr("NotOnOrAfter", at(self.conditions_for_secs));
        if let Some(audience) = self.audience {
            conditions = conditions
                .child(Element::new(SAML, "AudienceRestriction").child(Element::new(SAML, "Audience").text(audience)));
        }
        let statement = Element::new(SAML, "AuthnStatement")
            .attr("AuthnInstant", issued.as_str())
            .attr_some("SessionNotOnOrAfter", self.session_for_secs.map(at));
        let attributes = self.attributes.iter().map(|(name, values)| {
            let values = values.iter().map(|value| Element::new(SAML, "AttributeValue").text(value.as_str()));
            Element::new(SAML, "Attribute").attr("Name", name.as_str()).children(values)
        });
        let assertion = Element::new(SAML, "Assertion")
            .attr("ID", rng.xml_id())
            .attr("IssueInstant", issued.as_str())
            .attr("Version", "2.0")
            .child(Element::new(SAML, "Issuer").text(self.issuer))
            .child(subject.child(confirmation))
            .child(conditions)
            .child(statement)
            .child(Element::new(SAML, "AttributeStatement").children(attributes));
        let assertion = match self.sign {
            Sign::Assertion | Sign::Both => assertion.write_signed(self.key),
            Sign::Response | Sign::Neither => assertion.write(),
        };
        let status = Element::new(SAMLP, "StatusCode")
            .attr("Value", format!("urn:oasis:names:tc:SAML:2.0:status:{}", self.status));
        let response = Element::new(SAMLP, "Response")
            .attr("Destination", RECIPIENT)
            .attr("ID", rng.xml_id())
            .attr("IssueInstant", issued)
            .attr("Version", "2.0")
            .child(Element::new(SAML, "Issuer").text(self.issuer))
            .child(Element::new(SAMLP, "Status").child(status))
            .child(assertion.unwrap());
        let response = match self.sign {
            Sign::Response | Sign::Both => response.write_signed(self.key),
            Sign::Assertion | Sign::Neither => response.write(),
        };
        response.unwrap().into_string()
    }
}
