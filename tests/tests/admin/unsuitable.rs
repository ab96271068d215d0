//! The card of a stream says why viewers could not watch it over WebRTC, until the publisher is gone or the stream is encoded for them.

use serde_json::json;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Ffmpeg, Sidecar, until};

use super::{Visitor, WEB, add, nginx};

#[test]
fn the_card_says_why_webrtc_does_not_play_the_stream() {
    let (nginx, port) = (nginx(), Port::reserve());
    let config = format!("{WEB}[webrtc]\nlisten = \"127.0.0.1:{}\"\n", port.number());
    let sidecar = Sidecar::start(&nginx, &config);
    add(&sidecar, "ana", "admin");
    let ana = Visitor::logged_in(&sidecar, "ana");
    let (_, key) = ana.ask("POST", "keys", &json!({ "app": "live", "stream": "show" }));
    let url = format!("rtmp://127.0.0.1:{}/live/{}", nginx.rtmp(), key["key"].as_str().unwrap());
    let publisher = Ffmpeg::publish_with_b_frames(&url);
    let said = || {
        let streams = ana.get("streams").1;
        let words = streams["streams"][0]["health"].as_array().cloned().unwrap_or_default();
        words.iter().any(|word| {
            let text = word["text"].as_str().unwrap();
            word["level"] == "notice" && text.contains("WebRTC") && text.contains("B-frames")
        })
    };
    let visitor = Visitor::new(&format!("http://127.0.0.1:{}/stream/live/show", sidecar.web()));
    let offered = || {
        let request = visitor.request("POST", "whep").header("content-type", "application/sdp");
        request.body("v=0").send().unwrap().status().as_u16()
    };
    until("it is on air", 20.0, || ana.get("streams").1["streams"][0]["name"] == "show");
    assert!(!said());
    until("a viewer is refused", 20.0, || offered() == 409);
    until("the card says so", 10.0, said);

    sidecar.reload(&config.replace("[webrtc]\n", "[webrtc]\ntranscode = true\n"));
    until("the stream is encoded for viewers", 10.0, || !said());
    sidecar.reload(&config);
    until("it is not any more", 10.0, said);
    drop(publisher);
    until("it is gone", 20.0, || ana.get("streams").1["streams"][0].is_null());
    let _publisher = Ffmpeg::publish(&url);
    until("another publisher is on air", 20.0, || ana.get("streams").1["streams"][0]["name"] == "show");
    assert!(!said());
}
