//! Why a client command did not succeed, and the status it ends with.

use std::io;
use std::process::ExitCode;

use super::api::ApiError;
use super::aws_config::AwsConfigError;
use super::console::ConsoleError;
use super::exec::ExecError;
use super::limits::PolicyFileError;
use super::login::LoginError;
use super::role::RoleError;
use super::server::WhichServer;
use super::session::SessionError;
use super::store::StoreError;

/// The status of a client command. Scripts rely on these numbers; `docs/cli.md` explains them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Failed = 1,
    /// The arguments do not say what is meant.
    Usage = 2,
    NotSignedIn = 3,
    NotPermitted = 4,
    /// The server or AWS cannot be reached or is overloaded; the same command may succeed later.
    Unavailable = 5,
    /// The command of `exec` is there and cannot be run; as shells have it.
    CommandNotRun = 126,
    /// There is no such command to `exec`; as shells have it.
    CommandNotFound = 127,
    Interrupted = 130,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    Role(#[from] RoleError),
    #[error(transparent)]
    Login(#[from] LoginError),
    #[error(transparent)]
    Exec(#[from] ExecError),
    #[error(transparent)]
    Console(#[from] ConsoleError),
    #[error(transparent)]
    AwsConfig(#[from] AwsConfigError),
    #[error(transparent)]
    PolicyFile(#[from] PolicyFileError),
    #[error("the output could not be written")]
    Output(#[from] io::Error),
    #[error("nothing was chosen")]
    Interrupted,
}

impl From<ApiError> for ClientError {
    fn from(error: ApiError) -> Self {
        Self::Session(error.into())
    }
}

impl From<StoreError> for ClientError {
    fn from(error: StoreError) -> Self {
        Self::Session(error.into())
    }
}

impl From<WhichServer> for ClientError {
    fn from(error: WhichServer) -> Self {
        Self::Session(error.into())
    }
}

impl ClientError {
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Session(error) => session(error),
            Self::Role(RoleError::Several { .. } | RoleError::Unnamed) => Status::Usage,
            Self::Role(RoleError::Unknown { .. }) => Status::NotPermitted,
            Self::Login(error) => match error {
                LoginError::Api(error) => api(error),
                LoginError::Denied => Status::NotPermitted,
                LoginError::Store(_) | LoginError::Server(_) => Status::Failed,
                LoginError::Loopback(_)
                | LoginError::TimedOut
                | LoginError::OtherIssuer { .. }
                | LoginError::Refused { .. }
                | LoginError::NoDevices(_) => Status::Failed,
            },
            Self::Exec(error) => match error {
                ExecError::NoCommand => Status::Usage,
                ExecError::NotFound { .. } => Status::CommandNotFound,
                ExecError::Run { .. } => Status::CommandNotRun,
                ExecError::Loopback(_) | ExecError::Wait(_) => Status::Failed,
            },
            Self::Console(_) | Self::AwsConfig(_) | Self::Output(_) => Status::Failed,
            Self::PolicyFile(_) => Status::Usage,
            Self::Interrupted => Status::Interrupted,
        }
    }

    /// Whoever read the output had enough of it: `rolegate roles | head`.
    #[must_use]
    pub fn is_a_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn session(error: &SessionError) -> Status {
    match error {
        SessionError::NotSignedIn(_)
        | SessionError::Ended { .. }
        | SessionError::TokenRefused { .. }
        | SessionError::NoToken { .. }
        | SessionError::TokenFile { .. }
        | SessionError::Store(
            StoreError::NoKeyring | StoreError::Keyring(_) | StoreError::Garbled { .. } | StoreError::Open { .. },
        ) => Status::NotSignedIn,
        SessionError::Api(error) => api(error),
        SessionError::TokenOfOther { .. } | SessionError::Server(WhichServer::Unknown | WhichServer::Variable(_)) => {
            Status::Usage
        }
        SessionError::Server(_) | SessionError::Store(_) => Status::Failed,
    }
}

fn api(error: &ApiError) -> Status {
    match error {
        ApiError::Problem(problem) => match (problem.status, problem.slug()) {
            (401, _) => Status::NotSignedIn,
            (403, _) => Status::NotPermitted,
            // AWS has judged, and would judge the same again.
            (_, "aws-refused") => Status::Failed,
            (429 | 500.., _) => Status::Unavailable,
            _ => Status::Failed,
        },
        ApiError::OAuth { status: 429 | 500.., .. } => Status::Unavailable,
        ApiError::Unreachable { .. } | ApiError::Slow { .. } => Status::Unavailable,
        ApiError::OAuth { .. } | ApiError::Client(_) | ApiError::TooLarge { .. } | ApiError::Unexpected { .. } => {
            Status::Failed
        }
    }
}
