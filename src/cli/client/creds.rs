//! `rolegate creds`: keys of a role, on stdout.

use std::io::{self, Write as _};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};

use super::api::{Call, CredentialsWish};
use super::error::ClientError;
use super::limits::{LimitArgs, PolicyFileError};
use super::role::{self, Asking, OneRole};
use super::session::Session;
use super::spinner;
use super::surroundings::Surroundings;
use crate::aws::{MfaCode, MfaSerial, SessionDuration};
use crate::issuance::Format;
use crate::sys::ExposeSecret as _;

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
    #[command(flatten)]
    pub limits: LimitArgs,
    /// New keys, not ones that were issued a while ago and still last
    #[arg(long)]
    pub fresh: bool,
    /// The six digits your MFA device shows, for a role that asks for them
    #[arg(long, value_name = "CODE")]
    pub mfa_code: Option<MfaCode>,
    /// Which device, for a role that does not name it: its ARN or serial number
    #[arg(long, value_name = "DEVICE", requires = "mfa_code")]
    pub mfa_serial: Option<MfaSerial>,
}

impl WishArgs {
    /// # Errors
    /// [`PolicyFileError`].
    pub fn read(&self) -> Result<CredentialsWish, PolicyFileError> {
        Ok(CredentialsWish {
            duration: self.duration,
            region: self.region.clone(),
            limits: self.limits.read()?,
            fresh: self.fresh,
            mfa_code: self.mfa_code.clone(),
            mfa_serial: self.mfa_serial.clone(),
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
