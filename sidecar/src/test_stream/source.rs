//! Starts ffmpeg, which makes the test stream.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::task::JoinHandle;
use weir_rtmp::flv::{Reader, Tag};
use weir_rtmp::url::Url;

use super::Error;
use super::target::KEY_VARIABLE;
use crate::cli::TestStreamArgs;
use crate::values::{Bitrate, FrameRate, FrameSize, Label};

/// Monospaced digits: fonts at the paths that distributions use. Without one, fontconfig chooses.
const FONTS: [&str; 5] = [
    "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf",
    "/usr/share/fonts/dejavu-sans-mono-fonts/DejaVuSansMono.ttf",
    "/usr/share/fonts/dejavu/DejaVuSansMono.ttf",
    "/usr/share/fonts/TTF/DejaVuSansMono.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationMono-Regular.ttf",
];
/// Most bytes of ffmpeg's error output that are kept.
const MAX_COMPLAINT: usize = 2048;

/// Settings of the stream.
#[derive(Debug)]
pub(super) struct Source {
    size: FrameSize,
    rate: FrameRate,
    bitrate: Bitrate,
    label: Label,
    font: Option<&'static str>,
}

impl Source {
    /// Checks the settings immediately, so that no error occurs later. The default label is the application, and never the stream's name,
    /// which may be a key.
    pub(super) fn new(args: &TestStreamArgs, url: &Url) -> Result<Self, Error> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&path).any(|folder| folder.join("ffmpeg").is_file()) {
            return Err(Error::Local("no ffmpeg in PATH (Debian: package ffmpeg)".into()));
        }
        let app = weir_model::arguments::name(&url.app);
        Ok(Self {
            size: args.size,
            rate: args.rate,
            bitrate: args.bitrate,
            label: args.name.clone().unwrap_or_else(|| Label::near(app)),
            font: FONTS.into_iter().find(|font| Path::new(font).is_file()),
        })
    }

    /// Returns a description for people.
    pub(super) fn summary(&self) -> String {
        format!("{}x{} at {} frames/s", self.size.width, self.size.height, self.rate.0)
    }

    /// Starts ffmpeg. The first frame's clock shows `clock`, in seconds since the epoch.
    pub(super) fn start(&self, clock: u64, duration: Option<Duration>) -> Result<Running, Error> {
        let mut child = Command::new("ffmpeg")
            .args(self.arguments(clock, duration))
            .env_remove(KEY_VARIABLE)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C in a terminal must reach only weir, which ends ffmpeg after it has ended the stream.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| match e.kind() {
                ErrorKind::NotFound => Error::Local("no ffmpeg in PATH (Debian: package ffmpeg)".into()),
                _ => Error::Ffmpeg(e.to_string()),
            })?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(Error::Ffmpeg("no pipes".into()));
        };
        Ok(Running { child, stdout, complaint: tokio::spawn(complaint(stderr)), reader: Reader::new() })
    }

    fn arguments(&self, clock: u64, duration: Option<Duration>) -> Vec<String> {
        let Self {
            size: FrameSize { width, height }, rate: FrameRate(rate), bitrate: Bitrate(bitrate), ..
        } = self;
        let picture = format!("smptehdbars=size={width}x{height}:rate={rate},{}", self.overlay(clock));
        // The tone has 1 kHz and lasts for the first tenth of each second, on both channels.
        let tone = "0.25*sin(2*PI*1000*t)*lt(mod(t,1),0.1)";
        let sound = format!("aevalsrc='{tone}|{tone}':s=48000");
        let mut arguments = words("-hide_banner -nostdin -loglevel error");
        arguments.extend(["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &sound].map(String::from));
        if let Some(duration) = duration {
            arguments.extend(words(&format!("-t {:.3}", duration.as_secs_f64())));
        }
        arguments.extend(words("-c:v libx264 -preset veryfast -tune zerolatency -profile:v main"));
        arguments.extend(words(&format!("-g {rate} -keyint_min {rate} -sc_threshold 0")));
        arguments.extend(words(&format!("-b:v {bitrate} -maxrate {bitrate} -bufsize {bitrate}")));
        arguments.extend(words("-c:a aac -b:a 128k -f flv -flvflags no_duration_filesize pipe:1"));
        arguments
    }

    /// Returns the filter that draws the clock, the label below it, and the flash of the beep.
    fn overlay(&self, clock: u64) -> String {
        let font = match self.font {
            Some(file) => format!("fontfile={file}"),
            None => "font=monospace".into(),
        };
        // The width limits the unit too, for videos that are taller than wide.
        let unit = (self.size.height / 18).min(self.size.width / 32);
        let of_day = clock % 86_400;
        let label = self.label.as_str();
        format!(
            "drawbox=x=0:y=ih*0.36:w=iw:h=ih*0.28:color=black@0.85:t=fill,\
             drawtext={font}:text='%{{pts\\:hms\\:{of_day}\\:24HH}} UTC':fontsize={}:fontcolor=white:x=(w-text_w)/2:y=h*0.4,\
             drawtext={font}:text='{label}':expansion=none:fontsize={unit}:fontcolor=white:x=(w-text_w)/2:y=h*0.55,\
             drawbox=x=iw*0.85:y=ih*0.05:w=iw*0.11:h=ih*0.2:color=white:t=fill:enable='lt(mod(t+0.001,1),0.1)',\
             format=yuv420p",
            unit * 2
        )
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(String::from).collect()
}

/// A running ffmpeg. It is killed when this is dropped.
pub(super) struct Running {
    child: Child,
    stdout: ChildStdout,
    complaint: JoinHandle<String>,
    reader: Reader,
}

impl Running {
    /// Returns the next tag, or `None` at the end. Cancel-safe.
    pub(super) async fn next_tag(&mut self) -> Result<Option<Tag>, Error> {
        loop {
            if let Some(tag) = self.reader.next_tag().map_err(|e| Error::Ffmpeg(e.to_string()))? {
                return Ok(Some(tag));
            }
            let mut buffer = [0; 16384];
            match self.stdout.read(&mut buffer).await.map_err(|e| Error::Ffmpeg(e.to_string()))? {
                0 => return self.ended().await.map(|()| None),
                n => self.reader.feed(&buffer[..n]),
            }
        }
    }

    /// Kills ffmpeg, unless it has ended.
    pub(super) async fn end(mut self) {
        // An error means that the process has ended already.
        let _ = self.child.kill().await;
    }

    async fn ended(&mut self) -> Result<(), Error> {
        let status = self.child.wait().await.map_err(|e| Error::Ffmpeg(e.to_string()))?;
        if status.success() {
            return Ok(());
        }
        let complaint = (&mut self.complaint).await.unwrap_or_default();
        let font = if complaint.to_ascii_lowercase().contains("font") {
            " (no font found; Debian: package fonts-dejavu-core)"
        } else {
            ""
        };
        let words = match complaint.is_empty() {
            true => status.to_string(),
            false => complaint,
        };
        Err(Error::Ffmpeg(format!("{words}{font}")))
    }
}

/// Returns the start of ffmpeg's error output on one line. The rest is read and dropped, so that ffmpeg never blocks.
async fn complaint(mut stderr: ChildStderr) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(n @ 1..) = stderr.read(&mut buffer).await {
        let room = MAX_COMPLAINT - kept.len();
        kept.extend_from_slice(&buffer[..n.min(room)]);
    }
    let text = String::from_utf8_lossy(&kept);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(2).collect();
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Source {
            size: FrameSize { width: 640, height: 360 },
            rate: FrameRate(25),
            bitrate: Bitrate(800_000),
            label: "Hall 2".parse().unwrap(),
            font: Some(FONTS[0]),
        }
    }

    #[test]
    fn the_clock_is_the_time_of_day_of_the_first_frame() {
        let overlay = source().overlay(1_795_197_600);
        assert!(overlay.contains(r"text='%{pts\:hms\:64800\:24HH} UTC'"), "{overlay}");
        assert!(overlay.contains("text='Hall 2':expansion=none"), "{overlay}");
    }

    #[test]
    fn arguments_are_whole() {
        let arguments = source().arguments(0, Some(Duration::from_millis(2500)));
        let after = |name: &str| arguments.iter().skip_while(|a| *a != name).nth(1).cloned().unwrap();
        assert!(
            after("-i").starts_with("smptehdbars=size=640x360:rate=25,") && after("-i").contains("Hall 2")
        );
        assert_eq!(after("-t"), "2.500");
        assert_eq!(after("-b:v"), "800000");
        assert_eq!(after("-g"), "25");
        assert_eq!(arguments.last().unwrap(), "pipe:1");
        assert!(!source().arguments(0, None).contains(&"-t".to_owned()));
    }
}
