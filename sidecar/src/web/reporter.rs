//! Follows all streams for those who listen to `/v1/ws`: one task, however many they are.

use std::sync::Weak;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::common::Web;
use crate::live::board::Entry;
use crate::nginx::Viewers;

/// So often it is looked how many watch.
const VIEWERS: Duration = Duration::from_secs(2);

/// Follows the streams until nobody serves them.
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
            // Why a stream has ended comes before that it is gone.
            biased;
            event = events.recv() => match event {
                Ok(event) => {
                    if let Some(web) = web.upgrade() {
                        web.news.hear(&event);
                    }
                    continue;
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
        web.news.see(&all, Instant::now());
        if counts {
            web.news.count(all.iter().map(|entry| (entry.id(), viewers(&web, entry))).collect());
        }
    }
}

/// Those that nginx serves, when it was last asked, and those of this process now.
fn viewers(web: &Web, entry: &Entry) -> Viewers {
    let counts = web.hub.counts_of(&entry.id());
    let [ws, llhls, webrtc] = [counts.ws, counts.llhls, counts.webrtc].map(|count| count as u64);
    Viewers { ws, llhls, webrtc, ..entry.viewers }
}
