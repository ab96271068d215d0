//! The life of a session, and its timer.

use nginx_sys::ngx_event_t;

use super::{
    callback,
    session::Session,
    timer::SessionTimer,
    types::{Tables, Types},
};

/// Callbacks for the life of a session.
pub trait Connections: Types {
    /// Called when a connection was accepted or is being opened. Returns whether it may continue.
    fn on_connect(session: &mut Session<'_, Self>) -> bool;
    /// Called after the handshake. Returns whether the connection may continue.
    fn on_handshake(session: &mut Session<'_, Self>) -> bool;
    /// Called before nginx-rtmp closes a stream, and before a connection ends.
    fn before_close(session: &mut Session<'_, Self>);
    /// Called before nginx-rtmp closes the files of a stream.
    fn before_writing(session: &mut Session<'_, Self>);
    /// Called after nginx-rtmp closed a stream, also when the connection ends.
    fn on_close(session: &mut Session<'_, Self>);
    /// Called when the connection is gone.
    fn on_disconnect(session: &mut Session<'_, Self>);
    /// Called before nginx-rtmp logs an error of a client's connection. Returns whether nginx-rtmp may log it.
    fn may_log(session: &mut Session<'_, Self>, line: &[u8]) -> bool;
    /// Called when the session's timer fires.
    fn on_timer(session: &mut Session<'_, Self>);
    /// Called after the fence notified the other end of the end of its stream. The module closes the connection after the other end had
    /// time to read that.
    fn linger(session: &mut Session<'_, Self>);
}

impl<M: Tables + Connections> Session<'_, M> {
    /// Arms the timer: [`on_timer`](Connections::on_timer) runs once, in `ms` milliseconds, unless the session ends before. A new call
    /// replaces an earlier deadline.
    pub fn arm_timer(&mut self, ms: usize) {
        let connection: *mut _ = self.connection_ptr();
        if let Some(slot) = self.own_slot() {
            slot.timer.get_or_insert_with(|| SessionTimer::new(connection, Some(fire::<M>))).arm(ms);
        }
    }
}

unsafe extern "C" fn fire<M: Tables + Connections>(event: *mut ngx_event_t) {
    callback::guard("a session's timer", (), || {
        // SAFETY: `data` is the connection of a live session: the session's state owns the timer and removes it (ngx_event_del_timer).
        let session = unsafe { Session::<M>::of_connection((*event).data.cast()) };
        if let Some(mut session) = session {
            M::on_timer(&mut session);
        }
    });
}
