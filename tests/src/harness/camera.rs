//! An RTSP camera with a password: GStreamer's RTSP server, as Debian has it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What it asks for.
pub const USER: &str = "viewer";
#[allow(missing_docs)]
pub const PASSWORD: &str = "camera-password";

/// A running camera; gone when dropped.
pub struct Camera {
    child: Child,
    port: u16,
}

impl Camera {
    /// Sends the H.264 pictures of an MP4, and no sound.
    #[track_caller]
    pub fn start(port: u16, mp4: &Path) -> Self {
        let pictures = "d.video_0 ! queue ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=1";
        Self::run(port, &format!("( filesrc location={} ! qtdemux name=d {pictures} )", mp4.display()))
    }

    /// Sends a tone as G.711, as cameras do.
    #[track_caller]
    pub fn start_with_alaw(port: u16) -> Self {
        Self::run(
            port,
            "( audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay name=pay0 pt=8 )",
        )
    }

    #[track_caller]
    fn run(port: u16, pipeline: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/harness/camera.py");
        // Debian's: another Python has no bindings.
        let mut child = Command::new("/usr/bin/python3")
            .args([script, &port.to_string(), USER, PASSWORD, pipeline])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "GStreamer's RTSP server does not run: install what `make deps` names");
        Self { child, port }
    }

    /// Its URL, for somebody with this password.
    pub fn url(&self, password: &str) -> String {
        format!("rtsp://{USER}:{password}@127.0.0.1:{}/cam", self.port)
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
