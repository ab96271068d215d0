//! This process, with times in the model's type.

use ngx_rtmp::process;
pub use ngx_rtmp::process::{
    alive, census, connections, draining, is_test, is_worker, nginx_version, parent, pid, rtmp_version,
    serves,
};
use weir_model::Timestamp;

/// Returns nginx's last reading of the time, without a system call.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::from_millis(process::now_ms())
}

/// Returns the time of a clock that is never set, to measure durations, without a system call.
#[must_use]
pub fn uptime() -> Timestamp {
    Timestamp::from_millis(process::uptime_ms())
}

/// Returns random bits, or 0 if the system has none.
#[must_use]
pub fn random() -> u64 {
    let mut bytes = [0; 8];
    // A back-off without jitter still works.
    let _ = getrandom::fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
