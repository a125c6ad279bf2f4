//! Stories against the whole program, in one binary: each more would link the world again.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that panics has said what it found")]

mod api;
mod audit;
mod badday;
mod both_protocols;
#[allow(dead_code, reason = "a toolbox: not every tool is in use all the time")]
mod broker;
mod browser;
#[allow(dead_code, reason = "a toolbox: not every tool is in use all the time")]
mod browser_client;
mod cache;
mod cli;
mod config;
mod crash;
#[allow(dead_code, reason = "a toolbox: not every tool is in use all the time")]
mod demo;
mod doctor;
#[allow(dead_code, reason = "a toolbox: not every tool is in use all the time")]
mod hostile;
mod hostile_http;
mod hostile_oidc;
mod issuance;
mod keys;
mod map;
mod matrix;
mod methods;
mod metrics;
mod moto;
mod oauth;
mod oidc;
#[allow(dead_code, reason = "a toolbox: not every tool is in use all the time")]
mod peers;
#[allow(dead_code, reason = "a toolbox: not every tool is in use all the time")]
mod program;
#[allow(dead_code, reason = "a toolbox: not every tool is in use all the time")]
mod programs;
mod replicas;
mod roles;
mod sandbox;
#[allow(dead_code, reason = "a toolbox: not every tool is in use all the time")]
mod sandboxed;
mod scale;
mod scoping;
mod serve;
mod sessions;
mod sign_in;
mod sign_out;
mod step_up;
mod strangers;
mod sts_conformance;
mod tokens;
#[allow(dead_code, reason = "a toolbox: not every tool is in use all the time")]
mod tools;
mod web_identity;
#[allow(dead_code, reason = "a toolbox: not every tool is in use all the time")]
mod wire;
mod workload;
