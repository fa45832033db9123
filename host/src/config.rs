//! `lockgate.toml`.
