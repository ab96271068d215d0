//! Connections that nginx opened: a table of the module's connections, the role of a connection, and how it ended.
//!
//! nginx-rtmp lists a publisher's pushes with the publisher, until either end of a push leaves the list. So this list can miss a connection
//! that is still open. The table here has each connection from the connect to the close.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    callback::Sessions,
    failure::Failure,
    relay,
    rtmp_sys::{self, ngx_rtmp_core_srv_conf_t, ngx_rtmp_session_t},
    session::Session,
    slots,
    types::Tables,
};
use crate::local;

/// The purpose of a connection that nginx opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It sends a stream.
    Push,
    /// It receives a stream.
    Pull,
}

local! {
    /// The module's open connections to targets, by their tickets.
    static DIALED: BTreeMap<u64, *mut ngx_rtmp_session_t> = BTreeMap::new();
}

/// Adds a new connection to the table.
pub(super) fn remember(ticket: u64, session: *mut ngx_rtmp_session_t) {
    DIALED.with(|dialed| dialed.insert(ticket, session));
}

/// Returns the connection with this ticket; it is alive until the present callback of nginx returns.
pub(super) fn find(ticket: u64) -> Option<*mut ngx_rtmp_session_t> {
    DIALED.with(|dialed| dialed.get(&ticket).copied())
}

/// Removes a connection from the table: the session ends, or the module no longer needs it.
pub(super) fn forget(session: *mut ngx_rtmp_session_t) {
    DIALED.with(|dialed| dialed.retain(|_, dialed| *dialed != session));
}

/// Closes the connections whose tickets are not in `held`. Returns their number.
pub fn close_others<M: Tables>(_: &mut Sessions<'_>, held: &BTreeSet<u64>) -> usize {
    let others: Vec<_> = DIALED.with(|dialed| {
        dialed.iter().filter(|(ticket, _)| !held.contains(ticket)).map(|(_, session)| *session).collect()
    });
    for session in &others {
        forget(*session);
        // SAFETY: a connection leaves the table before it is freed (`forget`); closing is posted (ngx_rtmp_finalize_session).
        unsafe { Session::<M>::new(*session).close() };
    }
    others.len()
}

impl<M: Tables> Session<'_, M> {
    /// Returns the purpose of a connection that nginx opened. A pull publishes, and its context is its own publisher's context
    /// (ngx_rtmp_relay_create); a static pull has a flag of its own (ngx_rtmp_relay_on_result).
    #[must_use]
    pub fn relay_role(&self) -> Role {
        let session = self.as_ptr();
        // SAFETY: a live session; its context of the relay is null or alive as long as it (ngx_rtmp_relay_create_remote_ctx).
        let pulls = unsafe {
            (*session).static_relay() != 0
                || rtmp_sys::rtmp()
                    .and_then(|rtmp| relay::context(&rtmp, session).as_ref())
                    .is_some_and(|context| std::ptr::eq(context.publish, context))
        };
        if pulls { Role::Pull } else { Role::Push }
    }

    /// Returns `max_message` of the session's server, in bytes.
    #[must_use]
    pub fn max_message(&self) -> u64 {
        let Some(rtmp) = rtmp_sys::rtmp() else { return 0 };
        // SAFETY: a live session, whose server has settings of the core module (ngx_rtmp_core_create_srv_conf).
        let core: Option<&ngx_rtmp_core_srv_conf_t> =
            unsafe { slots::entry((*self.as_ptr()).srv_conf, rtmp.ngx_rtmp_core_module) };
        core.map_or(0, |core| core.max_message as u64)
    }

    /// Returns why a connection to a target ended. nginx marks what the other end did; without a mark, nginx-rtmp ended the connection
    /// (ngx_rtmp_recv, ngx_rtmp_ping).
    #[must_use]
    pub fn failure(&self) -> Failure {
        // SAFETY: a live session; a connection has its events as long as it lives (ngx_get_connection).
        unsafe {
            let session = &*self.as_ptr();
            let connection = &*session.connection;
            let (read, write) = (&*connection.read, &*connection.write);
            match () {
                () if read.error() != 0 || write.error() != 0 => Failure::Reset,
                () if read.eof() != 0 || read.pending_eof() != 0 => Failure::Closed,
                () if connection.timedout() != 0 => Failure::NotReading,
                () if session.ping_active() != 0 => Failure::NoPong,
                () => Failure::NotRtmp,
            }
        }
    }
}
