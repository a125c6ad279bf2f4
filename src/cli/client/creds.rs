//! `rolegate creds`: keys of a role, on stdout.

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};

use super::api::{Call, CredentialsWish};
use super::error::ClientError;
use super::role::{self, Asking, OneRole};
use super::session::Session;
use super::spinner;
use super::surroundings::Surroundings;
use crate::aws::SessionDuration;
use crate::issuance::Format;
use crate::sys::ExposeSecret as _;

/// A session policy of more than this is refused wherever it goes.
const LARGEST_POLICY: u64 = 64 * 1024;

#[derive(Debug, Args)]
pub struct CredsArgs {
    #[command(flatten)]
    pub role: OneRole,
    /// How the keys are written
    #[arg(
        long,
        default_value = "env",
        value_parser = PossibleValuesParser::new(Format::ALL.map(Format::name))
            .map(|name| name.parse::<Format>().expect("only names of formats get here"))
    )]
    pub format: Format,
    #[command(flatten)]
    pub wish: WishArgs,
}

/// What may be asked of keys.
#[derive(Debug, Default, Args)]
pub struct WishArgs {
    /// How long they live, such as 1h or 90m; at most what the role allows
    #[arg(long, value_name = "DURATION")]
    pub duration: Option<SessionDuration>,
    /// The region to work in, if not the one the catalog names
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// A file with a session policy, which makes the keys good for less than the role; - is stdin
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// A managed policy that does the same; may be given up to ten times
    #[arg(long = "policy-arn", value_name = "ARN")]
    pub policy_arns: Vec<String>,
    /// New keys, not ones that were issued a while ago and still last
    #[arg(long)]
    pub fresh: bool,
}

/// The file with the policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFileError {
    #[error("the policy {} cannot be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the policy {} is not JSON", path.display())]
    Json { path: PathBuf, source: serde_json::Error },
}

impl WishArgs {
    /// # Errors
    /// [`PolicyFileError`].
    pub fn read(&self) -> Result<CredentialsWish, PolicyFileError> {
        let policy = self.policy.as_ref().map(|path| {
            let failed = |source| PolicyFileError::Read { path: path.clone(), source };
            let mut text = String::new();
            if path.as_os_str() == "-" {
                io::Read::read_to_string(&mut io::Read::take(io::stdin(), LARGEST_POLICY), &mut text)
                    .map_err(failed)?;
            } else {
                let file = std::fs::File::open(path).map_err(failed)?;
                io::Read::read_to_string(&mut io::Read::take(file, LARGEST_POLICY), &mut text).map_err(failed)?;
            }
            // Without its blanks: they count against the 2,048 characters there are.
            let policy: serde_json::Value =
                serde_json::from_str(&text).map_err(|source| PolicyFileError::Json { path: path.clone(), source })?;
            Ok(policy.to_string())
        });
        Ok(CredentialsWish {
            duration: self.duration,
            region: self.region.clone(),
            policy: policy.transpose()?,
            policy_arns: self.policy_arns.clone(),
            fresh: self.fresh,
        })
    }
}

/// # Errors
/// [`ClientError`].
pub async fn run(args: &CredsArgs, around: &Surroundings) -> Result<(), ClientError> {
    let wish = args.wish.read()?;
    let session = Session::open(&args.role.server, around)?;
    let role = role::find(&args.role.role, &session, around, Asking::Allowed).await?;
    let call = Call::credentials(&role.account, &role.role, &wish);
    let keys = spinner::during(around, &format!("asking AWS for {role}"), session.keys(&call, args.format)).await?;
    let mut data = io::stdout().lock();
    data.write_all(keys.expose_secret().as_bytes())?;
    Ok(data.flush()?)
}
