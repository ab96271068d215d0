//! The border to C. A panic that crossed it would abort the worker and all its streams.

use std::{
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::{log, process};

/// The right to look at the sessions of this process, one after the other, during one callback.
///
/// A function that has borrowed a session gets this right only through the session ([`Session::all`](crate::session::Session::all)), so no
/// session is lent twice at the same time.
pub struct Sessions<'c>(PhantomData<&'c mut ()>, PhantomData<*const ()>);

impl<'c> Sessions<'c> {
    /// # Safety
    ///
    /// A callback of nginx's runs, for `'c` and longer, and neither a session nor this right is lent within it by anything but
    /// the result. What called nginx from Rust has lent both for that call.
    pub(crate) unsafe fn new() -> Self {
        Sessions(PhantomData, PhantomData)
    }
}

/// Runs the body of a callback of the event loop. After a panic, it logs one line and returns `fallback`.
pub(crate) fn guard<T>(what: &str, fallback: T, body: impl FnOnce() -> T) -> T {
    process::enter_loop();
    catch(what, fallback, body)
}

/// Like [`guard`], for a thread of a pool.
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
