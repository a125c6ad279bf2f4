//! What the outside world gives us: time, chance, secrecy, the network.

mod bearer;
pub mod clock;
mod excerpt;
pub mod http;
pub mod json;
mod local_path;
pub mod metrics;
pub mod random;
pub mod seal;
pub mod telemetry;
mod token;

pub use bearer::{Bearer, BearerKind};
pub use clock::{Clock, ManualClock, SystemClock};
pub use excerpt::excerpt;
pub use local_path::LocalPath;
pub use random::{Rng, SeededRng, SystemRng};
pub use secrecy::{ExposeSecret, SecretString};
pub use token::{Token, TokenHash};
