//! Many connections at once on two workers: what a connection costs, then what thousands of publishers and players cost, and how long a
//! worker does not answer beside them.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::{Duration, Instant};

use weir_rtmp::client::{Client, Options};
use weir_rtmp::flv::TagKind;

use super::client::{Acknowledge, publish};
use super::pinger::Pinger;
use super::players::more_files;
use super::relay::connect;
use super::report::{Report, Verdict};
use super::table::{median, percentile};
use crate::harness::media::sample;
use crate::harness::nginx::Config;
use crate::harness::process::Process;
use crate::harness::{Nginx, keys};

/// Connections in a row that publish and end, for the cost of one.
const CONNECTIONS: u64 = 10_000;
const WORKERS: usize = 2;
/// Publishers and players. A worker has its share of the streams, with their players.
const PUBLISHERS: usize = 2_000;
const PLAYERS: usize = 10_000;
/// Seconds of media for each server. `STORM_SECONDS` sets another number.
const SECONDS: u32 = 20;
/// Messages per second of each publisher, with a keyframe each second, and the bytes of one.
const MESSAGES: u32 = 4;
const BYTES: usize = 200;
/// Parts of a second: in each, some publishers send, some players read, and one worker is pinged.
const PARTS: u32 = 100;
/// A worker's connections: all clients, because the kernel decides who gets the first ones.
const PLACES: usize = 16_000;
/// The least part of the media that must reach the players, for a valid measurement.
const RELAYED: f64 = 0.95;
/// After this long without a byte, all media have arrived.
const QUIET: Duration = Duration::from_millis(150);
/// The longest allowed wait of a ping, in microseconds.
const STALL: f64 = 5000.0;

/// Values of one server.
struct Measured {
    /// Microseconds of the workers per connection that publishes and ends, and the number of connections per second meanwhile.
    connection: f64,
    per_second: f64,
    /// Bytes of the workers per publisher and per player.
    publisher: f64,
    player: f64,
    /// Processor time of all workers per second of media, and per message to a player, in microseconds.
    time: f64,
    message: f64,
    /// Round trips of pings, in microseconds.
    pings: Vec<f64>,
}

/// Measures nginx-rtmp alone, and Weir with keys.
pub(super) fn storm() -> Report {
    more_files();
    let place = |config: Config| config.workers(WORKERS).connections(PLACES);
    let weir = |more: &str| {
        let config = Config::weir().main("weir_zone 64m state=@DIR@/state;");
        config
            .server("weir_session_timeout 1h;")
            .app("live", &format!("weir_publish key; {more}"))
            .file("state", keys::state(CONNECTIONS))
    };
    let open: fn(u64) -> String = |nth| format!("show-{nth}");
    let secret: fn(u64) -> String = |nth| keys::secret(nth).expose().to_owned();
    let servers = [
        ("nginx-rtmp alone", Config::stock().app("live", ""), open),
        ("`weir_publish key`", weir(""), secret),
        ("`weir_publish key`, `weir_merge_write 60ms`", weir("weir_merge_write 60ms;"), secret),
    ];
    let mut report = Report::of(String::from(
        "| | per connection | connections/s | per publisher | per player | of a core | per message to a player | ping: median, 99 % below, longest |\n\
         |---|---|---|---|---|---|---|---|\n",
    ));
    let mut longest = Vec::new();
    for (name, config, names) in servers {
        let found = measure(&place(config).start(), names);
        let Measured { connection, per_second, publisher, player, time, message, pings } = &found;
        let high = pings.iter().copied().fold(0.0, f64::max);
        writeln!(
            report.text,
            "| {name} | {connection:.0} us | {per_second:.0} | {:.1} kB | {:.1} kB | {:.1} % | {message:.2} us | {:.0}, {:.0}, {high:.0} us |",
            publisher / 1e3, player / 1e3, time / 1e4, median(pings), percentile(pings, 99),
        )
        .unwrap();
        longest.push((name, high));
    }
    report.say("");
    for (name, high) in longest.into_iter().skip(1) {
        report.judge(Verdict::of_value(&format!("longest ping beside {name}"), high, STALL, "us"));
    }
    report
}

fn measure(nginx: &Nginx, names: fn(u64) -> String) -> Measured {
    super::part([nginx].into_iter());
    let used = || nginx.workers().iter().map(|worker| worker.time_used().as_secs_f64() * 1e6).sum::<f64>();
    let memory = || nginx.workers().iter().map(|worker| worker.memory() as f64).sum::<f64>();
    let (before, begin) = (used(), Instant::now());
    for nth in 0..CONNECTIONS {
        publish(nginx.rtmp(), &names(nth), Acknowledge::AtOnce);
    }
    let connection = (used() - before) / CONNECTIONS as f64;
    let per_second = CONNECTIONS as f64 / begin.elapsed().as_secs_f64();

    let empty = memory();
    let mut crowd = Crowd::of_publishers(nginx, names);
    let with_publishers = memory();
    crowd.add_players(nginx);
    let with_players = memory();
    let seconds = std::env::var("STORM_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS);
    // Warm-up.
    crowd.run(2, &mut []);
    let mut pingers: Vec<_> = nginx
        .workers()
        .into_iter()
        .map(|worker| nginx.on_worker(worker, || Pinger::connect(nginx)))
        .collect();
    let before = used();
    let pings = crowd.run(seconds, &mut pingers);
    let time = (used() - before) / f64::from(seconds);
    Measured {
        connection,
        per_second,
        publisher: (with_publishers - empty) / PUBLISHERS as f64,
        player: (with_players - with_publishers) / PLAYERS as f64,
        time,
        message: time / (PLAYERS as f64 * f64::from(MESSAGES)),
        pings,
    }
}

/// Publishers, and players of their streams.
struct Crowd {
    publishers: Vec<(Client, TcpStream)>,
    players: Vec<TcpStream>,
    /// Seconds of media that were sent.
    sent: u32,
    picture: [u8; BYTES],
    buffer: Vec<u8>,
}

impl Crowd {
    fn of_publishers(nginx: &Nginx, names: fn(u64) -> String) -> Self {
        let publisher = |nth| {
            let url = format!("rtmp://127.0.0.1:{}/live/{}", nginx.rtmp(), names(nth)).parse().unwrap();
            let publish = Client::publish(&url, Options { chunk_size: 4096, ..Options::default() });
            let (mut client, mut socket) = connect(publish, nginx.rtmp(), "NetStream.Publish.Start");
            for tag in &sample().headers {
                client.send_tag(tag.kind, 0, &tag.payload).unwrap();
            }
            socket.write_all(&client.take_output()).unwrap();
            (client, socket)
        };
        let mut publishers = Vec::new();
        for (share, worker) in shares(nginx) {
            publishers.extend(
                nginx.on_worker(worker, || share.map(|nth| publisher(nth as u64)).collect::<Vec<_>>()),
            );
        }
        Self { publishers, players: Vec::new(), sent: 0, picture: [7; BYTES], buffer: vec![0; 1 << 16] }
    }

    fn add_players(&mut self, nginx: &Nginx) {
        let player = |stream| {
            let url = format!("rtmp://127.0.0.1:{}/live/show-{stream}", nginx.rtmp()).parse().unwrap();
            let play = Client::play(&url, Options::default());
            let (_, player) = connect(play, nginx.rtmp(), "NetStream.Play.Start");
            player.set_nonblocking(true).unwrap();
            player
        };
        for (share, worker) in shares(nginx) {
            let streams = (0..PLAYERS / PUBLISHERS).flat_map(|_| share.clone());
            self.players.extend(nginx.on_worker(worker, || streams.map(player).collect::<Vec<_>>()));
        }
    }

    /// Sends some seconds of media in real time, and returns the round trips of the pings in microseconds.
    fn run(&mut self, seconds: u32, pingers: &mut [Pinger]) -> Vec<f64> {
        let begin = Instant::now();
        let mut pings = Vec::new();
        let (mut sent, mut played) = (0, 0);
        let slice = PUBLISHERS * MESSAGES as usize / PARTS as usize;
        for part in 0..seconds * PARTS {
            let due = begin + Duration::from_secs(1) / PARTS * part;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let first = part as usize * slice;
            for nth in first..first + slice {
                sent += self.send(nth % PUBLISHERS, nth / PUBLISHERS);
            }
            let readers = PLAYERS * MESSAGES as usize / PARTS as usize;
            for nth in 0..readers {
                played += self.read((part as usize * readers + nth) % PLAYERS);
            }
            if let Some(pinger) = pingers.get_mut(part as usize % pingers.len().max(1)) {
                pings.push(pinger.ping());
            }
        }
        self.sent += seconds;
        // What is still on its way.
        while let more @ 1.. = (0..PLAYERS).map(|player| self.read(player)).sum::<usize>() {
            played += more;
            std::thread::sleep(QUIET);
        }
        let relayed = played as f64 / (sent * PLAYERS / PUBLISHERS) as f64;
        assert!(relayed > RELAYED, "only {relayed} of the media reached the players");
        pings
    }

    /// Sends a publisher's next message. Returns its size in bytes.
    fn send(&mut self, publisher: usize, nth: usize) -> usize {
        let (client, socket) = &mut self.publishers[publisher];
        let timestamp = self.sent * 1000 + nth as u32 * 1000 / MESSAGES;
        // A frame of AVC in one NAL unit (FLV specification, E.4.3.1).
        let kind = if nth.is_multiple_of(MESSAGES as usize) { 0x17 } else { 0x27 };
        self.picture[..5].copy_from_slice(&[kind, 1, 0, 0, 0]);
        client.send_tag(TagKind::Video, timestamp, &self.picture).unwrap();
        let output = client.take_output();
        socket.write_all(&output).unwrap();
        output.len()
    }

    /// Reads what a player has received. Returns its size in bytes.
    fn read(&mut self, player: usize) -> usize {
        match self.players[player].read(&mut self.buffer) {
            Ok(count @ 1..) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            end => panic!("the server ended a player's connection: {end:?}"),
        }
    }
}

/// Returns the streams of each worker.
fn shares(nginx: &Nginx) -> impl Iterator<Item = (Range<usize>, Process)> {
    let each = PUBLISHERS / WORKERS;
    nginx.workers().into_iter().enumerate().map(move |(nth, worker)| (nth * each..(nth + 1) * each, worker))
}
