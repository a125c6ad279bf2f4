# Two commands do everything on a fresh Debian or Ubuntu machine with the Rust toolchain: `make run` and `make test`.

.DEFAULT_GOAL := help
.PHONY: help run test lint bench load chaos setup setup-build setup-test

help: ## Say what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: setup-build ## Build, and start the demo on this machine: broker, identity provider and local AWS
	cargo run --locked -- demo

test: setup ## Run every test, with real identity providers, a browser and the AWS CLI
	cargo test --locked

lint: setup-build ## Check formatting, lints and documentation
	cargo fmt --check
	cargo clippy --locked --all-targets -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc --locked --no-deps --document-private-items

bench: setup-build ## Measure against the bare operations
	cargo bench --locked --bench verify --bench mint --bench decide --bench render --bench process

load: setup-build ## Measure a crowd of programs, with broker, local STS and crowd on this machine
	cargo bench --locked --bench load

chaos: setup-build ## Measure STS on a bad day: throttled, a region dead, all dead; five minutes
	cargo bench --locked --bench chaos

setup: setup-build setup-test ## Install what building and testing need

setup-build: ## Install what building needs
	@scripts/setup build

setup-test: ## Install what the tests talk to
	@scripts/setup test
