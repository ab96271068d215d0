//! The border to C. A panic that crossed it would abort the worker and all its streams.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::log;

/// Runs the body of a callback; after a panic, logs one line and answers `fallback`.
pub fn guard<T>(what: &str, fallback: T, body: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => value,
        Err(payload) => {
            let text = payload.downcast_ref::<&str>().copied();
            let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
            log::cycle(
                log::Level::Critical,
                format_args!("weir: a defect in {what}: {}", text.unwrap_or("?")),
            );
            fallback
        }
    }
}
