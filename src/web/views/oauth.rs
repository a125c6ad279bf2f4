//! Allowing programs: on this computer, and on a device elsewhere.

use askama::Template;

use super::sessions::Moment;
use super::shell::Shell;

/// `GET /authorize`: a program on this computer asks.
///
/// Form: `POST /authorize` with `csrf`, [`fields`](Self::fields) and `decision`: `allow` or `refuse`.
#[derive(Debug, Clone, Template)]
#[template(path = "oauth/consent.html")]
pub struct ConsentPage {
    pub shell: Shell,
    /// What the program is called.
    pub client: String,
    /// Whether only the program itself says so.
    pub self_named: bool,
    /// Where it waits, such as `127.0.0.1:54321`.
    pub address: String,
    /// What it will be able to do, in a sentence.
    pub ability: String,
    pub until: Moment,
    /// The request as it came.
    pub fields: Vec<(&'static str, String)>,
}

/// `GET /device`: enter the code of a device.
///
/// Form: `GET /device` with `user_code`.
#[derive(Debug, Clone, Template)]
#[template(path = "oauth/device.html")]
pub struct DevicePage {
    pub shell: Shell,
    /// What was typed before.
    pub typed: String,
    /// What is wrong with it; may be empty.
    pub error: String,
}

/// `GET /device?user_code=`: which device it is.
///
/// Form: `POST /device` with `csrf`, `user_code`, `compared`: `yes`, and `decision`: `approve` or `refuse`.
#[derive(Debug, Clone, Template)]
#[template(path = "oauth/device_confirm.html")]
pub struct DeviceConfirmPage {
    pub shell: Shell,
    /// As `BCDF-GHJK`.
    pub code: String,
    /// What the program calls itself. That it is ours is no more than its word either: our client id is no secret.
    pub client: String,
    /// Where it asked from.
    pub address: String,
    /// Whether the person is at the same address.
    pub same_network: bool,
    /// Whether it can be told at all.
    pub network_known: bool,
    /// What it says it runs, such as `aws-cli`.
    pub software: String,
    pub asked: Moment,
    pub ability: String,
    pub until: Moment,
    /// What has to be done before it can be approved; may be empty.
    pub error: String,
}

/// `POST /device`: it is decided. Nothing is posted.
#[derive(Debug, Clone, Template)]
#[template(path = "oauth/device_done.html")]
pub struct DeviceDonePage {
    pub shell: Shell,
    pub approved: bool,
}

fn sample_until() -> Moment {
    Moment { text: "22 November 2026, 05:12 UTC".to_owned(), iso: "2026-11-22T05:12:00Z".to_owned() }
}

const SAMPLE_ABILITY: &str = "See which roles you may use, and get credentials for any of your 12 roles.";

impl ConsentPage {
    #[must_use]
    pub fn samples() -> Vec<(&'static str, Self)> {
        let aws = Self {
            shell: Shell::sample(),
            client: "botocore-client-corp".to_owned(),
            self_named: true,
            address: "127.0.0.1:54321".to_owned(),
            ability: SAMPLE_ABILITY.to_owned(),
            until: sample_until(),
            fields: vec![("client_id", "idc_AYJx0mA".to_owned()), ("state", "0a1b2c".to_owned())],
        };
        let own = Self {
            client: "Rolegate command line".to_owned(),
            self_named: false,
            fields: vec![("client_id", "rolegate-cli".to_owned())],
            ..aws.clone()
        };
        let read = Self {
            ability: "See who you are and which roles you may use; it gets no credentials.".to_owned(),
            client: "An-exceptionally-long-name-that-some-tool-gave-itself-because-nobody-told-it-to-stop-there<b>"
                .to_owned(),
            ..aws.clone()
        };
        vec![("consent", aws), ("consent-own", own), ("consent-read", read)]
    }
}

impl DevicePage {
    #[must_use]
    pub fn samples() -> Vec<(&'static str, Self)> {
        let empty = Self { shell: Shell::sample(), typed: String::new(), error: String::new() };
        let wrong = Self {
            typed: "BCDF-GHJK".to_owned(),
            error: "No device waits with that code. Compare it with the one your device shows.".to_owned(),
            ..empty.clone()
        };
        vec![("device", empty), ("device-wrong", wrong)]
    }
}

impl DeviceConfirmPage {
    #[must_use]
    pub fn samples() -> Vec<(&'static str, Self)> {
        let same = Self {
            shell: Shell::sample(),
            code: "BCDF-GHJK".to_owned(),
            client: "botocore-client-corp".to_owned(),
            address: "198.51.100.7".to_owned(),
            same_network: true,
            network_known: true,
            software: "aws-cli".to_owned(),
            asked: Moment { text: "just now".to_owned(), iso: "2026-11-21T17:12:00Z".to_owned() },
            ability: SAMPLE_ABILITY.to_owned(),
            until: sample_until(),
            error: String::new(),
        };
        let elsewhere = Self {
            address: "2001:db8:85a3:8d3:1319:8a2e:370:7348".to_owned(),
            same_network: false,
            asked: Moment { text: "8 minutes ago".to_owned(), iso: "2026-11-21T17:04:00Z".to_owned() },
            ..same.clone()
        };
        let unknown = Self { network_known: false, ..elsewhere.clone() };
        let unticked = Self {
            error: "Compare the code with the one on your device, and tick the box if they are the same.".to_owned(),
            ..same.clone()
        };
        vec![
            ("device-confirm", same),
            ("device-confirm-elsewhere", elsewhere),
            ("device-confirm-unknown", unknown),
            ("device-confirm-unticked", unticked),
        ]
    }
}

impl DeviceDonePage {
    #[must_use]
    pub fn samples() -> Vec<(&'static str, Self)> {
        let approved = Self { shell: Shell::sample(), approved: true };
        let refused = Self { approved: false, ..approved.clone() };
        vec![("device-approved", approved), ("device-refused", refused)]
    }
}
