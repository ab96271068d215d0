//! The cost of pushes to targets compared with nginx-rtmp's own `push`, and the time and side effects of changes of
//! targets.

mod changes;
mod feed;
mod rtmps;

use serde_json::json;

use super::report::Report;
use super::table::{self, Arm, Table, Target};
use crate::harness::nginx::Config;
use crate::harness::process::Process;
use crate::harness::{Nginx, Peer};
use feed::Feed;

pub(super) use changes::{lost, soon};
pub(super) use rtmps::rtmps;

/// How many targets the stream has.
const TARGETS: [usize; 3] = [1, 10, 50];
const ROUNDS: usize = 7;
/// The highest ratio for targets to nginx-rtmp's `push`.
const EACH: f64 = 1.02;
/// The highest ratio for targets with merged writes to nginx-rtmp's `push`, for several targets.
const MERGED: f64 = 0.7;
/// The least part of the media that must reach the targets, for a valid measurement.
const RELAYED: f64 = 0.95;

/// Measures the worker's time per second of one stream of 4 Mbit/s, by the number of its targets.
pub(super) fn push() -> Report {
    // Threads that are started from here on stay off the servers' core.
    super::part(std::iter::empty());
    let mut report = Report::default();
    for count in TARGETS {
        let loads = vec![
            Load::start("push of nginx-rtmp", stock(), count),
            Load::start("the same once more", stock(), count),
            Load::start("targets of Weir", |peer, count| weir(peer, count, ""), count),
            Load::start(
                "targets, `weir_merge_write 0`",
                |peer, count| weir(peer, count, "weir_merge_write 0;"),
                count,
            ),
            Load::start(
                "targets, `weir_merge_write 60ms`",
                |peer, count| weir(peer, count, "weir_merge_write 60ms;"),
                count,
            ),
        ];
        let mut targets = vec![Target::AtMost { ours: 2, peer: 0, ratio: EACH }];
        if count > 1 {
            targets.extend([3, 4].map(|ours| Target::AtMost { ours, peer: 0, ratio: MERGED }));
        }
        report.say(&format!("{count} targets:\n"));
        report.append(table::report(&compare(loads, targets)));
    }
    report
}

fn stock() -> fn(&Peer, usize) -> Nginx {
    |peer, count| {
        let lines: String =
            (0..count).map(|nth| format!("push {};\n", peer.url(&format!("app/key-{nth}")))).collect();
        Config::stock().app("live", &lines).start()
    }
}

fn weir(peer: &Peer, count: usize, app: &str) -> Nginx {
    // During the turn of the others, no media are sent.
    let nginx = Config::weir()
        .with_api()
        .server("weir_idle_publisher 0;")
        .app("live", &format!("weir_publish open; weir_push on; {app}"))
        .start();
    (0..count).for_each(|nth| add(&nginx, &peer.url(&format!("app/key-{nth}"))));
    nginx
}

fn add(nginx: &Nginx, url: &str) {
    let body = json!({"app": "live", "stream": "show", "url": url});
    nginx.api().post("/v1/targets", &body).expect(201);
}

/// A server with a publisher, and its targets.
struct Load {
    name: &'static str,
    nginx: Nginx,
    feed: Feed,
    peer: Peer,
    /// Other processes that work for it.
    helpers: Vec<Process>,
    _behind: Vec<Box<dyn std::any::Any>>,
    count: usize,
}

impl Load {
    fn start(name: &'static str, server: fn(&Peer, usize) -> Nginx, count: usize) -> Self {
        let peer = Peer::takes();
        let nginx = server(&peer, count);
        Self::of(name, nginx, peer, count)
    }

    fn of(name: &'static str, nginx: Nginx, peer: Peer, count: usize) -> Self {
        let mut feed = Feed::publish(nginx.rtmp());
        feed.send_until(|| peer.playing() == count);
        let mut load = Self { name, nginx, feed, peer, helpers: Vec::new(), _behind: Vec::new(), count };
        // Video begins with the next keyframe.
        load.feed.round();
        load.settle();
        load
    }

    /// Measures processor microseconds per second of media.
    fn round(&mut self) -> f64 {
        let used = |load: &Self| -> f64 {
            let all = load.helpers.iter().copied().chain(load.nginx.workers());
            all.map(|process| process.time_used_by_all().as_secs_f64()).sum()
        };
        let before = (used(self), self.peer.frames());
        let (seconds, frames) = self.feed.round();
        self.settle();
        let came = (self.peer.frames() - before.1) as f64 / (frames * self.count) as f64;
        assert!(came > RELAYED, "only {came} of the media reached the targets of {}", self.name);
        (used(self) - before.0) * 1e6 / seconds
    }

    /// Waits until no more media arrive.
    fn settle(&mut self) {
        let (peer, mut seen) = (&self.peer, usize::MAX);
        self.feed.rest_until(|| std::mem::replace(&mut seen, peer.frames()) == seen);
    }
}

/// The loads take turns, in another order in each round.
fn compare(mut loads: Vec<Load>, targets: Vec<Target>) -> Table {
    super::part(loads.iter().map(|load| &load.nginx));
    loads.iter().flat_map(|load| &load.helpers).for_each(|helper| super::pin(helper.0, super::cores()[0]));
    let mut arms: Vec<_> = loads.iter().map(|load| Arm::new(load.name)).collect();
    loads.iter_mut().for_each(|load| {
        load.round();
    });
    table::take_turns(ROUNDS, &mut arms, &mut loads, Load::round);
    Table { arms, targets }
}
