//! A ladder delivered over RTMP reaches the other application, into which nobody else can publish, and no secret is to be seen.

use weir_tests::harness::ffmpeg::probe;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Publisher, Sidecar, until};

use super::publish;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn renditions_are_published_under_their_names_with_a_token() {
    let nginx = Config::weir()
        .main("weir_secret @DIR@/secret;")
        .file("secret", SECRET)
        .with_api()
        .app("live", "weir_publish open;")
        .app("ladder", "weir_publish key;")
        .start();
    let config = "[rung.low]\nheight = 44\nbitrate = \"60k\"\n[ladder.l]\nrungs = [\"source\", \"low\", \"audio\"]\npreset = \"ultrafast\"\n\
        [[stream]]\napp = \"live\"\nstream = \"*\"\nladder = \"l\"\ndeliver = \"rtmp\"\nto_app = \"ladder\"\nsecret_file = \"@DIR@/secret\"\n";
    let mut sidecar = Sidecar::start(&nginx, config);
    let publisher = publish(&nginx, "show");
    sidecar.wait_ready("live/show");
    sidecar.wait_running("live/show/ladder", 10.0);
    let height =
        |name: &str| nginx.api().stream("ladder", name).map(|stream| stream["video"]["height"].as_u64());
    until("the source is there", 10.0, || height("show_source") == Some(Some(90)));
    until("the rendition is there", 10.0, || height("show_low") == Some(Some(44)));
    until("the sound is there", 10.0, || height("show_audio") == Some(None));
    let url = format!("rtmp://127.0.0.1:{}/ladder/show_low", nginx.rtmp());
    let codecs = probe(&url, &["-read_intervals", "%+2", "-show_entries", "stream=codec_name"]);
    assert!(codecs.contains("h264") && codecs.contains("aac"), "{codecs}");

    // Anybody else is refused, and the secret is nowhere.
    Publisher::to(nginx.rtmp(), "ladder/show_evil").start().refused_somehow();
    let mut processes = sidecar.process().descendants();
    processes.push(sidecar.process());
    for process in processes {
        let title = process.title();
        assert!(!title.contains("token") && !title.contains("eyJ") && !title.contains(SECRET), "{title}");
    }
    assert!(!sidecar.log().contains("eyJ") && !nginx.log().contains("eyJ"));

    publisher.close();
    until("the renditions are gone", 15.0, || {
        let streams = nginx.api().streams();
        streams.iter().all(|stream| stream["app"] != "ladder")
    });
}

#[test]
fn a_wrong_secret_is_told() {
    let nginx = Config::weir()
        .main("weir_secret @DIR@/secret;")
        .file("secret", SECRET)
        .file("other", "another secret of more than 32 bytes")
        .with_api()
        .app("live", "weir_publish open;")
        .app("ladder", "weir_publish key;")
        .start();
    let config = "[ladder.l]\nrungs = [\"source\"]\n[[stream]]\napp = \"live\"\nstream = \"*\"\nladder = \"l\"\ndeliver = \"rtmp\"\n\
        to_app = \"ladder\"\nsecret_file = \"@DIR@/other\"\n";
    let sidecar = Sidecar::start(&nginx, config);
    let _publisher = publish(&nginx, "show");
    sidecar.wait_log("rendition not published: ");
    until("the job says why", 10.0, || {
        let job = sidecar.find("live/show/ladder")?;
        Some(job["restarts"].as_u64()? >= 1 && job["last_error"].is_string())
    });
}
