//! The border to C. A panic that crossed it would abort the worker and all its streams.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{log, process};

/// Runs the body of a callback of the event loop; after a panic, logs one line and answers `fallback`.
pub(crate) fn guard<T>(what: &str, fallback: T, body: impl FnOnce() -> T) -> T {
    process::enter_loop();
    catch(what, fallback, body)
}

/// As [`guard`], on a thread of a pool.
pub(crate) fn guard_in_pool<T>(what: &str, fallback: T, body: impl FnOnce() -> T) -> T {
    catch(what, fallback, body)
}

fn catch<T>(what: &str, fallback: T, body: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => value,
        Err(payload) => {
            let text = payload.downcast_ref::<&str>().copied();
            let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
            log::named(log::Level::Critical, format_args!("a defect in {what}: {}", text.unwrap_or("?")));
            fallback
        }
    }
}
