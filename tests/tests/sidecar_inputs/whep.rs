//! The daemon gets a stream that a server offers by WHEP over WebRTC, and publishes it with the video unchanged and the audio as AAC: from
//! another Weir node, which counts a viewer and notifies the daemon of the end, and from a server that is not a Weir node (aiortc). A loop
//! is refused. If the far end lies, redirects elsewhere, is slow or never ends its handshake, the daemon names the fault and gives up.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use weir_tests::harness::nginx::Config;
use weir_tests::harness::ports::Port;
use weir_tests::harness::websocket::Message;
use weir_tests::harness::{Nginx, Publisher, Sidecar, WebSocket, products, until, until_ok};

use super::{INPUT, SECRET, input, keyed};

const WS: &str = "/stream/live/show/ws";
const WHEP: &str = "/stream/live/show/whep";

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

fn webrtc(port: &Port) -> String {
    format!("[web]\nplay = \"token\"\n[webrtc]\nlisten = \"127.0.0.1:{}\"\n", port.number())
}

fn viewers(nginx: &Nginx) -> Value {
    nginx.api().stream("live", "show").map_or(Value::Null, |stream| stream["viewers"]["webrtc"].clone())
}

fn codecs(nginx: &Nginx) -> Option<(Value, Value)> {
    let stream = nginx.api().stream("live", "show")?;
    Some((stream["video"]["codec"].clone(), stream["audio"]["codec"].clone()))
}

#[track_caller]
fn wait_codecs(nginx: &Nginx, sidecar: &Sidecar) {
    let both = until_ok(30.0, || codecs(nginx).filter(|codecs| *codecs == (json!("H264"), json!("AAC"))));
    assert!(both.is_some(), "{:?} {:?}\n{}", codecs(nginx), sidecar.jobs(), sidecar.log());
}

#[test]
fn a_stream_of_another_node_comes_over_webrtc_and_both_ends_hear_of_its_end() {
    let (a, b, port) = (ingest().start(), keyed().start(), Port::reserve());
    let origin = Sidecar::start(&a, &webrtc(&port));
    let publisher = publish(&a);
    let url = format!("whep+http://127.0.0.1:{}", origin.web());
    let edge = Sidecar::start(&b, &input(&url, "start = \"on-demand\"\n[web]\n"));
    // The first viewer starts the input; the origin accepts the token that was minted for it.
    let viewer = until_ok(30.0, || WebSocket::connect(edge.web(), WS, &[]).ok());
    let Some(mut viewer) = viewer else { panic!("{:?}\n{}\n{}", edge.jobs(), edge.log(), origin.log()) };
    until("pictures come", 10.0, || matches!(viewer.receive(), Some(Message::Binary(_))));
    wait_codecs(&b, &edge);
    let job = edge.find(INPUT).unwrap();
    assert_eq!(
        [&job["state"], &job["renditions"][0], &job["ready"]],
        [&json!("running"), &json!("whep"), &json!(true)]
    );
    assert_eq!((job["pid"].is_null(), edge.told("input.started")["input"].clone()), (true, json!("whep")));
    let sound = edge.find("live/show/aac").unwrap();
    assert!(edge.ffmpegs().len() == 1 && sound["pid"].is_u64(), "{sound}");
    until("the origin counts a viewer", 15.0, || viewers(&a) == 1);

    // The publisher is lost, and returns.
    publisher.kill();
    until("that is told", 30.0, || {
        edge.find(INPUT)
            .is_some_and(|job| job["last_error"].as_str().is_some_and(|why| why.contains("no media from")))
    });
    let _publisher = publish(&a);
    until("it is live again", 40.0, || codecs(&b).is_some());
    until("pictures come", 20.0, || matches!(viewer.receive(), Some(Message::Binary(_))));

    // The input ends with the last viewer, and the origin learns of it immediately.
    until("the origin counts a viewer", 15.0, || viewers(&a) == 1);
    drop(viewer);
    until("nobody watches", 40.0, || edge.find(INPUT).is_none());
    until("the origin has no viewer", 8.0, || viewers(&a) == 0);
    until("the ffmpeg is gone", 5.0, || edge.ffmpegs().is_empty());
    assert!(!edge.log().contains("eyJ") && !origin.log().contains("eyJ"), "a token is in the log");
}

#[test]
fn a_loop_over_webrtc_is_refused_and_named() {
    let (a, b, ports) = (ingest().start(), keyed().start(), [Port::reserve(), Port::reserve()]);
    let first = Sidecar::start(&a, &webrtc(&ports[0]));
    let at = |sidecar: &Sidecar| format!("whep+http://127.0.0.1:{}{WHEP}", sidecar.web());
    let second = Sidecar::start(&b, &input(&at(&first), &webrtc(&ports[1])));
    let _publisher = publish(&a);
    until("the second node relays it", 30.0, || b.api().stream("live", "show").is_some());
    let back = input(&at(&second), &webrtc(&ports[0]));
    first.reload(&back.replace("@DIR@", &a.folder().to_string_lossy()));
    let error = "loop: the stream comes from this node; take it from the node that has the publisher";
    let refused = until_ok(20.0, || first.find(INPUT).is_some_and(|job| job["last_error"] == error));
    assert!(refused.is_some(), "{:?}\n{}", first.jobs(), first.log());
}

/// A server that is not a Weir node; killed when dropped.
struct Foreign {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Foreign {
    fn start(port: u16) -> Self {
        let python = products::workspace().join("build/webrtc-client/bin/python");
        let mut child = Command::new(products::tool(&python.to_string_lossy()))
            .arg(products::workspace().join("tests/webrtc/client.py"))
            .args(["serve", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// Returns the next line of the server.
    #[track_caller]
    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("the server has ended: {line:?}"))
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_that_is_no_weir_node_is_taken_too() {
    let (nginx, port) = (keyed().start(), Port::reserve());
    let mut server = Foreign::start(port.number());
    assert_eq!(server.next(), json!({ "serving": true }));
    let url = format!("whep+http://127.0.0.1:{}/any/path?who=me&token=a.secret.token", port.number());
    let sidecar = Sidecar::start(&nginx, &input(&url, ""));
    let begun = server.next();
    assert_eq!(
        [&begun["path"], &begun["token"], &begun["type"]],
        [&json!("/any/path?who=me"), &json!("Bearer a.secret.token"), &json!("application/sdp")]
    );
    wait_codecs(&nginx, &sidecar);
    let stream = nginx.api().stream("live", "show").unwrap();
    assert_eq!((&stream["video"]["width"], &stream["video"]["height"]), (&json!(640), &json!(480)));
    // The server gets the end of the session.
    sidecar.reload("[web]\n");
    assert_eq!(server.next(), json!({ "deleted": "/session/1", "token": "Bearer a.secret.token" }));
    assert!(!sidecar.log().contains("secret.token"), "{}", sidecar.log());
}

/// A far end with the fault that the path selects.
const LIAR: &str = r#"
import socket, sys, threading, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
deaf = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
deaf.bind(("127.0.0.1", 0))
def say(peer, status, headers, body=b""):
    peer.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Type: application/sdp\r\n" + headers + b"\r\n" + body)
def serve(peer):
    head = b""
    while b"\r\n\r\n" not in head:
        head += peer.recv(4096)
    head, offer = head.split(b"\r\n\r\n", 1)
    what = head.split(b" ")[1].decode().strip("/")
    length = [int(l.split(b":")[1]) for l in head.split(b"\r\n") if l.lower().startswith(b"content-length")][0]
    while len(offer) < length:
        offer += peer.recv(4096)
    if what == "redirect":
        say(peer, b"307 Temporary Redirect", b"Location: http://127.0.0.1:1/\r\nContent-Length: 0\r\n")
    if what == "html":
        say(peer, b"200 OK", b"Content-Length: 5\r\n", b"hello")
    if what == "garbage":
        say(peer, b"201 Created", b"Location: x\r\nContent-Length: 5\r\n", b"hello")
    if what == "slow":
        say(peer, b"201 Created", b"Location: x\r\nContent-Length: 50\r\n", b"v=0")
    if what == "huge":
        say(peer, b"201 Created", b"Location: http://127.0.0.1:1/\r\n")
        try:
            while True:
                peer.sendall(b"v=0\r\n" + b"a=x\r\n" * 10000)
        except OSError:
            return
    answer = offer.replace(b"a=recvonly", b"a=sendonly").replace(b"a=setup:actpass", b"a=setup:passive")
    if what == "candidates":
        answer += b"a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n" * 100
        say(peer, b"201 Created", b"Content-Length: " + str(len(answer)).encode() + b"\r\n", answer)
    if what == "deaf":
        lines = [l for l in answer.split(b"\r\n") if not l.startswith(b"a=candidate") and l]
        lines = [b"a=ice-ufrag:else" if l.startswith(b"a=ice-ufrag") else l for l in lines]
        lines.append(b"a=candidate:1 1 udp 1 127.0.0.1 %d typ host" % deaf.getsockname()[1])
        answer = b"\r\n".join(lines) + b"\r\n"
        say(peer, b"201 Created", b"Content-Length: " + str(len(answer)).encode() + b"\r\n", answer)
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
    let (nginx, port) = (keyed().start(), Port::reserve());
    let at = port.number();
    let python = Command::new("python3").args(["-c", LIAR, &at.to_string()]).stdin(Stdio::null()).spawn();
    let _liar = Liar(python.unwrap());
    let host = format!("127.0.0.1:{at}");
    let expected = [
        ("redirect", format!("307 from {host}: it leads to another address: write that one in url")),
        ("html", format!("200 from {host}: it does not speak WHEP: check url")),
        ("garbage", format!("{host}: the answer is no SDP: it does not begin with v=0")),
        ("huge", format!("{host}: the answer is longer than 65536 bytes")),
        ("candidates", format!("{host}: the answer has more than 64 ICE candidates")),
        ("slow", format!("cannot connect to {host}: no answer for 20 s")),
        (
            "deaf",
            format!(
                "no WebRTC connection to {host} within 15 s: check that its UDP port can be reached, and [webrtc] \
                 addresses there"
            ),
        ),
    ];
    let mut config = "[jobs]\nbackoff_max = \"1s\"\n".to_owned();
    for (name, _) in &expected {
        config.push_str(&format!(
            "[[input]]\napp = \"live\"\nstream = \"{name}\"\nurl = \"whep+http://{host}/{name}?token=a.secret.token\"\n\
             secret_file = \"@DIR@/secret\"\n"
        ));
    }
    let sidecar = Sidecar::start(&nginx, &config);
    for (name, error) in &expected {
        let id = format!("live/{name}/input");
        let said = until_ok(40.0, || sidecar.find(&id).is_some_and(|job| job["last_error"] == **error));
        assert!(said.is_some(), "{error}: {:?}\n{}", sidecar.find(&id), sidecar.log());
    }
    assert!(nginx.api().streams().is_empty() && !sidecar.log().contains("secret.token"), "{}", sidecar.log());
}
