//! An RTSP camera with a password: GStreamer's RTSP server from Debian.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The user and the password that it requires.
pub const USER: &str = "viewer";
#[allow(missing_docs)]
pub const PASSWORD: &str = "camera-password";

/// A running camera; stopped when dropped.
pub struct Camera {
    child: Child,
    port: u16,
}

impl Camera {
    /// Sends the H.264 video of an MP4, without audio.
    #[track_caller]
    pub fn start(port: u16, mp4: &Path) -> Self {
        let pictures = "d.video_0 ! queue ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=1";
        Self::run(port, &format!("( filesrc location={} ! qtdemux name=d {pictures} )", mp4.display()))
    }

    /// Sends a tone as G.711, like many cameras.
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
        // Debian's Python, because another one has no bindings.
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

    /// Returns its URL with this password.
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
