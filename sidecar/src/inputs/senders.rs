//! Senders of a keyed input: the listener takes one at a time, so one that may not publish must not hold it.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use crate::clock;
use crate::outlet::{Error, is_key};
use crate::supervise::Shared;
use crate::supervise::output::Line;

const LOOK: Duration = Duration::from_millis(250);
/// Time from the connection of a sender to its first media, which ffmpeg needs to know the codecs.
const MOST: Duration = Duration::from_secs(20);

/// Ends each run whose sender gives no stream key, or whose media does not begin in time. Runs until it is dropped.
pub(super) async fn watch(shared: Arc<Shared>) {
    // The process, the time at which its sender came, and the output of all runs until then.
    let mut sender: Option<(u32, Instant, u64)> = None;
    loop {
        sleep(LOOK).await;
        let (Some(pid), Some(key)) = (shared.status().pid, shared.output.secret()) else {
            sender = None;
            continue;
        };
        let known = sender.filter(|(known, ..)| *known == pid);
        let (_, since, bytes) = *sender.insert(known.unwrap_or((pid, Instant::now(), shared.bytes())));
        let why = match () {
            () if !is_key(&key) => Error::NoKey.to_string(),
            () if shared.bytes() == bytes && since.elapsed() > MOST => "the sender sends no media".to_owned(),
            () => continue,
        };
        tracing::warn!("sender disconnected: {why}");
        shared.output.push_reason(Line { at: clock::now(), level: "error", text: why });
        if let Ok(group) = i32::try_from(pid) {
            // The process may have ended meanwhile.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        sender = None;
        // The supervisor notices the end of the process.
        sleep(LOOK).await;
    }
}
