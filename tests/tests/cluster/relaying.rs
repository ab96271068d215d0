//! An edge that relays: a stream starts at the edge with its first viewer, and ends some time after its last one.

mod delay;
mod members;
mod revocations;

use std::time::Instant;

use weir_tests::harness::ports::Port;
use weir_tests::harness::websocket::Message;
use weir_tests::harness::{Nginx, Player, Publisher, Sidecar, WebSocket, took, until};

use super::{ORIGIN, nginx, nginx_of_edge};

#[test]
fn a_stream_is_pulled_over_rtmp() {
    pulled_over("rtmp");
}

#[test]
fn a_stream_is_pulled_over_websocket() {
    pulled_over("ws");
}

#[test]
fn a_stream_is_pulled_over_webrtc() {
    pulled_over("webrtc");
}

/// The edge knows two origins. The first one dies with its nginx, and the encoder publishes to the second one.
#[test]
fn a_stream_is_pulled_from_the_next_origin_over_rtmp() {
    next_origin("rtmp");
}

#[test]
fn a_stream_is_pulled_from_the_next_origin_over_websocket() {
    next_origin("ws");
}

fn next_origin(transport: &str) {
    let at_origins = [nginx(), nginx()];
    let [mut first, second] = at_origins.each_ref().map(|nginx| Sidecar::start(nginx, ORIGIN));
    let publish = |nth: usize| Publisher::to(at_origins[nth].rtmp(), "live/show").start().started();
    let at_first = publish(0);
    first.wait_log("stream is live stream=\"live/show\"");
    let at_edge = nginx_of_edge();
    let edge = Sidecar::start(
        &at_edge,
        &format!(
            "[web]\n[cluster]\nsecret_file = \"@DIR@/cluster.secret\"\n[edge]\n\
             origin = [\"http://127.0.0.1:{}\", \"http://127.0.0.1:{}\"]\naddress = \"http://127.0.0.1:1\"\nbandwidth = \"1g\"\n\
             rtmp = [\"rtmp://127.0.0.1:{}\", \"rtmp://127.0.0.1:{}\"]\nlinger = \"2s\"\ntransport = \"{transport}\"\n",
            first.web(),
            second.web(),
            at_origins[0].rtmp(),
            at_origins[1].rtmp()
        ),
    );
    let watch = || WebSocket::connect(edge.web(), "/stream/live/show/ws", &[]).ok();
    let media = |viewer: &mut WebSocket| while !matches!(viewer.receive(), Some(Message::Binary(_))) {};
    let mut viewer = until("the stream is known at the edge", 6.0, watch);
    media(&mut viewer);
    let pulled = |server: u16| format!("origin: rtmp://127.0.0.1:{server}");
    if transport == "rtmp" {
        edge.wait_log(&pulled(at_origins[0].rtmp()));
    }

    drop(viewer);
    first.kill();
    drop(at_first);
    let begin = Instant::now();
    let _at_second = publish(1);
    // The edge learns of the stream and of the dead origin with its next renewals.
    let mut viewer = until("the stream comes from the second origin", 20.0, || {
        let mut viewer = watch()?;
        matches!(viewer.receive(), Some(Message::Text(_) | Message::Binary(_))).then_some(viewer)
    });
    media(&mut viewer);
    took(&format!("{transport}: from the end of an origin to media of the next one"), begin, 12.0);
    if transport == "rtmp" {
        edge.wait_log(&pulled(at_origins[1].rtmp()));
    }
    first.start_again();
}

/// An origin with two streams, and an edge that pulls from it.
struct Hop {
    _publishers: [Publisher; 2],
    /// When the daemon of the edge was started.
    began: Instant,
    edge: Sidecar,
    at_edge: Nginx,
    _origin: Sidecar,
    at_origin: Nginx,
    _port: Port,
}

impl Hop {
    fn start(transport: &str) -> Self {
        let (at_origin, port) = (nginx(), Port::reserve());
        let webrtc = format!("[webrtc]\nlisten = \"127.0.0.1:{}\"\n", port.number());
        let origin = Sidecar::start(&at_origin, &format!("{ORIGIN}{webrtc}"));
        let at_edge = nginx_of_edge();
        let publish = |name: &str| Publisher::to(at_origin.rtmp(), &format!("live/{name}")).start().started();
        let publishers = [publish("show"), publish("other")];
        for name in ["show", "other"] {
            origin.wait_log(&format!("stream is live stream=\"live/{name}\""));
        }
        let began = Instant::now();
        let edge = Sidecar::start(
            &at_edge,
            &format!(
                "[web]\n[cluster]\nsecret_file = \"@DIR@/cluster.secret\"\n[edge]\norigin = \"http://127.0.0.1:{}\"\n\
                 address = \"http://127.0.0.1:1\"\nbandwidth = \"1g\"\nrtmp = \"rtmp://127.0.0.1:{}\"\nlinger = \"2s\"\ntransport = \"{transport}\"\n",
                origin.web(),
                at_origin.rtmp()
            ),
        );
        Self { _publishers: publishers, began, edge, at_edge, _origin: origin, at_origin, _port: port }
    }
}

fn pulled_over(transport: &str) {
    let hop = Hop::start(transport);
    let Hop { edge, at_edge, .. } = &hop;
    let live = |name: &str| at_edge.api().get(&format!("/v1/streams/live/{name}")).status == 200;
    // The origin reports its streams when the edge renews.
    let mut begin = Instant::now();
    let mut viewer = until("the stream is known at the edge", 6.0, || {
        begin = Instant::now();
        WebSocket::connect(edge.web(), "/stream/live/show/ws", &[]).ok()
    });
    while !matches!(viewer.receive(), Some(Message::Binary(_))) {}
    took(&format!("{transport}: the first media"), begin, 2.0);
    took(&format!("{transport}: from the start of the edge to its first viewer"), hop.began, 2.0);
    assert!(live("show") && !live("other"), "only what is watched is pulled");

    // A player over RTMP waits for the stream.
    let begin = Instant::now();
    let player = Player::start(at_edge.rtmp(), "live/other");
    player.wait_video(1);
    took(&format!("{transport}: a player of RTMP"), begin, 3.0);
    // The edge does not request a stream that the origin does not have.
    assert!(WebSocket::connect(edge.web(), "/stream/live/none/ws", &[]).is_err());
    drop(player);
    until("it ends after its last viewer", 8.0, || !live("other"));
    assert!(live("show"), "somebody watches it");
    drop(viewer);
    until("so does the first", 25.0, || !live("show"));
}
