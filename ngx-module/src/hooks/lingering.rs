//! Connections that are closed a moment later: the other end reads why.

use ngx_rtmp::local;

use crate::session::Session;

/// How long a refused client may read why, in milliseconds.
const LINGER_MS: usize = 200;
/// How long the target of a push may read that the stream ends, in milliseconds.
const GOODBYE_MS: usize = 300;
/// How many refused clients a worker lets read at the same time.
const MOST_LINGERING: usize = 64;

/// A connection that lingers; those of refused clients are counted in this worker.
pub struct Lingering {
    counted: bool,
}

local! {
    static LINGERING: usize = 0;
}

impl Lingering {
    /// `None` when there are many already.
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

/// Closes the connection when the other end had time to read what it was told. What the session holds is
/// released then, as with every close. Where many linger already, it is closed at once: connections are for
/// those who may publish.
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

/// Lets the target of a push read the last words, and closes the connection.
pub fn linger(session: &mut Session) {
    if let Some(state) = session.state() {
        state.closing = Some(Lingering { counted: false });
    }
    session.arm_timer(GOODBYE_MS);
}
