#!/usr/bin/env bash
# Builds the fuzz targets without cargo-fuzz: libFuzzer comes with libfuzzer-sys, coverage with the nightly compiler.
# Usage: fuzz/build.sh; then fuzz/target/x86_64-unknown-linux-gnu/release/policy -help=1
set -euo pipefail
cd "$(dirname "$0")"
# The versions the program is built with; what only the fuzzers need is added to them.
[ -e Cargo.lock ] || cp ../Cargo.lock Cargo.lock
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
  -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
export RUSTFLAGS="--cfg fuzzing -Ccodegen-units=1 ${coverage//$'\n'/ }"
cargo +nightly build --release --target x86_64-unknown-linux-gnu "$@"
