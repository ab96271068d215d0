//! Nothing: this package pins the source of nginx, see its `Cargo.toml`.
