//! The table as it is written.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::tools::repository;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    pub caller: BTreeMap<String, Caller>,
    pub case: Vec<Case>,
}

/// Whose keys sign: long-term ones, a session that is made first, or those of another with something changed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Caller {
    pub key: Option<(String, String)>,
    pub by: Option<String>,
    pub action: Option<String>,
    pub params: BTreeMap<String, String>,
    pub assertion: Option<Assertion>,
    /// Of a session by web identity a table; of credentials that are spoilt whose token they take.
    pub token: Option<toml::Value>,
    pub like: Option<String>,
    pub secret: Option<String>,
    pub in_the_past: bool,
    pub of_a_deleted_role: bool,
}

impl Caller {
    /// Whose token it takes.
    pub fn token_of(&self) -> Option<&str> {
        self.token.as_ref().and_then(toml::Value::as_str)
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    pub facts: String,
    pub caller: Option<String>,
    pub action: Option<String>,
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    pub assertion: Option<Assertion>,
    pub token: Option<Token>,
    pub region: Option<String>,
    pub raw: Option<Raw>,
    pub only_raw: Option<String>,
    pub not_typed: Option<String>,
    pub not_botocore: Option<String>,
    #[serde(default = "ok")]
    pub status: u16,
    pub code: Option<String>,
    pub message: Option<String>,
    pub message_like: Option<String>,
    #[serde(default)]
    pub no_message: bool,
    #[serde(default)]
    pub members: BTreeMap<String, String>,
    #[serde(default)]
    pub absent: Vec<String>,
    pub lives: Option<i64>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub body_like: Option<String>,
    #[serde(default)]
    pub empty: bool,
}

fn ok() -> u16 {
    200
}

impl Case {
    pub fn for_sdk(&self) -> bool {
        self.only_raw.is_none() && self.not_typed.is_none()
    }

    pub fn for_botocore(&self) -> bool {
        self.only_raw.is_none() && self.not_botocore.is_none()
    }
}

/// A request by hand, and how its signature is spoilt.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Raw {
    pub method: Option<String>,
    pub path: Option<String>,
    pub query: Option<String>,
    pub body: Option<String>,
    /// What is sent in place of what was signed.
    pub sent_body: Option<String>,
    pub content_type: Option<String>,
    pub host: Option<String>,
    /// A part of the authorization that is left out.
    pub omit: Option<String>,
    pub date: Option<String>,
    pub region: Option<String>,
    pub service: Option<String>,
    pub terminator: Option<String>,
    pub scope_date: Option<String>,
    pub signed_headers: Option<String>,
    pub clock_secs: i64,
    pub presigned: Option<u32>,
}

/// A SAML response, as far as it differs from a good one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Assertion {
    pub sign: Option<String>,
    pub key: Option<String>,
    pub issuer: Option<String>,
    pub status: Option<String>,
    /// Empty: nobody.
    pub name_id: Option<String>,
    pub name_id_format: Option<String>,
    /// Empty: none.
    pub recipient: Option<String>,
    pub audience: Option<String>,
    pub issued_secs_ago: i64,
    /// -9999: not said.
    pub confirmed_for_secs: Option<i64>,
    pub session_for_secs: Option<i64>,
    /// AWS's attributes, by what stands behind their common prefix.
    pub set: BTreeMap<String, Vec<String>>,
    pub drop: Vec<String>,
    /// Other attributes, by their whole name.
    pub claims: BTreeMap<String, Vec<String>>,
}

/// A JWT, as far as it differs from a good one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Token {
    pub alg: Option<String>,
    pub key: Option<String>,
    pub kid: Option<String>,
    /// Behind the issuer's address.
    pub issuer_path: Option<String>,
    pub claims: serde_json::Map<String, serde_json::Value>,
    pub without: Vec<String>,
    pub exp_in: Option<i64>,
    pub iat_in: Option<i64>,
}

impl Table {
    pub fn read() -> Self {
        let text = std::fs::read_to_string(repository().join("tests/sts_conformance/cases.toml")).unwrap();
        toml::from_str(&text).unwrap_or_else(|error| panic!("{error}"))
    }
}
