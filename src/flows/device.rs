//! A device without a browser shows a code; somebody who has signed in elsewhere types it and approves.
//!
//! The code is short, so that it can be typed: what protects it is that it lives for minutes, that only people who have
//! signed in may try one, and how often. The other danger is a stranger's device: somebody is sent a link, and approves
//! what they never began. So the page tells where the request comes from and has the code compared.
//!
//! Spec: RFC 8628.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};

use super::clients::Client;
use super::grant_tokens::GrantError;
use super::sessions::LiveSession;
use super::{Caller, Ground};
use crate::access::Scope;
use crate::audit::{Event, Kind};
use crate::store::StoreError;
use crate::store::devices::{self, Decided, DeviceRequest};
use crate::sys::seal::SealingKey;
use crate::sys::{Rng, Token};

/// How long a device waits for somebody.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);
/// How long it has to wait between two questions.
const INTERVAL: SignedDuration = SignedDuration::from_secs(5);

/// Who may approve a device's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApproveFrom {
    Anywhere,
    /// Only from the address the device asked from; with IPv6, from the same /64.
    SameNetwork,
    /// Nobody: there are no device codes.
    Nowhere,
}

/// Consonants and a vowel-free alphabet: nothing that looks like something else, and no words. Spec: RFC 8628 6.1.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const LENGTH: usize = 8;

/// What a person types: eight letters, shown as `XXXX-XXXX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserCode([u8; LENGTH]);

/// The text is no user code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a code has eight letters, such as BCDF-GHJK")]
pub struct InvalidUserCode;

impl UserCode {
    fn generate(rng: &dyn Rng) -> Self {
        let mut letters = [0_u8; LENGTH];
        let mut have = 0;
        while have < LENGTH {
            let mut byte = [0_u8; 1];
            rng.fill(&mut byte);
            // 240 is the largest multiple of 20 in a byte: beyond it some letters would come more often.
            if byte[0] < 240 {
                letters[have] = LETTERS[usize::from(byte[0] % 20)];
                have += 1;
            }
        }
        Self(letters)
    }

    /// What stands for it in the database: too short for a plain hash, so it takes our key.
    fn mac(&self, sealing: &SealingKey) -> [u8; 32] {
        let letters = String::from_utf8_lossy(&self.0);
        sealing.derive(&format!("rolegate device user code v1:{letters}"))
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, letter) in self.0.iter().enumerate() {
            if at == LENGTH / 2 {
                f.write_str("-")?;
            }
            write!(f, "{}", char::from(*letter))?;
        }
        Ok(())
    }
}

impl FromStr for UserCode {
    type Err = InvalidUserCode;

    /// Forgives what people do: lower case, blanks, any dash or none.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut letters = [0_u8; LENGTH];
        let mut have = 0;
        let typed =
            text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '\u{2010}'..='\u{2015}' | '_' | '.'));
        for c in typed {
            let letter = u8::try_from(c.to_ascii_uppercase()).map_err(|_| InvalidUserCode)?;
            if have == LENGTH || !LETTERS.contains(&letter) {
                return Err(InvalidUserCode);
            }
            letters[have] = letter;
            have += 1;
        }
        if have == LENGTH { Ok(Self(letters)) } else { Err(InvalidUserCode) }
    }
}

/// What a device is told.
#[derive(Debug)]
pub struct DeviceStarted {
    pub device_code: Token,
    pub user_code: UserCode,
    pub expires_in: SignedDuration,
    /// How long it has to wait between two questions.
    pub interval: SignedDuration,
}

/// A device that waits for somebody's word.
#[derive(Debug)]
pub struct Waiting {
    pub client_name: String,
    pub client: String,
    pub scope: Scope,
    /// Where it asked from.
    pub address: String,
    pub user_agent: String,
    pub asked: Timestamp,
    pub network: Network,
}

/// Where the person is, as the device has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    Same,
    Other,
    /// They are behind a proxy that nobody told us to believe.
    Unknown,
}

/// What somebody says to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Approve,
    Refuse,
}

/// Why a code leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    #[error("device codes are switched off")]
    Off,
    #[error("no device waits with that code")]
    Unknown,
    #[error("the code has expired")]
    Expired,
    #[error("it was decided already")]
    Decided,
    #[error("the device asked from another network, at {asked_from}")]
    OtherNetwork { asked_from: String },
    #[error("the person's network is unknown: a proxy sent the request on that web.trusted_proxies does not name")]
    NetworkUnknown,
    #[error("granting was interrupted")]
    Interrupted,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DeviceError {
    /// A stable name for audit events.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Off => "device-codes-off",
            Self::Unknown => "user-code-unknown",
            Self::Expired => "user-code-expired",
            Self::Decided => "user-code-decided",
            Self::OtherNetwork { .. } => "device-on-other-network",
            Self::NetworkUnknown => "network-unknown",
            Self::Interrupted => "interrupted",
            Self::Store(_) => "unavailable",
        }
    }
}

/// Devices, and who speaks for them.
#[derive(Debug, Clone)]
pub struct Devices {
    pub ground: Ground,
    pub from: ApproveFrom,
}

impl Devices {
    /// Begins a request: the device shows its user code and asks for tokens with its device code.
    ///
    /// # Errors
    /// [`GrantError::DeviceCodesOff`], or the database refuses.
    pub async fn begin(&self, client: &Client, scope: Scope, caller: &Caller) -> Result<DeviceStarted, GrantError> {
        self.offered().map_err(|_| GrantError::DeviceCodesOff)?;
        let (rng, now) = (&*self.ground.rng, self.ground.clock.now());
        let device_code = Token::generate(rng);
        let request = DeviceRequest {
            hash: device_code.hash(),
            client: client.id.clone(),
            client_name: client.name.clone(),
            scope,
            client_address: caller.address.to_string(),
            user_agent: caller.user_agent.clone(),
            created: now,
            expires: now.checked_add(PATIENCE).unwrap_or(Timestamp::MAX),
            interval: INTERVAL,
            polled: None,
            decision: None,
        };
        // Two that wait with one code would be a device approved for another. With 25.6 billion codes this ends.
        loop {
            let user_code = UserCode::generate(rng);
            if self.ground.store.add_device_request(&request, &user_code.mac(&self.ground.sealing)).await? {
                return Ok(DeviceStarted { device_code, user_code, expires_in: PATIENCE, interval: INTERVAL });
            }
        }
    }

    /// Whether there are device codes at all.
    ///
    /// # Errors
    /// [`DeviceError::Off`].
    pub fn offered(&self) -> Result<(), DeviceError> {
        if self.from == ApproveFrom::Nowhere { Err(DeviceError::Off) } else { Ok(()) }
    }

    /// The device that waits with a code, for the person who is to decide.
    ///
    /// # Errors
    /// [`DeviceError`]. That it asked from another network, where that counts, is recorded.
    pub async fn look(&self, session: &LiveSession, code: &UserCode, caller: &Caller) -> Result<Waiting, DeviceError> {
        let request = self.find(code).await?;
        if let Err(error) = self.judge(&request, caller) {
            self.record_refusal(session, &request, &error, caller).await?;
            return Err(error);
        }
        Ok(Waiting {
            network: network(&request, caller),
            client_name: request.client_name,
            client: request.client,
            scope: request.scope,
            address: request.client_address,
            user_agent: request.user_agent,
            asked: request.created,
        })
    }

    /// Says yes or no to a device, once.
    ///
    /// # Errors
    /// [`DeviceError`]. A refusal, by the person or by the settings, is recorded.
    pub async fn decide(
        &self,
        session: &LiveSession,
        code: &UserCode,
        decision: Decision,
        caller: &Caller,
    ) -> Result<(), DeviceError> {
        let request = self.find(code).await?;
        if decision == Decision::Approve
            && let Err(error) = self.judge(&request, caller)
        {
            self.record_refusal(session, &request, &error, caller).await?;
            return Err(error);
        }
        let decided = Decided {
            approved: decision == Decision::Approve,
            session: session.public_id.clone(),
            client_address: caller.address.to_string(),
            user_agent: caller.user_agent.clone(),
        };
        let event = (decision == Decision::Refuse).then(|| refused(session, &request, "refused-by-person", caller));
        let ground = self.ground.clone();
        let saved = self.ground.tasks.uninterrupted(async move {
            let mut tx = ground.store.begin().await?;
            if !devices::decide(&mut tx, &request.hash, &decided).await? {
                return Ok(false);
            }
            if let Some(event) = &event {
                ground.append(&mut tx, event).await?;
            }
            tx.commit().await?;
            Ok::<bool, StoreError>(true)
        });
        if saved.await.ok_or(DeviceError::Interrupted)?? { Ok(()) } else { Err(DeviceError::Decided) }
    }

    async fn find(&self, code: &UserCode) -> Result<DeviceRequest, DeviceError> {
        self.offered()?;
        let found = self.ground.store.device_request_by_user_code(&code.mac(&self.ground.sealing)).await?;
        let request = found.ok_or(DeviceError::Unknown)?;
        if self.ground.clock.now() >= request.expires {
            return Err(DeviceError::Expired);
        }
        if request.decision.is_some() {
            return Err(DeviceError::Decided);
        }
        Ok(request)
    }

    fn judge(&self, request: &DeviceRequest, caller: &Caller) -> Result<(), DeviceError> {
        if self.from != ApproveFrom::SameNetwork {
            return Ok(());
        }
        match network(request, caller) {
            Network::Same => Ok(()),
            Network::Other => Err(DeviceError::OtherNetwork { asked_from: request.client_address.clone() }),
            Network::Unknown => Err(DeviceError::NetworkUnknown),
        }
    }

    async fn record_refusal(
        &self,
        session: &LiveSession,
        request: &DeviceRequest,
        error: &DeviceError,
        caller: &Caller,
    ) -> Result<(), StoreError> {
        let event = refused(session, request, error.code(), caller).with("detail", error.to_string());
        self.ground.record(&event).await.map(|_| ())
    }
}

fn refused(session: &LiveSession, request: &DeviceRequest, cause: &'static str, caller: &Caller) -> Event {
    caller
        .event(Kind::TokenRefused)
        .about(&session.identity.subject)
        .with("grant", "device_code")
        .with("client", request.client.as_str())
        .with("label", request.client_name.as_str())
        .with("session", session.public_id.as_str())
        .with("asked_from", request.client_address.as_str())
        .with("cause", cause)
}

fn network(request: &DeviceRequest, caller: &Caller) -> Network {
    // Behind a proxy that we do not see through, a stranger's device would be in everybody's network.
    if !caller.network_known {
        Network::Unknown
    } else if same_network(&request.client_address, caller.address) {
        Network::Same
    } else {
        Network::Other
    }
}

/// One IPv4 address, or one /64 of IPv6: devices there choose the rest by themselves, and change it.
fn same_network(asked_from: &str, here: IpAddr) -> bool {
    match (asked_from.parse::<IpAddr>().map(|address| address.to_canonical()), here.to_canonical()) {
        (Ok(IpAddr::V4(one)), IpAddr::V4(other)) => one == other,
        (Ok(IpAddr::V6(one)), IpAddr::V6(other)) => one.octets()[..8] == other.octets()[..8],
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sys::SeededRng;

    #[test]
    fn a_code_is_read_however_somebody_types_it() {
        let code: UserCode = "BCDF-GHJK".parse().unwrap();
        for typed in ["bcdfghjk", " bcdf ghjk ", "b-c-d-f-g-h-j-k", "BCDF\u{2013}GHJK", "bcdf_ghjk", "BCDF\u{a0}GHJK\n"]
        {
            assert_eq!(typed.parse(), Ok(code.clone()), "{typed:?}");
        }
        assert_eq!(code.to_string(), "BCDF-GHJK");
        for junk in ["", "BCDF-GHJ", "BCDF-GHJKL", "ACDF-GHJK", "BCDF-GHJ0", "BCDF-GHJ\u{212a}", "BCDF/GHJK"] {
            assert_eq!(junk.parse::<UserCode>(), Err(InvalidUserCode), "{junk:?}");
        }
    }

    #[test]
    fn a_code_uses_every_letter_about_as_often() {
        let rng = SeededRng::new(1);
        let mut seen = [0_u32; 256];
        for _ in 0..2_500 {
            for letter in UserCode::generate(&rng).0 {
                seen[usize::from(letter)] += 1;
            }
        }
        // 20,000 letters, so 1,000 of each: four standard deviations are 123.
        for letter in LETTERS {
            assert!((877..=1_123).contains(&seen[usize::from(*letter)]), "{}", char::from(*letter));
        }
    }

    #[test]
    fn the_same_network_is_one_address_or_one_household_of_ipv6() {
        let same = |one: &str, other: &str| same_network(one, other.parse().unwrap());
        assert!(same("192.0.2.1", "192.0.2.1") && same("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(same("2001:db8::1", "2001:db8::ffff") && !same("2001:db8::1", "2001:db8:0:1::1"));
        assert!(!same("192.0.2.1", "192.0.2.2") && !same("junk", "192.0.2.1") && !same("192.0.2.1", "2001:db8::1"));
    }

    proptest! {
        #[test]
        fn a_printed_code_reads_as_itself(seed in any::<u64>()) {
            let code = UserCode::generate(&SeededRng::new(seed));
            prop_assert_eq!(code.to_string().parse(), Ok(code));
        }
    }
}
