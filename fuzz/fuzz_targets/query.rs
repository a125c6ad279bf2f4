//! Calls of STS and IAM on the query protocol: `src/sandbox/fuzzing.rs` says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rolegate::sandbox::fuzzing::query(data));
