//! The API's list of 100,000 keys, and revocations beside it: how long each request takes, and how long other clients wait meanwhile.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::pinger::{Pinger, micros};
use super::report::{Report, Verdict};
use super::table::median;
use crate::harness::nginx::Config;
use crate::harness::{Api, Nginx, keys};

const KEYS: u64 = 100_000;
const PAGE: usize = 1000;
const ROUNDS: usize = 7;
/// Revocations per round.
const REVOKED: usize = 2;
/// Pages per round.
const PAGES: usize = 20;
/// How long one client pings without a request in progress.
const QUIET: Duration = Duration::from_millis(50);
/// The longest allowed wait of a ping, in microseconds.
const STALL: f64 = 1000.0;

/// The values of one kind of request.
#[derive(Default)]
struct Asked {
    /// Microseconds of each request.
    each: Vec<f64>,
    /// The longest ping of each round, in microseconds.
    stalls: Vec<f64>,
}

/// Measures the pages of the list, the whole list in one answer, and revocations.
pub(super) fn keys() -> Report {
    let nginx = Config::weir()
        .main("weir_zone 64m state=@DIR@/state;")
        .http("location /api { weir_api; }")
        .app("live", "weir_publish key;")
        .file("state", keys::state(KEYS))
        .start();
    super::part([&nginx].into_iter());
    let api = nginx.api();
    let (mut ids, pages_of) = (all_ids(&api), first_pages(&api));
    assert_eq!(ids.len() as u64, KEYS);
    let mut quiet = Asked::default();
    let (mut pages, mut whole, mut revoked) = (Asked::default(), Asked::default(), Asked::default());
    for _ in 0..ROUNDS {
        let soon = Instant::now() + QUIET;
        quiet.stalls.push(Pinger::connect(&nginx).longest(|| Instant::now() > soon));
        pages.beside(&nginx, |times| {
            for path in &pages_of {
                timed(times, || drain(&nginx, "GET", path));
            }
        });
        whole.beside(&nginx, |times| timed(times, || drain(&nginx, "GET", "/v1/keys")));
        let some = ids.split_off(ids.len() - REVOKED);
        revoked.beside(&nginx, |times| {
            for id in &some {
                timed(times, || drain(&nginx, "DELETE", &format!("/v1/keys/{id}")));
            }
        });
    }
    let mut text = String::from(
        "| | median of a request | longest ping of a round: median (greatest) |\n|---|---|---|\n",
    );
    let (a_page, the_list) = (format!("`GET /v1/keys?limit={PAGE}`"), format!("`GET /v1/keys`, all {KEYS}"));
    let rows = [
        ("nobody asks", &quiet),
        (&a_page, &pages),
        (&the_list, &whole),
        ("`DELETE /v1/keys/{id}`", &revoked),
    ];
    for (name, asked) in rows {
        let each =
            if asked.each.is_empty() { String::new() } else { format!("{:.0} us", median(&asked.each)) };
        let greatest = asked.stalls.iter().copied().fold(0.0, f64::max);
        writeln!(text, "| {name} | {each} | {:.0} us ({greatest:.0} us) |", median(&asked.stalls)).unwrap();
    }
    writeln!(text, "\n{ROUNDS} rounds; each with {PAGES} pages, one list and {REVOKED} revocations.")
        .unwrap();
    let mut report = Report::of(text);
    for (name, asked) in rows.into_iter().skip(1) {
        report.judge(Verdict::of_value(
            &format!("longest ping beside {name}"),
            median(&asked.stalls),
            STALL,
            "us",
        ));
    }
    report
}

impl Asked {
    /// Calls `work`, which adds the times of its requests, while another client pings.
    fn beside(&mut self, nginx: &Nginx, work: impl FnOnce(&mut Vec<f64>) + Send) {
        let pinger = Pinger::connect(nginx);
        let done = AtomicBool::new(false);
        let each = &mut self.each;
        let stall = std::thread::scope(|scope| {
            scope.spawn(|| {
                work(each);
                done.store(true, Relaxed);
            });
            pinger.longest(|| done.load(Relaxed))
        });
        self.stalls.push(stall);
    }
}

fn timed(times: &mut Vec<f64>, work: impl FnOnce()) {
    let begin = Instant::now();
    work();
    times.push(micros(begin.elapsed()));
}

/// Sends a request, and reads the answer without parsing it: this thread shares its core with the client that pings.
fn drain(nginx: &Nginx, method: &str, path: &str) {
    let mut socket = TcpStream::connect(("127.0.0.1", nginx.http())).unwrap();
    let head = format!(
        "{method} /api{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).unwrap();
    let (mut buffer, mut first) = (vec![0; 1 << 16], true);
    loop {
        let count = socket.read(&mut buffer).unwrap();
        if std::mem::take(&mut first) {
            assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer[..count]));
        }
        if count == 0 {
            return;
        }
    }
}

/// Returns the paths of the list's first pages.
fn first_pages(api: &Api) -> Vec<String> {
    let mut paths = vec![format!("/v1/keys?limit={PAGE}")];
    while paths.len() < PAGES {
        let page = api.get(&paths[paths.len() - 1]).expect(200);
        paths.push(format!("/v1/keys?limit={PAGE}&after={}", page["next"].as_str().unwrap()));
    }
    paths
}

fn all_ids(api: &Api) -> Vec<String> {
    let list = api.get("/v1/keys").expect(200);
    list["keys"].as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap().to_owned()).collect()
}
