//! `[aws]`: how AWS is reached. Nothing here is needed with the real AWS.
//!
//! An address of STS stands here and not in the catalog, though the catalog names regions: which way leads to a region is a
//! fact of the network this process runs in, and whoever could name an address in the catalog could have assertions sent there.

use std::collections::BTreeMap;
use std::time::Duration;

use url::{Origin, Url};

use super::reader::{Advice, Reader, duration, number, switch};
use super::server::web_url;
use super::setting::Setting;
use crate::aws::{EndpointKind, Partition, Region};

pub(super) static SETTINGS: &[&Setting] = &[
    &REGION,
    &FALLBACK_REGIONS,
    &STS_ENDPOINT,
    &STS_ENDPOINTS,
    &FIPS,
    &DUAL_STACK,
    &FEDERATION_ENDPOINT,
    &CONSOLE_URL,
    &CONSOLE_ORIGINS,
    &CONNECT_TIMEOUT,
    &ATTEMPT_TIMEOUT,
    &TOTAL_TIMEOUT,
    &MAX_ATTEMPTS,
];
static REGION: Setting =
    Setting::optional("aws.region", "us-east-1, cn-north-1 or us-gov-west-1, by the account's partition");
static FALLBACK_REGIONS: Setting = Setting::optional("aws.fallback_regions", "none");
static STS_ENDPOINT: Setting = Setting::optional("aws.sts_endpoint", "the regional endpoint of AWS");
static STS_ENDPOINTS: Setting = Setting::optional("aws.sts_endpoints", "the regional endpoints of AWS");
static FIPS: Setting = Setting::new("aws.fips", "false");
static DUAL_STACK: Setting = Setting::new("aws.dual_stack", "false");
static FEDERATION_ENDPOINT: Setting = Setting::optional("aws.federation_endpoint", "the sign-in service of AWS");
static CONSOLE_URL: Setting = Setting::optional("aws.console_url", "the console's home page");
static CONSOLE_ORIGINS: Setting = Setting::optional("aws.console_origins", "none besides the console's own");
static CONNECT_TIMEOUT: Setting = Setting::new("aws.connect_timeout", "2s");
static ATTEMPT_TIMEOUT: Setting = Setting::new("aws.attempt_timeout", "5s");
static TOTAL_TIMEOUT: Setting = Setting::new("aws.total_timeout", "12s");
static MAX_ATTEMPTS: Setting = Setting::new("aws.max_attempts", "20");

#[derive(Debug, Clone)]
pub struct AwsConfig {
    /// Where STS is called when neither role nor account says; `None` is the partition's default region.
    pub region: Option<Region>,
    /// Where STS is called, in this order, when it does not answer there; each for accounts of its own partition.
    pub fallback_regions: Vec<Region>,
    /// Called instead of AWS's STS, for every partition and every region that has no address of its own.
    pub sts_endpoint: Option<Url>,
    /// Called instead of AWS's own STS in these regions: VPC endpoints.
    pub sts_endpoints: BTreeMap<Region, Url>,
    /// Which of AWS's own names are called.
    pub endpoint_kind: EndpointKind,
    /// Called instead of AWS's federation endpoint.
    pub federation_endpoint: Option<Url>,
    /// Where people land when nothing else is said.
    pub console_url: Option<Url>,
    /// Origins people may be sent to besides those of the AWS console.
    pub console_origins: Vec<Origin>,
    pub connect_timeout: Duration,
    /// The longest one try of a call may take.
    pub attempt_timeout: Duration,
    /// The longest a call may take in all regions, with all tries and pauses.
    pub total_timeout: Duration,
    /// How often a call is tried in all regions together, the first time included.
    pub max_attempts: u32,
}

pub(super) fn read(reader: &mut Reader) -> AwsConfig {
    let bounded = || duration(Duration::from_millis(100), Duration::from_secs(60));
    let config = AwsConfig {
        region: reader.optional(&REGION, region),
        fallback_regions: reader.list(&FALLBACK_REGIONS, region),
        sts_endpoint: reader.optional(&STS_ENDPOINT, web_url),
        sts_endpoints: endpoints(reader),
        endpoint_kind: EndpointKind {
            fips: reader.value(&FIPS, switch),
            dual_stack: reader.value(&DUAL_STACK, switch),
        },
        federation_endpoint: reader.optional(&FEDERATION_ENDPOINT, web_url),
        console_url: reader.optional(&CONSOLE_URL, web_url),
        console_origins: reader.list(&CONSOLE_ORIGINS, |text| {
            let url = web_url(text)?;
            if url.path() == "/" && url.query().is_none() && url.fragment().is_none() {
                Ok(url.origin())
            } else {
                Err("write scheme, host and port only, such as https://portal.example.com".to_owned())
            }
        }),
        connect_timeout: reader.value(&CONNECT_TIMEOUT, bounded()),
        attempt_timeout: reader.value(&ATTEMPT_TIMEOUT, bounded()),
        total_timeout: reader.value(&TOTAL_TIMEOUT, bounded()),
        max_attempts: reader.value(&MAX_ATTEMPTS, number(1, 50)),
    };
    if config.attempt_timeout > config.total_timeout {
        reader.clash(&ATTEMPT_TIMEOUT, "write no more than aws.total_timeout");
    }
    if config.connect_timeout > config.attempt_timeout {
        reader.clash(&CONNECT_TIMEOUT, "write no more than aws.attempt_timeout");
    }
    check_endpoints(reader, &config);
    config
}

fn endpoints(reader: &mut Reader) -> BTreeMap<Region, Url> {
    let pairs = reader.list(&STS_ENDPOINTS, |text| {
        let (name, url) = text.split_once('=').ok_or(
            "write a region and an address, such as eu-west-1 = \"https://vpce-0a1b.sts.eu-west-1.vpce.amazonaws.com\"",
        )?;
        Ok((region(name.trim())?, web_url(url.trim())?))
    });
    let count = pairs.len();
    let endpoints: BTreeMap<Region, Url> = pairs.into_iter().collect();
    if endpoints.len() < count {
        reader.clash(&STS_ENDPOINTS, "write one address for each region");
    }
    endpoints
}

/// Addresses of one's own and AWS's special ones exclude each other, as in AWS's clients: whoever demands validated
/// cryptography must not lose it by another line.
fn check_endpoints(reader: &mut Reader, config: &AwsConfig) {
    let EndpointKind { fips, dual_stack } = config.endpoint_kind;
    let own = config.sts_endpoint.is_some() || !config.sts_endpoints.is_empty();
    if own && fips {
        reader.clash(&FIPS, "leave it out, or leave out aws.sts_endpoint and aws.sts_endpoints: with addresses of your own, whether they are FIPS endpoints is for you to see to");
    }
    if own && dual_stack {
        reader.clash(&DUAL_STACK, "leave it out, or leave out aws.sts_endpoint and aws.sts_endpoints");
    }
    if fips && !own {
        let lacks = |region: &Region| Partition::of_region(region).sts_endpoint(region, config.endpoint_kind).is_none();
        let advice = |region: &Region| {
            format!(
                "{region} has no FIPS endpoint of STS: write us-east-1, us-east-2, us-west-1, us-west-2 or a GovCloud region"
            )
        };
        if let Some(region) = config.region.as_ref().filter(|region| lacks(region)) {
            reader.clash(&REGION, advice(region));
        }
        if let Some(region) = config.fallback_regions.iter().find(|region| lacks(region)) {
            reader.clash(&FALLBACK_REGIONS, advice(region));
        }
    }
}

fn region(text: &str) -> Result<Region, Advice> {
    text.parse().map_err(|_| "write the name of a region, such as eu-west-1".to_owned())
}
