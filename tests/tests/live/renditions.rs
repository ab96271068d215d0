//! The public pages with a ladder over RTMP, in Chromium: a rendition has no card of its own and is a quality of its source, streams with
//! similar names are neither. During an event, a lost stream may come back; after its end, no countdown says that it begins. Viewers hear
//! of slow mode and of a lifted time-out.

use serde_json::json;
use weir_model::Timestamp;
use weir_tests::harness::browser::Browser;
use weir_tests::harness::{Ffmpeg, Sidecar, until};

use super::chat::{join, moderator, send};
use super::{ask, open, publish};

fn text(browser: &Browser, id: &str) -> String {
    browser.run(&format!("return document.getElementById('{id}').innerText")).as_str().unwrap().to_owned()
}

fn values(browser: &Browser, script: &str) -> Vec<String> {
    serde_json::from_value(browser.run(script)).unwrap()
}

#[test]
fn a_rendition_is_a_quality_and_no_card() {
    let nginx = open().app("abr", "weir_publish key;").start();
    let config = "[web]\n[rung.low]\nheight = 90\nbitrate = \"100k\"\n[ladder.one]\nrungs = [\"low\"]\n\
                  [[stream]]\napp = \"live\"\nstream = \"show\"\nladder = \"one\"\ndeliver = \"rtmp\"\nto_app = \"abr\"\n";
    let sidecar = Sidecar::start(&nginx, config);
    let _publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    // Another publisher with a similar name.
    let _similar = publish(&nginx, "show_extra");
    until("all are live", 40.0, || {
        ask(sidecar.web(), "/v1/live", &[]).json()["streams"].as_array().unwrap().len() == 3
    });
    let browser = Browser::start();
    browser.open(&format!("http://127.0.0.1:{}/", sidecar.web()));
    let cards = || {
        values(
            &browser,
            "return [...document.querySelectorAll('#streams strong')].map((one) => one.textContent)",
        )
    };
    until("the cards are there", 20.0, || !cards().is_empty());
    assert_eq!(cards(), ["show", "show_extra"]);

    browser.open(&format!("http://127.0.0.1:{}/watch/live/show", sidecar.web()));
    let choices = || {
        values(&browser, "return [...document.getElementById('quality').options].map(({ value }) => value)")
    };
    until("the rendition can be chosen", 30.0, || choices().len() > 2);
    assert_eq!(choices(), ["", "source", "abr/show_low"]);
    let is_offered = || browser.run("return !document.getElementById('quality-field').hidden") == true;
    until("the choice is offered", 20.0, is_offered);
    browser.open(&format!("http://127.0.0.1:{}/watch/live/show_extra", sidecar.web()));
    until("the stream is known", 20.0, || choices().len() == 2);
    assert!(!is_offered());
}

#[test]
fn a_stream_that_has_ended_does_not_begin_in_a_moment() {
    let nginx = open().start();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let began = Timestamp::from_millis((now - 60) * 1000);
    let config = format!(
        "[web]\n[[event]]\napp = \"live\"\nstream = \"show\"\ntitle = \"Choir\"\nstart = \"{began}\"\n\
         [[event]]\napp = \"live\"\nstream = \"show\"\ntitle = \"Organ\"\nstart = \"2099-12-24T18:00:00Z\"\n"
    );
    let sidecar = Sidecar::start(&nginx, &config);
    let browser = Browser::start();
    browser.open(&format!("http://127.0.0.1:{}/watch/live/show", sidecar.web()));
    until("a late start is said", 20.0, || text(&browser, "countdown").contains("in a moment"));
    let publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    until("it plays", 40.0, || browser.run("return document.body.dataset.state") == "PLAYING");
    drop(publisher);
    // Also after the time for the return, and on a page that is loaded then, a publisher that was lost during the event may return.
    let lost = "return performance.getEntriesByName('ended').length > 0";
    browser.run(
        "new WebSocket(location.origin.replace('http', 'ws') + '/v1/ws').onopen = ({ target }) => {
           target.onmessage = ({ data }) => data.includes('stream.ended') && performance.mark('ended');
           target.send(JSON.stringify({ type: 'join', app: 'live', stream: 'show' }));
         }",
    );
    until("the time for the return is over", 90.0, || browser.run(lost) == true);
    let is_lost = || {
        text(&browser, "offline-text").contains("The stream may come back.")
            && text(&browser, "countdown").is_empty()
    };
    until("the loss is said", 20.0, is_lost);
    browser.open(&format!("http://127.0.0.1:{}/watch/live/show", sidecar.web()));
    until("the loss is said again", 20.0, is_lost);
    browser.open(&format!("http://127.0.0.1:{}/", sidecar.web()));
    until("the list says it", 20.0, || text(&browser, "events").contains("The stream may come back."));

    browser.open(&format!("http://127.0.0.1:{}/watch/live/show", sidecar.web()));
    let _publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    until("it plays again", 40.0, || browser.run("return document.body.dataset.state") == "PLAYING");
    nginx.api().delete("/v1/streams/live/show").expect(200);
    let is_over = || {
        let words = text(&browser, "offline-text");
        words.contains("The stream has ended.")
            && words.contains("Organ")
            && text(&browser, "countdown").contains("days")
    };
    until("the end and the next start are said", 90.0, is_over);
    browser.open(&format!("http://127.0.0.1:{}/watch/live/show", sidecar.web()));
    until("they are said again", 20.0, is_over);
}

#[test]
fn viewers_hear_of_slow_mode_and_of_a_lifted_time_out() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n[chat]\nenabled = true\nslow = \"3s\"\n");
    let _publisher = publish(&nginx, "show");
    let browser = Browser::start();
    browser.open(&format!("http://127.0.0.1:{}/watch/live/show?lang=de", sidecar.web()));
    until("the slow mode of the settings is said", 20.0, || text(&browser, "chat-notice").contains("in 3 s"));
    let (mut moderator, _) = join(&sidecar, "192.0.2.9", &moderator());
    send(&mut moderator, &json!({ "type": "chat.slow", "seconds": 30 }));
    until("slow mode is said", 10.0, || text(&browser, "chat-notice").contains("in 30 s"));
    send(&mut moderator, &json!({ "type": "chat.slow", "seconds": 0 }));
    until("its end is said", 10.0, || text(&browser, "chat-notice") == "Der langsame Modus ist aus.");
    // The page shows the chat once it knows that there is such a stream.
    until("the chat is there", 20.0, || {
        browser.run("return !document.getElementById('chat').hidden") == true
    });
    browser.fill("#chat-name", "Ana");
    browser.fill("#chat-text", "hello");
    browser.click("#chat-send");
    until("it is written", 10.0, || text(&browser, "chat-list").contains("hello"));
    send(&mut moderator, &json!({ "type": "chat.timeout", "name": "ana", "seconds": 600 }));
    until("the message is gone", 10.0, || !text(&browser, "chat-list").contains("hello"));
    browser.fill("#chat-text", "again");
    browser.click("#chat-send");
    until("the refusal is said", 10.0, || text(&browser, "chat-error").contains("nicht schreiben"));
    send(&mut moderator, &json!({ "type": "chat.unban", "name": "ana" }));
    until("it is over", 10.0, || text(&browser, "chat-notice") == "Sie dürfen wieder schreiben.");
    assert_eq!(text(&browser, "chat-error"), "");
}
