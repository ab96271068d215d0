//! A clip is shown in a loop and unchanged, with its own audio or, if it has none, with silence.

use std::process::Command;

use weir_tests::harness::ffmpeg::probe;
use weir_tests::harness::{Player, Sidecar, products};

use super::{keyed, publish, slate, wait_clip};

/// Returns a clip of one second, as fragmented MP4.
fn clip(sound: &[&str]) -> Vec<u8> {
    let output = Command::new(products::ffmpeg("ffmpeg"))
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=1"])
        .args(sound)
        .args([
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-c:a",
            "aac",
            "-movflags",
            "frag_keyframe+empty_moov",
        ])
        .args(["-f", "mp4", "-"])
        .output()
        .unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn a_clip_goes_round_and_round_with_or_without_sound() {
    let tone = ["-f", "lavfi", "-i", "sine=frequency=440:duration=1"];
    let nginx = keyed("").file("slate.mp4", clip(&tone)).file("mute.mp4", clip(&[])).start();
    for (name, file) in [("tone", "slate.mp4"), ("mute", "mute.mp4")] {
        let config = slate("60s")
            .replace("slate.png", file)
            .replace("@DIR@/slate\"", &format!("@DIR@/{name}/slate\""));
        let sidecar = Sidecar::start(&nginx, &config);
        let key = nginx.api().create_key("live", name);
        let publisher = publish(&nginx, &key);
        let player = Player::start(nginx.rtmp(), &format!("live/{name}"));
        player.wait_video(20);
        wait_clip(&nginx, &format!("{name}/slate"));
        publisher.kill();
        sidecar.wait_log("publisher lost: showing the slate");
        let sound = player.seen().audio;
        // This is more than two rounds.
        player.wait_video(50);
        assert!(player.seen().audio > sound + 50, "{} pieces of sound", player.seen().audio - sound);
        let url = format!("rtmp://127.0.0.1:{}/live/{name}", nginx.rtmp());
        let shown =
            probe(&url, &["-read_intervals", "%+1", "-show_entries", "stream=codec_name,width,sample_rate"]);
        for part in ["h264", "160", "aac", "44100"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }
}
