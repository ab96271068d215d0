//! Common encoders from Debian's packages: real programs with small video and a tone.

use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::Signal;
use tempfile::NamedTempFile;

use super::process::Process;
use super::{ffmpeg, files, ports, products, wait};

/// The encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Make {
    /// ffmpeg with its own RTMP implementation.
    Ffmpeg,
    /// GStreamer with `rtmp2sink`, which has its own RTMP implementation.
    Rtmp2sink,
    /// GStreamer with `rtmpsink`, which is librtmp.
    Rtmpsink,
}

impl Make {
    /// All encoders.
    pub const ALL: [Self; 3] = [Self::Ffmpeg, Self::Rtmp2sink, Self::Rtmpsink];

    fn command(self, url: &str) -> Command {
        match self {
            Self::Ffmpeg => ffmpeg::publishing(url),
            Self::Rtmp2sink => gstreamer("rtmp2sink", url),
            Self::Rtmpsink => gstreamer("rtmpsink", url),
        }
    }

    /// Starts the encoder, which publishes to `url` until it is stopped.
    pub fn publish(self, url: &str) -> Encoder {
        let messages = NamedTempFile::new().unwrap();
        let child = self
            .command(url)
            .stdin(Stdio::null())
            .stdout(messages.reopen().unwrap())
            .stderr(messages.reopen().unwrap())
            .spawn()
            .unwrap();
        Encoder { make: self, child, messages }
    }
}

/// With `-e`, GStreamer ends the stream before it exits.
fn gstreamer(sink: &str, url: &str) -> Command {
    let mut command = Command::new(products::tool("/usr/bin/gst-launch-1.0"));
    // GStreamer looks for plug-ins once, and not in the user's home folder.
    command.env("GST_REGISTRY", ports::shared_folder().join("gstreamer.bin"));
    command.args(["-e", "flvmux", "streamable=true", "name=mux", "!", sink]).arg(format!("location={url}"));
    let video = "videotestsrc is-live=true ! video/x-raw,width=160,height=90,framerate=20/1 ! \
                 openh264enc gop-size=10 ! h264parse ! mux.";
    let audio =
        "audiotestsrc is-live=true ! audio/x-raw,rate=44100,channels=1 ! voaacenc bitrate=32000 ! mux.";
    command.args(video.split_ascii_whitespace()).args(audio.split_ascii_whitespace());
    command
}

/// A running encoder; killed when dropped.
pub struct Encoder {
    make: Make,
    child: Child,
    messages: NamedTempFile,
}

impl Encoder {
    /// Returns its output so far.
    pub fn messages(&self) -> String {
        files::text(self.messages.path())
    }

    /// Returns whether it has exited.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until it exits.
    #[track_caller]
    pub fn wait_ended(&mut self, seconds: f64) -> ExitStatus {
        let make = self.make;
        wait::until(&format!("{make:?} ends"), seconds, || self.child.try_wait().unwrap())
    }

    /// Sends Ctrl-C. The encoder must end its stream without an error.
    #[track_caller]
    pub fn stop(mut self) {
        assert!(!self.has_ended(), "{:?} has ended:\n{}", self.make, self.messages());
        Process(self.child.id() as i32).signal(Signal::SIGINT);
        let status = self.wait_ended(15.0);
        // ffmpeg's exit status after an interrupt.
        let fine = status.success() || (self.make == Make::Ffmpeg && status.code() == Some(255));
        assert!(fine, "{:?} ended with {status}:\n{}", self.make, self.messages());
    }

    /// Kills it.
    pub fn kill(self) {}
}

impl Drop for Encoder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
