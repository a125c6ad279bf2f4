//! The command line: data on stdout, words on stderr, a meaningful exit code.

pub mod config;
pub mod sandbox;

use std::process::ExitCode;

/// Parses the arguments and runs the command.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
