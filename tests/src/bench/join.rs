//! How long a player waits for its first frame: from `play` to the first keyframe.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use weir_rtmp::client::{Client, ClientEvent, Options};
use weir_rtmp::flv::{Tag, TagKind};
use weir_rtmp::media::{self, Content};

use super::table::{Arm, Table, Target, median};
use crate::harness::nginx::Config;
use crate::harness::{Nginx, Publisher, Random};

const ROUNDS: usize = 7;
/// Joins per round, for each server.
const EACH: usize = 5;
/// Milliseconds between two keyframes of the sample. Players join at any time between them.
const KEYFRAMES_MS: usize = 500;

/// The servers take turns with each player.
pub(super) fn join() -> Table {
    let cached = Config::weir().main("weir_zone 4m;").app("live", "weir_publish open; weir_gop_cache 8m;");
    let servers = [
        ("nginx-rtmp alone", Config::stock().app("live", "")),
        ("nginx-rtmp alone, once more", Config::stock().app("live", "")),
        ("`weir_gop_cache 8m`", cached),
    ];
    let (mut arms, mut loads) = (Vec::new(), Vec::new());
    for (name, config) in servers {
        arms.push(Arm::new(name));
        let nginx = config.start();
        let publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
        loads.push((nginx, publisher));
    }
    super::part(loads.iter().map(|(nginx, _)| nginx));
    loads.iter().for_each(|(_, publisher)| publisher.send_more(1000));
    let mut random = Random::new(1);
    for _ in 0..ROUNDS {
        let mut values = vec![Vec::new(); arms.len()];
        for _ in 0..EACH {
            for ((nginx, _), values) in loads.iter().zip(&mut values) {
                std::thread::sleep(Duration::from_millis(random.below(KEYFRAMES_MS) as u64));
                values.push(first_keyframe(nginx).as_secs_f64() * 1e6);
            }
        }
        for (arm, values) in arms.iter_mut().zip(values) {
            arm.rounds.push(median(&values));
            arm.all.extend(values);
        }
    }
    Table { arms, targets: vec![Target::AtMost { ours: 2, peer: 0, ratio: 0.02 }] }
}

/// From the command `play` to the first keyframe.
pub(super) fn first_keyframe(nginx: &Nginx) -> Duration {
    let url = format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()).parse().unwrap();
    let mut client = Client::play(&url, Options::default());
    let mut socket = TcpStream::connect(("127.0.0.1", nginx.rtmp())).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let (mut asked, mut buffer) = (Instant::now(), [0; 16_384]);
    loop {
        socket.write_all(&client.take_output()).unwrap();
        let count = socket.read(&mut buffer).expect("the server answers");
        assert!(count > 0, "the server closed the connection");
        let came = Instant::now();
        client.receive(&buffer[..count]).unwrap();
        while let Some(event) = client.next_event() {
            match event {
                // The caller writes `play` next.
                ClientEvent::StreamCreated(_) => asked = Instant::now(),
                ClientEvent::Media(tag) if is_key(&tag) => return came - asked,
                _ => {}
            }
        }
    }
}

fn is_key(tag: &Tag) -> bool {
    let read =
        || media::video(&tag.payload).is_some_and(|read| read.content == Content::Frame && read.is_key);
    tag.kind == TagKind::Video && read()
}
