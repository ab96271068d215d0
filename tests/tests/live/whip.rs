//! `/stream/APP/NAME/whip` and `/publish`: Chromium publishes its camera and microphone with a stream key, which nginx checks like the key
//! of any encoder. The request is answered with nginx's refusal. A revoked key ends the session, and a key appears in no address, no log
//! and no list of processes.

use serde_json::{Value, json};
use weir_tests::harness::browser::Browser;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Nginx, Publisher, Sidecar, ffmpeg, until};

use super::whep::{SDP, offer};
use super::{Answer, SECRET, request};

const PATH: &str = "/stream/live/show/whip";

struct Setup {
    nginx: Nginx,
    sidecar: Sidecar,
    _port: Port,
}

fn setup() -> Setup {
    let nginx = Config::weir()
        .main("weir_secret @DIR@/secret;")
        .file("secret", SECRET)
        .with_api()
        .app("live", "weir_publish key;")
        .app("free", "weir_publish open;")
        .start();
    beside(nginx)
}

/// Starts the daemon beside this nginx.
fn beside(nginx: Nginx) -> Setup {
    let port = Port::reserve();
    let config = format!("[web]\n[webrtc]\nlisten = \"127.0.0.1:{}\"\n", port.number());
    let sidecar = Sidecar::start(&nginx, &config);
    Setup { nginx, sidecar, _port: port }
}

impl Setup {
    fn post(&self, path: &str, headers: &[&str]) -> Answer {
        let offer = offer().replace("recvonly", "sendonly");
        request(self.sidecar.web(), "POST", path, &[&[SDP][..], headers].concat(), &offer)
    }

    fn stream(&self) -> Option<Value> {
        self.nginx.api().stream("live", "show")
    }
}

fn state(browser: &Browser) -> String {
    browser.run("return document.body.dataset.state ?? ''").as_str().unwrap().to_owned()
}

/// Fills in the form and goes live.
fn go_on_air(browser: &Browser, setup: &Setup, key: &str) {
    browser.open(&format!("http://127.0.0.1:{}/publish?app=live&name=show", setup.sidecar.web()));
    browser.run(&format!("document.getElementById('key').value = '{key}'"));
    browser.click("#start");
}

#[test]
fn a_browser_goes_on_air_with_its_key_and_off_air_by_itself_and_by_revocation() {
    let setup = setup();
    let key = setup.nginx.api().create_key("live", "show");
    let browser = Browser::with_camera();
    go_on_air(&browser, &setup, &key.key);
    until("it is on air", 30.0, || state(&browser) == "PUBLISHING");
    let live = until("nginx has pictures and sound", 20.0, || {
        setup.stream().filter(|stream| stream["video"].is_object() && stream["audio"].is_object())
    });
    assert_eq!((&live["video"]["codec"], &live["audio"]["codec"]), (&json!("H264"), &json!("AAC")), "{live}");
    let played = format!("rtmp://127.0.0.1:{}/live/show", setup.nginx.rtmp());
    let codecs = ffmpeg::probe(&played, &["-show_entries", "stream=codec_name"]);
    let mut codecs: Vec<&str> = codecs.lines().collect();
    codecs.sort_unstable();
    assert_eq!(codecs, ["aac", "h264"]);
    until("the level moves", 10.0, || {
        browser.run("return document.getElementById('level').value").as_f64().unwrap() > 0.02
    });
    assert_eq!(setup.sidecar.told("whip.started")["stream"], "show");
    // The key appears neither in the addresses that the page loads, nor in the log, nor in the list of processes.
    let addresses =
        "return performance.getEntriesByType('resource').map((entry) => entry.name).join() + location";
    assert!(!browser.run(addresses).as_str().unwrap().contains(&key.key));
    assert!(!setup.sidecar.log().contains(&key.key));
    let processes = setup.sidecar.process().descendants();
    assert!(processes.iter().all(|process| !process.title().contains(&key.key)));
    assert_eq!(browser.console(), Vec::<String>::new());
    // A viewer over WebRTC can play the stream.
    let viewer = Browser::start();
    viewer.open(&format!("http://127.0.0.1:{}/embed/live/show?tech=whep", setup.sidecar.web()));
    until("it plays by whep", 30.0, || state(&viewer) == "PLAYING");
    browser.click("#stop");
    assert_eq!(state(&browser), "UNPUBLISHED");
    until("the stream is gone", 10.0, || setup.stream().is_none());
    browser.run(&format!("document.getElementById('key').value = '{}'", key.key));
    browser.click("#start");
    until("it is on air again", 30.0, || state(&browser) == "PUBLISHING" && setup.stream().is_some());
    setup.nginx.api().delete(&format!("/v1/keys/{}", key.id)).expect(200);
    until("the page says why", 30.0, || state(&browser) == "FAILED");
    let words = browser.run("return document.getElementById('state').textContent");
    assert!(words.as_str().unwrap().contains("key"), "{words}");
    until("nothing is left", 20.0, || setup.stream().is_none() && setup.sidecar.ffmpegs().is_empty());
}

#[test]
fn nginx_decides_who_publishes_and_its_words_are_the_answer() {
    let setup = setup();
    let key = setup.nginx.api().create_key("live", "show");
    let bearer = format!("Authorization: Bearer {}", key.key);
    let answer = setup.post(PATH, &[]);
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{answer:?}");
    let wrong = "Authorization: Bearer wk_0123456789abcdefghijklmnopqrstuv";
    let answer = setup.post(PATH, &[wrong]);
    assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (403, json!("forbidden")));
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("key"), "{answer:?}");
    assert_eq!(setup.post(PATH, &["Authorization: Basic abc"]).status, 401);
    for word in ["a&b", "a b", "schlüssel"] {
        let answer = setup.post(PATH, &[&format!("Authorization: Bearer {word}")]);
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, &error["code"]), (400, &json!("bad_request")), "{word}");
        assert!(
            error["message"].as_str().unwrap().contains("letters, digits and . _ ~ : @ , + / = -"),
            "{error}"
        );
    }
    // A key in the address does not count.
    assert_eq!(setup.post(&format!("{PATH}?token={}", key.key), &[]).status, 401);
    assert_eq!(setup.post("/stream/none/show/whip", &[&bearer]).status, 403);
    let simulcast = format!("{}a=simulcast:send hi;lo\r\n", offer().replace("recvonly", "sendonly"));
    let answer = request(setup.sidecar.web(), "POST", PATH, &[SDP, &bearer], &simulcast);
    assert_eq!(answer.status, 406);
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("simulcast"), "{answer:?}");
    // nginx has the stream before the request is answered, and refuses a second one. A key opens its own stream, whatever the address says.
    let answer = setup.post("/stream/live/other/whip", &[&bearer]);
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(setup.stream().is_some());
    let second = setup.post(PATH, &[&bearer]);
    assert_eq!((second.status, second.json()["error"]["code"].clone()), (409, json!("conflict")));
    let place = format!("/stream/live/other/{}", answer.header("location").unwrap());
    assert_eq!(request(setup.sidecar.web(), "DELETE", &place, &[], "").status, 200);
    until("the stream is gone", 10.0, || setup.stream().is_none());
    // Where nginx requires no key, no key is needed.
    assert_eq!(setup.post("/stream/free/show/whip", &[]).status, 201);
}

#[test]
fn a_key_of_a_file_may_have_all_characters_that_weir_key_hash_accepts() {
    let key = "a.b.c/studio+1=my:own@key,~_-";
    let digest = weir_model::Secret::new(key).digest().to_hex();
    let nginx = Config::weir()
        .main("weir_secret @DIR@/secret;")
        .file("secret", SECRET)
        .file("keys", format!("show {digest}\n"))
        .with_api()
        .app("live", "weir_publish key; weir_key_file @DIR@/keys;")
        .start();
    let setup = beside(nginx);
    let answer = setup.post(PATH, &[&format!("Authorization: Bearer {key}")]);
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(setup.stream().is_some());
    assert!(!setup.sidecar.log().contains(key));
}

#[test]
fn guesses_of_keys_are_limited_and_an_encoder_is_not_disturbed() {
    let setup = setup();
    let key = setup.nginx.api().create_key("live", "show");
    let _encoder = Publisher::to(setup.nginx.rtmp(), &format!("live/{}", key.key)).start().started();
    let statuses: Vec<u16> = (0..20)
        .map(|number| {
            setup.post("/stream/live/other/whip", &[&format!("Authorization: Bearer wk_{number}")]).status
        })
        .collect();
    assert_eq!(statuses.iter().filter(|status| **status == 403).count(), 10, "{statuses:?}");
    assert!(statuses[10..].iter().all(|status| *status == 429), "{statuses:?}");
    assert!(setup.stream().is_some());
}

#[test]
fn the_page_says_what_is_wrong() {
    let setup = setup();
    let browser = Browser::with_camera();
    go_on_air(&browser, &setup, "wk_wrong");
    until("it is refused", 20.0, || state(&browser) == "FAILED");
    let words = || browser.run("return document.getElementById('state').textContent").to_string();
    assert!(words().starts_with("\"Not on air: "), "{}", words());
    // A header cannot carry this key, so the page does not try again.
    go_on_air(&browser, &setup, "wk_\u{2713}");
    until("it is refused", 20.0, || state(&browser) == "FAILED");
    assert!(words().contains("no stream key has"), "{}", words());
}
