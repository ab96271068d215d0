//! Orders to close a publisher or a player in any worker.

use std::collections::HashSet;

use ngx_rtmp::{local, log::Level, sessions::Sessions, wake};
use weir_model::KeyId;

use crate::{process, runtime::Runtime, session::Session};

local! {
    /// The number of orders when this worker last followed them.
    static FOLLOWED: u64 = 0;
}

/// Closes the sessions that a worker ordered to be closed.
pub fn follow(runtime: &Runtime, sessions: &mut Sessions<'_>) {
    let orders = runtime.zone().orders();
    if FOLLOWED.with(|followed| std::mem::replace(followed, orders)) != orders {
        sessions.each(close_if_ordered);
    }
}

/// Follows a new order in this worker, and wakes the other workers.
pub fn given(runtime: &Runtime, sessions: &mut Sessions<'_>) {
    follow(runtime, sessions);
    wake::ring();
}

/// Closes a session if its row has the order.
fn close_if_ordered(session: &mut Session) {
    let Some(state) = session.known_state() else { return };
    let publisher = state.publish.is_ordered_to_close();
    if publisher || state.playing.as_ref().is_some_and(|playing| playing.is_ordered_to_close()) {
        // The order does not say whether the API, a revoked key or the next publisher gave it.
        let event = if publisher {
            "publisher disconnected by an administrator or a takeover"
        } else {
            "player disconnected by an administrator"
        };
        let stream = state.stream_for_log();
        session.log(Level::Notice, format_args!("{event}, app: \"{}\"{stream}", session.app()));
        session.close();
    }
}

/// Orders the publishers of these keys to close, in any worker. Returns their number.
pub fn drop_publishers(runtime: &Runtime, sessions: &mut Sessions<'_>, keys: &HashSet<KeyId>) -> usize {
    if keys.is_empty() {
        return 0;
    }
    let ordered = runtime.zone().order_close_keys(process::pid(), keys);
    given(runtime, sessions);
    ordered
}
