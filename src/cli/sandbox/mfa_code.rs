//! `rolegate sandbox mfa-code`: what an MFA device of the company shows now.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use crate::sandbox::World;
use crate::sandbox::mfa::MfaDevice;
use crate::sandbox::world::WorldError;

#[derive(Debug, Args)]
pub struct MfaCodeArgs {
    /// The serial number of the device, or the name of its user
    device: String,

    /// A company of your own, as TOML, instead of the one that comes with the program
    #[arg(long, value_name = "FILE")]
    world: Option<PathBuf>,
}

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub enum MfaCodeError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} describes no company", path.display())]
    World { path: PathBuf, source: WorldError },
    #[error("no user has the MFA device `{device}`; there is {known}")]
    Unknown { device: String, known: String },
}

/// Prints the six digits on stdout, and how long they last on stderr.
///
/// # Errors
/// [`MfaCodeError`]
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "data on stdout, words on stderr")]
pub fn run(args: &MfaCodeArgs, now: Timestamp) -> Result<(), MfaCodeError> {
    let world = match &args.world {
        None => World::larkspur(),
        Some(path) => {
            let text =
                std::fs::read_to_string(path).map_err(|source| MfaCodeError::Read { path: path.clone(), source })?;
            World::from_toml(&text).map_err(|source| MfaCodeError::World { path: path.clone(), source })?
        }
    };
    let device = find(&world, &args.device)?;
    println!("{}", device.code(now));
    eprintln!("{} shows it for {} seconds more", device.serial, MfaDevice::seconds_left(now));
    Ok(())
}

fn find(world: &World, wanted: &str) -> Result<MfaDevice, MfaCodeError> {
    let devices = || world.iam().users().flat_map(|user| user.mfa.iter().map(move |device| (user, device)));
    let found = devices().find(|(user, device)| {
        device.serial == wanted || user.name.as_str() == wanted || user.name.name() == wanted || user.arn() == wanted
    });
    found.map(|(_, device)| device.clone()).ok_or_else(|| {
        let known: Vec<&str> = devices().map(|(_, device)| device.serial.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        MfaCodeError::Unknown { device: wanted.to_owned(), known }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_found_by_serial_number_and_by_its_user() {
        let world = World::larkspur();
        let serial = "arn:aws:iam::146281930057:mfa/lin";
        for wanted in [serial, "lin", "finance/lin", "arn:aws:iam::146281930057:user/finance/lin"] {
            assert_eq!(find(&world, wanted).unwrap().serial, serial, "{wanted}");
        }
        let error = find(&world, "asha").unwrap_err().to_string();
        assert_eq!(error, format!("no user has the MFA device `asha`; there is {serial}"));
    }
}
