//! The public pages: live streams and the schedule, in four languages, without events whose stream has ended; a message for an offline or
//! misspelt stream. They fit a phone and a desktop, light and dark, without a fault that axe-core finds, and the first load of the watch
//! page is small.

use std::time::{SystemTime, UNIX_EPOCH};

use weir_model::Timestamp;
use weir_tests::harness::browser::Browser;
use weir_tests::harness::look::look_at;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Ffmpeg, Sidecar, until};

use super::attacks::{claims, protected, signed};
use super::{ask, open, publish};

/// Most bytes that `/watch` may load before the player's library.
const FIRST_LOAD: u64 = 200_000;

fn config(port: u16) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let before = Timestamp::from_millis((now - 600) * 1000);
    format!(
        "[web]\nembed_origins = [\"https://www.example.org\"]\n\
         [web.brand]\nname = \"Example & <b>TV</b>\"\ncolor = \"#0b5f4a\"\ncolor_dark = \"#7fd6bd\"\n\
         imprint = \"https://www.example.org/imprint\"\n\
         [webrtc]\nlisten = \"127.0.0.1:{port}\"\n[chat]\nenabled = true\n\
         [[event]]\napp = \"live\"\nstream = \"later\"\ntitle = \"<i>Choir</i> {{app}}\"\nstart = \"2099-12-24T18:00:00Z\"\n\
         description = \"Two\\nlines\"\n\
         [[event]]\napp = \"live\"\nstream = \"late\"\ntitle = \"Late one\"\nstart = \"{before}\"\n\
         [[event]]\napp = \"live\"\nstream = \"show\"\ntitle = \"Show\"\nstart = \"{before}\"\n"
    )
}

fn text(browser: &Browser, id: &str) -> String {
    browser.run(&format!("return document.getElementById('{id}').innerText")).as_str().unwrap().to_owned()
}

#[test]
fn the_pages_are_for_everybody() {
    let nginx = open().start();
    let port = Port::reserve();
    let sidecar = Sidecar::start(&nginx, &config(port.number()));
    let _publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    let page = |path: &str| format!("http://127.0.0.1:{}{path}", sidecar.web());
    let head = |path: &str, headers: &[&str]| ask(sidecar.web(), path, headers);

    let embed = head("/embed/live/show", &[]);
    let policy = embed.header("content-security-policy").unwrap();
    assert!(policy.ends_with("frame-ancestors 'self' https://www.example.org"), "{policy}");
    let calendar = head("/events.ics", &[]);
    assert!(String::from_utf8_lossy(&calendar.body).contains("URL:http://live.example.org/watch/live/later"));
    for (path, accepted, lang, words) in [
        ("/", "Accept-Language: de-AT, en;q=0.5", "de", "Demnächst"),
        ("/watch/live/show", "Accept-Language: fr, ru;q=0.5", "ru", "Все трансляции"),
        ("/watch/live/show?lang=es", "Accept-Language: de", "es", "Compartir"),
        ("/", "Accept-Language: fr", "en", "Coming up"),
    ] {
        let html = String::from_utf8(head(path, &[accepted]).body).unwrap();
        assert!(html.contains(&format!("<html lang=\"{lang}\">")) && html.contains(words), "{path}: {html}");
        assert!(
            !html.contains("<b>TV") && !html.contains("<i>Choir") && !html.contains("{t."),
            "{path}: {html}"
        );
    }

    let browser = Browser::start();
    browser.open(&page("/"));
    until("what is live is listed", 20.0, || text(&browser, "streams").contains("Show"));
    let events = || text(&browser, "events");
    assert!(events().contains("<i>Choir</i> {app}"));
    // An event without its publisher is still to come, that of a live stream is not.
    until("a late event stays", 10.0, || {
        let events = events();
        events.contains("Late one") && events.contains("Was planned for ") && !events.contains("Show")
    });
    assert_eq!(browser.run("return document.querySelectorAll('#events .picture').length"), 0);
    browser.open(&page("/watch/live/later"));
    until("the start is said", 10.0, || text(&browser, "countdown").starts_with("Starts in "));
    assert!(text(&browser, "offline-text").contains("Next: <i>Choir</i> {app}, "));
    browser.open(&page("/watch/live/shwo?lang=de"));
    until("it is said that nobody knows it", 10.0, || {
        text(&browser, "offline-text").contains("Prüfen Sie die Adresse")
    });
    until("the server has answered", 10.0, || !text(&browser, "viewers").is_empty());
    assert_eq!(browser.run("return document.getElementById('chat').hidden"), true);
    for (path, link) in
        [("/nosuchpage", "./?lang=en"), ("/no/such", "../?lang=en"), ("/watch/show", "../?lang=en")]
    {
        let page = head(path, &["Accept: text/html,*/*;q=0.8"]);
        let html = String::from_utf8_lossy(&page.body);
        assert_eq!((page.status, page.header("vary")), (404, Some("Accept, Accept-Language")), "{path}");
        assert!(html.contains("There is no page at this address.") && html.contains(link), "{path}: {html}");
        assert_eq!(head(path, &[]).json()["error"]["code"], "not_found", "{path}");
    }

    browser.open(&page("/watch/live/show"));
    until("it plays", 30.0, || browser.run("return document.body.dataset.state") == "PLAYING");
    until("the chat is there", 10.0, || {
        browser.run("return !document.getElementById('chat').hidden") == true
    });
    until("viewers are counted", 20.0, || text(&browser, "viewers").contains("viewer"));
    let loaded = browser.run(
        "return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
           .filter(({ name }) => !name.includes('/stream/') && !name.includes('hls.min.js'))
           .reduce((sum, { transferSize }) => sum + transferSize, 0)",
    );
    let loaded = loaded.as_u64().unwrap();
    eprintln!("first load of /watch: {loaded} bytes");
    assert!((10_000..=FIRST_LOAD).contains(&loaded), "{loaded}");
    browser.click("#facts summary");
    until("the clock goes", 5.0, || text(&browser, "clock").split([':', '.']).map(str::len).eq([2, 2, 2, 1]));
    assert!(!text(&browser, "fact-load").is_empty());

    for (path, name) in [
        ("/watch/live/show", "watch"),
        ("/watch/live/later", "later"),
        ("/", "index"),
        ("/publish", "publish"),
        ("/embed/live/show", "embed"),
    ] {
        browser.open(&page(path));
        if name == "watch" {
            until("it plays", 30.0, || browser.run("return document.body.dataset.state") == "PLAYING");
        }
        if name == "later" {
            until("the start is said", 10.0, || text(&browser, "countdown").starts_with("Starts in "));
        }
        if name == "index" {
            until("the still is there", 30.0, || {
                browser.run("return document.querySelector('#streams img')?.naturalWidth > 0") == true
            });
        }
        look_at(&browser, name);
    }
    browser.open(&page("/publish"));
    browser.resize(1280, 800);
    let below =
        browser.run("return document.getElementById('start').getBoundingClientRect().bottom - innerHeight");
    assert!(below.as_f64().unwrap() <= 0.0, "the button is below the fold: {below}");
    let console = browser.console();
    assert!(!console.iter().any(|line| line.contains("Content Security Policy")), "{console:?}");
}

#[test]
fn an_event_whose_stream_has_ended_is_not_to_come() {
    let nginx = open().start();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let start = Timestamp::from_millis((now - 60) * 1000);
    let event = |stream: &str, title: &str| {
        format!(
            "[[event]]\napp = \"live\"\nstream = \"{stream}\"\ntitle = \"{title}\"\nstart = \"{start}\"\n"
        )
    };
    let sidecar =
        Sidecar::start(&nginx, &format!("[web]\n{}{}", event("show", "Show"), event("late", "Late one")));
    let live = || ask(sidecar.web(), "/v1/live", &[]).json()["streams"].as_array().unwrap().len();
    let publisher = publish(&nginx, "show");
    until("the stream is live", 20.0, || live() == 1);
    publisher.close();
    until("the stream has ended", 20.0, || live() == 0);
    let browser = Browser::start();
    browser.open(&format!("http://127.0.0.1:{}/", sidecar.web()));
    until("the other event is to come", 20.0, || text(&browser, "events").contains("Late one"));
    assert!(!text(&browser, "events").contains("Show"), "{}", text(&browser, "events"));
}

#[test]
fn a_late_event_is_told_with_its_time_until_its_end() {
    let nginx = open().start();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let event = |stream: &str, minutes: u64, length: &str| {
        let start = Timestamp::from_millis((now - minutes * 60) * 1000);
        format!(
            "[[event]]\napp = \"live\"\nstream = \"{stream}\"\ntitle = \"Title of {stream}\"\nstart = \"{start}\"\n\
             length = \"{length}\"\n"
        )
    };
    let events = [event("soon", 0, "3h"), event("late", 75, "3h"), event("over", 50, "30m")].concat();
    let sidecar = Sidecar::start(&nginx, &format!("[web]\n{events}"));
    let browser = Browser::start();
    let page = |path: &str| browser.open(&format!("http://127.0.0.1:{}{path}", sidecar.web()));
    page("/");
    until("both events are to come", 20.0, || text(&browser, "events").contains("Title of late"));
    let events = text(&browser, "events");
    assert!(events.contains("Starts in a moment") && events.contains("Was planned for "), "{events}");
    assert!(!events.contains("Title of over"), "{events}");
    for (stream, words, countdown) in [
        ("soon", "This stream is offline.", "Starts in a moment"),
        ("late", "Was planned for ", ""),
        ("over", "This stream is offline.", ""),
    ] {
        page(&format!("/watch/live/{stream}"));
        until(stream, 20.0, || text(&browser, "offline-text").contains(words));
        assert_eq!(text(&browser, "countdown"), countdown, "{stream}");
        assert_eq!(browser.run("return document.getElementById('pip').hidden"), true);
    }
}

#[test]
fn a_stream_for_members_says_that_its_address_is_not_enough() {
    let nginx = protected().start();
    let event = "[[event]]\napp = \"live\"\nstream = \"later\"\ntitle = \"Later\"\nstart = \"2099-12-24T18:00:00Z\"\n";
    let sidecar = Sidecar::start(&nginx, &format!("[web]\n{event}"));
    let _publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    let browser = Browser::start();
    browser.open(&format!("http://127.0.0.1:{}/", sidecar.web()));
    until("the hint is there", 20.0, || text(&browser, "streams").contains("Only with a link"));
    assert_eq!(ask(sidecar.web(), "/v1/live", &[]).json()["streams"][0]["protected"], true);
    until("no box without a picture", 20.0, || {
        browser.run("return document.querySelectorAll('#streams .picture').length") == 0
    });
    browser.open(&format!("http://127.0.0.1:{}/watch/live/show?token={}", sidecar.web(), signed(&claims())));
    browser.click("#share");
    until("it is said", 10.0, || text(&browser, "share-note").contains("a link of their own"));

    browser.open(&format!("http://127.0.0.1:{}/", sidecar.web()));
    until("the hint is there for the event", 20.0, || text(&browser, "events").contains("Only with a link"));
    let only = "Only people with a link can watch this stream.";
    for path in ["later", "show"] {
        browser.open(&format!("http://127.0.0.1:{}/watch/live/{path}", sidecar.web()));
        until(path, 30.0, || text(&browser, "offline-text").contains(only));
    }
    browser.open(&format!("http://127.0.0.1:{}/watch/live/later?token={}", sidecar.web(), signed(&claims())));
    until("the event is announced", 20.0, || text(&browser, "offline-text").contains("Next: Later"));
    assert!(!text(&browser, "offline-text").contains(only));
    browser.open(&format!("http://127.0.0.1:{}/watch/live/show?token=wrong", sidecar.web()));
    until("the link is refused", 30.0, || {
        text(&browser, "offline-text").contains("This link does not let you watch")
    });
}
