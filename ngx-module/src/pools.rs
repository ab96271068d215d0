//! The pools of threads that Weir works in.

use ngx_rtmp::thread::{self, Pool};

/// The state file, and what else a request waits for.
pub const STATE: Pool = Pool::named(c"weir_state");
/// Names of hosts.
pub const NAMES: Pool = Pool::named(c"weir_names");
/// Free space.
pub const DISK: Pool = Pool::named(c"weir_disk");

/// All of them.
pub const ALL: [Pool; 3] = [STATE, NAMES, DISK];

/// Drops a value on a thread: what has very many parts would hold up the event loop.
pub fn discard(value: impl Send + 'static) {
    thread::run_alone(STATE, move || {
        drop(value);
        Box::new(|| ())
    });
}
