//! `weir test-stream`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::values::{Bitrate, FrameRate, FrameSize, Label, Span};

/// `weir test-stream`
#[derive(Debug, Args)]
#[command(
    after_help = "Give the key with --key-file or in WEIR_STREAM_KEY: every user of this machine can read URL \
in the process list. Needs ffmpeg and a font (Debian: ffmpeg, fonts-dejavu-core)."
)]
pub(crate) struct TestStreamArgs {
    /// Where to publish: rtmp://HOST[:PORT]/APP, or rtmp://HOST[:PORT]/APP/STREAM if no key is required; APP may have several parts
    #[arg(value_hint = ValueHint::Url)]
    pub url: String,
    /// File with the stream key, - for standard input (or the key in WEIR_STREAM_KEY)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub key_file: Option<PathBuf>,
    /// Text below the clock [default: the application]
    #[arg(long, value_name = "LABEL")]
    pub name: Option<Label>,
    /// Resolution of the video
    #[arg(long, value_name = "WxH", default_value = "1280x720")]
    pub size: FrameSize,
    /// Frames per second
    #[arg(long, value_name = "FPS", default_value = "30")]
    pub rate: FrameRate,
    /// Bitrate of the video in bit/s: 2500k, 4M
    #[arg(long, value_name = "RATE", default_value = "2500k")]
    pub bitrate: Bitrate,
    /// Stop after this time: 10s, 5m [default: never]
    #[arg(long, value_name = "TIME")]
    pub duration: Option<Span>,
    /// Reconnect if the connection is lost; a refusal still ends the command
    #[arg(long)]
    pub reconnect: bool,
}
