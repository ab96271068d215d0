//! hls.js in Chromium plays a ladder with its audio, and switches from one rendition to the other and back without a stop.

use weir_tests::harness::browser::Browser;
use weir_tests::harness::{Sidecar, products, until};

use super::{open, publish, rule};

const PAGE: &str = "<!DOCTYPE html><video id=v muted></video><script src=/vendor/hls.min.js></script><script>
    window.errors = [];
    window.hls = new Hls();
    hls.on(Hls.Events.ERROR, (_, data) => { if (data.fatal) errors.push(data.details); });
    hls.loadSource('/media/live/show/master.m3u8');
    hls.attachMedia(document.getElementById('v'));
    hls.on(Hls.Events.MANIFEST_PARSED, () => document.getElementById('v').play());
    </script>";

#[test]
fn a_player_changes_renditions_in_a_browser() {
    let vendor = products::workspace().join("nginx-conf/single-node/www/vendor");
    let http = format!(
        "location /vendor/ {{ alias {}/; types {{ text/javascript js; }} }}
         location /media/ {{ alias @DIR@/media/; types {{ application/vnd.apple.mpegurl m3u8; video/mp4 mp4 m4s; }} }}
         location = /page {{ alias @DIR@/page.html; default_type text/html; }}",
        vendor.display()
    );
    let nginx = open().http(&http).file("page.html", PAGE).start();
    let sidecar = Sidecar::start(&nginx, &rule("[\"source\", \"low\"]").replace("@MEDIA@", "@DIR@/media"));
    let _publisher = publish(&nginx, "show");
    sidecar.wait_ready("live/show");

    let browser = Browser::start();
    browser.open(&nginx.url("/page"));
    let video = |property: &str| browser.run(&format!("return document.getElementById('v').{property}"));
    let height = || video("videoHeight").as_u64().unwrap();
    let time = || video("currentTime").as_f64().unwrap();
    until("it plays", 30.0, || time() > 0.0 && height() > 0);
    let levels = browser.run("return hls.levels.map((level) => level.height)");
    assert_eq!(levels, serde_json::json!([44, 90]));
    let heard = || video("webkitAudioDecodedByteCount").as_u64().unwrap();
    until("it is heard", 20.0, || heard() > 0);
    for (level, expected) in [(0, 44), (1, 90), (0, 44)] {
        browser.run(&format!("hls.nextLevel = {level}"));
        until("the other rendition is shown", 20.0, || height() == expected);
        let (from, sound) = (time(), heard());
        until("it goes on", 20.0, || time() > from + 1.0 && heard() > sound);
    }
    assert_eq!(browser.run("return errors"), serde_json::json!([]));
}
