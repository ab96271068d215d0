//! The cost of an answer of `rtmp_stat` and of `weir_stat` for the worker, and the delay of other clients.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::pinger::{Pinger, micros};
use super::report::{Report, Verdict};
use super::table::{Arm, Ratio, median};
use crate::harness::nginx::Config;
use crate::harness::{Crowd, Nginx, until};

const STREAMS: [usize; 3] = [1, 100, 500];
const ROUNDS: usize = 9;
/// Answers per round for the cost, and as many again while others wait.
const ANSWERS: u32 = 50;
/// How long one client pings without an answer in progress.
const QUIET: Duration = Duration::from_millis(50);

/// The requests: the server (0 is stock), and the path; the first is the reference.
const ASKED: [(&str, usize, &str); 7] = [
    ("`rtmp_stat all` of nginx-rtmp", 0, "/stat"),
    ("the same once more", 0, "/stat"),
    ("`weir_stat xml full`", 1, "/full/xml"),
    ("`weir_stat xml`", 1, "/stat/xml"),
    ("`weir_stat json full`", 1, "/full/json"),
    ("`weir_stat prometheus`", 1, "/stat/prometheus"),
    ("`weir_stat html full`", 1, "/full/html"),
];
/// Position of the request whose streams have targets.
const OURS: usize = 2;
/// The highest part of stock's time, with the most streams.
const RATIO: f64 = 0.2;
/// The longest allowed wait of a ping.
const STALL: Duration = Duration::from_millis(5);

/// A server with a growing number of publishers.
struct Server {
    nginx: Nginx,
    crowds: Vec<Crowd>,
}

/// The values of one request.
struct Asked {
    /// Microseconds of the worker per answer.
    cost: Arm,
    /// Microseconds from request to answer.
    wall: Arm,
    bytes: usize,
    /// The longest round trip of a ping in each round, microseconds.
    stalls: Vec<f64>,
}

/// Returns the tables, one per number of streams.
pub(super) fn stat() -> Report {
    let mut servers = [stock(), weir()]
        .map(|config| Server { nginx: config.connections(2048).app("live", "").start(), crowds: Vec::new() });
    super::part(servers.iter().map(|server| &server.nginx));
    let mut report = Report::default();
    let mut live = 0;
    for streams in STREAMS {
        servers.iter_mut().for_each(|server| server.grow(live..streams));
        live = streams;
        report.append(compare(&servers, streams));
    }
    report
}

fn stock() -> Config {
    Config::stock().http("location = /stat { rtmp_stat all; }")
}

pub(super) fn weir() -> Config {
    let formats = ["html", "xml", "json", "prometheus"].map(|format| {
        format!("location = /stat/{format} {{ weir_stat {format}; }} location = /full/{format} {{ weir_stat {format} full; }}\n")
    });
    Config::weir().main("weir_zone 4m;").http(&formats.concat()).http("location /api { weir_api; }")
}

/// Measures the cost of one answer of each of these servers, with 100 streams.
pub(super) fn each(servers: [(&'static str, Config); 3], path: &str) -> Vec<Arm> {
    const STREAMS: usize = 100;
    let (names, configs): (Vec<_>, Vec<_>) = servers.into_iter().unzip();
    let start = |config: Config| Server {
        nginx: config.connections(2048).app("live", "").start(),
        crowds: Vec::new(),
    };
    let mut servers: Vec<Server> = configs.into_iter().map(start).collect();
    super::part(servers.iter().map(|server| &server.nginx));
    servers.iter_mut().for_each(|server| server.grow(0..STREAMS));
    let mut all: Vec<Asked> = names
        .into_iter()
        .map(|name| Asked { cost: Arm::new(name), wall: Arm::new(name), bytes: 0, stalls: Vec::new() })
        .collect();
    for round in 0..ROUNDS {
        for step in 0..servers.len() {
            let at = (round + step) % servers.len();
            all[at].round(&servers[at], path, STREAMS);
        }
    }
    all.into_iter().map(|asked| asked.cost).collect()
}

fn compare(servers: &[Server; 2], streams: usize) -> Report {
    let mut all: Vec<_> = ASKED
        .iter()
        .map(|(name, ..)| Asked { cost: Arm::new(name), wall: Arm::new(name), bytes: 0, stalls: Vec::new() })
        .collect();
    let mut quiet = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        for step in 0..ASKED.len() {
            let at = (round + step) % ASKED.len();
            let (_, server, path) = ASKED[at];
            all[at].round(&servers[server], path, streams);
        }
        for (server, quiet) in servers.iter().zip(&mut quiet) {
            let pinger = Pinger::connect(&server.nginx);
            let soon = Instant::now() + QUIET;
            quiet.push(pinger.longest(|| Instant::now() > soon));
        }
    }
    table(&all, &quiet, streams)
}

impl Server {
    /// Adds publishers, until all are on air.
    fn grow(&mut self, numbers: std::ops::Range<usize>) {
        let paths = numbers.map(|nth| format!("live/show-{nth:04}"));
        let crowd = Crowd::start(self.nginx.rtmp(), paths).started();
        // The codec facts have arrived, too.
        until("media reaches the server", 10.0, || crowd.sent() >= 1);
        self.crowds.push(crowd);
    }

    fn silence(&self, silent: bool) {
        self.crowds.iter().for_each(|crowd| crowd.silence(silent));
    }
}

impl Asked {
    fn round(&mut self, server: &Server, path: &str, streams: usize) {
        // The worker does nothing but answer.
        server.silence(true);
        let worker = server.nginx.workers()[0];
        let mut http = Http::connect(&server.nginx);
        let body = http.get(path);
        let shown = body.matches("show-").count();
        assert!(shown >= streams, "{path} shows {shown} of {streams} streams");
        self.bytes = body.len();
        let before = worker.time_used();
        let mut walls = Vec::new();
        for _ in 0..ANSWERS {
            let asked = Instant::now();
            http.get(path);
            walls.push(micros(asked.elapsed()));
        }
        let cost = micros(worker.time_used() - before) / f64::from(ANSWERS);
        self.cost.all.push(cost);
        self.cost.rounds.push(cost);
        self.wall.rounds.push(median(&walls));
        self.wall.all.extend(walls);
        server.silence(false);
        // Now with media, and with a client that measures how long the worker is busy.
        let pinger = Pinger::connect(&server.nginx);
        let answered = AtomicBool::new(false);
        let stall = std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..ANSWERS).for_each(|_| drop(http.get(path)));
                answered.store(true, Relaxed);
            });
            pinger.longest(|| answered.load(Relaxed))
        });
        self.stalls.push(stall);
    }
}

/// One persistent connection.
struct Http(BufReader<TcpStream>);

impl Http {
    fn connect(nginx: &Nginx) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", nginx.http())).unwrap();
        socket.set_nodelay(true).unwrap();
        Self(BufReader::with_capacity(1 << 16, socket))
    }

    fn get(&mut self, path: &str) -> String {
        write!(self.0.get_mut(), "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut length = None;
        let mut first = true;
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            assert!(!std::mem::take(&mut first) || line.contains(" 200 "), "{path}: {line}");
            if line.trim_end().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok();
            }
        }
        let mut body = vec![0; length.expect("an answer has a length")];
        self.0.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap()
    }
}

fn table(all: &[Asked], quiet: &[Vec<f64>; 2], streams: usize) -> Report {
    let mut text = format!(
        "Streams live: {streams}\n\n\
         | | the worker's time an answer | ratio to the first: median (least .. greatest round) | until the answer is there | \
         bytes | longest ping of a round: median (greatest) |\n|---|---|---|---|---|---|\n"
    );
    let pings = |longest: &[f64]| {
        let greatest = longest.iter().copied().fold(0.0, f64::max);
        format!("{:.0} us ({greatest:.0} us)", median(longest))
    };
    for (at, asked) in all.iter().enumerate() {
        let Asked { cost, wall, bytes, stalls } = asked;
        let ratio = if at == 0 { "1".to_owned() } else { Ratio::of(cost, &all[0].cost).text() };
        let (time, wait) = (median(&cost.all), median(&wall.all));
        writeln!(
            text,
            "| {} | {time:.0} us | {ratio} | {wait:.0} us | {bytes} | {} |",
            cost.name,
            pings(stalls)
        )
        .unwrap();
    }
    for (name, longest) in ["nobody asks nginx-rtmp", "nobody asks Weir"].iter().zip(quiet) {
        writeln!(text, "| {name} | | | | | {} |", pings(longest)).unwrap();
    }
    writeln!(text, "\n{ROUNDS} rounds of {ANSWERS} answers, and as many with pings, taking turns.").unwrap();
    let mut report = Report::of(text);
    if Some(&streams) == STREAMS.last() {
        let ratio = Ratio::of(&all[OURS].cost, &all[0].cost);
        report.judge(Verdict::of_ratio(all[OURS].cost.name, all[0].cost.name, &ratio, RATIO));
    }
    let longest = all[OURS].stalls.iter().copied().fold(0.0, f64::max);
    let what = format!("longest ping beside answers with {streams} streams");
    report.judge(Verdict::of_value(&what, longest, micros(STALL), "us"));
    report
}
