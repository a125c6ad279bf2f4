//! The broker and the local AWS as processes, on a folder in which people have allowed programs things already.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use rolegate::access::Scope;
use rolegate::app::{Base, Missing};
use rolegate::audit::{Event, Kind};
use rolegate::catalog::Catalog;
use rolegate::config::{Sources, StoreConfig};
use rolegate::identity::{Attributes, Authentication, Groups, NameIdQualifiers, SubjectId, VerifiedIdentity};
use rolegate::saml::key::SigningKey;
use rolegate::sandbox::{DEMO_CONNECTOR, demo_catalog};
use rolegate::store::tokens::{self, Authorization, AuthorizationKind};
use rolegate::store::{self, keys};
use rolegate::sys::{Bearer, BearerKind, Clock as _, SystemClock, SystemRng};

pub const ROLE: &str = "111122223333/teams/payments/Deploy";
pub const PATIENCE: Duration = Duration::from_secs(30);
/// As long as what is signed in an assertion.
const MESSAGE: [u8; 800] = [b'x'; 800];

/// Whether the broker has the first processor, and the local STS and the crowd the second.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pinned {
    Yes,
    No,
}

pub struct Place {
    pub broker: SocketAddr,
    folder: tempfile::TempDir,
    processes: Vec<Process>,
    programs: Vec<Bearer>,
}

pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the audit log says.
pub struct Issues {
    pub issued: usize,
    pub reused: usize,
}

pub fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The program, on one processor if wanted.
pub fn program(processor: Option<usize>) -> Command {
    let Some(processor) = processor else { return Command::new(env!("CARGO_BIN_EXE_rolegate")) };
    let mut command = Command::new("taskset");
    command.args(["-c", &processor.to_string(), env!("CARGO_BIN_EXE_rolegate")]);
    command
}

impl Place {
    pub async fn start(pinned: Pinned, programs: usize, people: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (broker, aws) = (free(), free());
        let url = format!("http://{broker}");
        let programs = seed(folder.path(), aws, programs, people).await;
        let log = |name: &str| File::create(folder.path().join(name)).unwrap();
        let on = |processor| (pinned == Pinned::Yes).then_some(processor);
        let sandbox = program(on(1))
            .args(["sandbox", "--listen", &aws.to_string(), "--broker", &url])
            .stdout(Stdio::null())
            .stderr(log("sandbox.log"))
            .spawn()
            .unwrap();
        let mut serve = program(on(0));
        serve.args(["serve", "--listen", &broker.to_string(), "--public-url", &url]);
        serve.arg("--data-dir").arg(folder.path());
        for limit in ["issue_per_minute", "issue_burst", "deliver_per_minute", "deliver_burst"] {
            serve.args(["--set", &format!("limits.{limit}=1000000")]);
        }
        serve.args(["--set", &format!("aws.sts_endpoint=http://{aws}/")]);
        let serve = serve.stdout(Stdio::null()).stderr(log("serve.log")).spawn().unwrap();
        let place = Self { broker, folder, processes: vec![Process(serve), Process(sandbox)], programs };
        let client = rolegate::sys::http::client(PATIENCE).unwrap();
        let deadline = Instant::now() + PATIENCE;
        for address in [format!("{url}/readyz"), format!("http://{aws}/")] {
            // The local AWS answers this with a refusal, and an answer is all that is wanted.
            while client.get(&address).send().await.is_err() {
                assert!(Instant::now() < deadline, "{address} does not answer");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        place
    }

    /// The requests of all programs, ready to be sent.
    pub fn requests(&self, kind: &str) -> Vec<Vec<u8>> {
        let host = self.broker;
        let one = |token: &Bearer| {
            let (line, body) = match kind {
                "container" => (format!("GET /api/v1/container/{ROLE}"), ""),
                "api" => (format!("POST /api/v1/roles/{ROLE}/credentials"), "{}"),
                "fresh" => (format!("POST /api/v1/roles/{ROLE}/credentials"), "{\"fresh\":true}"),
                other => panic!("{other}"),
            };
            let body = match body {
                "" => "\r\n".to_owned(),
                body => format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()),
            };
            format!(
                "{line} HTTP/1.1\r\nhost: {host}\r\naccept: application/json\r\nuser-agent: load\r\n\
                 authorization: Bearer {}\r\n{body}",
                token.expose_secret()
            )
            .into_bytes()
        };
        self.programs.iter().map(one).collect()
    }

    pub async fn issues(&self) -> Issues {
        let base = open(self.folder.path()).await;
        let (mut issues, mut seq) = (Issues { issued: 0, reused: 0 }, 0);
        loop {
            let events = base.store.audit_after(seq, 10_000).await.unwrap();
            let Some(last) = events.last() else { break };
            seq = last.link.seq;
            issues.issued += events.iter().filter(|event| event.link.kind == "issue.succeeded").count();
            issues.reused += events.iter().filter(|event| event.link.kind == "issue.reused").count();
        }
        base.store.close().await;
        issues
    }

    /// What was written under load is a chain still.
    pub async fn verify(&self) {
        let base = open(self.folder.path()).await;
        let head = base.store.verify_audit(&base.chain, None).await.unwrap();
        println!("the audit log verifies: {} events", head.seq);
        base.store.close().await;
    }

    pub fn resident(&self) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.processes[0].0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        format!("the broker's memory: {}", line["VmRSS:".len()..].trim())
    }

    /// How much of a processor the broker has used so far, in seconds: what stays the same whatever else the machine does.
    pub fn spent(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.processes[0].0.id())).unwrap();
        // The name stands in brackets and may hold anything; user and system time are the 12th and 13th after it.
        let after = stat.rsplit_once(')').unwrap().1;
        let ticks = |at: usize| after.split_whitespace().nth(at).unwrap().parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / 100.0
    }

    /// Moves the crowd to the processor of the local STS.
    pub fn pin_self(&self) {
        let done = Command::new("taskset").args(["-a", "-cp", "1", &std::process::id().to_string()]).output().unwrap();
        assert!(done.status.success(), "taskset is in util-linux");
    }
}

pub async fn open(folder: &Path) -> Base {
    let sources = Sources::of_program([("data_dir", folder.display().to_string())]);
    Base::open_store(&StoreConfig::load(&sources).unwrap(), Missing::Create, &SystemRng).await.unwrap()
}

/// A catalog, and people who have allowed programs to act for them.
pub async fn seed(folder: &Path, aws: SocketAddr, programs: usize, people: usize) -> Vec<Bearer> {
    let base = open(folder).await;
    let ground = base.ground(Arc::new(SystemClock), Arc::new(SystemRng));
    let toml = demo_catalog(&format!("http://{aws}/").parse().unwrap());
    let catalog = rolegate::catalog::toml::parse_text("load.toml", &toml).unwrap().catalog;
    let catalog = catalog.sealed(&Catalog::default(), &ground.sealing, &*ground.rng);
    let mut tx = base.store.begin().await.unwrap();
    store::catalog::replace(&mut tx, &catalog).await.unwrap();
    ground.append(&mut tx, &Event::new(Kind::CatalogApplied)).await.unwrap();
    let now = SystemClock.now();
    let mut bearers = Vec::new();
    for number in 0..programs {
        let bearer = Bearer::generate(BearerKind::Personal, &SystemRng);
        let authorization = Authorization {
            id: format!("{number:032x}"),
            kind: AuthorizationKind::Personal,
            identity: person(number % people),
            client: String::new(),
            label: format!("program {number}"),
            scope: Scope::FULL,
            networks: Vec::new(),
            session: None,
            created: now,
            vouched: now,
            expires: now + SignedDuration::from_hours(12),
            last_used: None,
            last_used_from: None,
            client_address: "127.0.0.1".to_owned(),
            user_agent: String::new(),
        };
        tokens::add_authorization(&mut tx, &authorization).await.unwrap();
        let (id, expires) = (&authorization.id, authorization.expires);
        tokens::add_token(&mut tx, &bearer.hash(), BearerKind::Personal, id, now, expires).await.unwrap();
        bearers.push(bearer);
    }
    tx.commit().await.unwrap();
    base.store.close().await;
    bearers
}

/// Somebody in as many groups as people are.
fn person(number: usize) -> VerifiedIdentity {
    let mut groups: Vec<String> = (0..40).map(|group| format!("all-of-department-{group}")).collect();
    groups.extend(["engineering", "team-payments"].map(str::to_owned));
    let name = format!("person{number}@larkspur.example");
    let attributes = [("department", "Payments"), ("cost_center", "4711"), ("title", "Engineer")];
    VerifiedIdentity {
        subject: SubjectId { connector: DEMO_CONNECTOR.parse().unwrap(), value: name.clone() },
        asserted: None,
        link: None,
        qualifiers: NameIdQualifiers::default(),
        name: Some(format!("Person {number}")),
        email: Some(name),
        groups: Groups::Complete { values: groups },
        attributes: Attributes(
            attributes.map(|(name, value)| (name.to_owned(), vec![value.to_owned()])).into_iter().collect(),
        ),
        authentication: Authentication { instant: Some(SystemClock.now()), ..Authentication::default() },
    }
}

/// How many bare signatures a second this broker's own key makes on this broker's processor, the broker being idle.
pub fn signatures(place: &Place, seconds: u64) -> f64 {
    let output = Command::new("taskset")
        .args(["-c", "0"])
        .arg(std::env::current_exe().unwrap())
        .args(["sign", &place.folder.path().display().to_string(), &seconds.to_string(), "--bench"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap_or_else(|error| panic!("{error}"))
}

/// Signs for so long with the key in a broker's folder.
pub async fn sign(folder: &Path, run: Duration) -> f64 {
    let base = open(folder).await;
    let ground = base.ground(Arc::new(SystemClock), Arc::new(SystemRng));
    let mut tx = base.store.begin().await.unwrap();
    let stored = keys::key_for(&mut tx, "aws-signing", &ground.sealing).await.unwrap().unwrap();
    tx.rollback().await.unwrap();
    base.store.close().await;
    let key = SigningKey::from_der(&stored.private, &stored.certificate).unwrap();
    let (began, mut count) = (Instant::now(), 0_u32);
    while began.elapsed() < run {
        std::hint::black_box(key.sign(std::hint::black_box(&MESSAGE)).unwrap());
        count += 1;
    }
    f64::from(count) / began.elapsed().as_secs_f64()
}

/// What it was measured on.
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let count = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let load = read("/proc/loadavg");
    format!("{count} × {}; load average before: {}", model.trim_start_matches(['\t', ':', ' ']), load.trim())
}
