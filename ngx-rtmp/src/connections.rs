//! The life of a session, and its timer.

use nginx_sys::ngx_event_t;

use super::{
    callback,
    session::Session,
    timer::SessionTimer,
    types::{Tables, Types},
};

/// The life of a session.
pub trait Connections: Types {
    /// A connection was accepted, or is being made. Returns whether it may go on.
    fn on_connect(session: &mut Session<'_, Self>) -> bool;
    /// The handshake is over. Returns whether the connection may go on.
    fn on_handshake(session: &mut Session<'_, Self>) -> bool;
    /// A stream is about to be closed, or the connection is going.
    fn before_close(session: &mut Session<'_, Self>);
    /// Files of a stream are about to be closed.
    fn before_writing(session: &mut Session<'_, Self>);
    /// A stream was closed, or the connection is going.
    fn on_close(session: &mut Session<'_, Self>);
    /// The connection is gone.
    fn on_disconnect(session: &mut Session<'_, Self>);
    /// nginx-rtmp is about to log an error of a client's connection. Returns whether it may.
    fn may_log(session: &mut Session<'_, Self>, line: &[u8]) -> bool;
    /// The session's timer went off.
    fn on_timer(session: &mut Session<'_, Self>);
    /// The other end was told that the stream ends, and reads that before the connection is closed.
    fn linger(session: &mut Session<'_, Self>);
}

impl<M: Tables + Connections> Session<'_, M> {
    /// Has [`on_timer`](Connections::on_timer) called once, in `ms` milliseconds, unless the session ends
    /// before; an earlier deadline is replaced.
    pub fn arm_timer(&mut self, ms: usize) {
        let connection: *mut _ = self.connection_ptr();
        if let Some(slot) = self.own_slot() {
            slot.timer.get_or_insert_with(|| SessionTimer::new(connection, Some(fire::<M>))).arm(ms);
        }
    }
}

unsafe extern "C" fn fire<M: Tables + Connections>(event: *mut ngx_event_t) {
    callback::guard("a session's timer", (), || {
        // SAFETY: `data` is the connection of a live session: the timer is dropped with it.
        let session = unsafe { Session::<M>::of_connection((*event).data.cast()) };
        if let Some(mut session) = session {
            M::on_timer(&mut session);
        }
    });
}
