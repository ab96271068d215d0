//! The thread pools of Weir.

use ngx_rtmp::thread::{self, Pool};

/// For the state file.
pub const STATE: Pool = Pool::named(c"weir_state");
/// For host names.
pub const NAMES: Pool = Pool::named(c"weir_names");

/// All pools.
pub const ALL: [Pool; 2] = [STATE, NAMES];

/// Drops a value on a thread, because dropping a value with very many parts would block the event loop.
pub fn discard(value: impl Send + 'static) {
    thread::run_alone(STATE, move || {
        drop(value);
        Box::new(|_| ())
    });
}
