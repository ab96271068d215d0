//! A slate is not part of a recording: a recording ends with the lost publisher, and a new one begins with the next publisher.

use std::process::Command;

use weir_tests::harness::{Sidecar, files, products, until};

use super::{is_red, keyed, publish, session, slate, wait_clip};

#[test]
fn a_slate_is_not_recorded_and_what_was_recorded_is_whole() {
    let nginx = keyed("").start();
    let config = slate("20s")
        + "[[record]]\napp = \"live\"\nstream = \"*\"\nfolder = \"@MEDIA@\"\nmin_free = \"1m\"\nsplit = \"4s\"\n";
    let mut sidecar = Sidecar::start(&nginx, &config);
    let key = nginx.api().create_key("live", "show");
    let recorded = |sidecar: &Sidecar| -> Vec<_> {
        let all = files::below(&sidecar.media());
        all.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "mp4")).collect()
    };
    for turn in 1..=2 {
        let publisher = publish(&nginx, &key);
        wait_clip(&nginx, "slate");
        let before = recorded(&sidecar).len();
        sidecar.wait_running("live/show/record", 20.0);
        until("it is recorded", 20.0, || recorded(&sidecar).len() > before);
        let of_publisher = session(&nginx, "show");
        publisher.kill();
        until("the slate is there", 20.0, || {
            session(&nginx, "show").is_some_and(|session| Some(session) != of_publisher)
        });
        until("nothing is recorded", 20.0, || sidecar.find("live/show/record").is_none());
        let stream = nginx.api().stream("live", "show").unwrap();
        assert_eq!(stream["slate"], true, "{turn}: {stream}");
    }
    for file in recorded(&sidecar) {
        assert_eq!(is_red(&file), Some(false), "{file:?}");
        let decoded = Command::new(products::ffmpeg("ffmpeg"))
            .args(["-nostdin", "-v", "error", "-xerror", "-i"])
            .arg(&file)
            .args(["-f", "null", "-"])
            .output()
            .unwrap();
        assert!(decoded.status.success() && decoded.stderr.is_empty(), "{file:?}: {decoded:?}");
    }
}
