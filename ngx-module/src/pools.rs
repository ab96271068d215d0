//! The pools of threads that Weir works in.

use ngx_rtmp::thread::{self, Pool};

/// The state file.
pub const STATE: Pool = Pool::named(c"weir_state");
/// Names of hosts.
pub const NAMES: Pool = Pool::named(c"weir_names");

/// All of them.
pub const ALL: [Pool; 2] = [STATE, NAMES];

/// Drops a value on a thread: what has very many parts would hold up the event loop.
pub fn discard(value: impl Send + 'static) {
    thread::run_alone(STATE, move || {
        drop(value);
        Box::new(|_| ())
    });
}
