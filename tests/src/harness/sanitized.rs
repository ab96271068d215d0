//! Every nginx built with AddressSanitizer and UndefinedBehaviorSanitizer, where `WEIR_SANITIZED` is set: part of `make test`.
//!
//! The module is the same as in other tests; its effects on nginx's memory are visible when nginx uses that memory.

use std::path::PathBuf;
use std::sync::LazyLock;

use super::products;

/// The factor by which time limits grow.
const PATIENCE: f64 = 2.0;

/// Returns whether nginx is the sanitized one.
pub fn is_on() -> bool {
    static ON: LazyLock<bool> =
        LazyLock::new(|| std::env::var_os("WEIR_SANITIZED").is_some_and(|it| it == "1"));
    *ON
}

/// Returns the time limit for an operation that takes this many seconds with the stock nginx.
pub fn patience(seconds: f64) -> f64 {
    if is_on() { seconds * PATIENCE } else { seconds }
}

/// The output of `scripts/sanitized-nginx.sh`.
pub fn product(name: &str) -> PathBuf {
    let path = products::workspace().join("build/sanitized").join(name);
    assert!(path.exists(), "{} is missing: run `make sanitized`", path.display());
    path
}
