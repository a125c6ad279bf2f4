//! Connectors, accounts, roles and rules, and their TOML form.
