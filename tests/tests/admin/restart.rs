//! The state survives a power failure. The test kills nginx and the daemon together, with a stream on air. The open dashboard reports the
//! failure and comes back by itself, still logged in. Keys, targets, the recording, the history and the chat are there, and the encoder's
//! key is still valid.

use serde_json::json;
use weir_tests::harness::browser::Browser;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Publisher, Sidecar, WebSocket, until};

use super::look::{go, log_in, wait_for};
use super::{Visitor, add};

const CONFIG: &str = "[web]\nadmins_file = \"@MEDIA@/state/admins\"\n[chat]\nenabled = true\n\
                      [[record]]\napp = \"live\"\nstream = \"*\"\nfolder = \"@MEDIA@/recordings\"\n";

#[test]
fn the_dashboard_outlives_the_machine() {
    let mut nginx = Config::weir()
        .main("weir_zone 2m state=@DIR@/state; weir_secret @DIR@/secret;")
        .file("secret", "0123456789abcdef0123456789abcdef")
        .http("location /api { weir_api; }")
        .app("live", "weir_publish key; weir_push on; weir_push_allow all;")
        .start();
    let mut sidecar = Sidecar::start(&nginx, CONFIG);
    add(&sidecar, "ana", "admin");
    let ana = Visitor::logged_in(&sidecar, "ana");
    let (_, key) = ana.ask("POST", "keys", &json!({ "app": "live", "stream": "show", "note": "desk 2" }));
    let key = key["key"].as_str().unwrap().to_owned();
    let target = json!({ "app": "live", "stream": "*", "url": "rtmp://127.0.0.1:1/app/key", "note": "Club" });
    assert_eq!(ana.ask("POST", "targets", &target).0, 201);
    let publish = |port: u16| Publisher::to(port, &format!("live/{key}")).start().started();
    let publisher = publish(nginx.rtmp());
    let mut person = WebSocket::connect(sidecar.web(), "/v1/ws", &[]).unwrap();
    person
        .send(&json!({ "type": "join", "app": "live", "stream": "show", "name": "Bo" }).to_string())
        .unwrap();
    person.send(&json!({ "type": "chat", "text": "Good evening" }).to_string()).unwrap();
    let said = || ana.get("chat/messages").1.to_string().contains("Good evening");
    until("the message is written", 15.0, said);
    until("the stream is in the history", 20.0, || ana.get("history").1["sessions"][0]["stream"] == "show");
    until("frames are recorded", 20.0, || {
        let recordings = ana.get("recordings").1;
        let file = recordings["recordings"][0]["file"].as_str()?.to_owned();
        let known = std::fs::metadata(sidecar.media().join("recordings").join(file)).ok()?;
        (known.len() > 10_000).then_some(())
    });
    let browser = Browser::start();
    log_in(&browser, &sidecar, "ana");
    browser.run("window.sameDocument = true");
    wait_for(&browser, "the card", 10.0, "document.querySelector('[data-stream=\"live/show\"]')");

    sidecar.kill();
    nginx.lose_power(|_| {
        let pill = "document.querySelector('header.top .pill').textContent";
        wait_for(&browser, "it is said", 20.0, &format!("{pill} === 'connection lost'"));
    });
    drop(publisher);
    sidecar.start_again();
    wait_for(
        &browser,
        "it is back",
        30.0,
        "document.querySelector('header.top .pill').textContent === '0 on air'",
    );
    assert_eq!(ana.get("session").0, 200);
    let shows = |view: &str, words: &str| {
        go(&browser, view);
        let words = json!(words);
        wait_for(
            &browser,
            view,
            10.0,
            &format!("document.querySelector('main').textContent.includes({words})"),
        );
    };
    shows("keys", "desk 2");
    shows("targets", "Club");
    shows("history", "live/show");
    shows("recordings", "live/show");
    let recording = &ana.get("recordings").1["recordings"][0];
    assert!(recording["ended"].is_string() && recording["bytes"].as_u64() > Some(10_000), "{recording}");
    assert!(said(), "the chat has forgotten");
    let sessions = until("its end is known", 15.0, || {
        Some(ana.get("history").1).filter(|all| all["sessions"][0]["reason"].is_string())
    });
    assert_eq!(sessions["sessions"][0]["reason"], "unknown", "{sessions}");
    let _publisher = publish(nginx.rtmp());
    go(&browser, "air");
    wait_for(&browser, "the card is back", 10.0, "document.querySelector('[data-stream=\"live/show\"]')");
    assert_eq!(browser.run("return window.sameDocument"), true);
}
