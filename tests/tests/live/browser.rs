//! Chromium plays a stream with the player of the daemon: over WebSocket and as Low-Latency HLS, by itself as the latter if WebSocket is
//! blocked, below a path, and again without a reload of the page when the publisher returns.

use weir_tests::harness::browser::Browser;
use weir_tests::harness::media::Enhanced;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Ffmpeg, Nginx, Publisher, Sidecar, until};

use super::open;

fn start(config: &str) -> (Nginx, Sidecar, Ffmpeg) {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, config);
    let publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    (nginx, sidecar, publisher)
}

fn data(browser: &Browser, name: &str) -> String {
    browser.run(&format!("return document.body.dataset.{name} ?? ''")).as_str().unwrap().to_owned()
}

fn time(browser: &Browser) -> f64 {
    browser.run("return document.getElementById('video').currentTime").as_f64().unwrap()
}

#[track_caller]
fn wait_playing(browser: &Browser, tech: &str) {
    until(&format!("it plays by {tech}"), 40.0, || {
        data(browser, "state") == "PLAYING" && data(browser, "tech") == tech
    });
    let begin = time(browser);
    until("two seconds are played", 20.0, || time(browser) > begin + 2.0);
}

#[test]
fn it_plays_over_websocket_half_a_second_behind_and_goes_on_when_the_publisher_returns() {
    let (nginx, sidecar, publisher) = start("[web]\nbase = \"/tv/\"\n");
    let browser = Browser::start();
    browser.open(&format!("http://127.0.0.1:{}/tv/watch/live/show", sidecar.web()));
    browser.run("window.sameDocument = true");
    wait_playing(&browser, "ws");
    until("the buffer is short", 20.0, || {
        data(&browser, "latency").parse::<f64>().is_ok_and(|latency| latency < 0.7)
    });
    assert_eq!(browser.console(), Vec::<String>::new());
    drop(publisher);
    until("the end is shown", 20.0, || data(&browser, "state") == "STOPPED");
    let _publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    wait_playing(&browser, "ws");
    assert_eq!(browser.run("return window.sameDocument"), true);
}

#[test]
fn a_lost_publisher_may_return_until_the_server_says_that_the_stream_has_ended() {
    let event =
        "[[event]]\napp = \"live\"\nstream = \"show\"\ntitle = \"Show\"\nstart = \"2099-12-24T18:00:00Z\"\n";
    let (nginx, sidecar, publisher) = start(&format!("[web]\n{event}"));
    let browser = Browser::start();
    let text =
        |id: &str| browser.run(&format!("return document.getElementById('{id}').textContent")).to_string();
    let is_shown =
        |id: &str| browser.run(&format!("return document.getElementById('{id}').checkVisibility()")) == true;
    browser.open(&format!("http://127.0.0.1:{}/watch/live/show", sidecar.web()));
    wait_playing(&browser, "ws");
    drop(publisher);
    until("the loss is shown", 20.0, || text("offline-text").contains("The stream may come back."));
    assert!(is_shown("offline") && !is_shown("countdown"));
    assert_eq!(browser.run("return document.getElementById('video').controls"), false);
    let publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    wait_playing(&browser, "ws");
    assert!(!is_shown("offline"));
    until("viewers are counted", 20.0, || is_shown("viewers") && text("viewers").contains("viewer"));
    assert_eq!(browser.run("return document.getElementById('video').controls"), true);
    drop(publisher);
    until("the end is shown", 40.0, || text("offline-text").contains("The stream has ended. Next: Show"));
    assert!(is_shown("countdown") && !is_shown("viewers"));
}

#[test]
fn it_plays_low_latency_hls_and_ordinary_hls() {
    let (_nginx, sidecar, _publisher) = start("[web]\n");
    let browser = Browser::start();
    for tech in ["llhls", "hls"] {
        browser.open(&format!("http://127.0.0.1:{}/embed/live/show?tech={tech}", sidecar.web()));
        wait_playing(&browser, tech);
    }
}

#[test]
fn it_returns_from_ordinary_hls_to_low_latency_hls_when_that_works_again() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    // While a file is there, this proxy refuses the parts of Low-Latency HLS.
    let proxy = open()
        .file("off", "")
        .http(&format!(
            "location / {{ proxy_pass http://127.0.0.1:{0}; }}\n\
             location ~ \"/[0-9]+[.][0-9]+[.]m4s$\" {{ if (-f @DIR@/off) {{ return 404; }}\n\
             proxy_pass http://127.0.0.1:{0}; }}",
            sidecar.web()
        ))
        .start();
    let _publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    let browser = Browser::start();
    browser.open(&proxy.url("/embed/live/show?tech=llhls,hls"));
    wait_playing(&browser, "hls");
    std::fs::remove_file(proxy.path("off")).unwrap();
    wait_playing(&browser, "llhls");
}

#[test]
fn it_plays_again_after_another_device_has_played() {
    let (_nginx, sidecar, _publisher) = start("[web]\n");
    let browser = Browser::start();
    // The page plays on another device with an element of its own.
    browser.begin_with(
        "const make = document.createElement.bind(document);
         document.createElement = (name) => {
           const made = make(name);
           if (name === 'video') {
             Object.defineProperty(made, 'remote', { value: new EventTarget() });
             window.distant = made;
           }
           return made;
         };",
    );
    browser.open(&format!("http://127.0.0.1:{}/watch/live/show", sidecar.web()));
    wait_playing(&browser, "ws");
    browser.run("distant.remote.dispatchEvent(new Event('connect'))");
    assert_eq!(data(&browser, "state"), "STOPPED");
    browser.run("distant.remote.dispatchEvent(new Event('disconnect'))");
    wait_playing(&browser, "ws");
}

#[test]
fn it_falls_back_when_websocket_is_blocked() {
    // This proxy does not support WebSocket.
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let proxy =
        open().http(&format!("location / {{ proxy_pass http://127.0.0.1:{}; }}", sidecar.web())).start();
    let _publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    let browser = Browser::start();
    browser.open(&proxy.url("/embed/live/show"));
    wait_playing(&browser, "llhls");
}

#[test]
fn a_codec_that_the_browser_does_not_play_is_said_and_another_publisher_plays() {
    let (nginx, port) = (open().start(), Port::reserve());
    let sidecar =
        Sidecar::start(&nginx, &format!("[web]\n[webrtc]\nlisten = \"127.0.0.1:{}\"\n", port.number()));
    let pictures = Enhanced::Hevc.pictures();
    let edit = move |tag| Some(pictures.replace(tag));
    let publisher = Publisher::to(nginx.rtmp(), "live/show").edited(edit).start().started();
    let browser = Browser::start();
    browser.open(&format!("http://127.0.0.1:{}/watch/live/show", sidecar.web()));
    let hevc = "return MediaSource.isTypeSupported('video/mp4; codecs=\"hvc1.1.6.L93.B0\"')";
    assert_eq!(browser.run(hevc), false, "this browser plays HEVC, so it cannot be used here");
    until("it is said", 40.0, || data(&browser, "state") == "FAILED");
    let text =
        || browser.run("return document.getElementById('status').innerText").as_str().unwrap().to_owned();
    assert!(text().contains("cannot play the stream"), "{}", text());
    // It stays so, without a try that changes the words.
    let begin = std::time::Instant::now();
    until("ten seconds are over", 15.0, || {
        assert_eq!(data(&browser, "state"), "FAILED");
        begin.elapsed().as_secs() >= 10
    });
    drop(publisher);
    let _publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    until("another publisher plays", 60.0, || data(&browser, "state") == "PLAYING");
}
