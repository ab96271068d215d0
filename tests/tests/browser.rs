//! A person with a browser sees the video: the single-node sample as `make run` starts it, with its page in Chromium; and nothing of it is
//! left after Ctrl-C.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

use serde_json::Value;
use weir_tests::harness::browser::Browser;
use weir_tests::harness::run::Run;
use weir_tests::harness::{Publisher, files, until};

fn state(browser: &Browser) -> String {
    browser.run("return document.getElementById('state').textContent").as_str().unwrap().to_owned()
}

fn wait_for_state(browser: &Browser, wanted: &str, seconds: f64) {
    until(&format!("the page says {wanted}"), seconds, || state(browser) == wanted);
}

fn video(browser: &Browser, property: &str) -> Value {
    browser.run(&format!("return document.getElementById('video').{property}"))
}

#[test]
fn the_page_plays_the_test_stream_and_knows_no_key() {
    let mut run = Run::start_with_test_stream();
    let key = run.printed("Stream Key");
    assert!(key.starts_with("wk_"), "{key}");
    assert_eq!(run.printed("Server"), format!("rtmp://127.0.0.1:{}/live", run.rtmp_port()));
    assert_eq!(run.printed("Page"), run.page("test"));
    until("playlists are there", 60.0, || {
        ["hls/test.m3u8", "media/live/test/master.m3u8"].iter().all(|path| run.prefix().join(path).exists())
    });

    let browser = Browser::start();
    browser.open(&run.printed("Page"));
    wait_for_state(&browser, "Playing", 30.0);
    let begin = video(&browser, "currentTime").as_f64().unwrap();
    until("two seconds are played", 20.0, || video(&browser, "currentTime").as_f64().unwrap() > begin + 2.0);
    assert!(video(&browser, "videoWidth").as_u64().unwrap() > 0);
    // The page plays the ladder, whose audio is a track of its own.
    let loaded =
        browser.run("return performance.getEntriesByType('resource').map((entry) => entry.name)").to_string();
    assert!(loaded.contains("/ladder/live/test/sound/"), "{loaded}");
    let decoded = || video(&browser, "webkitAudioDecodedByteCount").as_u64().unwrap();
    let before = decoded();
    until("sound is decoded", 10.0, || decoded() > before);

    the_clock_is_the_viewers(&browser);
    assert_eq!(video(&browser, "muted"), true);
    browser.click("#unmute");
    assert_eq!(video(&browser, "muted"), false);
    assert_eq!(video(&browser, "paused"), false);

    let addresses = browser.run(
        "return [location.href, ...performance.getEntriesByType('resource').map((entry) => entry.name)]",
    );
    let html = browser.run("return document.documentElement.outerHTML");
    for text in [addresses, html] {
        assert!(!text.to_string().contains(&key), "the page knows the key: {text}");
    }
    assert_eq!(browser.console(), Vec::<String>::new());
    drop(browser);

    // This file is where `make run` stores the key for its next start.
    assert_eq!(files::that_mention(&run.prefix(), &key), [run.prefix().join("stream.key")]);
    let processes = run.processes();
    for process in &processes {
        assert!(!process.title().contains(&key), "{}", process.title());
    }
    assert!(run.interrupt().success(), "{}", run.output());
    for process in processes {
        until(&format!("{process:?} is gone"), 5.0, || !process.is_alive());
    }
}

fn the_clock_is_the_viewers(browser: &Browser) {
    let seconds = browser.run(
        "const [hours, minutes, seconds] = document.getElementById('clock').textContent.split(':').map(Number);
         const now = new Date();
         return now.getUTCHours() * 3600 + now.getUTCMinutes() * 60 + now.getUTCSeconds()
           - (hours * 3600 + minutes * 60 + seconds);",
    );
    // The page shows whole seconds and the test measures milliseconds, and midnight may be between the two.
    let seconds = seconds.as_f64().unwrap().rem_euclid(86_400.0);
    assert!(!(2.0..86_398.0).contains(&seconds), "the page's clock is off by {seconds} s");
}

#[test]
fn the_page_waits_for_a_stream_and_notices_its_end_and_its_return() {
    let run = Run::start();
    let key = run.api().create_key("live", "later").key;
    let browser = Browser::start();
    browser.open(&run.page("later"));
    wait_for_state(&browser, "Waiting", 10.0);
    let asked = || files::text(&run.prefix().join("logs/access.log")).matches("/hls/later.m3u8").count();
    until("the page has asked again", 20.0, || asked() > 2);

    let publish = || Publisher::to(run.rtmp_port(), &format!("live/{key}")).start().started();
    let publisher = publish();
    wait_for_state(&browser, "Playing", 30.0);
    publisher.close();
    wait_for_state(&browser, "Lost", 40.0);
    let asked_at_loss = asked();
    until("the page has asked again", 20.0, || asked() > asked_at_loss + 2);
    let _publisher = publish();
    wait_for_state(&browser, "Playing", 30.0);

    // A stream that is not live causes no error, neither in the browser nor in nginx, before it begins and after its end.
    let console = browser.console();
    let of_playlists = |line: &&String| line.contains("m3u8");
    assert_eq!(console.iter().filter(of_playlists).count(), 0, "{console:#?}");
    let log = files::text(&run.prefix().join("logs/error.log"));
    assert!(!log.contains("No such file"), "{log}");
}

#[test]
fn a_name_that_no_stream_can_have_is_asked_for_again() {
    let run = Run::start();
    let browser = Browser::start();
    for wrong in ["", "..%2Fapi", "%3Cb%3E", "-x", &"n".repeat(129)] {
        browser.open(&run.page(wrong));
        let shown = browser.run(
            "return [document.getElementById('choose').hidden, document.getElementById('watch').hidden]",
        );
        assert_eq!(shown.to_string(), "[false,true]", "{wrong}");
    }
    browser.run("document.getElementById('stream').value = 'show'");
    browser.click("button[type=submit]");
    wait_for_state(&browser, "Waiting", 10.0);
    assert_eq!(browser.run("return location.search"), "?stream=show");
}
