//! A ladder that is delivered over RTMP reaches the second application, into which nobody else can publish, and no secret is visible.

use weir_tests::harness::ffmpeg::probe;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Publisher, Sidecar, files, products, until};

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

    // Any other publisher is refused, and the secret appears nowhere.
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

/// Returns the body of the sample's second application, with these variants instead of its own.
fn sample_of_variants(variants: &str) -> String {
    let text = files::text(&products::workspace().join("nginx-conf/ladder/nginx.conf"));
    let (_, rest) = text.split_once("application ladder {").unwrap();
    let (body, _) = rest.split_once("\n        }").unwrap();
    let lines = body.lines().filter(|line| {
        let line = line.trim_start();
        !line.starts_with("hls_variant") && !line.starts_with("live on")
    });
    let body: String = lines.map(|line| format!("{line}\n")).collect();
    format!("{}\n{variants}", body.replace("/var/lib/weir-nginx/hls", "@DIR@/hls"))
}

#[test]
fn the_variants_of_nginx_rtmp_can_be_played() {
    let variants =
        "hls_variant _source BANDWIDTH=200000; hls_variant _low BANDWIDTH=100000,RESOLUTION=78x44;";
    let nginx = Config::weir()
        .main("weir_secret @DIR@/secret;")
        .file("secret", SECRET)
        .with_api()
        .app("live", "weir_publish open;")
        .app("ladder", &sample_of_variants(variants))
        .http("location /hls/ { root @DIR@; types { application/vnd.apple.mpegurl m3u8; video/mp2t ts; } }")
        .start();
    let config = "[rung.low]\nheight = 44\nbitrate = \"60k\"\n[ladder.l]\nrungs = [\"source\", \"low\"]\npreset = \"ultrafast\"\n\
        [[stream]]\napp = \"live\"\nstream = \"*\"\nladder = \"l\"\ndeliver = \"rtmp\"\nto_app = \"ladder\"\nsecret_file = \"@DIR@/secret\"\n";
    let sidecar = Sidecar::start(&nginx, config);
    let _publisher = publish(&nginx, "show");
    sidecar.wait_ready("live/show");
    let playlist = |name: &str| files::text(&nginx.folder().join("hls").join(name));
    until("both variants have three fragments", 40.0, || {
        let fragments = |name| playlist(name).matches("#EXTINF").count();
        fragments("show_source/index.m3u8") >= 3 && fragments("show_low/index.m3u8") >= 3
    });
    let master = playlist("show.m3u8");
    assert_eq!(master.matches("#EXT-X-STREAM-INF").count(), 2, "{master}");

    // A player of the master playlist can choose either variant, and gets video and audio of it.
    let url = nginx.url("/hls/show.m3u8");
    let heights = probe(&url, &["-select_streams", "v", "-show_entries", "stream=height"]);
    let heights: std::collections::BTreeSet<&str> =
        heights.split([',', '\n']).filter(|height| !height.is_empty()).collect();
    assert_eq!(heights, ["44", "90"].into(), "{master}");
    for program in ["p:0", "p:1"] {
        let output = std::process::Command::new(products::ffmpeg("ffmpeg"))
            .args(["-nostdin", "-v", "error", "-i", &url, "-map"])
            .arg(format!("0:{program}"))
            .args(["-t", "3", "-f", "null", "-"])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && errors.is_empty(), "{program}: {errors}");
    }
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
    sidecar.wait_log("stream not published: ");
    until("the job says why", 10.0, || {
        let job = sidecar.find("live/show/ladder")?;
        Some(job["restarts"].as_u64()? >= 1 && job["last_error"].is_string())
    });
}
