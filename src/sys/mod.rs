//! What the outside world gives us: time, chance, secrecy, the network.

pub mod clock;
pub mod http;
pub mod random;
pub mod seal;

pub use clock::{Clock, ManualClock, SystemClock};
pub use random::{Rng, SeededRng, SystemRng};
pub use secrecy::{ExposeSecret, SecretString};
