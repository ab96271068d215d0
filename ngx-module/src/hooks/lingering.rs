//! Connections that close a moment later, so that the other end can read the reason.

use ngx_rtmp::local;

use crate::session::Session;

/// Time for a refused client to read the reason, in milliseconds.
const LINGER_MS: usize = 200;
/// Time for the target of a push to read that the stream ends, in milliseconds.
const GOODBYE_MS: usize = 300;
/// Most refused clients per worker that linger at the same time.
const MOST_LINGERING: usize = 64;

/// A connection that lingers. Those of refused clients are counted in this worker.
pub struct Lingering {
    counted: bool,
}

local! {
    static LINGERING: usize = 0;
}

impl Lingering {
    /// Returns `None` if too many connections linger already.
    fn begin() -> Option<Lingering> {
        let room = LINGERING.with(|count| {
            let room = *count < MOST_LINGERING;
            *count += usize::from(room);
            room
        });
        room.then(|| Lingering { counted: true })
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        LINGERING.with(|count| *count = count.saturating_sub(usize::from(self.counted)));
    }
}

/// Closes the connection after the other end had time to read the reason. nginx-rtmp then releases the session's resources, as with every
/// close. If too many connections linger already, closes it immediately, because connections are for clients that may publish.
pub(super) fn close_soon(session: &mut Session) {
    let lingering = Lingering::begin();
    match session.state() {
        Some(state) if lingering.is_some() => {
            state.closing = lingering;
            session.arm_timer(LINGER_MS);
        }
        _ => session.close(),
    }
}

/// Gives the target of a push time to read the last messages, and closes the connection.
pub fn linger(session: &mut Session) {
    if let Some(state) = session.state() {
        state.closing = Some(Lingering { counted: false });
    }
    session.arm_timer(GOODBYE_MS);
}
