//! `/stream/APP/NAME/whep`: Chromium plays video and audio over WebRTC, is counted, and is disconnected when its token ends. An invalid
//! offer, an offer above a limit, and a request for the session of another client are refused as RFC 9725 says, and free everything. A
//! stream with B-frames is refused with a reason, and the player uses another protocol.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;
use weir_model::Timestamp;
use weir_model::token::{Action, Claims, Signer};
use weir_tests::harness::browser::Browser;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Ffmpeg, Nginx, Sidecar, until};

use super::{Answer, SECRET, open, publish, request};

const PATH: &str = "/stream/live/show/whep";
pub(super) const SDP: &str = "Content-Type: application/sdp";
const TRICKLE: &str = "Content-Type: application/trickle-ice-sdpfrag";

/// Returns an offer of a player that never connects.
pub(super) fn offer() -> String {
    let media = |kind: &str, mid: u8, codec: &str| {
        format!(
            "m={kind} 9 UDP/TLS/RTP/SAVPF 102\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdef01234567\r\n\
             a=fingerprint:sha-256 {}\r\na=setup:actpass\r\na=mid:{mid}\r\na=recvonly\r\na=rtcp-mux\r\na=rtpmap:102 {codec}\r\n",
            ["AB"; 32].join(":")
        )
    };
    let fmtp = "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n";
    format!(
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n{}{fmtp}",
        media("video", 0, "H264/90000")
    )
}

struct Setup {
    nginx: Nginx,
    sidecar: Sidecar,
    _port: Port,
}

fn setup(web: &str, webrtc: &str) -> Setup {
    let (nginx, port) = (open().start(), Port::reserve());
    let listen = format!("[webrtc]\nlisten = \"127.0.0.1:{}\"\n{webrtc}", port.number());
    let sidecar = Sidecar::start(&nginx, &format!("[web]\n{web}{listen}"));
    Setup { nginx, sidecar, _port: port }
}

impl Setup {
    fn post(&self, headers: &[&str], body: &str) -> Answer {
        request(self.sidecar.web(), "POST", PATH, headers, body)
    }

    #[track_caller]
    fn session(&self) -> Answer {
        until("a session begins", 10.0, || Some(self.post(&[SDP], &offer())).filter(|one| one.status == 201))
    }

    fn viewers(&self) -> i64 {
        let stream = self.nginx.api().get("/v1/streams/live/show").expect(200);
        stream["viewers"]["webrtc"].as_i64().unwrap()
    }

    fn publish_bars(&self) -> Ffmpeg {
        Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", self.nginx.rtmp()))
    }

    fn embed(&self, query: &str) -> String {
        format!("http://127.0.0.1:{}/embed/live/show{query}", self.sidecar.web())
    }
}

fn data(browser: &Browser, name: &str) -> String {
    browser.run(&format!("return document.body.dataset.{name} ?? ''")).as_str().unwrap().to_owned()
}

#[track_caller]
fn wait_playing(browser: &Browser, tech: &str) {
    until(&format!("it plays by {tech}"), 40.0, || {
        data(browser, "state") == "PLAYING" && data(browser, "tech") == tech
    });
    let time = || browser.run("return document.getElementById('video').currentTime").as_f64().unwrap();
    let begin = time();
    until("two seconds are played", 20.0, || time() > begin + 2.0);
}

#[test]
fn pictures_and_sound_play_in_chromium_and_viewers_share_one_encoder_and_are_counted() {
    let setup = setup("", "");
    let publisher = setup.publish_bars();
    let browsers = [Browser::start(), Browser::start()];
    for browser in &browsers {
        browser.open(&setup.embed(""));
        wait_playing(browser, "whep");
        browser.click("#unmute");
        browser.run(
            "const context = new AudioContext(); window.analyser = context.createAnalyser();
             context.createMediaStreamSource(document.getElementById('video').srcObject).connect(analyser);",
        );
        until("the tone is heard", 15.0, || {
            let loudest = "const samples = new Float32Array(2048); analyser.getFloatTimeDomainData(samples);
                           return Math.max(...samples)";
            browser.run(loudest).as_f64().unwrap() > 0.01
        });
        let video = "const v = document.getElementById('video'); return [v.videoWidth, v.videoHeight]";
        assert_eq!(browser.run(video), json!([160, 90]));
        assert_eq!(browser.console(), Vec::<String>::new());
    }
    until("both are counted", 20.0, || setup.viewers() == 2);
    let ffmpegs = setup.sidecar.ffmpegs();
    assert_eq!(ffmpegs.len(), 1, "{ffmpegs:?}");
    drop(publisher);
    until("the end is shown", 20.0, || data(&browsers[0], "state") == "STOPPED");
    let _publisher = setup.publish_bars();
    wait_playing(&browsers[0], "whep");
    drop(browsers);
    until("nobody is counted, and the encoder has ended", 40.0, || {
        setup.viewers() == 0 && setup.sidecar.ffmpegs().is_empty()
    });
}

#[test]
fn a_stream_with_b_frames_is_refused_in_clear_words_and_the_player_takes_another_way() {
    let setup = setup("", "");
    let _publisher =
        Ffmpeg::publish_with_b_frames(&format!("rtmp://127.0.0.1:{}/live/show", setup.nginx.rtmp()));
    let answer = until("the stream has B-frames", 20.0, || {
        Some(setup.post(&[SDP], &offer())).filter(|answer| answer.status == 409)
    });
    let error = answer.json()["error"].clone();
    assert_eq!(error["code"], "unsuitable");
    assert!(error["message"].as_str().unwrap().contains("B-frames"), "{error}");
    let browser = Browser::start();
    browser.open(&setup.embed("?tech=whep"));
    until("it is said", 20.0, || data(&browser, "state") == "FAILED");
    browser.open(&setup.embed(""));
    wait_playing(&browser, "ws");
}

#[test]
fn a_conflict_that_is_not_about_the_codec_is_tried_again() {
    let setup = setup("", "");
    // While a file is there, this proxy refuses sessions as a node does that gets its own request back.
    let proxy = open()
        .file("off", "")
        .http(&format!(
            "access_log @DIR@/asked.log;\nlocation / {{ set $whep $request_method$uri; if (-f @DIR@/off) {{ set $whep off$whep; }}\n\
             if ($whep ~ ^offPOST.*whep$) {{ return 409 '{{\"error\":{{\"code\":\"conflict\",\"message\":\"a loop\"}}}}'; }}\n\
             proxy_pass http://127.0.0.1:{}; }}",
            setup.sidecar.web()
        ))
        .start();
    let _publisher = setup.publish_bars();
    let browser = Browser::start();
    browser.open(&proxy.url("/embed/live/show?tech=whep"));
    until("it is tried again", 20.0, || {
        assert_ne!(data(&browser, "state"), "FAILED");
        let log = std::fs::read_to_string(proxy.path("asked.log")).unwrap();
        log.matches("\"POST /stream/live/show/whep ").count() >= 2
    });
    std::fs::remove_file(proxy.path("off")).unwrap();
    wait_playing(&browser, "whep");
}

#[test]
fn an_encoded_stream_goes_on_in_the_same_session_when_its_publisher_returns() {
    let setup = setup("", "transcode = true\n");
    let url = format!("rtmp://127.0.0.1:{}/live/show", setup.nginx.rtmp());
    let publisher = Ffmpeg::publish_with_b_frames(&url);
    until("the stream has B-frames", 20.0, || {
        setup.post(&[SDP], &offer());
        setup.sidecar.log().contains("ffmpeg encodes the stream")
    });
    let browser = Browser::start();
    browser.open(&setup.embed("?tech=whep"));
    wait_playing(&browser, "whep");
    let sessions = || {
        browser.run(
            "return performance.getEntriesByType('resource').filter((entry) => entry.name.endsWith('/whep')).length",
        )
    };
    let before = sessions();
    drop(publisher);
    until("the end is shown", 20.0, || data(&browser, "state") == "STOPPED");
    // The encoder ends long before the stream is forgotten, and its sessions with it.
    until("the encoder has ended", 10.0, || setup.sidecar.ffmpegs().is_empty());
    let _publisher = Ffmpeg::publish_with_b_frames(&url);
    wait_playing(&browser, "whep");
    assert_eq!(sessions(), before, "{}", setup.sidecar.log());
}

#[test]
fn requests_are_answered_as_rfc_9725_says_and_a_session_is_its_owners() {
    let setup = setup("", "ice_servers = [\"stun:stun.example.org:3478\", \"turn:u:p@turn.example.org\"]\n");
    let answer = setup.post(&[SDP], &offer());
    assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (404, json!("not_found")));
    let _publisher = publish(&setup.nginx, "show");
    let answer = setup.session();
    assert_eq!(answer.header("content-type"), Some("application/sdp"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let links: Vec<&str> = answer.head.lines().filter(|line| line.starts_with("link:")).collect();
    assert_eq!(links[0], "link: <stun:stun.example.org:3478>; rel=\"ice-server\"");
    assert!(links[1].contains("username=\"u\"; credential=\"p\""), "{links:?}");
    let sdp = String::from_utf8(answer.body.clone()).unwrap();
    assert!(
        sdp.contains("a=ice-lite") && sdp.contains("a=sendonly") && sdp.contains("tcptype passive"),
        "{sdp}"
    );
    // Feedback about each packet is of no use, and costs both sides.
    assert!(!sdp.contains("transport-wide-cc") && !sdp.contains("transport-cc"), "{sdp}");
    let etag = answer.header("etag").unwrap().to_owned();
    let place = format!("/stream/live/show/{}", answer.header("location").unwrap());
    let ask = |method: &str, path: &str, headers: &[&str], body: &str| {
        request(setup.sidecar.web(), method, path, headers, body).status
    };
    let matching = format!("If-Match: {etag}");
    let fragment = "a=ice-ufrag:abcd\r\na=ice-pwd:x\r\nm=video 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n";
    assert_eq!(ask("PATCH", &place, &[TRICKLE], fragment), 428);
    assert_eq!(ask("PATCH", &place, &[TRICKLE, "If-Match: \"other\""], fragment), 412);
    assert_eq!(ask("PATCH", &place, &[SDP, &matching], fragment), 415);
    assert_eq!(ask("PATCH", &place, &[TRICKLE, &matching], "hello"), 400);
    assert_eq!(ask("PATCH", &place, &[TRICKLE, &matching], &fragment.replace("abcd", "new1")), 422);
    assert_eq!(ask("PATCH", &place, &[TRICKLE, &matching], fragment), 204);
    assert_eq!(ask("PATCH", &place, &[TRICKLE, &matching], &"a=candidate:1\r\n".repeat(10_000)), 413);
    assert_eq!(ask("PATCH", &place, &[TRICKLE, &matching], &"a=candidate:1\r\n".repeat(65)), 400);
    for method in ["GET", "PUT"] {
        assert_eq!(ask(method, PATH, &[], ""), 405, "{method}");
    }
    assert_eq!(ask("OPTIONS", PATH, &[], ""), 204);
    assert_eq!(ask("OPTIONS", "/stream/live/show/ws", &[], ""), 404);
    // The address of another session has 128 random bits.
    let other = format!("{PATH}/{}", "0".repeat(32));
    assert_eq!(
        [ask("DELETE", &other, &[], ""), ask("PATCH", &other, &[TRICKLE, &matching], fragment)],
        [404, 404]
    );
    assert_eq!(ask("DELETE", PATH, &[], ""), 405);
    assert_eq!(ask("DELETE", &place, &[], ""), 200);
    until("the session is gone", 5.0, || ask("DELETE", &place, &[], "") == 404);
}

#[test]
fn what_is_no_offer_is_refused_with_a_reason() {
    let setup = setup("", "");
    let _publisher = publish(&setup.nginx, "show");
    setup.session();
    let long = format!("{}{}", offer(), "a=x\r\n".repeat(20_000));
    let candidates = format!("{}{}", offer(), "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n".repeat(1000));
    let vp8 = offer().replace("H264", "VP8");
    let bare = offer()
        .lines()
        .filter(|line| !line.starts_with("a=fingerprint"))
        .fold(String::new(), |all, line| all + line + "\r\n");
    for (headers, body, status, word) in [
        (&["Content-Type: text/plain"][..], offer(), 415, "application/sdp"),
        (&[], offer(), 415, "application/sdp"),
        (&[SDP, "Accept: text/html"], offer(), 406, "application/sdp"),
        (&[SDP], "hello".into(), 400, "v=0"),
        (&[SDP], String::new(), 400, "v=0"),
        (&[SDP], "v=0\r\n".into(), 400, "m= lines"),
        (&[SDP], long, 413, "longer than 65536 bytes"),
        (&[SDP], candidates, 400, "more than 64 ICE candidates"),
        (&[SDP], vp8, 406, "no H264"),
        (&[SDP], bare, 400, "fingerprint"),
        (&[SDP], offer().replace("recvonly", "sendonly"), 406, "recvonly"),
    ] {
        let answer = setup.post(headers, &body);
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert_eq!(answer.status, status, "{message}");
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn floods_are_limited_disturb_no_viewer_and_are_freed() {
    let setup = setup("", "");
    let _publisher = setup.publish_bars();
    let browser = Browser::start();
    browser.open(&setup.embed("?tech=whep"));
    wait_playing(&browser, "whep");
    let statuses: Vec<u16> = (0..300).map(|_| setup.post(&[SDP], &offer()).status).collect();
    let begun = statuses.iter().filter(|status| **status == 201).count();
    assert!((1..=16).contains(&begun), "{begun}");
    assert!(statuses.iter().all(|status| matches!(status, 201 | 429)), "{statuses:?}");
    let answer = setup.post(&[SDP], &offer());
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("5")));
    // The test sends random bytes to the port, over UDP and TCP.
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..2000_u32 {
        let packet: Vec<u8> =
            (0..64).map(|at| (number.wrapping_mul(31) >> (at % 24)) as u8 ^ at as u8).collect();
        udp.send_to(&packet, ("127.0.0.1", setup._port.number())).unwrap();
    }
    let mut tcp = TcpStream::connect(("127.0.0.1", setup._port.number())).unwrap();
    let _ = tcp.write_all(&[0xff; 4096]);
    tcp.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert!(matches!(tcp.read(&mut [0; 16]), Ok(0) | Err(_)));
    // A client that never connected is not counted.
    until("one viewer is counted", 20.0, || setup.viewers() == 1);
    wait_playing(&browser, "whep");
    let began = Instant::now();
    until("the sessions are freed", 30.0, || setup.post(&[SDP], &offer()).status == 201);
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(data(&browser, "state"), "PLAYING");
}

#[test]
fn tokens_hold_here_as_everywhere_and_a_viewer_leaves_when_its_token_ends() {
    let setup = setup("play = \"token\"\n", "");
    let _publisher = setup.publish_bars();
    let claims = Claims {
        sub: "live/show".parse().unwrap(),
        act: Action::Play,
        exp: Timestamp::from_millis(4_000_000_000_000),
        nbf: None,
        iat: None,
        jti: Some("one".parse().unwrap()),
        ip: None,
        yields: false,
    };
    let signer = Signer::new(SECRET.as_bytes()).unwrap();
    let mint = |claims: &Claims| signer.mint(claims).expose().to_owned();
    let good = mint(&claims);
    let post = |token: &str, header: &str| {
        let path = format!("{PATH}{token}");
        request(setup.sidecar.web(), "POST", &path, &[SDP, header], &offer()).status
    };
    until("the token opens it", 10.0, || post(&format!("?token={good}"), "X: y") == 201);
    assert_eq!(post("", &format!("Authorization: Bearer {good}")), 201);
    assert_eq!(post("", &format!("Cookie: weir_token={good}")), 201);
    let other = mint(&Claims { sub: "live/other".parse().unwrap(), ..claims.clone() });
    let publishing = mint(&Claims { act: Action::Publish, ..claims.clone() });
    let old = mint(&Claims { exp: Timestamp::from_millis(1_000_000_000_000), ..claims.clone() });
    for wrong in ["", &other, &publishing, &old, &good[..good.len() - 2], "x.y.z"] {
        assert_eq!(post(&format!("?token={wrong}"), "X: y"), 403, "{wrong}");
        assert_eq!(post("", &format!("Authorization: Bearer {wrong}")), 403, "{wrong}");
    }
    assert_eq!(post("", "X: y"), 403);
    let browser = Browser::start();
    browser.open(&setup.embed(&format!("?tech=whep&token={good}")));
    wait_playing(&browser, "whep");
    setup.nginx.api().post("/v1/tokens/revoke", &json!({ "jti": "one" })).expect(200);
    until("the viewer is sent away", 20.0, || data(&browser, "state") == "FAILED");
    until("nobody is counted", 20.0, || setup.viewers() == 0);
}

#[test]
fn it_is_off_without_its_section() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let answer = request(sidecar.web(), "POST", PATH, &[SDP], &offer());
    assert_eq!(answer.status, 404);
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("[webrtc]"), "{answer:?}");
}
