//! Follows all streams for the clients of `/v1/ws`: one task, whatever the number of clients.

use std::cell::OnceCell;
use std::sync::Weak;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use weir_model::snapshot::Viewers;

use super::common::Web;
use super::live::{Choice, ready};
use crate::live::board::Entry;

/// Kind of the event that a job's renditions can be played.
const READY: &str = "stream.ready";
/// Interval between counts of viewers.
const VIEWERS: Duration = Duration::from_secs(2);

/// Follows the streams until the server ends.
pub(super) async fn run(web: Weak<Web>) {
    let Some((mut live, mut events)) =
        web.upgrade().map(|web| (web.board.watch(), web.context.bus.listen(None).live))
    else {
        return;
    };
    let mut counting = interval(VIEWERS);
    counting.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let deadline = web.upgrade().and_then(|web| web.news.deadline());
        let mut counts = false;
        tokio::select! {
            // The event with the reason of a stream's end is handled before the end itself.
            biased;
            event = events.recv() => match event {
                Ok(event) => {
                    if let Some(web) = web.upgrade() {
                        web.news.hear(&event);
                    }
                    // A stream is ready when all its renditions are.
                    if event.kind != READY {
                        continue;
                    }
                }
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            },
            changed = live.changed() => if changed.is_err() { return },
            _ = counting.tick() => counts = true,
            () = async { match deadline { Some(at) => sleep_until(at).await, None => std::future::pending().await } } => {}
        }
        let Some(web) = web.upgrade() else { return };
        let all = live.borrow_and_update().clone();
        let (config, jobs) = (web.context.config(), OnceCell::new());
        let is_ready = |entry: &Entry| {
            let jobs = jobs.get_or_init(|| web.office.jobs().list());
            Choice::of(&config, &ready(jobs), entry).is_ready
        };
        web.news.see(&config, &all, is_ready, Instant::now());
        if counts {
            web.news.count(all.iter().map(|entry| (entry.id(), viewers(&web, entry))).collect());
        }
    }
}

/// Returns the viewers: those of nginx at its last answer, and those of this process now.
fn viewers(web: &Web, entry: &Entry) -> Viewers {
    let counts = web.hub.counts_of(&entry.id());
    let [ws, llhls, webrtc] = [counts.ws, counts.llhls, counts.webrtc].map(|count| count as u64);
    Viewers { ws, llhls, webrtc, ..entry.viewers }
}
