//! The time from a picture to its display: the picture shows the time of day in bits, which the page reads back from a canvas.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use weir_tests::harness::browser::Browser;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Sidecar, products, until};

use super::open;

/// A publisher whose pictures show the newest 16 bits of the time of day in milliseconds, from left to right, each 20 pixels wide.
struct Clock(Child);

impl Clock {
    fn publish(url: &str) -> Self {
        let bit = "mod(floor(mod(floor(T*1000),65536)/pow(2,floor(X/20))),2)";
        let picture = format!(
            "nullsrc=size=320x64:rate=25,realtime,setpts=RTCTIME/(TB*1000000),geq=lum='16+219*{bit}':cb=128:cr=128,\
             setpts=N/(25*TB)"
        );
        let child = Command::new(products::ffmpeg("ffmpeg"))
            .args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", &picture])
            .args([
                "-f",
                "lavfi",
                "-i",
                "sine=frequency=440,arealtime",
                "-c:v",
                "libx264",
                "-preset",
                "ultrafast",
            ])
            .args(["-tune", "zerolatency", "-pix_fmt", "yuv420p", "-g", "50", "-threads", "1"])
            .args(["-c:a", "aac", "-b:a", "64k", "-flush_packets", "1", "-f", "flv", url])
            .stdin(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const READ: &str = "
    const canvas = window.canvas ??= document.createElement('canvas');
    [canvas.width, canvas.height] = [320, 64];
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(document.getElementById('video'), 0, 0, 320, 64);
    const now = Date.now();
    let shown = 0;
    for (let bit = 0; bit < 16; bit += 1) {
      if (context.getImageData(bit * 20 + 10, 32, 1, 1).data[0] > 128) shown |= 1 << bit;
    }
    return (now - shown) & 65535;";

#[test]
#[ignore = "measures latency, so it needs a machine without other work"]
fn a_picture_is_shown_within_the_time_of_its_transport() {
    let (nginx, port) = (open().start(), Port::reserve());
    let sidecar =
        Sidecar::start(&nginx, &format!("[web]\n[webrtc]\nlisten = \"127.0.0.1:{}\"\n", port.number()));
    let _publisher = Clock::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    let browser = Browser::start();
    let state = || browser.run("return document.body.dataset.state ?? ''");
    // The last one has no limit of its own.
    for (tech, most) in [("ws", 0.5), ("whep", 0.3), ("llhls", 2.5), ("hls", 12.0)] {
        browser.open(&format!("http://127.0.0.1:{}/embed/live/show?tech={tech}", sidecar.web()));
        until(&format!("it plays by {tech}"), 40.0, || state() == "PLAYING");
        let mut median = f64::INFINITY;
        until(&format!("{tech} is within {most} s of the picture"), 30.0, || {
            let mut each: Vec<f64> = (0..30)
                .map(|_| {
                    std::thread::sleep(Duration::from_millis(37));
                    browser.run(READ).as_f64().unwrap() / 1000.0
                })
                .collect();
            each.sort_by(f64::total_cmp);
            median = each[each.len() / 2];
            println!("{tech}: {median:.3} s ({:.3} .. {:.3})", each[0], each[each.len() - 1]);
            median <= most
        });
    }
}
