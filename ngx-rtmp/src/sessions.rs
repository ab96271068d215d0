//! All sessions of this process.

use std::collections::BTreeSet;

pub use super::callback::Sessions;
use super::{rtmp_sys::ngx_rtmp_session_t, session::Session, types::Tables};
use crate::local;

local! {
    /// All sessions of this process.
    static ALL: BTreeSet<*mut ngx_rtmp_session_t> = BTreeSet::new();
}

/// Adds a session that begins.
pub(super) fn enroll(session: *mut ngx_rtmp_session_t) {
    ALL.with(|all| all.insert(session));
}

/// Removes a session that ends; nginx-rtmp frees it after this.
pub(super) fn dismiss(session: *mut ngx_rtmp_session_t) {
    ALL.with(|all| all.remove(&session));
}

/// Returns the session at this address, if it is one of this process.
///
/// # Safety
///
/// The result is used in the callback of nginx's that runs now, and not after it.
pub(super) unsafe fn enrolled<'s, M: Tables>(session: *mut ngx_rtmp_session_t) -> Option<Session<'s, M>> {
    // SAFETY: what is listed is alive, until the callback of nginx's that runs now returns (ngx_rtmp_close_session_handler).
    ALL.with(|all| all.contains(&session)).then(|| unsafe { Session::new(session) })
}

impl<M: Tables> Session<'_, M> {
    /// Returns all sessions of this process. This session cannot be used meanwhile.
    pub fn all(&mut self) -> Sessions<'_> {
        // SAFETY: the callback that lent this session lends no other one (`Session::new`), and the borrow keeps this one from being used.
        unsafe { Sessions::new() }
    }
}

impl Sessions<'_> {
    /// Calls `work` with every session of this process.
    pub fn each<M: Tables>(&mut self, mut work: impl FnMut(&mut Session<'_, M>)) {
        let all: Vec<_> = ALL.with(|all| all.iter().copied().collect());
        for session in all {
            // SAFETY: what is listed is alive: closing is only posted, so not even `work` frees a session
            // (ngx_rtmp_finalize_session). The borrow of `self` keeps every other from being lent.
            work(&mut unsafe { Session::new(session) });
        }
    }

    /// Calls `work` with the first session of this process for which `wanted` returns true.
    pub fn find<M: Tables, R>(
        &mut self,
        mut wanted: impl FnMut(&mut Session<'_, M>) -> bool,
        work: impl FnOnce(&mut Session<'_, M>) -> R,
    ) -> Option<R> {
        let all: Vec<_> = ALL.with(|all| all.iter().copied().collect());
        let found = all.into_iter().find(|session| {
            // SAFETY: as in `each`.
            wanted(&mut unsafe { Session::new(*session) })
        });
        // SAFETY: as in `each`.
        found.map(|session| work(&mut unsafe { Session::new(session) }))
    }
}
