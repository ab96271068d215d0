//! The cost of the chat of `weir serve`: processor time while many participants receive messages of a few, and memory
//! per silent participant.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;

use super::report::{Report, Verdict};
use crate::harness::nginx::Config;
use crate::harness::{Sidecar, WebSocket};

const HEAR: usize = 1000;
const IDLE: usize = 9500;
/// Total number of messages.
const SAID: u32 = 150;
/// Time between two messages: five per second.
const PAUSE: Duration = Duration::from_millis(200);

fn join(sidecar: &Sidecar, nth: usize, name: Option<&str>) -> WebSocket {
    let from = format!("X-Forwarded-For: 192.0.2.{}", nth % 250 + 1);
    let mut socket = WebSocket::connect(sidecar.web(), "/v1/ws", &[&from]).unwrap();
    let message = json!({ "type": "join", "app": "live", "stream": "show", "name": name });
    socket.send(&message.to_string()).unwrap();
    socket
}

/// A daemon with a chat, without a stream.
fn daemon() -> (crate::harness::Nginx, Sidecar) {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let nginx = Config::weir().with_api().app("live", "weir_publish open;").start();
    let config =
        "[web]\nmax_connections = 12000\ntrusted_proxies = [\"127.0.0.1\"]\n[chat]\nenabled = true\n";
    let sidecar = Sidecar::start(&nginx, config);
    (nginx, sidecar)
}

/// Measures processor time and memory, as a table.
pub(super) fn chat() -> Report {
    let (_nginx, sidecar) = daemon();
    let process = sidecar.process();
    let empty = process.memory();
    // Reads messages in a separate thread, and counts bytes.
    let (stop, heard) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let sockets: Vec<_> = (0..HEAR).map(|nth| join(&sidecar, nth, None)).collect();
    for socket in &sockets {
        socket.stream().set_nonblocking(true).unwrap();
    }
    let reader = {
        let (stop, heard) = (stop.clone(), heard.clone());
        std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while !stop.load(Relaxed) {
                for socket in &sockets {
                    while let Ok(count @ 1..) = socket.stream().read(&mut buffer) {
                        heard.fetch_add(count as u64, Relaxed);
                    }
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            sockets
        })
    };
    // Twenty participants, each of whom may send five messages per ten seconds.
    let mut people: Vec<_> = (0..20).map(|nth| join(&sidecar, nth, Some(&format!("Person {nth}")))).collect();
    std::thread::sleep(Duration::from_secs(3));
    let (before, begin, bytes) = (process.time_used_by_all(), Instant::now(), heard.load(Relaxed));
    for nth in 0..SAID {
        let at = nth as usize % people.len();
        people[at]
            .send(&json!({ "type": "chat", "text": format!("message number {nth}") }).to_string())
            .unwrap();
        std::thread::sleep((PAUSE * (nth + 1)).saturating_sub(begin.elapsed()));
    }
    let (used, took) = (process.time_used_by_all() - before, begin.elapsed());
    let bytes = heard.load(Relaxed) - bytes;
    stop.store(true, Relaxed);
    drop((reader.join().unwrap(), people));
    let share = used.as_secs_f64() / took.as_secs_f64() * 100.0;
    let each = bytes as f64 / HEAR as f64 / f64::from(SAID);

    let (_nginx, sidecar) = daemon();
    let process = sidecar.process();
    let begin = Instant::now();
    let idle: Vec<_> = (0..IDLE).map(|nth| join(&sidecar, nth, None)).collect();
    let joined = begin.elapsed();
    // Messages in transit arrive. No participant answers pings, so the daemon drops those that are silent for 50
    // seconds.
    std::thread::sleep(Duration::from_secs(5));
    let full = process.memory();
    drop(idle);
    let text = format!(
        "| | measured |\n|---|---|\n| {HEAR} clients hear 5 messages per second ({each:.0} bytes each) | {share:.1} % of a core |\n\
         | {IDLE} idle clients, who joined within {:.0} s | {} MB, {} MB without them, {:.1} kB each |\n",
        joined.as_secs_f64(),
        full / 1_000_000,
        empty / 1_000_000,
        full.saturating_sub(empty) as f64 / IDLE as f64 / 1000.0
    );
    let mut report = Report::of(text);
    report.judge(Verdict::of_value("1000 clients", share, 10.0, "% of a core"));
    report.judge(Verdict::of_value("idle clients", full as f64 / 1e6, 300.0, "MB"));
    report
}
