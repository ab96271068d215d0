//! The player page of the daemon where nginx requires a token: if the cookie is renewed before the token expires, the page continues to
//! play, over WebSocket and as Low-Latency HLS; otherwise it shows a message.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use weir_model::Timestamp;
use weir_model::token::Claims;
use weir_tests::harness::browser::Browser;
use weir_tests::harness::{Ffmpeg, Sidecar, until};

use super::attacks::{claims, protected, signed};

/// Leeway that Weir grants after `exp`, in seconds.
const LEEWAY: u64 = 30;
const LIFE: u64 = 6;

fn lasting(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    signed(&Claims { exp: Timestamp::from_millis((now + seconds - LEEWAY) * 1000), ..claims() })
}

/// Plays for `time` with tokens that last [`LIFE`] seconds, and then without a new token.
#[track_caller]
fn play(tech: &str, time: Duration) {
    let nginx = protected().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let _publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    let browser = Browser::start();
    let page = |path: &str| format!("http://127.0.0.1:{}{path}", sidecar.web());
    let renew = || {
        browser.run(&format!("document.cookie = 'weir_token={}; path=/'", lasting(LIFE)));
        Instant::now()
    };
    let data = |name: &str| browser.run(&format!("return document.body.dataset.{name} ?? ''"));
    let frames = || {
        let script = "return document.getElementById('video').getVideoPlaybackQuality().totalVideoFrames";
        browser.run(script).as_u64().unwrap()
    };
    // Any page of this site may set the first cookie.
    browser.open(&page("/v1/live"));
    let mut renewed = renew();
    let mut keep = || {
        if renewed.elapsed() > Duration::from_secs(LIFE / 2) {
            renewed = renew();
        }
    };
    browser.open(&page(&format!("/embed/live/show?tech={tech}")));
    until("it plays", 40.0, || {
        keep();
        data("state") == "PLAYING" && frames() > 20
    });
    let begin = Instant::now();
    let (mut last, mut at, mut longest) = (frames(), Instant::now(), Duration::ZERO);
    until("the time is over", 120.0, || {
        keep();
        let now = frames();
        if now != last {
            (last, at) = (now, Instant::now());
        }
        longest = longest.max(at.elapsed());
        assert_ne!(data("state"), "FAILED");
        begin.elapsed() > time
    });
    assert_eq!(data("tech"), tech);
    assert!(longest < Duration::from_secs(5), "no picture for {longest:?}");
    until("the end of the token is shown", 40.0, || data("state") == "FAILED");
}

#[test]
fn it_plays_on_over_websocket() {
    play("ws", Duration::from_secs(15));
}

#[test]
fn it_plays_on_as_low_latency_hls() {
    play("llhls", Duration::from_secs(15));
}

#[test]
#[ignore = "a minute: make test-long"]
fn it_plays_on_for_a_minute() {
    play("ws", Duration::from_secs(60));
    play("llhls", Duration::from_secs(60));
}
