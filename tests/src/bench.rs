//! Compares Weir with stock nginx-rtmp in one run. The compared servers take turns, so that other work on the machine
//! disturbs all of them equally; one of them runs twice, which shows the noise.

mod chat;
mod check;
mod client;
mod edge;
mod join;
mod keys;
mod ladder;
mod live;
mod pinger;
mod players;
mod protected;
mod publish;
mod push;
mod quick;
mod relay;
pub mod report;
mod scale;
mod servers;
mod stat;
mod storm;
pub mod table;
mod whep;

use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::ClockId;
use nix::unistd::Pid;

use crate::harness::process::Process;
use crate::harness::{Nginx, products};

/// One comparison.
pub struct Row {
    /// The name of the comparison on the command line.
    pub name: &'static str,
    /// The subject of the measurement.
    pub what: &'static str,
    /// Measures, and returns tables and verdicts.
    pub measure: fn() -> report::Report,
}

/// All comparisons.
pub const ROWS: [Row; 23] = [
    Row {
        name: "publish",
        what: "from the command publish to NetStream.Publish.Start, on a fresh connection, another server each time",
        measure: || table::report(&publish::publish()),
    },
    Row {
        name: "burst",
        what: "the same, 50 publishes in a row to each server",
        measure: || table::report(&publish::burst()),
    },
    Row {
        name: "connect",
        what: "from the handshake to the answer to createStream",
        measure: || table::report(&publish::connect()),
    },
    Row {
        name: "stat",
        what: "what an answer of rtmp_stat and of weir_stat costs the worker, and how long others wait meanwhile",
        measure: stat::stat,
    },
    Row {
        name: "keys",
        what: "what requests about 100,000 keys take, and how long others wait meanwhile",
        measure: keys::keys,
    },
    Row { name: "check", what: "from the start of weir check to its end", measure: check::check },
    Row {
        name: "relay",
        what: "what relaying 50 streams of 4 Mbit/s to a player each costs the worker: its time for a second of media",
        measure: || table::report(&relay::relay()),
    },
    Row {
        name: "players",
        what: "what one stream of 2 Mbit/s with 400 players costs the worker: its time per second of media",
        measure: || table::report(&players::players()),
    },
    Row {
        name: "storm",
        what: "2,000 publishers and 10,000 players on two workers: a connection's cost, memory, time, and how long others wait",
        measure: storm::storm,
    },
    Row {
        name: "scale",
        what: "one worker, two, four and so on, each on a core of its own: what a player costs, and publishes per second",
        measure: scale::scale,
    },
    Row {
        name: "join",
        what: "from play to the first keyframe, for a player of a stream with a keyframe each 500 ms",
        measure: || table::report(&join::join()),
    },
    Row {
        name: "protected",
        what: "what a request for a segment and a playlist takes: wrk with 16 connections, by what protects the files",
        measure: protected::protected,
    },
    Row {
        name: "edge",
        what: "what a request costs a caching edge, with and without a token and the count of viewers",
        measure: edge::edge,
    },
    Row {
        name: "push",
        what: "what a stream of 4 Mbit/s at 1, 10 and 50 targets costs the worker: its time for a second of media",
        measure: push::push,
    },
    Row {
        name: "rtmps",
        what: "the same at 10 targets over TLS, beside nginx-rtmp through stunnel: the time of all processes",
        measure: push::rtmps,
    },
    Row { name: "soon", what: "from POST /v1/targets to the first media at the target", measure: push::soon },
    Row {
        name: "lost",
        what: "frames that other targets lose while one comes, goes, is dead, is slow",
        measure: push::lost,
    },
    Row {
        name: "ladder",
        what: "what 1080p30 to three rungs costs: the processor's time of ffmpeg (and of weir serve) for a second of media",
        measure: ladder::cpu,
    },
    Row {
        name: "ready",
        what: "from the publish of 1080p30 until three rungs can be played over HLS",
        measure: ladder::ready,
    },
    Row { name: "daemon", what: "what weir serve takes for jobs that only copy", measure: ladder::daemon },
    Row {
        name: "chat",
        what: "what the chat costs weir serve: its time and its memory",
        measure: chat::chat,
    },
    Row {
        name: "live",
        what: "viewers over WebSocket: the servers' time, from the connection to the first frame, and memory per viewer",
        measure: live::live,
    },
    Row {
        name: "whep",
        what: "viewers over WebRTC: the daemon's time per packet, and memory per viewer",
        measure: whep::whep,
    },
];

/// Compares this module with that of an earlier commit, which `WEIR_BASE_MODULE` names. Runs only on request.
pub const QUICK: Row = Row {
    name: "quick",
    what: "this module beside that of an earlier commit: microseconds of the worker, or of the publisher that waits",
    measure: quick::quick,
};

/// Describes the machine.
pub fn machine() -> String {
    let output = Command::new(products::nginx()).arg("-v").output().unwrap();
    let nginx = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let count = cores().len();
    let load = load.split(' ').next().unwrap_or_default();
    format!("{nginx}; {count} cores ({}), load before the run: {load}", model.unwrap_or("unknown"))
}

/// Returns the cores that this process could use before it was pinned for the first time.
fn cores() -> &'static [usize] {
    static CORES: LazyLock<Vec<usize>> = LazyLock::new(|| {
        let own = sched_getaffinity(Pid::from_raw(0)).unwrap();
        (0..CpuSet::count()).filter(|core| own.is_set(*core).unwrap_or(false)).collect()
    });
    &CORES
}

/// Returns the processor time of this thread. That of getrusage(2) grows only at ticks of the kernel, which short work falls between.
fn own_time() -> Duration {
    ClockId::CLOCK_THREAD_CPUTIME_ID.now().unwrap().into()
}

/// Pins servers to one core, and the load (this thread and its children) to another.
fn part<'a>(servers: impl Iterator<Item = &'a Nginx>) {
    let [first, second, ..] = *cores() else { return };
    for nginx in servers {
        pin(nginx.master().0, first);
        nginx.workers().iter().for_each(|worker| pin(worker.0, first));
    }
    pin(0, second);
}

/// Pins all threads of a server to the core of the servers.
fn pin_all(process: Process) {
    let [first, _, ..] = *cores() else { return };
    let tasks = std::fs::read_dir(format!("/proc/{}/task", process.0)).unwrap();
    for task in tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok()) {
        pin(task, first);
    }
}

/// Pins a process (0 is the caller's thread) to one core.
fn pin(pid: i32, core: usize) {
    let mut set = CpuSet::new();
    set.set(core).unwrap();
    sched_setaffinity(Pid::from_raw(pid), &set).unwrap();
}
