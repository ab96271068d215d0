//! The tested server and its independent users, and the checks that they are not disturbed.

use std::cell::Cell;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use crate::harness::nginx::Config;
use crate::harness::process::Process;
use crate::harness::{Nginx, Player, Publisher, Tmpfs, until_ok};

/// The longest that a player may wait for video.
const GAP: Duration = Duration::from_secs(2);
/// The longest silence of a worker, in milliseconds; a worker stamps the zone each second.
const BEAT_MS: u64 = 5_000;
/// Kilobytes for the files of the streams.
const MEDIA: usize = 1 << 20;
/// The largest growth of a worker since the start, in bytes.
const GROWTH: u64 = 20 << 20;

/// The tested server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarded {
    /// Weir's, with the default configuration.
    On,
    /// Weir's with `weir_guard off`, to see that the test finds failures.
    Off,
}

/// A disturbance of the server or of its independent users.
#[derive(Debug, thiserror::Error)]
pub enum Disturbance {
    /// The log has this line.
    #[error("{0}")]
    Complaint(String),
    /// A worker with this process id has ended.
    #[error("worker {0} ended")]
    Ended(i32),
    /// A worker has grown by this many bytes.
    #[error("a worker grew by {0} bytes")]
    Grown(u64),
    /// The server closed an independent publisher.
    #[error("a publisher was sent away")]
    SentAway,
    /// A player received no video for this time, at this load of the machine.
    #[error("a player saw nothing for {0:?}, load: {1}")]
    Starved(Duration, String),
    /// A worker of `GET /v1/health` does not run its event loop.
    #[error("a worker does nothing else any more: {0}")]
    Busy(String),
}

/// A server with two workers, and a publisher and players that are independent of the fuzz.
pub(super) struct Watched {
    // They end before their server.
    players: Vec<Player>,
    publishers: Vec<Publisher>,
    workers: Vec<(Process, u64)>,
    grown: Cell<u64>,
    /// How much of the log has been read.
    read: Cell<u64>,
    nginx: Nginx,
    _media: Tmpfs,
}

impl Watched {
    /// Starts all of them, and waits until the players receive video.
    pub(super) fn start(guarded: Guarded) -> Self {
        // On a real disk nginx-rtmp would wait, and so would its clients.
        let media = Tmpfs::mount(MEDIA);
        let mut nginx = config(guarded, &media).start();
        // This module judges the log itself.
        nginx.allow("");
        let key = nginx.api().create_key("keyed", "show").key;
        let paths = ["live/show".to_owned(), format!("keyed/{key}")];
        let publishers: Vec<_> =
            paths.iter().map(|path| Publisher::to(nginx.rtmp(), path).start().started()).collect();
        let players: Vec<_> =
            ["live/show", "keyed/show"].iter().map(|path| Player::start(nginx.rtmp(), path)).collect();
        players.iter().for_each(|player| player.wait_video(40));
        let workers = nginx.workers().into_iter().map(|worker| (worker, worker.memory())).collect();
        Self { players, publishers, workers, grown: Cell::new(0), read: Cell::new(0), nginx, _media: media }
    }

    /// Returns the RTMP address.
    pub(super) fn port(&self) -> u16 {
        self.nginx.rtmp()
    }

    /// Checks the server until `is_over` returns true, or until a failure occurs.
    pub(super) fn watch(&self, is_over: impl Fn() -> bool) -> Result<(), Disturbance> {
        until_ok(f64::from(u32::MAX), || match self.check() {
            Err(what) => Some(Err(what)),
            Ok(()) => is_over().then_some(Ok(())),
        })
        .unwrap()
    }

    /// Returns a failure, if there is one.
    pub(super) fn check(&self) -> Result<(), Disturbance> {
        if let Some(line) = self.new_complaints().into_iter().next() {
            return Err(Disturbance::Complaint(line));
        }
        for (worker, before) in &self.workers {
            if !worker.is_alive() {
                return Err(Disturbance::Ended(worker.0));
            }
            self.grown.set(self.grown.get().max(worker.memory().saturating_sub(*before)));
        }
        if self.grown.get() > GROWTH {
            return Err(Disturbance::Grown(self.grown.get()));
        }
        if self.publishers.iter().any(Publisher::is_closed) {
            return Err(Disturbance::SentAway);
        }
        match self.gap() {
            gap if gap > GAP => {
                let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
                Err(Disturbance::Starved(gap, load.trim().to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Checks again after the fuzz has ended: the players continue, and no worker is busy.
    pub(super) fn settle(&self) -> Result<(), Disturbance> {
        for player in &self.players {
            let goal = player.seen().video + 20;
            self.watch(|| player.seen().video >= goal)?;
        }
        for worker in self.nginx.api().get("/v1/health").json["workers"].as_array().into_iter().flatten() {
            if worker["heartbeat_ms"].as_u64().is_none_or(|since| since > BEAT_MS) {
                return Err(Disturbance::Busy(worker.to_string()));
            }
        }
        self.check()
    }

    /// Returns the largest growth of a worker so far, in bytes.
    pub(super) fn growth(&self) -> u64 {
        self.grown.get()
    }

    /// Returns the longest time that a player received no video.
    pub(super) fn gap(&self) -> Duration {
        self.players.iter().map(|player| player.seen().gap()).max().unwrap_or_default()
    }

    fn new_complaints(&self) -> Vec<String> {
        let mut file = File::open(self.nginx.path("error.log")).unwrap();
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(self.read.get())).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        // The last line may be incomplete.
        bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
        self.read.set(self.read.get() + bytes.len() as u64);
        Nginx::complaints(&String::from_utf8_lossy(&bytes))
    }
}

/// All parts of nginx-rtmp that read published media: recorders, HLS and DASH. Deadlines are short, so that the test
/// reaches them.
fn config(guarded: Guarded, media: &Tmpfs) -> Config {
    let media = media.path().display();
    let writers = |app| {
        format!(
            "hls on; hls_path {media}/hls-{app}; hls_fragment 1s; dash on; dash_path {media}/dash-{app}; dash_fragment 1s; \
             record all; record_path {media}; record_max_size 1m; wait_video on; publish_notify on;"
        )
    };
    let guard = match guarded {
        Guarded::On => "weir_guard on; weir_session_timeout 2s; weir_idle_publisher 2s;",
        Guarded::Off => "weir_guard off;",
    };
    Config { log_level: "notice".to_owned(), ..Config::weir() }
        .with_api()
        .workers(2)
        .main("rtmp_auto_push on;")
        .rtmp(guard)
        .app(
            "live",
            &format!("weir_publish open; weir_merge_write 60ms; weir_gop_cache 1m; {}", writers("live")),
        )
        .app("keyed", "weir_publish key;")
        .app("open", &format!("weir_publish off; idle_streams off; play_restart on; {}", writers("open")))
}
