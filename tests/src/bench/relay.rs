//! The cost of relaying for a worker: publishers of 4 Mbit/s with one player each, with and without the guard.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::linux::net::TcpStreamExt;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use weir_rtmp::client::{Client, ClientEvent, Options};
use weir_rtmp::flv::TagKind;

use super::table::{self, Arm, Table, Target};
use crate::harness::media::sample;
use crate::harness::nginx::Config;
use crate::harness::{Nginx, Random};

const STREAMS: usize = 50;
/// Frames per second of each publisher, and the number of frames per keyframe.
const PICTURES: u32 = 25;
/// Bytes of a video frame, and of its two audio messages: together 4 Mbit/s.
const PICTURE: usize = 19_200;
const SOUND: usize = 320;
/// Seconds of media per round, for each server.
const SECONDS: u32 = 2;
const ROUNDS: usize = 9;
/// The least part of the media that must reach the players, for a valid measurement.
const RELAYED: f64 = 0.95;
/// After this long without a byte, all media have arrived.
const QUIET: Duration = Duration::from_millis(50);

/// Measures the worker's time per second of all streams.
pub(super) fn relay() -> Table {
    let open = || Config::weir().main("weir_zone 4m;").app("live", "weir_publish open;");
    let servers = [
        ("weir_guard off", open().server("weir_guard off;")),
        ("weir_guard off, once more", open().server("weir_guard off;")),
        // During the turn of the others, no media are sent.
        ("weir_guard on", open().server("weir_guard on; weir_idle_publisher 60s;")),
        ("nginx-rtmp alone", Config::stock().app("live", "")),
    ];
    let (mut arms, mut loads) = (Vec::new(), Vec::new());
    for (name, config) in servers {
        arms.push(Arm::new(name));
        loads.push(Load::start(config.start()));
    }
    super::part(loads.iter().map(|load| &load.nginx));
    // Warm-up.
    for load in &mut loads {
        load.round();
    }
    table::take_turns(ROUNDS, &mut arms, &mut loads, Load::round);
    Table { arms, targets: vec![Target::NotAbove { ours: 2, peer: 0, same: 1 }] }
}

/// A server with its publishers and players.
pub(super) struct Load {
    pub(super) nginx: Nginx,
    publishers: Vec<(Client, TcpStream)>,
    players: Vec<TcpStream>,
    picture: Vec<u8>,
    /// Frames that each publisher has sent.
    sent: u32,
    buffer: Vec<u8>,
}

impl Load {
    pub(super) fn start(nginx: Nginx) -> Self {
        let (mut publishers, mut players) = (Vec::new(), Vec::new());
        for nth in 0..STREAMS {
            let url = format!("rtmp://127.0.0.1:{}/live/show-{nth}", nginx.rtmp()).parse().unwrap();
            let publish = Client::publish(&url, Options::default());
            let (mut client, socket) = connect(publish, nginx.rtmp(), "NetStream.Publish.Start");
            for tag in &sample().headers {
                client.send_tag(tag.kind, 0, &tag.payload).unwrap();
            }
            publishers.push((client, socket));
            let play = Client::play(&url, Options::default());
            let (_, player) = connect(play, nginx.rtmp(), "NetStream.Play.Start");
            player.set_nonblocking(true).unwrap();
            players.push(player);
        }
        let mut random = Random::new(1);
        let picture = (0..PICTURE).map(|_| random.byte()).collect();
        Self { nginx, publishers, players, picture, sent: 0, buffer: vec![0; 1 << 16] }
    }

    /// Sends some seconds of media in real time. Returns the worker's microseconds per second of media.
    pub(super) fn round(&mut self) -> f64 {
        let worker = self.nginx.workers()[0];
        let before = worker.time_used();
        let begin = Instant::now();
        let pause = Duration::from_secs(1) / PICTURES / STREAMS as u32;
        let (mut sent, mut played) = (0, 0);
        for turn in 0..SECONDS * PICTURES * STREAMS as u32 {
            let due = begin + pause * turn;
            while Instant::now() < due {
                played += self.play(due);
            }
            sent += self.send(turn as usize % STREAMS);
        }
        loop {
            match self.play(Instant::now() + QUIET) {
                0 => break,
                more => played += more,
            }
        }
        let relayed = played as f64 / sent as f64;
        assert!(relayed > RELAYED, "only {relayed} of the media reached the players");
        (worker.time_used() - before).as_secs_f64() * 1e6 / f64::from(SECONDS)
    }

    /// Sends a publisher's next video frame and audio. Returns their number of bytes.
    fn send(&mut self, nth: usize) -> usize {
        let (client, socket) = &mut self.publishers[nth];
        let timestamp = self.sent * 1000 / PICTURES;
        // A frame of AVC in one NAL unit (FLV specification, E.4.3.1).
        let kind = if self.sent.is_multiple_of(PICTURES) { 0x17 } else { 0x27 };
        self.picture[..5].copy_from_slice(&[kind, 1, 0, 0, 0]);
        client.send_tag(TagKind::Video, timestamp, &self.picture).unwrap();
        // AAC (FLV specification, E.4.2.1).
        let sound = [&[0xaf, 1], &self.picture[5..SOUND + 3]].concat();
        for half in 0..2 {
            client.send_tag(TagKind::Audio, timestamp + half * 500 / PICTURES, &sound).unwrap();
        }
        let output = client.take_output();
        socket.write_all(&output).unwrap();
        self.sent += u32::from(nth == STREAMS - 1);
        output.len()
    }

    fn play(&mut self, until: Instant) -> usize {
        play(&mut self.players, &mut self.buffer, until)
    }
}

/// Reads the received bytes of the players, or waits for some until the given time. Returns the number of bytes.
pub(super) fn play(players: &mut [TcpStream], buffer: &mut [u8], until: Instant) -> usize {
    let mut sockets: Vec<_> =
        players.iter().map(|player| PollFd::new(player.as_fd(), PollFlags::POLLIN)).collect();
    let left = until.saturating_duration_since(Instant::now());
    ppoll(&mut sockets, Some(TimeSpec::from_duration(left)), None).unwrap();
    let ready: Vec<_> = sockets.iter().map(|socket| socket.any() == Some(true)).collect();
    let mut played = 0;
    for (player, _) in players.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
        match player.read(buffer) {
            Ok(count @ 1..) => played += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            end => panic!("the server ended a player's connection: {end:?}"),
        }
    }
    played
}

/// Connects, and waits until the server has reported `ready`. Acknowledges at once, so that nginx-rtmp alone needs no 40 ms per connection.
pub(super) fn connect(mut client: Client, port: u16, ready: &str) -> (Client, TcpStream) {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_nodelay(true).unwrap();
    let mut buffer = [0; 16_384];
    loop {
        socket.write_all(&client.take_output()).unwrap();
        socket.set_quickack(true).unwrap();
        let count = socket.read(&mut buffer).unwrap();
        client.receive(&buffer[..count]).unwrap();
        let is_ready = |event| matches!(event, ClientEvent::Status(status) if status.code == ready);
        if std::iter::from_fn(|| client.next_event()).any(is_ready) {
            return (client, socket);
        }
        assert!(count > 0, "the server ended the connection");
    }
}
