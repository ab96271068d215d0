//! The daemon gets a stream of another Weir node over its WebSocket and publishes it, also over a chain of three nodes: without ffmpeg,
//! without the delay of a frame, and viewers are notified of an end and a return. A loop is refused, and faults of the far end are named.

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use weir_tests::harness::media::Enhanced;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::ports::Port;
use weir_tests::harness::websocket::Message;
use weir_tests::harness::{Nginx, Publisher, Sidecar, WebSocket, until, until_ok};

use super::{INPUT, SECRET, input, keyed, restarts};

const PATH: &str = "/stream/live/show/ws";

fn ingest() -> Config {
    Config::weir()
        .main("weir_secret @DIR@/secret;")
        .file("secret", SECRET)
        .with_api()
        .app("live", "weir_publish open;")
}

fn publish(nginx: &Nginx) -> Publisher {
    Publisher::to(nginx.rtmp(), "live/show").start().started()
}

/// Returns the type of a JSON event.
fn event(message: &Message) -> Option<String> {
    let Message::Text(text) = message else { return None };
    serde_json::from_str::<serde_json::Value>(text).unwrap()["type"].as_str().map(str::to_owned)
}

/// Returns the first bytes of each fragment's frame, and the time of its arrival.
fn pictures(mut viewer: WebSocket) -> HashMap<Vec<u8>, Instant> {
    let (end, mut seen) = (Instant::now() + std::time::Duration::from_secs(4), HashMap::new());
    while Instant::now() < end {
        let Some(Message::Binary(bytes)) = viewer.receive() else { continue };
        if let Some(at) = bytes.windows(4).position(|four| four == b"mdat") {
            seen.insert(bytes[at..].iter().take(200).copied().collect(), Instant::now());
        }
    }
    seen
}

#[test]
fn three_nodes_are_a_chain_from_the_first_viewer_to_the_last() {
    let (a, b, c) = (ingest().start(), keyed().start(), keyed().start());
    let ingress = Sidecar::start(&a, "[web]\nplay = \"token\"\n");
    let publisher = publish(&a);
    let config = |url: String| input(&url, "start = \"on-demand\"\n[web]\n");
    let middle = Sidecar::start(&b, &config(format!("weir+ws://127.0.0.1:{}{PATH}", ingress.web())));
    let edge = Sidecar::start(&c, &config(format!("weir+ws://127.0.0.1:{}", middle.web())));
    assert!(edge.find(INPUT).is_none() && middle.find(INPUT).is_none());
    // The first viewer starts the whole chain; the ingress accepts the token that was minted for it.
    let viewer = until_ok(30.0, || WebSocket::connect(edge.web(), PATH, &[]).ok());
    let Some(mut viewer) = viewer else { panic!("{}\n{}", edge.log(), middle.log()) };
    until("pictures come", 10.0, || matches!(viewer.receive(), Some(Message::Binary(_))));
    let job = edge.find(INPUT).unwrap();
    assert_eq!([&job["state"], &job["renditions"][0]], ["running", "weir"]);
    assert_eq!((job["pid"].is_null(), job["ready"].as_bool()), (true, Some(true)), "{job}");
    assert!(edge.ffmpegs().is_empty() && middle.ffmpegs().is_empty());
    assert_eq!(edge.told("input.started")["input"], "weir");

    // No node holds a frame back until the next frame arrives.
    let near = WebSocket::connect(middle.web(), PATH, &[]).unwrap();
    let far = WebSocket::connect(edge.web(), PATH, &[]).unwrap();
    let (near, far) = (std::thread::spawn(|| pictures(near)), std::thread::spawn(|| pictures(far)));
    let (near, far) = (near.join().unwrap(), far.join().unwrap());
    let mut delays: Vec<f64> = far
        .iter()
        .filter_map(|(picture, at)| Some(at.saturating_duration_since(*near.get(picture)?).as_secs_f64()))
        .collect();
    delays.sort_by(f64::total_cmp);
    assert!(delays.len() > 20 && delays[delays.len() / 2] < 0.05, "{delays:?}");

    // The publisher is lost and returns: at the end of the chain, the same connection continues.
    publisher.kill();
    until("the end is told", 20.0, || {
        viewer.receive().is_some_and(|message| event(&message).as_deref() == Some("ended"))
    });
    let _publisher = publish(&a);
    let returned = until_ok(30.0, || {
        viewer.receive().and_then(|message| event(&message)).filter(|kind| kind == "discontinuity")
    });
    assert!(returned.is_some(), "{}\n{}", edge.log(), middle.log());
    until("pictures come", 10.0, || matches!(viewer.receive(), Some(Message::Binary(_))));

    // The whole chain ends with the last viewer.
    drop(viewer);
    until("nobody watches", 40.0, || edge.find(INPUT).is_none() && middle.find(INPUT).is_none());
    assert_eq!(edge.told("input.ended")["app"], "live");
    assert!(!edge.log().contains("eyJ") && !middle.log().contains("eyJ"), "a token is in the log");
}

#[test]
fn a_loop_is_refused_and_named() {
    let (a, b) = (ingest().start(), keyed().start());
    let first = Sidecar::start(&a, "[web]\n");
    let second = Sidecar::start(&b, &input(&format!("weir+ws://127.0.0.1:{}", first.web()), "[web]\n"));
    let _publisher = publish(&a);
    until("the second node relays it", 20.0, || b.api().stream("live", "show").is_some());
    let back = input(&format!("weir+ws://127.0.0.1:{}", second.web()), "[web]\n");
    first.reload(&back.replace("@DIR@", &a.folder().to_string_lossy()));
    let error = "loop: the stream comes from this node; take it from the node that has the publisher";
    let refused = until_ok(20.0, || first.find(INPUT).is_some_and(|job| job["last_error"] == error));
    assert!(refused.is_some(), "{:?}\n{}", first.jobs(), first.log());
    first.wait_log(&format!("input failed: {error}"));
}

#[test]
fn nodes_that_name_each_other_do_not_keep_each_other_awake() {
    let (a, b) = (ingest().start(), keyed().start());
    let config = |sidecar: &Sidecar| {
        input(&format!("weir+ws://127.0.0.1:{}", sidecar.web()), "start = \"on-demand\"\n[web]\n")
    };
    let first = Sidecar::start(&a, "[web]\n");
    let second = Sidecar::start(&b, &config(&first));
    first.reload(&config(&second).replace("@DIR@", &a.folder().to_string_lossy()));
    // There is no publisher. The first requests may come before the node knows its input.
    until("a request comes back", 60.0, || {
        assert_eq!(WebSocket::connect(first.web(), PATH, &[]).map(|_| ()).unwrap_err().0, 404);
        second.log().contains("input failed: 409 from")
    });
    until("both are asleep", 60.0, || first.find(INPUT).is_none() && second.find(INPUT).is_none());
}

/// A far end with the fault that the name of the stream selects.
const LIAR: &str = r#"
import base64, hashlib, socket, struct, sys, threading, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
def frame(kind, data, length=None):
    return bytes([0x80 | kind, 127]) + struct.pack(">Q", length or len(data)) + data
def serve(peer):
    head = b""
    while b"\r\n\r\n" not in head:
        head += peer.recv(4096)
    what = head.split(b"/")[2].decode()
    key = [l.split(b": ")[1] for l in head.split(b"\r\n") if l.lower().startswith(b"sec-websocket-key")][0]
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
    if what == "html":
        peer.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\nhello")
    if what == "accept":
        accept = "x"
    if what != "html":
        peer.sendall(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: " + accept + "\r\n\r\n").encode())
    if what == "garbage":
        peer.sendall(frame(2, b"garbage" * 10))
    if what == "boxes":
        peer.sendall(frame(1, b'{"type":"init"}') + frame(2, b"\0\0\0\x10ftypxxxxxxxx\0\0\0\x08moov"))
    if what == "huge":
        peer.sendall(frame(2, b"x" * 100, 1 << 30))
    time.sleep(60)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"#;

struct Liar(Child);

impl Drop for Liar {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_a_far_end_does_wrong_is_named_and_ends() {
    let (nginx, port, nobody) = (keyed().start(), Port::reserve(), Port::reserve());
    let at = port.number();
    let python = Command::new("python3").args(["-c", LIAR, &at.to_string()]).stdin(Stdio::null()).spawn();
    let _liar = Liar(python.unwrap());
    let mut config = "[jobs]\nbackoff_max = \"1s\"\n".to_owned();
    let expected = [
        ("html", format!("502 from 127.0.0.1:{at}: see the log of the other node")),
        ("accept", format!("connection to 127.0.0.1:{at} lost: it does not speak WebSocket")),
        ("garbage", format!("127.0.0.1:{at} sends no initialization segment")),
        (
            "boxes",
            format!("127.0.0.1:{at} sends what is no media: an initialization segment without a track"),
        ),
        ("huge", format!("connection to 127.0.0.1:{at} lost: a message has more than 8 MiB")),
        ("silent", format!("no media from 127.0.0.1:{at} for 10 s")),
        (
            "nobody",
            format!("cannot connect to 127.0.0.1:{}: Connection refused (os error 111)", nobody.number()),
        ),
    ];
    for (name, _) in &expected {
        let at = if *name == "nobody" { nobody.number() } else { at };
        config.push_str(&format!(
            "[[input]]\napp = \"live\"\nstream = \"{name}\"\nurl = \"weir+ws://127.0.0.1:{at}/stream/{name}/x/ws?token=a.secret.token\"\n\
             secret_file = \"@DIR@/secret\"\n"
        ));
    }
    let sidecar = Sidecar::start(&nginx, &config);
    for (name, error) in &expected {
        let id = format!("live/{name}/input");
        let said = until_ok(30.0, || sidecar.find(&id).is_some_and(|job| job["last_error"] == **error));
        assert!(said.is_some(), "{error}: {:?}\n{}", sidecar.find(&id), sidecar.log());
    }
    assert!(nginx.api().streams().is_empty() && !sidecar.log().contains("secret.token"), "{}", sidecar.log());
}

#[test]
fn hevc_and_av1_pass_through_a_chain() {
    for (codec, name, shown) in [(Enhanced::Hevc, "HEVC", "hvc1."), (Enhanced::Av1, "AV1", "av01.")] {
        let (a, b) = (ingest().start(), keyed().start());
        let ingress = Sidecar::start(&a, "[web]\n");
        let other = codec.pictures();
        let edit = move |tag| Some(other.replace(tag));
        let _publisher = Publisher::to(a.rtmp(), "live/show").edited(edit).start().started();
        let edge = Sidecar::start(&b, &input(&format!("weir+ws://127.0.0.1:{}", ingress.web()), "[web]\n"));
        let is_live = || b.api().stream("live", "show").filter(|stream| stream["video"]["codec"] == name);
        let live = until_ok(30.0, is_live);
        assert!(live.is_some(), "{name}: {:?}\n{:?}\n{}", b.api().streams(), edge.jobs(), edge.log());
        // The first tries may come before the other node has heard of the stream.
        let tries = restarts(&edge);
        let viewer = until_ok(20.0, || WebSocket::connect(edge.web(), PATH, &[]).ok());
        let mut viewer = viewer.unwrap_or_else(|| panic!("{}", edge.log()));
        until(
            "the codec is named",
            10.0,
            || matches!(viewer.receive(), Some(Message::Text(text)) if text.contains(shown)),
        );
        let seen = pictures(viewer).len();
        assert!(seen > 30, "{name}: {}", edge.log());
        assert_eq!(restarts(&edge), tries, "{name}: {}", edge.log());
    }
}
