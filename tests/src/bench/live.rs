//! The cost of viewers over WebSocket: for `weir serve` with its nginx, for node-media-server, and for a loop that only
//! sends the same bytes. Also the time from the connection to the first frame, and the memory per viewer.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use weir_rtmp::client::{Client, Options};
use weir_rtmp::flv::TagKind;

use super::join::first_keyframe;
use super::own_time;
use super::players::more_files;
use super::relay::{connect, play};
use super::report::{Report, Verdict};
use super::table::{self, Arm, Table, Target, median};
use crate::harness::media::sample;
use crate::harness::nginx::Config;
use crate::harness::process::Process;
use crate::harness::websocket::Message;
use crate::harness::{Nginx, NodeMediaServer, Publisher, Random, Sidecar, WebSocket, wait};

const VIEWERS: usize = 100;
/// Viewers whose memory is measured.
const MANY: usize = 400;
/// Frames per second, with a keyframe each second.
const PICTURES: u32 = 25;
/// Bytes of a video message, and of the audio message that follows it: together 2 Mbit/s.
const PICTURE: usize = 9_400;
const SOUND: usize = 600;
/// Seconds of media per round, for each server.
const SECONDS: u32 = 4;
const ROUNDS: usize = 5;
const RELAYED: f64 = 0.95;
const QUIET: Duration = Duration::from_millis(200);
/// Joins per round.
const JOINS: usize = 5;
const PATH: &str = "/stream/live/show/ws";

/// Measures all of it.
pub(super) fn live() -> Report {
    more_files();
    let mut report = cost();
    report.append(open());
    report.append(memory());
    report
}

fn config() -> Config {
    // The guard would disconnect a publisher while another server is measured.
    let config = Config::weir().with_api().server("weir_guard off;");
    config.app("live", "weir_publish open;").connections(1024)
}

/// A publisher of 2 Mbit/s, which sends when it is told to.
struct Source {
    client: Client,
    socket: TcpStream,
    random: Random,
    sent: u32,
}

impl Source {
    fn publish(port: u16) -> Self {
        let url = format!("rtmp://127.0.0.1:{port}/live/show").parse().unwrap();
        let publish = Client::publish(&url, Options { chunk_size: 4096, ..Options::default() });
        let (mut client, mut socket) = connect(publish, port, "NetStream.Publish.Start");
        for tag in &sample().headers {
            client.send_tag(tag.kind, 0, &tag.payload).unwrap();
        }
        socket.write_all(&client.take_output()).unwrap();
        Self { client, socket, random: Random::new(1), sent: 0 }
    }

    /// Sends a frame and its audio; returns their size in bytes.
    fn send(&mut self) -> usize {
        let at = self.sent * 1000 / PICTURES;
        // A frame of AVC in one NAL unit (FLV specification, E.4.3.1), and AAC (E.4.2.1).
        let kind = if self.sent.is_multiple_of(PICTURES) { 0x17 } else { 0x27 };
        let mut picture = self.random.bytes(PICTURE);
        picture[..5].copy_from_slice(&[kind, 1, 0, 0, 0]);
        let sound = [&[0xaf, 1], self.random.bytes(SOUND).as_slice()].concat();
        self.client.send_tag(TagKind::Audio, at, &sound).unwrap();
        self.client.send_tag(TagKind::Video, at, &picture).unwrap();
        self.socket.write_all(&self.client.take_output()).unwrap();
        self.sent += 1;
        PICTURE + SOUND
    }
}

/// A server of viewers.
trait Server {
    /// Sends the next frame; returns its size in bytes.
    fn send(&mut self) -> usize;
    /// Returns the processor time that it has used.
    fn used(&self) -> Duration;
}

struct Weir {
    nginx: Nginx,
    sidecar: Sidecar,
    source: Source,
}

impl Weir {
    fn start() -> Self {
        let nginx = config().start();
        let sidecar = Sidecar::start(&nginx, "[web]\nmax_connections = 2000\n");
        let source = Source::publish(nginx.rtmp());
        Self { nginx, sidecar, source }
    }
}

impl Server for Weir {
    fn send(&mut self) -> usize {
        self.source.send()
    }

    fn used(&self) -> Duration {
        self.sidecar.process().time_of_group() + self.nginx.workers()[0].time_of_group()
    }
}

struct Node {
    server: NodeMediaServer,
    source: Source,
}

impl Server for Node {
    fn send(&mut self) -> usize {
        self.source.send()
    }

    fn used(&self) -> Duration {
        self.server.process().time_of_group()
    }
}

/// Sends the same bytes to each viewer, with one `send` per frame, in this thread.
struct Floor {
    sockets: Vec<TcpStream>,
    random: Random,
    used: Duration,
}

impl Server for Floor {
    fn send(&mut self) -> usize {
        let bytes = self.random.bytes(PICTURE + SOUND);
        let before = own_time();
        for socket in &mut self.sockets {
            socket.write_all(&bytes).unwrap();
        }
        self.used += own_time() - before;
        bytes.len()
    }

    fn used(&self) -> Duration {
        self.used
    }
}

/// A server and its viewers.
struct Load {
    server: Box<dyn Server>,
    viewers: Vec<TcpStream>,
    buffer: Vec<u8>,
}

impl Load {
    fn new(server: Box<dyn Server>, viewers: Vec<TcpStream>) -> Self {
        viewers.iter().for_each(|viewer| viewer.set_nonblocking(true).unwrap());
        Self { server, viewers, buffer: vec![0; 1 << 18] }
    }

    /// Sends some seconds of media in real time. Returns the server's microseconds per second of media.
    fn round(&mut self) -> f64 {
        // The first frames after a pause are not measured.
        let (mut sent, mut played) = (0, 0);
        let begin = Instant::now();
        let mut before = self.server.used();
        for turn in 0..(SECONDS + 1) * PICTURES {
            if turn == PICTURES {
                before = self.server.used();
                (sent, played) = (0, 0);
            }
            let due = begin + Duration::from_secs(1) / PICTURES * turn;
            while Instant::now() < due {
                played += play(&mut self.viewers, &mut self.buffer, due);
            }
            sent += self.server.send();
        }
        loop {
            match play(&mut self.viewers, &mut self.buffer, Instant::now() + QUIET) {
                0 => break,
                more => played += more,
            }
        }
        let relayed = played as f64 / (sent * VIEWERS) as f64;
        assert!(relayed > RELAYED, "only {relayed} of the media reached the viewers");
        (self.server.used() - before).as_secs_f64() * 1e6 / f64::from(SECONDS)
    }
}

/// Connects viewers while the source sends frames, so that the stream begins.
fn viewers(source: &mut Source, port: u16, path: &str, count: usize) -> Vec<WebSocket> {
    let first = wait::until("a viewer can connect", 20.0, || {
        source.send();
        WebSocket::connect(port, path, &[]).ok()
    });
    let mut all = vec![first];
    while all.len() < count {
        all.push(WebSocket::connect(port, path, &[]).expect("a viewer can connect"));
    }
    all
}

fn streams(sockets: &[WebSocket]) -> Vec<TcpStream> {
    sockets.iter().map(|socket| socket.stream().try_clone().unwrap()).collect()
}

/// Measures the servers' time per second of media.
fn cost() -> Report {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let pairs = (0..VIEWERS).map(|_| {
        let viewer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nodelay(true).unwrap();
        (server, viewer)
    });
    let (sockets, floor): (Vec<_>, Vec<_>) = pairs.unzip();
    let floor = Load::new(Box::new(Floor { sockets, random: Random::new(1), used: Duration::ZERO }), floor);

    let mut weir = Weir::start();
    let ours = viewers(&mut weir.source, weir.sidecar.web(), PATH, VIEWERS);
    let server = NodeMediaServer::start();
    let source = Source::publish(server.rtmp());
    let mut node = Node { server, source };
    let theirs = viewers(&mut node.source, node.server.http(), "/live/show.flv", VIEWERS);
    super::part([&weir.nginx].into_iter());
    [weir.sidecar.process(), node.server.process()].into_iter().for_each(super::pin_all);

    let mut arms =
        vec![Arm::new("a loop of `send`"), Arm::new("`weir serve` and nginx"), Arm::new("node-media-server")];
    let (ours_streams, theirs_streams) = (streams(&ours), streams(&theirs));
    let mut loads =
        vec![floor, Load::new(Box::new(weir), ours_streams), Load::new(Box::new(node), theirs_streams)];
    // Warm-up.
    for load in &mut loads {
        load.round();
    }
    table::take_turns(ROUNDS, &mut arms, &mut loads, Load::round);
    let targets = vec![
        Target::AtMost { ours: 1, peer: 2, ratio: 0.25 },
        Target::AtMost { ours: 1, peer: 0, ratio: 1.5 },
    ];
    let mut report = Report::of(format!("{VIEWERS} viewers of 2 Mbit/s, per second of media:\n\n"));
    report.append(table::report(&Table { arms, targets }));
    report
}

/// Returns the time from the connection to the first frame, which is a keyframe.
fn first_frame(port: u16) -> Duration {
    let begin = Instant::now();
    let mut socket = WebSocket::connect(port, PATH, &[]).unwrap();
    let media = |message: &Message| matches!(message, Message::Binary(_));
    // The first binary message is the initialization segment.
    std::iter::from_fn(|| socket.receive()).filter(media).nth(1).expect("media");
    begin.elapsed()
}

/// Measures the time until a viewer has a frame, beside a player of stock nginx-rtmp.
fn open() -> Report {
    let (stock, nginx) = (Config::stock().app("live", "").start(), config().start());
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let publishers = [&stock, &nginx].map(|nginx| Publisher::to(nginx.rtmp(), "live/show").start().started());
    publishers.iter().for_each(|publisher| publisher.send_more(1000));
    let _watching =
        wait::until("a viewer can connect", 20.0, || WebSocket::connect(sidecar.web(), PATH, &[]).ok());
    first_frame(sidecar.web());
    let mut arms = vec![Arm::new("nginx-rtmp alone, RTMP"), Arm::new("`weir serve`, WebSocket")];
    let mut random = Random::new(1);
    for _ in 0..ROUNDS {
        let mut values = [Vec::new(), Vec::new()];
        for _ in 0..JOINS {
            // At any time between two keyframes.
            std::thread::sleep(Duration::from_millis(random.below(500) as u64));
            values[0].push(first_keyframe(&stock).as_secs_f64() * 1e6);
            values[1].push(first_frame(sidecar.web()).as_secs_f64() * 1e6);
        }
        for (arm, values) in arms.iter_mut().zip(values) {
            arm.rounds.push(median(&values));
            arm.all.extend(values);
        }
    }
    let ours = median(&arms[1].all) / 1000.0;
    let mut report = Report::of("From the connection to the first frame:\n\n".to_owned());
    report.append(table::report(&Table {
        arms,
        targets: vec![Target::AtMost { ours: 1, peer: 0, ratio: 0.01 }],
    }));
    report.judge(Verdict::of_value("`weir serve`, WebSocket", ours, 5.0, "ms"));
    report
}

/// Sends two seconds of media to viewers.
fn run(source: &mut Source, streams: &mut [TcpStream]) {
    let mut buffer = vec![0; 1 << 18];
    for _ in 0..2 * PICTURES {
        source.send();
        let due = Instant::now() + Duration::from_secs(1) / PICTURES;
        while Instant::now() < due {
            play(streams, &mut buffer, due);
        }
    }
}

/// Returns the memory per viewer in kB.
fn memory_of(process: Process, source: &mut Source, port: u16, path: &str) -> f64 {
    let few = viewers(source, port, path, 1);
    let mut sockets = streams(&few);
    sockets.iter().for_each(|socket| socket.set_nonblocking(true).unwrap());
    run(source, &mut sockets);
    let before = process.memory();
    let many = viewers(source, port, path, MANY);
    sockets.extend(streams(&many));
    sockets.iter().for_each(|socket| socket.set_nonblocking(true).unwrap());
    run(source, &mut sockets);
    process.memory().saturating_sub(before) as f64 / MANY as f64 / 1000.0
}

/// Measures the memory per viewer.
fn memory() -> Report {
    let mut weir = Weir::start();
    let ours = memory_of(weir.sidecar.process(), &mut weir.source, weir.sidecar.web(), PATH);
    let server = NodeMediaServer::start();
    let mut source = Source::publish(server.rtmp());
    let theirs = memory_of(server.process(), &mut source, server.http(), "/live/show.flv");
    let mut report = Report::of(format!(
        "| {MANY} viewers over WebSocket | memory per viewer |\n|---|---|\n| `weir serve` | {ours:.1} kB |\n\
         | node-media-server | {theirs:.1} kB |\n\n"
    ));
    report.judge(Verdict::of_value("`weir serve`, per viewer", ours, 32.0, "kB"));
    report
}
