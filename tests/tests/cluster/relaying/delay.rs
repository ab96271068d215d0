//! The delay that a relaying edge adds: the same frame reaches a player at the edge at most one frame later than a player at the origin.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use weir_rtmp::client::{Client, ClientEvent, Options};
use weir_rtmp::flv::TagKind;
use weir_tests::harness::clients::{Connection, Way};
use weir_tests::harness::{WebSocket, until, wait};

use super::Hop;

/// The sample has 20 frames per second, and repeats after 40.
const FRAME: Duration = Duration::from_millis(50);
const LOOP: Duration = Duration::from_secs(2);
const SECONDS: f64 = 20.0;
/// Number of bytes at the end of a frame that identify it within the sample. WebRTC changes what is before them.
const END: usize = 24;

/// Arrival of each frame.
type Arrivals = Vec<(Vec<u8>, Instant)>;

/// Plays until `stop`, and notes the arrival of each frame.
fn play(port: u16, stop: &AtomicBool) -> Arrivals {
    let url = format!("rtmp://127.0.0.1:{port}/live/show").parse().unwrap();
    let way = Way::To(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let mut connection = Connection::open(Client::play(&url, Options::default()), &way).unwrap();
    let mut arrivals = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let events = connection.turn();
        let now = Instant::now();
        for event in events {
            match event {
                ClientEvent::Media(tag) if tag.kind == TagKind::Video && tag.payload.len() > 5 + END => {
                    arrivals.push((tag.payload[tag.payload.len() - END..].to_vec(), now));
                }
                ClientEvent::Closed => panic!("the player at port {port} is closed"),
                _ => {}
            }
        }
    }
    arrivals
}

/// Returns how much later each frame arrived at the edge, sorted. A frame belongs to the nearest same frame.
fn delays(origin: Arrivals, edge: Arrivals) -> Vec<f64> {
    let mut at_origin: HashMap<Vec<u8>, Vec<Instant>> = HashMap::new();
    for (frame, at) in origin {
        at_origin.entry(frame).or_default().push(at);
    }
    let ms = |at: Instant, then: Instant| match at.checked_duration_since(then) {
        Some(later) => later.as_secs_f64() * 1e3,
        None => -(then - at).as_secs_f64() * 1e3,
    };
    let delay = |(frame, at): (Vec<u8>, Instant)| {
        let all = at_origin.get(&frame)?.iter().map(|then| ms(at, *then));
        all.filter(|ms| ms.abs() < LOOP.as_secs_f64() * 500.0).min_by(|a, b| a.abs().total_cmp(&b.abs()))
    };
    let mut all: Vec<f64> = edge.into_iter().filter_map(delay).collect();
    all.sort_by(f64::total_cmp);
    all
}

#[test]
#[ignore = "takes a minute: make test-long runs it"]
fn a_hop_adds_at_most_one_frame() {
    for transport in ["rtmp", "ws", "webrtc"] {
        let hop = Hop::start(transport);
        let _viewer = until("the stream is known at the edge", 6.0, || {
            WebSocket::connect(hop.edge.web(), "/stream/live/show/ws", &[]).ok()
        });
        until("it is live at the edge", 10.0, || {
            hop.at_edge.api().get("/v1/streams/live/show").status == 200
        });
        let stop = AtomicBool::new(false);
        let (origin, edge) = thread::scope(|scope| {
            let players = [hop.at_origin.rtmp(), hop.at_edge.rtmp()].map(|port| {
                scope.spawn({
                    let stop = &stop;
                    move || play(port, stop)
                })
            });
            wait::until_ok(SECONDS, || false);
            stop.store(true, Ordering::Relaxed);
            let [origin, edge] = players.map(|player| player.join().unwrap());
            (origin, edge)
        });
        let (sent, all) = (origin.len(), delays(origin, edge));
        assert!(
            all.len() * 10 > sent * 8,
            "{transport}: only {} of {sent} frames were recognized",
            all.len()
        );
        let part = |share: f64| all[((all.len() - 1) as f64 * share) as usize];
        println!(
            "{transport}: {} frames, added delay: median {:.1} ms, 90 % below {:.1} ms, most {:.1} ms",
            all.len(),
            part(0.5),
            part(0.9),
            part(1.0)
        );
        let limit = FRAME.as_secs_f64() * 1e3;
        assert!(part(0.5) <= limit, "{transport}: {:.1} ms is more than one frame ({limit} ms)", part(0.5));
    }
}
