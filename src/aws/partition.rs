//! Partitions and regions: which AWS a thing belongs to, and the hosts that serve it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::Url;

/// A separate AWS: credentials and ARNs never cross from one to another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Partition {
    #[default]
    #[serde(rename = "aws")]
    Aws,
    #[serde(rename = "aws-cn")]
    AwsCn,
    #[serde(rename = "aws-us-gov")]
    AwsUsGov,
}

/// Which of AWS's names of a service are called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EndpointKind {
    /// Those whose cryptography is validated by FIPS 140.
    pub fips: bool,
    /// Those that have IPv6 addresses too.
    pub dual_stack: bool,
}

/// The commercial regions for which AWS lists a FIPS endpoint of STS.
const FIPS_REGIONS: [&str; 4] = ["us-east-1", "us-east-2", "us-west-1", "us-west-2"];

/// The text named no partition Rolegate serves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a partition; use aws, aws-cn or aws-us-gov")]
pub struct UnknownPartition(pub String);

impl Partition {
    pub const ALL: [Self; 3] = [Self::Aws, Self::AwsCn, Self::AwsUsGov];

    /// The name used in ARNs.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::AwsCn => "aws-cn",
            Self::AwsUsGov => "aws-us-gov",
        }
    }

    /// The SAML audience: AWS's entity ID in this partition.
    #[must_use]
    pub const fn saml_audience(self) -> &'static str {
        match self {
            Self::Aws => "urn:amazon:webservices",
            Self::AwsCn => "urn:amazon:webservices:cn-north-1",
            Self::AwsUsGov => "urn:amazon:webservices:govcloud",
        }
    }

    /// The SAML recipient, which trust policies see as `saml:aud`.
    #[must_use]
    pub const fn saml_recipient(self) -> &'static str {
        match self {
            Self::Aws => "https://signin.aws.amazon.com/saml",
            Self::AwsCn => "https://signin.amazonaws.cn/saml",
            Self::AwsUsGov => "https://signin.amazonaws-us-gov.com/saml",
        }
    }

    /// The host suffix of the sign-in service; the regional form is `{region}.{suffix}`.
    #[must_use]
    pub const fn sign_in_host(self) -> &'static str {
        match self {
            Self::Aws => "signin.aws.amazon.com",
            Self::AwsCn => "signin.amazonaws.cn",
            Self::AwsUsGov => "signin.amazonaws-us-gov.com",
        }
    }

    /// The host of the sign-in service in a region; the FIPS one where that is wanted and there is one.
    ///
    /// Spec: the endpoint rules of the sign-in service model.
    #[must_use]
    pub fn sign_in_endpoint(self, region: &Region, fips: bool) -> String {
        match (self, region.as_str()) {
            (Self::AwsUsGov, "us-gov-west-1") if fips => "signin-fips.amazonaws-us-gov.com".to_owned(),
            (Self::AwsUsGov, _) if fips => format!("{region}.signin-fips.amazonaws-us-gov.com"),
            _ => format!("{region}.{}", self.sign_in_host()),
        }
    }

    /// The host of the management console; regional hosts are direct children of it.
    #[must_use]
    pub const fn console_host(self) -> &'static str {
        match self {
            Self::Aws => "console.aws.amazon.com",
            Self::AwsCn => "console.amazonaws.cn",
            Self::AwsUsGov => "console.amazonaws-us-gov.com",
        }
    }

    /// The region used when neither role nor account nor settings name one.
    #[must_use]
    pub fn default_region(self) -> Region {
        Region(
            match self {
                Self::Aws => "us-east-1",
                Self::AwsCn => "cn-north-1",
                Self::AwsUsGov => "us-gov-west-1",
            }
            .to_owned(),
        )
    }

    /// AWS's own regional STS endpoint; none where the partition or the region has none of that kind.
    ///
    /// Spec: the endpoint rules of the STS service model. Those give every region a FIPS name by its form; served are only
    /// the ones AWS lists, and a name that leads nowhere would be found out at the first person's click.
    #[must_use]
    pub fn sts_endpoint(self, region: &Region, kind: EndpointKind) -> Option<Url> {
        let suffix = match (self, kind.dual_stack) {
            (Self::Aws | Self::AwsUsGov, false) => "amazonaws.com",
            (Self::Aws | Self::AwsUsGov, true) => "api.aws",
            (Self::AwsCn, false) => "amazonaws.com.cn",
            (Self::AwsCn, true) => "api.amazonwebservices.com.cn",
        };
        let service = match (self, kind) {
            (_, EndpointKind { fips: false, .. }) => "sts",
            // The usual endpoint is the validated one here.
            (Self::AwsUsGov, EndpointKind { dual_stack: false, .. }) => "sts",
            (Self::AwsUsGov, EndpointKind { dual_stack: true, .. }) => "sts-fips",
            (Self::Aws, _) if FIPS_REGIONS.contains(&region.as_str()) => "sts-fips",
            (Self::Aws | Self::AwsCn, _) => return None,
        };
        Some(Url::parse(&format!("https://{service}.{region}.{suffix}/")).expect("a region is a valid host label"))
    }

    /// The partition a region belongs to, judged by its name.
    #[must_use]
    pub fn of_region(region: &Region) -> Self {
        Self::ALL.into_iter().find(|partition| partition.has_region(region)).unwrap_or_default()
    }

    /// Whether `region` belongs to this partition, judged by its name.
    #[must_use]
    pub fn has_region(self, region: &Region) -> bool {
        let cn = region.0.starts_with("cn-");
        let gov = region.0.starts_with("us-gov-");
        match self {
            Self::Aws => !cn && !gov,
            Self::AwsCn => cn,
            Self::AwsUsGov => gov,
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl FromStr for Partition {
    type Err = UnknownPartition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|p| p.id() == text).ok_or_else(|| UnknownPartition(text.to_owned()))
    }
}

/// A region name such as `eu-west-1`: lower-case letters, digits and dashes, 5 to 32 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Region(String);

impl Region {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Region {
    type Err = super::InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shape = (5..=32).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.ends_with(|c: char| c.is_ascii_digit())
            && text.contains('-');
        if shape {
            Ok(Self(text.to_owned()))
        } else {
            Err(super::InvalidName { what: "region", value: text.to_owned(), rule: "a name such as eu-west-1" })
        }
    }
}

impl TryFrom<String> for Region {
    type Error = super::InvalidName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Region> for String {
    fn from(region: Region) -> Self {
        region.0
    }
}
