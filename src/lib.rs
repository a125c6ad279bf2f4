//! Rolegate: a self-hosted SAML and OIDC identity broker for AWS.
//!
//! People sign in at their enterprise identity provider, rules decide which IAM roles they may use, they pick one,
//! and Rolegate calls AWS STS and hands over a console link or short-lived credentials.
//!
//! | Module | What it is about |
//! | --- | --- |
//! | [`sys`] | clock, randomness, sealing, outbound HTTP, secret wrappers |
//! | [`aws`] | vocabulary: partitions, accounts, role and provider ARNs, session names, durations, credentials |
//! | [`identity`] | vocabulary: who somebody is once an identity provider has vouched for them |
//! | [`saml`] | SAML mechanics without policy: strict gate, signatures, encryption, bindings, canonical writing |
//! | [`signin`] | a stranger becomes a `VerifiedIdentity` |
//! | [`catalog`] | connectors, accounts, roles and rules: reading and writing them as TOML |
//! | [`access`] | which roles, how long and why; the only maker of a `Permit` |
//! | [`issuance`] | a `Permit` becomes credentials or a console URL |
//! | [`audit`] | what happened, in a chain nobody can edit unseen |
//! | [`store`] | every SQL statement |
//! | [`flows`] | one file per thing a person does: load, decide, save, record, answer |
//! | [`web`] | routes, extractors, problems, pages |
//! | [`config`] | how this process runs |
//! | [`sandbox`] | a local AWS and a development identity provider |
//! | [`cli`] | the command line |
//! | [`app`] | composition root |
//!
//! Imports point one way: `cli web sandbox` → `flows` → `store` → `signin issuance access audit` →
//! `catalog saml` → `identity aws` → `sys`; [`config`] is read by `cli` and `app`. Only [`app`] sees everything.
//! `tests/it/map.rs` keeps it so.

pub mod access;
pub mod app;
pub mod audit;
pub mod aws;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod flows;
pub mod identity;
pub mod issuance;
pub mod saml;
pub mod sandbox;
pub mod signin;
pub mod store;
pub mod sys;
pub mod web;
