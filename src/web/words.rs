//! Machine texts in words: browsers, ways of recognising a person, times.

use jiff::{SignedDuration, Timestamp};

use super::views::counted;
use super::views::picker::spoken;
use crate::access::RoleAccess;
use crate::catalog::Method;
use crate::identity::{Authentication, Demand};

/// What a user agent is called by its owner, such as `Firefox on Windows`; `Unknown device` when it does not say.
///
/// A help for telling sessions apart, never evidence: anybody can send anything.
#[must_use]
pub fn device(user_agent: &str) -> String {
    // Every browser claims to be several others: the one that says most about itself comes first.
    const BROWSERS: [(&str, &str); 14] = [
        ("Edg/", "Edge"),
        ("EdgA/", "Edge"),
        ("EdgiOS/", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser/", "Samsung Internet"),
        ("Vivaldi/", "Vivaldi"),
        ("FxiOS/", "Firefox"),
        ("Firefox/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("HeadlessChrome/", "Chrome without a screen"),
        ("Chromium/", "Chromium"),
        ("Chrome/", "Chrome"),
        ("Version/", "Safari"),
        ("Trident/", "Internet Explorer"),
    ];
    const SYSTEMS: [(&str, &str); 8] = [
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Macintosh", "Mac"),
        ("CrOS", "Chromebook"),
        ("Linux", "Linux"),
        ("FreeBSD", "FreeBSD"),
    ];
    let first = |known: &[(&str, &'static str)]| {
        known.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    if !user_agent.starts_with("Mozilla/") {
        // A program names itself first: `curl/8.5.0`.
        let name = user_agent.split(['/', ' ']).next().unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let good = (1..=40).contains(&name.len()) && name.chars().all(plain);
        return if good { name.to_owned() } else { "Unknown device".to_owned() };
    }
    match (first(&BROWSERS), first(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, Some(system)) => format!("A browser on {system}"),
        (None, None) => "Unknown device".to_owned(),
    }
}

/// By what the provider recognised the person, in words where we know them, each once.
#[must_use]
pub fn recognised_by(authentication: &Authentication) -> Vec<String> {
    let context = authentication.context_class.as_deref().map(context).unwrap_or_default();
    let methods = authentication.methods.iter().map(|text| method(text).to_owned());
    let mut words: Vec<String> = Vec::new();
    for word in context.into_iter().map(str::to_owned).chain(methods) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

/// An `acr` or `AuthnContextClassRef`; an unknown one stands for itself. `None`: it says nothing.
fn context(text: &str) -> Option<&str> {
    let saml = text.strip_prefix("urn:oasis:names:tc:SAML:2.0:ac:classes:");
    let words = match saml.unwrap_or(text) {
        "unspecified" | "0" => return None,
        "Password" | "PasswordProtectedTransport" => "password",
        "X509" | "TLSClient" | "urn:ietf:rfc:2246" => "certificate",
        "Kerberos" => "Kerberos",
        "Smartcard" | "SmartcardPKI" => "smart card",
        "TimeSyncToken" => "one-time code",
        "MobileOneFactorContract" | "MobileOneFactorUnregistered" => "phone",
        "MobileTwoFactorContract" | "MobileTwoFactorUnregistered" => "several factors",
        "PreviousSession" => "an earlier sign-in",
        "https://refeds.org/profile/mfa"
        | "http://schemas.microsoft.com/claims/multipleauthn"
        | "urn:okta:loa:2fa:any"
        | "urn:okta:loa:2fa:any:ifpossible" => "several factors",
        "https://refeds.org/profile/sfa" | "urn:okta:loa:1fa:any" => "one factor",
        "urn:okta:loa:1fa:pwd" => "password",
        "phr" | "phrh" => "a phishing-resistant key",
        "urn:federation:authentication:windows" => "Windows sign-in",
        _ => text,
    };
    Some(words)
}

/// An `amr` value; an unknown one stands for itself. Spec: RFC 8176.
fn method(text: &str) -> &str {
    match text {
        "pwd" | "password" => "password",
        "mfa" => "several factors",
        "otp" => "one-time code",
        "hwk" => "hardware key",
        "swk" => "software key",
        "pop" => "key",
        "fido" | "webauthn" | "passkey" => "passkey",
        "sc" => "smart card",
        "fpt" => "fingerprint",
        "face" => "face",
        "iris" | "retina" => "eye",
        "vbm" => "voice",
        "pin" => "PIN",
        "sms" => "text message",
        "tel" => "phone call",
        "wia" => "Windows sign-in",
        "kba" => "security questions",
        "user" => "presence",
        "mca" => "several channels",
        "rba" => "risk assessment",
        "geo" => "location",
        other => other,
    }
}

/// What a role asks for, such as `a sign-in within the last 15 min, by several factors`.
#[must_use]
pub fn asked(demand: &Demand) -> String {
    let mut parts = Vec::new();
    match demand.max_age {
        Some(age) => {
            let seconds = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
            parts.push(format!("a sign-in within the last {}", spoken(seconds)));
        }
        None => parts.push("a sign-in".to_owned()),
    }
    if !demand.contexts.is_empty() {
        let words = demand.contexts.iter().map(|text| context(text).unwrap_or(text));
        parts.push(format!("by {}", either(words)));
    }
    if !demand.methods.is_empty() {
        parts.push(format!("with {}", either(demand.methods.iter().map(|text| method(text)))));
    }
    parts.join(" ")
}

/// The same in two or three words.
#[must_use]
pub fn asked_briefly(demand: &Demand) -> &'static str {
    match (demand.max_age.is_some(), !demand.contexts.is_empty() || !demand.methods.is_empty()) {
        (true, true) => "recent, stronger sign-in",
        (true, false) => "recent sign-in",
        (false, true) => "stronger sign-in",
        (false, false) => "",
    }
}

fn either<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut all: Vec<&str> = Vec::new();
    for word in words {
        if !all.contains(&word) {
            all.push(word);
        }
    }
    all.join(" or ")
}

/// How long ago, roughly: `just now`, `5 minutes ago`, `3 hours ago`, `2 days ago`.
#[must_use]
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    let passed = now.duration_since(at).max(SignedDuration::ZERO);
    let whole = |n: i64| usize::try_from(n).unwrap_or(0);
    let (count, one, many) = match passed.as_secs() {
        0..90 => return "just now".to_owned(),
        seconds @ 90..5_400 => (whole((seconds + 30) / 60), "minute", "minutes"),
        seconds @ 5_400..129_600 => (whole((seconds + 1_800) / 3_600), "hour", "hours"),
        seconds => (whole((seconds + 43_200) / 86_400), "day", "days"),
    };
    format!("{} ago", counted(count, one, many))
}

/// `21 November 2026, 17:12 UTC`.
#[must_use]
pub fn date_and_time(at: Timestamp) -> String {
    at.strftime("%-d %B %Y, %H:%M UTC").to_string()
}

/// What is special about how a role is reached, in a few words; empty where nothing is that its person would notice.
#[must_use]
pub const fn reached_briefly(method: &Method) -> &'static str {
    match method {
        Method::Saml | Method::WebIdentity => "",
        Method::Chain(_) => "through a hub, 1 h at most",
        Method::FederationToken(_) => "federated user",
        Method::SessionToken(_) => "MFA code, no console",
    }
}

/// How a role is reached, and what follows from it, in sentences.
#[must_use]
pub fn reached(access: &RoleAccess<'_>) -> Vec<String> {
    let longest = || spoken(access.role().method.longest().as_secs());
    match &access.role().method {
        Method::Saml => vec!["Rolegate vouches for you with a SAML assertion, and AWS gives you the role.".to_owned()],
        Method::WebIdentity => {
            vec!["Rolegate vouches for you with an OpenID Connect token, and AWS gives you the role.".to_owned()]
        }
        Method::Chain(_) => {
            let through: Vec<String> = access.through().into_iter().map(|role| role.id().to_string()).collect();
            vec![
                format!("You go through {}, of which you are given nothing.", through.join(", then ")),
                format!("AWS ends a session that comes from another role after {}, whatever the role allows.", longest()),
            ]
        }
        Method::FederationToken(_) => vec![
            "The account has no role for this: you become a federated user, who may do what an IAM user may and the limits \
             leave of it."
                .to_owned(),
            "Such a session calls no IAM, and of STS only who it is.".to_owned(),
        ],
        Method::SessionToken(_) => vec![
            "You are given a session of an IAM user, after AWS has seen a code of the user's MFA device.".to_owned(),
            Method::NO_CONSOLE.to_owned(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_called_what_its_owner_calls_it() {
        for (text, name) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
                "Chrome on Windows",
            ),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15",
                "Safari on Mac",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/130.0.6723.37 Mobile/15E148 Safari/604.1",
                "Chrome on iPad",
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36",
                "Samsung Internet on Android",
            ),
            (
                "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
                "Chrome on Chromebook",
            ),
            ("Mozilla/5.0 (compatible; Something)", "Unknown device"),
            ("Mozilla/5.0 (Windows NT 6.1)", "A browser on Windows"),
            ("curl/8.5.0", "curl"),
            ("aws-cli/2.15.0 Python/3.11.6", "aws-cli"),
            ("", "Unknown device"),
            ("<script>alert(1)</script>", "Unknown device"),
            ("Ünïcode/1", "Unknown device"),
        ] {
            assert_eq!(device(text), name, "{text}");
        }
    }

    #[test]
    fn how_somebody_was_recognised_is_said_in_words_and_once() {
        let by = |context: Option<&str>, methods: &[&str]| {
            let methods = methods.iter().map(ToString::to_string).collect();
            let context_class = context.map(str::to_owned);
            recognised_by(&Authentication { context_class, methods, ..Authentication::default() }).join(", ")
        };
        assert_eq!(by(Some("urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"), &[]), "password");
        assert_eq!(
            by(Some("https://refeds.org/profile/mfa"), &["pwd", "mfa", "otp"]),
            "several factors, password, one-time code"
        );
        assert_eq!(by(Some("urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified"), &[]), "");
        assert_eq!(by(Some("urn:corp:gold"), &["retinal-song"]), "urn:corp:gold, retinal-song", "as it was sent");
        assert_eq!(by(None, &[]), "");
    }

    #[test]
    fn what_a_role_asks_for_is_said_in_words() {
        let demand = |max_age: Option<u64>, contexts: &[&str], methods: &[&str]| {
            let strings = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
            let max_age = max_age.map(std::time::Duration::from_secs);
            asked(&Demand { max_age, contexts: strings(contexts), methods: strings(methods) })
        };
        assert_eq!(demand(Some(900), &[], &[]), "a sign-in within the last 15 min");
        assert_eq!(
            demand(Some(60), &[], &["hwk", "fido"]),
            "a sign-in within the last 1 min with hardware key or passkey"
        );
        assert_eq!(
            demand(None, &["https://refeds.org/profile/mfa", "http://schemas.microsoft.com/claims/multipleauthn"], &[]),
            "a sign-in by several factors"
        );
    }

    #[test]
    fn times_past_are_rounded() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let text = |seconds| ago(now - SignedDuration::from_secs(seconds), now);
        for (seconds, says) in [
            (-5, "just now"),
            (89, "just now"),
            (90, "2 minutes ago"),
            (5_399, "90 minutes ago"),
            (5_400, "2 hours ago"),
            (129_599, "36 hours ago"),
            (129_600, "2 days ago"),
        ] {
            assert_eq!(text(seconds), says, "{seconds}");
        }
        assert_eq!(date_and_time(now), "21 November 2026, 12:00 UTC");
    }
}
