//! This process, with the time as the model has it.

use ngx_rtmp::process;
pub use ngx_rtmp::process::{
    alive, census, connections, draining, is_test, is_worker, nginx_version, pid, rtmp_version, serves,
};
use weir_model::Timestamp;

/// The time as nginx last read it: no system call.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::from_millis(process::now_ms())
}

/// A clock that is never set, for how long something lasted: no system call.
#[must_use]
pub fn uptime() -> Timestamp {
    Timestamp::from_millis(process::uptime_ms())
}

/// Random bits, none where the system has none.
#[must_use]
pub fn random() -> u64 {
    let mut bytes = [0; 8];
    // A back-off without jitter is still one.
    let _ = getrandom::fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
