//! A broker, and local STS that stand for regions.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rolegate::sys::Bearer;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::place::{PATIENCE, Process, ROLE, free, open, program, seed};

const REGIONS: [&str; 2] = ["us-east-1", "us-west-2"];
const PROGRAMS: usize = 100;
/// Longer than the broker takes in the worst case.
const WAIT: Duration = Duration::from_secs(30);

pub struct Town {
    broker: String,
    metrics: String,
    regions: Vec<SocketAddr>,
    client: reqwest::Client,
    folder: tempfile::TempDir,
    processes: Vec<Process>,
    programs: Vec<Bearer>,
}

/// What came of one request.
#[derive(Clone)]
pub struct Outcome {
    pub began: Instant,
    pub ended: Instant,
    pub status: u16,
    pub access_key_id: Option<String>,
}

impl Outcome {
    pub fn took(&self) -> Duration {
        self.ended - self.began
    }

    pub fn good(&self) -> bool {
        self.status == 200
    }
}

impl Town {
    /// With so many regions: the first is the usual one, the other to fall back to.
    pub async fn start(regions: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (broker, metrics) = (free(), free());
        let places: Vec<SocketAddr> = (0..regions).map(|_| free()).collect();
        let url = format!("http://{broker}");
        let programs = seed(folder.path(), places[0], PROGRAMS, PROGRAMS).await;
        let log = |name: &str| File::create(folder.path().join(name)).unwrap();
        let mut processes = Vec::new();
        for (place, name) in places.iter().zip(REGIONS) {
            let mut sandbox = program(None);
            sandbox.args(["sandbox", "--listen", &place.to_string(), "--broker", &url]);
            let sandbox = sandbox.stdout(Stdio::null()).stderr(log(&format!("{name}.log"))).spawn().unwrap();
            processes.push(Process(sandbox));
        }
        let mut serve = program(None);
        serve.args(["serve", "--listen", &broker.to_string(), "--public-url", &url]);
        serve.arg("--data-dir").arg(folder.path());
        let endpoints: Vec<String> =
            places.iter().zip(REGIONS).map(|(place, name)| format!("{name}=http://{place}/")).collect();
        let mut set = vec![
            format!("aws.sts_endpoints={}", endpoints.join(",")),
            format!("aws.region={}", REGIONS[0]),
            format!("metrics.listen={metrics}"),
        ];
        set.extend(REGIONS[1..regions].iter().map(|name| format!("aws.fallback_regions={name}")));
        let limits = [
            "issue_per_minute",
            "issue_burst",
            "deliver_per_minute",
            "deliver_burst",
            "sign_in_per_minute",
            "sign_in_burst",
        ];
        set.extend(limits.map(|limit| format!("limits.{limit}=1000000")));
        for setting in set {
            serve.args(["--set", &setting]);
        }
        processes.insert(0, Process(serve.stdout(Stdio::null()).stderr(log("serve.log")).spawn().unwrap()));
        let client = rolegate::sys::http::client(PATIENCE).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut wait = vec![format!("{url}/readyz")];
        wait.extend(places.iter().map(|place| format!("http://{place}/faults")));
        for address in wait {
            while client.get(&address).send().await.is_err() {
                assert!(Instant::now() < deadline, "{address} does not answer");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        let metrics = format!("http://{metrics}/metrics");
        let town = Self { broker: url, metrics, regions: places, client, folder, processes, programs };
        // Each sandbox fetches the broker's metadata at its first call, and whatever else is prepared at first use is.
        assert!(town.issue(5, Duration::from_secs(2)).await.iter().all(Outcome::good), "it works on a good day");
        town
    }

    /// A plan in place of the one that a region has.
    pub async fn faults(&self, region: usize, plan: &str) {
        let request = self.client.put(format!("http://{}/faults", self.regions[region]));
        let answer = request.header("content-type", "application/json").body(plan.to_owned()).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    /// What was done to a region's calls.
    pub async fn counts(&self, region: usize) -> String {
        let address = format!("http://{}/faults", self.regions[region]);
        let told: Value = self.client.get(address).send().await.unwrap().json().await.unwrap();
        told["counts"]["AssumeRoleWithSAML"].to_string()
    }

    /// New credentials, each for another program in turn, begun when they are due.
    pub async fn issue(&self, rate: u32, run: Duration) -> Vec<Outcome> {
        let request = |number: usize| {
            let address = format!("{}/api/v1/roles/{ROLE}/credentials", self.broker);
            let body = r#"{"fresh":true}"#;
            self.client
                .post(address)
                .header("content-type", "application/json")
                .body(body)
                .bearer_auth(self.bearer(number))
        };
        steady(rate, run, request).await
    }

    /// Credentials that are kept, where there are such.
    pub async fn cached(&self, rate: u32, run: Duration) -> Vec<Outcome> {
        let request = |number: usize| {
            let address = format!("{}/api/v1/container/{ROLE}", self.broker);
            self.client.get(address).bearer_auth(self.bearer(number))
        };
        steady(rate, run, request).await
    }

    /// Pages that need no STS: the sign-in page, and what somebody may use.
    pub async fn pages(&self, rate: u32, run: Duration) -> Vec<Outcome> {
        let request = |number: usize| {
            if number.is_multiple_of(2) {
                self.client.get(format!("{}/sign-in", self.broker))
            } else {
                self.client.get(format!("{}/api/v1/roles", self.broker)).bearer_auth(self.bearer(number))
            }
        };
        steady(rate, run, request).await
    }

    fn bearer(&self, number: usize) -> &str {
        self.programs[number % self.programs.len()].expose_secret()
    }

    async fn scrape(&self) -> String {
        self.client.get(&self.metrics).send().await.unwrap().text().await.unwrap()
    }

    /// The values of a figure, added up.
    pub async fn figure(&self, name: &str) -> f64 {
        let page = self.scrape().await;
        let values =
            page.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        values.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// When a figure is as it should be.
    pub async fn until(&self, name: &str, wanted: impl Fn(f64) -> bool, within: Duration) -> Instant {
        let deadline = Instant::now() + within;
        loop {
            if wanted(self.figure(name).await) {
                return Instant::now();
            }
            assert!(Instant::now() < deadline, "{name} is not as it should be within {within:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// When somebody got new credentials who tried every quarter of a second.
    pub async fn until_issued(&self, within: Duration) -> Instant {
        let deadline = Instant::now() + within;
        loop {
            let outcomes = self.issue(4, Duration::from_millis(250)).await;
            if let Some(good) = outcomes.iter().find(|outcome| outcome.good()) {
                return good.ended;
            }
            assert!(Instant::now() < deadline, "nothing is issued within {within:?}");
        }
    }

    /// The broker's memory every second, in kB.
    pub async fn memory(&self, run: Duration) -> Vec<u64> {
        let mut told = Vec::new();
        let ends = Instant::now() + run;
        while Instant::now() < ends {
            let status = std::fs::read_to_string(format!("/proc/{}/status", self.processes[0].0.id())).unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
            told.push(line.trim().trim_end_matches(" kB").parse().unwrap());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        told
    }

    /// The audit log is whole, tells each issue once, and knows every set that was delivered.
    pub async fn verify(&self, outcomes: &[Outcome]) {
        let base = open(self.folder.path()).await;
        base.store.verify_audit(&base.chain, None).await.unwrap();
        let (mut intended, mut ended) = (HashMap::<String, usize>::new(), HashMap::<String, usize>::new());
        let (mut keys, mut seq) = (HashSet::new(), 0);
        loop {
            let events = base.store.audit_after(seq, 10_000).await.unwrap();
            let Some(last) = events.last() else { break };
            seq = last.link.seq;
            for event in events {
                let reference = event.link.reference.unwrap_or_default();
                match event.link.kind.as_str() {
                    "issue.intended" => *intended.entry(reference).or_default() += 1,
                    "issue.failed" => *ended.entry(reference).or_default() += 1,
                    "issue.succeeded" => {
                        *ended.entry(reference).or_default() += 1;
                        let body: Value = serde_json::from_str(&event.link.body).unwrap();
                        let key = body["access_key_id"].as_str().unwrap().to_owned();
                        assert!(keys.insert(key.clone()), "{key} was issued twice");
                    }
                    _ => {}
                }
            }
        }
        base.store.close().await;
        assert!(intended.values().chain(ended.values()).all(|count| *count == 1), "an issue is in the log twice");
        assert!(intended.keys().all(|reference| ended.contains_key(reference)), "an intent without an outcome");
        let delivered: Vec<&String> = outcomes.iter().filter_map(|outcome| outcome.access_key_id.as_ref()).collect();
        assert_eq!(delivered.iter().collect::<HashSet<_>>().len(), delivered.len(), "a set was delivered twice");
        assert!(delivered.iter().all(|key| keys.contains(*key)), "a set that the log does not know");
        println!(
            "the audit log verifies: {} issues, none twice, {} of them asked about here",
            intended.len(),
            delivered.len()
        );
    }
}

/// Requests begin when they are due, whether or not those before them were answered.
async fn steady(rate: u32, run: Duration, request: impl Fn(usize) -> reqwest::RequestBuilder) -> Vec<Outcome> {
    let total = (run.as_secs_f64() * f64::from(rate)).round() as usize;
    let start = Instant::now();
    let mut under_way = JoinSet::new();
    for number in 0..total.max(1) {
        tokio::time::sleep_until((start + Duration::from_secs(1) / rate * number as u32).into()).await;
        let request = request(number).timeout(WAIT);
        under_way.spawn(async move {
            let began = Instant::now();
            let (status, body) = match request.send().await {
                Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap_or_default()),
                Err(_) => (0, String::new()),
            };
            let body: Value = serde_json::from_str(&body).unwrap_or_default();
            let key = body["AccessKeyId"].as_str().or_else(|| body["access_key_id"].as_str()).map(str::to_owned);
            Outcome { began, ended: Instant::now(), status, access_key_id: key }
        });
    }
    under_way.join_all().await
}
