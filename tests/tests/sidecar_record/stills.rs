//! A still of each stream is replaced again and again, and is complete whenever it is read.

use std::io::Read;

use weir_tests::harness::ffmpeg::probe;
use weir_tests::harness::{Sidecar, until};

use super::{open, publish};

#[test]
fn a_still_is_replaced_whole() {
    let nginx = open().start();
    let config =
        "[[thumbnail]]\napp = \"live\"\nstream = \"*\"\nevery = \"1s\"\nfolder = \"@MEDIA@\"\nheight = 44\n";
    let mut sidecar = Sidecar::start(&nginx, config);
    let publisher = publish(&nginx, "show");
    sidecar.wait_running("live/show/thumbnail", 25.0);
    let still = sidecar.media().join("live/show.jpg");
    // Two stills may be identical, because the test stream repeats.
    let mut seen = std::collections::BTreeSet::new();
    until("three stills were seen", 40.0, || {
        let Ok(mut file) = std::fs::File::open(&still) else { return false };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert!(bytes.starts_with(&[0xff, 0xd8]) && bytes.ends_with(&[0xff, 0xd9]));
        seen.insert(file.metadata().unwrap().modified().unwrap());
        seen.len() >= 3
    });
    let size = probe(&still.to_string_lossy(), &["-show_entries", "stream=codec_name,height"]);
    assert_eq!(size.trim(), "mjpeg,44");
    let job = sidecar.find("live/show/thumbnail").unwrap();
    assert_eq!((&job["ready"], &job["last_error"]), (&true.into(), &serde_json::Value::Null), "{job}");
    assert!(!sidecar.log().contains("deprecated pixel format"), "{}", sidecar.log());
    publisher.close();
    until("no job is left", 15.0, || sidecar.jobs().is_empty());
}
