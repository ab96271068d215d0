//! The cost of a stream with many players for a worker: stock nginx-rtmp, and merged writes.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use weir_rtmp::client::{Client, Options};
use weir_rtmp::flv::TagKind;

use super::relay::{connect, play};
use super::table::{self, Arm, Table, Target};
use crate::harness::media::sample;
use crate::harness::nginx::Config;
use crate::harness::{Nginx, Random};

pub(super) const PLAYERS: usize = 400;
/// Video messages per second, with a keyframe each second.
const PICTURES: u32 = 25;
/// Bytes of a video message, and of each of the two audio messages that follow it: together 2 Mbit/s.
const PICTURE: usize = 9_400;
const SOUND: usize = 300;
/// Seconds of media per round, for each server.
pub(super) const SECONDS: u32 = 3;
const ROUNDS: usize = 7;
/// The least part of the media that must reach the players, for a valid measurement.
const RELAYED: f64 = 0.95;
/// After this long without a byte, all media have arrived. Longer than the wait of any merged write.
const QUIET: Duration = Duration::from_millis(150);

/// Measures the worker's time per second of media.
pub(super) fn players() -> Table {
    more_files();
    let servers = [
        ("nginx-rtmp alone", Config::stock().app("live", "")),
        ("nginx-rtmp alone, once more", Config::stock().app("live", "")),
        ("`weir_merge_write off`", merged("off")),
        ("`weir_merge_write 0`", merged("0")),
        ("`weir_merge_write 60ms`", merged("60ms")),
        ("`weir_merge_write 100ms`", merged("100ms")),
    ];
    let (mut arms, mut loads) = (Vec::new(), Vec::new());
    for (name, config) in servers {
        arms.push(Arm::new(name));
        loads.push(Load::start(config.connections(1024).start()));
    }
    super::part(loads.iter().map(|load| &load.nginx));
    // Warm-up.
    for load in &mut loads {
        load.round();
    }
    table::take_turns(ROUNDS, &mut arms, &mut loads, Load::round);
    let targets = vec![
        Target::NotAbove { ours: 2, peer: 0, same: 1 },
        Target::AtMost { ours: 3, peer: 0, ratio: 0.65 },
        Target::AtMost { ours: 4, peer: 0, ratio: 0.4 },
        Target::AtMost { ours: 5, peer: 0, ratio: 0.35 },
    ];
    Table { arms, targets }
}

/// Raises the number of connections of this process to the system's limit.
pub(super) fn more_files() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
}

pub(super) fn merged(time: &str) -> Config {
    Config::weir()
        .main("weir_zone 4m;")
        .server("weir_guard off;")
        .app("live", &format!("weir_publish open; weir_merge_write {time};"))
}

/// A server, its publisher and its players.
pub(super) struct Load {
    pub(super) nginx: Nginx,
    show: Show,
}

impl Load {
    pub(super) fn start(nginx: Nginx) -> Self {
        let show = Show::start(&nginx, "show", "show");
        Self { nginx, show }
    }

    /// Sends some seconds of media in real time. Returns the worker's microseconds per second of media.
    pub(super) fn round(&mut self) -> f64 {
        let worker = self.nginx.workers()[0];
        let before = worker.time_used();
        self.show.run();
        (worker.time_used() - before).as_secs_f64() * 1e6 / f64::from(SECONDS)
    }
}

/// A publisher and its players.
pub(super) struct Show {
    client: Client,
    socket: TcpStream,
    players: Vec<TcpStream>,
    random: Random,
    /// Video messages that the publisher has sent.
    sent: u32,
    buffer: Vec<u8>,
}

impl Show {
    /// Publishes by a name, or by a key, and plays the stream.
    pub(super) fn start(nginx: &Nginx, name: &str, stream: &str) -> Self {
        let url = |name| format!("rtmp://127.0.0.1:{}/live/{name}", nginx.rtmp()).parse().unwrap();
        let publish = Client::publish(&url(name), Options { chunk_size: 4096, ..Options::default() });
        let (mut client, mut socket) = connect(publish, nginx.rtmp(), "NetStream.Publish.Start");
        for tag in &sample().headers {
            client.send_tag(tag.kind, 0, &tag.payload).unwrap();
        }
        socket.write_all(&client.take_output()).unwrap();
        let player = |_| {
            let play = Client::play(&url(stream), Options::default());
            let (_, player) = connect(play, nginx.rtmp(), "NetStream.Play.Start");
            player.set_nonblocking(true).unwrap();
            player
        };
        let players = (0..PLAYERS).map(player).collect();
        Self { client, socket, players, random: Random::new(1), sent: 0, buffer: vec![0; 1 << 18] }
    }

    /// Sends some seconds of media in real time, and waits until the players have them.
    pub(super) fn run(&mut self) {
        let begin = Instant::now();
        let pause = Duration::from_secs(1) / PICTURES / 3;
        let (mut sent, mut played) = (0, 0);
        for turn in 0..SECONDS * PICTURES * 3 {
            let due = begin + pause * turn;
            while Instant::now() < due {
                played += self.play(due);
            }
            sent += self.send(turn % 3);
        }
        loop {
            match self.play(Instant::now() + QUIET) {
                0 => break,
                more => played += more,
            }
        }
        let relayed = played as f64 / (sent * PLAYERS) as f64;
        assert!(relayed > RELAYED, "only {relayed} of the media reached the players");
    }

    /// Sends the next video message, and two audio messages after it. Returns their size in bytes.
    fn send(&mut self, nth: u32) -> usize {
        let timestamp = self.sent * 1000 / PICTURES + nth * 333 / PICTURES;
        let (kind, bytes) = if nth == 0 {
            // A frame of AVC in one NAL unit (FLV specification, E.4.3.1).
            let kind = if self.sent.is_multiple_of(PICTURES) { 0x17 } else { 0x27 };
            let mut bytes = self.random.bytes(PICTURE);
            bytes[..5].copy_from_slice(&[kind, 1, 0, 0, 0]);
            (TagKind::Video, bytes)
        } else {
            // AAC (FLV specification, E.4.2.1).
            (TagKind::Audio, [&[0xaf, 1], self.random.bytes(SOUND).as_slice()].concat())
        };
        self.client.send_tag(kind, timestamp, &bytes).unwrap();
        let output = self.client.take_output();
        self.socket.write_all(&output).unwrap();
        self.sent += u32::from(nth == 2);
        output.len()
    }

    fn play(&mut self, until: Instant) -> usize {
        play(&mut self.players, &mut self.buffer, until)
    }
}
