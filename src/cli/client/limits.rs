//! What keys or a console are to be limited to, as options of commands.

use std::io;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

/// A session policy of more than this is refused wherever it goes.
const LARGEST_POLICY: u64 = 64 * 1024;
/// The network that is wherever the server sees the command.
const HERE: &str = "here";

/// What makes a session good for less than its role. All of it holds at once, beside what the catalog says.
#[derive(Debug, Default, Args)]
pub struct LimitArgs {
    /// Only what AWS's policy ReadOnlyAccess allows
    #[arg(long)]
    pub read_only: bool,
    /// Only requests to this region, and to services that have none; may be given several times
    #[arg(long = "region-lock", value_name = "REGION")]
    pub regions: Vec<String>,
    /// Only requests from this network or address; `here` is where you are seen now; may be given several times
    #[arg(long = "network", value_name = "CIDR")]
    pub networks: Vec<String>,
    /// A file with a session policy, which makes the keys good for less than the role; - is stdin
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// A managed policy that does the same; may be given up to ten times
    #[arg(long = "policy-arn", value_name = "ARN")]
    pub policy_arns: Vec<String>,
}

/// The file with the policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFileError {
    #[error("the policy {} cannot be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the policy {} is not JSON", path.display())]
    Json { path: PathBuf, source: serde_json::Error },
}

/// Members of a request's body.
#[derive(Debug, Clone, Default)]
pub struct Limits(Map<String, Value>);

impl LimitArgs {
    /// # Errors
    /// [`PolicyFileError`].
    pub fn read(&self) -> Result<Limits, PolicyFileError> {
        let mut scope = Map::new();
        if self.read_only {
            scope.insert("read_only".to_owned(), true.into());
        }
        if !self.regions.is_empty() {
            scope.insert("regions".to_owned(), json!(self.regions));
        }
        let (here, named): (Vec<&String>, Vec<&String>) = self.networks.iter().partition(|text| *text == HERE);
        if !here.is_empty() {
            scope.insert("from_here".to_owned(), true.into());
        }
        if !named.is_empty() {
            scope.insert("networks".to_owned(), json!(named));
        }
        let mut members = Map::new();
        if !scope.is_empty() {
            members.insert("scope_down".to_owned(), scope.into());
        }
        // Beside it and not in it, as servers know them that are older than the rest.
        if let Some(policy) = self.policy_text()? {
            members.insert("policy".to_owned(), policy.into());
        }
        if !self.policy_arns.is_empty() {
            members.insert("policy_arns".to_owned(), json!(self.policy_arns));
        }
        Ok(Limits(members))
    }

    fn policy_text(&self) -> Result<Option<String>, PolicyFileError> {
        let Some(path) = &self.policy else { return Ok(None) };
        let failed = |source| PolicyFileError::Read { path: path.clone(), source };
        let mut text = String::new();
        if path.as_os_str() == "-" {
            io::Read::read_to_string(&mut io::Read::take(io::stdin(), LARGEST_POLICY), &mut text).map_err(failed)?;
        } else {
            let file = std::fs::File::open(path).map_err(failed)?;
            io::Read::read_to_string(&mut io::Read::take(file, LARGEST_POLICY), &mut text).map_err(failed)?;
        }
        // Without its blanks: they count against the 2,048 characters there are.
        let policy: Value =
            serde_json::from_str(&text).map_err(|source| PolicyFileError::Json { path: path.clone(), source })?;
        Ok(Some(policy.to_string()))
    }
}

impl Limits {
    /// Adds them to a body.
    pub fn write(&self, body: &mut Map<String, Value>) {
        body.extend(self.0.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_members_of_the_request() {
        let args = LimitArgs {
            read_only: true,
            regions: vec!["eu-west-1".to_owned()],
            networks: vec!["here".to_owned(), "203.0.113.0/24".to_owned()],
            policy: None,
            policy_arns: vec!["arn:aws:iam::aws:policy/SecurityAudit".to_owned()],
        };
        let mut body = Map::new();
        args.read().unwrap().write(&mut body);
        assert_eq!(
            Value::from(body),
            json!({
                "scope_down": {
                    "read_only": true,
                    "regions": ["eu-west-1"],
                    "from_here": true,
                    "networks": ["203.0.113.0/24"],
                },
                "policy_arns": ["arn:aws:iam::aws:policy/SecurityAudit"],
            })
        );
        let mut body = Map::new();
        LimitArgs::default().read().unwrap().write(&mut body);
        assert!(body.is_empty());
    }
}
