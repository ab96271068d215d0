//! Audio and video stay in sync: from a publisher over WebRTC (aiortc, whose RTP times begin at random) whose audio arrives 300 ms later
//! than the video of the same moment, in RTMP; and from a publisher over RTMP to a viewer over WebRTC, by the reports of the daemon.

use std::process::{Command, Stdio};

use serde_json::json;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Nginx, Sidecar, products, until};

use super::foreign::Client;
use super::{open, watch};

/// Times of flashes and beeps, as an ffmpeg expression: only a shift by four seconds makes the pattern match itself.
const ON: &str = "between(mod(t,4),0,0.099)+between(mod(t,4),0.8,0.899)+between(mod(t,4),2,2.099)+between(mod(t,4),2.7,2.799)";
/// Milliseconds that a person may notice.
const MOST: f64 = 40.0;

fn sidecar(nginx: &Nginx, port: &Port) -> Sidecar {
    Sidecar::start(nginx, &format!("[web]\n[webrtc]\nlisten = \"127.0.0.1:{}\"\n", port.number()))
}

fn url(sidecar: &Sidecar, what: &str) -> String {
    format!("http://127.0.0.1:{}/stream/live/show/{what}", sidecar.web())
}

/// Returns the numbers that ffmpeg has written after a word.
fn numbers(log: &str, word: &str) -> Vec<f64> {
    let number = |part: &str| part.split([' ', '\n', '|']).find(|part| !part.is_empty())?.parse().ok();
    log.split(word).skip(1).filter_map(number).collect()
}

/// Returns how many milliseconds after each flash of a stream its beep is, over six seconds; `None` if there were too few of them.
fn apart(nginx: &Nginx) -> Option<Vec<f64>> {
    let output = Command::new(products::ffmpeg("ffmpeg"))
        .args(["-nostdin", "-hide_banner", "-v", "info", "-nostats"])
        .args(["-i", &format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()), "-t", "6"])
        .args([
            "-vf",
            "blackdetect=d=0.2:pix_th=0.3",
            "-af",
            "silencedetect=n=-30dB:d=0.2",
            "-f",
            "null",
            "-",
        ])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let (flashes, beeps) = (numbers(&log, "black_end:"), numbers(&log, "silence_end:"));
    if flashes.len() < 3 || beeps.len() < 3 {
        return None;
    }
    let nearest = |flash: &f64| {
        let distances = beeps.iter().map(|beep| (beep - flash) * 1000.0);
        distances.min_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap()
    };
    // The recording may end before the beep of a late flash.
    Some(flashes.iter().filter(|flash| **flash < beeps.last().unwrap() + 0.2).map(nearest).collect())
}

#[test]
fn the_sound_of_a_publisher_over_webrtc_fits_its_pictures_although_it_comes_later() {
    let (nginx, port) = (open().start(), Port::reserve());
    let sidecar = sidecar(&nginx, &port);
    let mut publisher = Client::start(&["clap", &url(&sidecar, "whip"), "60", "0.3"]);
    assert_eq!(publisher.next(), json!({ "publishing": true }));
    until("sound and pictures come", 30.0, || {
        nginx.api().stream("live", "show").filter(|stream| stream["audio"]["codec"] == "AAC")
    });
    // A busy machine may lose a frame, which makes one flash late: then the next recording counts. A fault is in all recordings.
    let fits = |all: &Vec<f64>| all.iter().all(|one| one.abs() < MOST);
    let last = until("they fit", 20.0, || apart(&nginx).inspect(|all| println!("{all:?} ms")).filter(fits));
    println!("WHIP to RTMP: {last:?} ms");
    // Audio and video stay in sync.
    until("they still fit", 20.0, || apart(&nginx).inspect(|all| println!("{all:?} ms")).filter(fits));
}

#[test]
fn the_sound_for_a_viewer_over_webrtc_fits_the_pictures() {
    let (nginx, port) = (open().start(), Port::reserve());
    let sidecar = sidecar(&nginx, &port);
    let mut publisher = Command::new(products::ffmpeg("ffmpeg"))
        .args(["-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i"])
        .arg(format!("color=black:size=320x180:rate=30,drawbox=color=white:t=fill:enable='{ON}'"))
        .args(["-re", "-f", "lavfi", "-i", &format!("aevalsrc='if({ON},0.5*sin(2*PI*1000*t),0)':s=48000")])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"])
        .args(["-g", "30", "-threads", "1", "-c:a", "aac", "-f", "flv"])
        .arg(format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    drop(watch(&sidecar, "show"));
    let mut player = Client::start(&["clock", &url(&sidecar, "whep"), "20"]);
    let end = player.within(60.0);
    let _ = publisher.kill().and_then(|()| publisher.wait());
    let end = end.unwrap_or_else(|| panic!("{}", sidecar.log()));
    eprintln!("RTMP to WHEP: {end}");
    let all: Vec<f64> = end["apart"].as_array().unwrap().iter().map(|one| one.as_f64().unwrap()).collect();
    // Only the second half counts.
    let late = &all[all.len() / 2..];
    assert!(all.len() >= 14 && late.iter().all(|one| one.abs() < MOST), "{end}\n{}", sidecar.log());
}
