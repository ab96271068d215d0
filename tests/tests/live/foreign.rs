//! A WebRTC client that is not a browser (aiortc) plays and publishes. A client that loses a frame gets a keyframe before the publisher's
//! next one. The ffmpegs of both directions are jobs and count as such. The daemon frees a handshake that never ends, and a front end that
//! never reads.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::spawn;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_tests::harness::ports::Port;
use weir_tests::harness::websocket::Message;
use weir_tests::harness::{Ffmpeg, Nginx, Sidecar, products, until, until_ok};

use super::{open, publish, request, watch, whep};

/// The client process; killed when dropped.
pub(super) struct Client {
    child: Child,
    lines: Receiver<String>,
}

impl Client {
    pub(super) fn start(arguments: &[&str]) -> Self {
        Self::at("127.0.0.1", arguments)
    }

    /// Starts a client that has this address.
    pub(super) fn at(host: &str, arguments: &[&str]) -> Self {
        let python = products::workspace().join("build/webrtc-client/bin/python");
        let mut child = Command::new(products::tool(&python.to_string_lossy()))
            .arg(products::workspace().join("tests/webrtc/client.py"))
            .args(arguments)
            .env("HOST", host)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| to.send(line)));
        Self { child, lines }
    }

    /// Returns the next line of the client, within two minutes.
    #[track_caller]
    pub(super) fn next(&mut self) -> Value {
        self.within(120.0).expect("the client has ended, or says nothing")
    }

    /// Returns the next line of the client, if it comes within `seconds`.
    pub(super) fn within(&mut self, seconds: f64) -> Option<Value> {
        let line = self.lines.recv_timeout(Duration::from_secs_f64(seconds)).ok()?;
        Some(serde_json::from_str(&line).unwrap())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(port: &Port, most: u32) -> String {
    let at = port.number();
    format!("[web]\n[webrtc]\nlisten = \"127.0.0.1:{at}\"\n[jobs]\nmax_processes = {most}\n")
}

/// Returns the status for an offer, and ends a session that the offer has started, because the sessions per address are limited.
fn offered(sidecar: &Sidecar) -> u16 {
    let answer = request(sidecar.web(), "POST", "/stream/live/show/whep", &[whep::SDP], &whep::offer());
    if let Some(place) = answer.header("location") {
        let place = format!("/stream/live/show/{place}");
        assert_eq!(request(sidecar.web(), "DELETE", &place, &[], "").status, 200);
    }
    answer.status
}

fn url(sidecar: &Sidecar, what: &str) -> String {
    format!("http://127.0.0.1:{}/stream/live/show/{what}", sidecar.web())
}

fn codecs(nginx: &Nginx) -> Option<(Value, Value)> {
    let stream = nginx.api().stream("live", "show")?;
    Some((stream["video"]["codec"].clone(), stream["audio"]["codec"].clone()))
}

#[test]
fn aiortc_publishes_and_plays_and_its_ffmpegs_are_jobs() {
    let (nginx, port) = (open().start(), Port::reserve());
    let sidecar = Sidecar::start(&nginx, &config(&port, 1));
    let mut publisher = Client::start(&["publish", &url(&sidecar, "whip"), "90", ""]);
    assert_eq!(publisher.next(), json!({ "publishing": true }));
    let live = until_ok(30.0, || codecs(&nginx).filter(|codecs| *codecs == (json!("H264"), json!("AAC"))));
    assert!(live.is_some(), "{:?}\n{}", codecs(&nginx), sidecar.log());
    let job = sidecar.find("live/show/aac").unwrap();
    assert_eq!(
        [&job["state"], &job["renditions"][0], &job["ready"]],
        [&json!("running"), &json!("aac"), &json!(true)]
    );
    assert!(sidecar.ffmpegs().iter().any(|ffmpeg| job["pid"] == ffmpeg.0), "{job}");

    // The limit still allows one more process.
    let mut player = Client::start(&["play", &url(&sidecar, "whep"), "16"]);
    assert_eq!(player.next(), json!({ "playing": true }));
    let waits = || {
        sidecar
            .find("live/show/opus")
            .is_some_and(|job| job["last_error"] == "waits: max_processes = 1 are running")
    };
    until("the sound waits", 10.0, waits);
    assert_eq!(sidecar.ffmpegs().len(), 1);
    sidecar.reload(&config(&port, 8));
    until("the sound begins", 20.0, || {
        sidecar.find("live/show/opus").is_some_and(|job| job["ready"] == true)
    });
    let played = player.next();
    assert_eq!((&played["size"], &played["ended"]), (&json!([640, 480]), &json!(200)), "{played}");
    assert!(played["video"].as_u64().unwrap() > 100 && played["audio"].as_u64().unwrap() > 100, "{played}");
    until("the job ends with its last viewer", 20.0, || sidecar.find("live/show/opus").is_none());

    let (status, _, errors) = sidecar.job(&["restart", "live/show/aac"]);
    assert_eq!(status, 0, "{errors}");
    until("another ffmpeg makes AAC", 20.0, || {
        sidecar.find("live/show/aac").is_some_and(|now| now["pid"].is_u64() && now["pid"] != job["pid"])
    });
    drop(publisher);
    until("the job ends with its publisher", 30.0, || sidecar.find("live/show/aac").is_none());
}

#[test]
fn a_viewer_that_lost_a_picture_gets_a_keyframe_at_once() {
    let (nginx, port) = (open().start(), Port::reserve());
    let sidecar = Sidecar::start(&nginx, &config(&port, 8));
    // The publisher sends one keyframe per 10 s.
    let url_of_nginx = format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp());
    let _publisher = Ffmpeg::publish_with_key_frames(&url_of_nginx, 200);
    // Until the first keyframe, a viewer gets audio only.
    let mut viewer = watch(&sidecar, "show");
    until("there are pictures", 20.0, || match viewer.receive() {
        Some(Message::Text(text)) => text.contains("\"video\":true"),
        _ => false,
    });
    let mut player = Client::start(&["play", &url(&sidecar, "whep"), "6"]);
    assert_eq!(player.next(), json!({ "playing": true }));
    let played = player.next();
    // In the 3 s that follow, the publisher may also send a keyframe itself.
    assert!(played["keys_after"].as_u64().unwrap() >= 1, "{played}");
    assert!(played["video"].as_u64().unwrap() > 60, "{played}");
}

#[test]
fn who_never_ends_a_handshake_or_never_reads_is_freed_and_a_session_belongs_to_its_stream() {
    let (nginx, port) = (open().start(), Port::reserve());
    let sidecar = Sidecar::start(&nginx, &config(&port, 8));
    let _publisher = publish(&nginx, "show");
    until("it is live", 20.0, || codecs(&nginx));
    // The daemon learns of the stream later than nginx.
    until("a session may begin", 20.0, || offered(&sidecar) == 201);
    // This front end reads nothing after the answer to its request.
    let mut silent = TcpStream::connect(("127.0.0.1", sidecar.web())).unwrap();
    let head = "GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n";
    silent.write_all(head.as_bytes()).unwrap();
    let join = br#"{"type":"join","app":"live","stream":"show"}"#;
    silent.write_all(&[&[0x81, 0x80 | join.len() as u8, 0, 0, 0, 0][..], join].concat()).unwrap();
    let began = Instant::now();

    let mut client = Client::start(&["handshake", &url(&sidecar, "whep"), "25"]);
    // The answer is a success of STUN binding, so the password was correct.
    assert_eq!(client.next(), json!({ "answered": "0101" }));

    let session = until("a session begins", 10.0, || {
        let answer = request(sidecar.web(), "POST", "/stream/live/show/whep", &[whep::SDP], &whep::offer());
        (answer.status == 201).then(|| answer.header("location").unwrap().to_owned())
    });
    let id = session.rsplit('/').next().unwrap();
    let end = |name: &str| {
        request(sidecar.web(), "DELETE", &format!("/stream/live/{name}/whep/{id}"), &[], "").status
    };
    assert_eq!([end("other"), end("show")], [404, 200]);

    assert_eq!(client.next(), json!({ "status": 404 }));
    // The front end answers no pings, because it reads none.
    std::thread::sleep(Duration::from_secs(53).saturating_sub(began.elapsed()));
    silent.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut all = Vec::new();
    silent.read_to_end(&mut all).expect("the daemon has closed it");
    assert!(all.len() < 20_000);
}

#[test]
fn a_stream_that_webrtc_cannot_carry_is_told_of_and_encoded_where_that_is_set() {
    let (nginx, port) = (open().start(), Port::reserve());
    let sidecar = Sidecar::start(&nginx, &config(&port, 8));
    let _publisher = Ffmpeg::publish_with_b_frames(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    until("it is live", 20.0, || codecs(&nginx));
    until("it is refused", 20.0, || offered(&sidecar) == 409);
    let told = sidecar.told("webrtc.unsuitable");
    assert_eq!((&told["app"], &told["name"]), (&json!("live"), &json!("show")));
    assert!(told["reason"].as_str().unwrap().contains("B-frames"), "{told}");

    sidecar.reload(&config(&port, 8).replace("[webrtc]\n", "[webrtc]\ntranscode = true\n"));
    until("it is taken", 10.0, || offered(&sidecar) == 201);
    let mut player = Client::start(&["play", &url(&sidecar, "whep"), "10"]);
    assert_eq!(player.next(), json!({ "playing": true }));
    let job = sidecar.find("live/show/webrtc").unwrap();
    assert_eq!((&job["state"], &job["ready"]), (&json!("running"), &json!(true)), "{job}");
    until("the viewer is counted", 15.0, || {
        nginx.api().stream("live", "show").is_some_and(|stream| stream["viewers"]["webrtc"] == 1)
    });
    let played = player.next();
    assert!(played["video"].as_u64().unwrap() > 60 && played["audio"].as_u64().unwrap() > 100, "{played}");
    assert_eq!(played["size"], json!([160, 90]), "{played}");
    until("the encoder ends with its last viewer", 30.0, || sidecar.find("live/show/webrtc").is_none());
    assert!(sidecar.ffmpegs().is_empty());
}
