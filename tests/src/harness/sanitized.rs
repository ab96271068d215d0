//! Every nginx built with AddressSanitizer and UndefinedBehaviorSanitizer, where `WEIR_SANITIZED` is set: part of `make test`.
//!
//! The module in it is the one that is tested otherwise: what it does to nginx's memory is seen where nginx uses that.

use std::path::PathBuf;
use std::sync::LazyLock;

use super::products;

/// How much longer everything may take.
const PATIENCE: f64 = 2.0;

/// Whether nginx is the sanitized one.
pub fn is_on() -> bool {
    static ON: LazyLock<bool> =
        LazyLock::new(|| std::env::var_os("WEIR_SANITIZED").is_some_and(|it| it == "1"));
    *ON
}

/// How long to wait for what takes so many seconds with the stock nginx.
pub fn patience(seconds: f64) -> f64 {
    if is_on() { seconds * PATIENCE } else { seconds }
}

/// What `scripts/sanitized-nginx.sh` built.
pub fn product(name: &str) -> PathBuf {
    let path = products::workspace().join("build/sanitized").join(name);
    assert!(path.exists(), "{} is missing: run `make sanitized`", path.display());
    path
}
