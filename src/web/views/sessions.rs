//! One's own sessions.

use askama::Template;

use super::shell::{Notice, Shell, Tone};

/// `GET /sessions`: where somebody is signed in.
///
/// Forms: `POST /sessions/{id}/end` per other session, `POST /sign-out` for this one, `POST /sessions/end-others`; each
/// with `csrf`.
#[derive(Debug, Clone, Template)]
#[template(path = "sessions/sessions.html")]
pub struct SessionsPage {
    pub shell: Shell,
    /// This one first, then the one used last.
    pub sessions: Vec<SessionRow>,
}

/// One session.
#[derive(Debug, Clone)]
pub struct SessionRow {
    /// Names it in addresses; empty where it cannot be ended from here.
    pub id: String,
    /// Such as `Firefox on Windows`.
    pub device: String,
    /// What the browser says of itself, whole.
    pub user_agent: String,
    pub address: String,
    /// The connector and by what the provider recognised the person, such as `Okta, by password`.
    pub how: String,
    pub began: Moment,
    pub last_used: Moment,
    /// When it ends however busy it is.
    pub ends: Moment,
    /// Whether it is the one that asks.
    pub this: bool,
}

/// A time in words, and for machines.
#[derive(Debug, Clone)]
pub struct Moment {
    pub text: String,
    pub iso: String,
}

impl SessionsPage {
    /// Whether there is another session than this one.
    fn has_others(&self) -> bool {
        self.sessions.iter().any(|session| !session.this)
    }

    #[must_use]
    pub fn samples() -> Vec<(&'static str, Self)> {
        let moment = |text: &str, iso: &str| Moment { text: text.to_owned(), iso: iso.to_owned() };
        let this = SessionRow {
            id: "0199f3a27c417e089b542f6d1c0e8a37".to_owned(),
            device: "Firefox on Linux".to_owned(),
            user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0".to_owned(),
            address: "198.51.100.7".to_owned(),
            how: "Okta, by password, one-time code".to_owned(),
            began: moment("21 November 2026, 09:02 UTC", "2026-11-21T09:02:00Z"),
            last_used: moment("just now", "2026-11-21T12:00:00Z"),
            ends: moment("21 November 2026, 21:02 UTC", "2026-11-21T21:02:00Z"),
            this: true,
        };
        let phone = SessionRow {
            id: "0299f3a27c417e089b542f6d1c0e8a37".to_owned(),
            device: "Safari on iPhone".to_owned(),
            address: "2001:db8:85a3:8d3:1319:8a2e:370:7348".to_owned(),
            how: "Entra ID, by several factors, http://idmanagement.gov/ns/assurance/aal/2".to_owned(),
            last_used: moment("40 minutes ago", "2026-11-21T11:20:00Z"),
            this: false,
            ..this.clone()
        };
        let unnamed = SessionRow {
            id: String::new(),
            device: "Unknown device".to_owned(),
            user_agent: String::new(),
            last_used: moment("2 hours ago", "2026-11-21T10:00:00Z"),
            ..phone.clone()
        };
        let alone = Self { shell: Shell::sample(), sessions: vec![this] };
        let mut several = alone.clone();
        several.sessions.extend([phone, unnamed]);
        let done = Notice::new(Tone::Done, "That session has ended.");
        several.shell.notices.push(done);
        vec![("sessions", several), ("sessions-alone", alone)]
    }
}
