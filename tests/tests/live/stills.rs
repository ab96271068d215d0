//! The daemon makes a still of a live stream when somebody asks for it: a JPEG of the newest keyframe. The public page shows it. A stream
//! without video, and one that is not live, have none.

use weir_rtmp::flv::TagKind;
use weir_tests::harness::browser::Browser;
use weir_tests::harness::{Ffmpeg, Publisher, Sidecar, until};

use super::{ask, open};

#[test]
fn a_still_is_made_when_somebody_asks() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let show = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    let sound = |tag: weir_rtmp::flv::Tag| (tag.kind != TagKind::Video).then_some(tag);
    let _radio = Publisher::to(nginx.rtmp(), "live/radio").edited(sound).start().started();
    let still = |name: &str| ask(sidecar.web(), &format!("/stream/live/{name}/still.jpg"), &[]);
    // Everything but the header is sent, and no keyframe.
    let late = |tag: weir_rtmp::flv::Tag| {
        (tag.is_header() || tag.kind != TagKind::Video || tag.payload[0] >> 4 != 1).then_some(tag)
    };
    let _late = Publisher::to(nginx.rtmp(), "live/late").edited(late).start().started();
    until("all are live", 20.0, || {
        let live = ask(sidecar.web(), "/v1/live", &[]).json();
        live["streams"].as_array().unwrap().len() == 3
    });

    // A stream without a keyframe does not hold up others.
    let web = sidecar.web();
    let waits = std::thread::spawn(move || ask(web, "/stream/live/late/still.jpg", &[]));
    let first = still("show");
    assert!(!waits.is_finished());
    assert_eq!((first.status, first.header("content-type").unwrap()), (200, "image/jpeg"));
    assert!(first.body.starts_with(&[0xff, 0xd8, 0xff]) && first.body.ends_with(&[0xff, 0xd9]));
    // It is kept for a while.
    assert!(still("show").body == first.body);
    let none = still("radio");
    assert_eq!(
        (none.status, &none.json()["error"]["message"]),
        (404, &"there is nothing at this address".into())
    );
    let none = still("nobody");
    assert_eq!((none.status, &none.json()["error"]["message"]), (404, &"the stream is not live".into()));

    let browser = Browser::start();
    browser.open(&format!("http://127.0.0.1:{}/", sidecar.web()));
    let shown =
        "return [...document.querySelectorAll('#streams img')].filter((one) => one.naturalWidth > 0).length";
    until("one still is shown", 20.0, || browser.run(shown) == 1);
    // A still is no viewer.
    let live = ask(sidecar.web(), "/v1/live", &[]).json();
    for stream in live["streams"].as_array().unwrap() {
        let viewers = stream["viewers"].as_object().unwrap();
        assert!(viewers.values().all(|count| count == 0), "{stream}");
    }
    let none = waits.join().unwrap();
    assert_eq!(none.status, 404, "{}", none.json());

    drop(show);
    until("the still is gone", 20.0, || still("show").status == 404);
}
