//! Tests which encoders work: ffmpeg may support a graphics card that the machine does not have, so each encoder is tried.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::time::timeout;

use crate::config::{Config, Encoder};
use crate::supervise::child;

/// Time limit for one small frame. A slower card is of no use.
const PATIENCE: Duration = Duration::from_secs(10);

/// Returns the configuration with `libx264` instead of encoders that do not work on this machine.
pub(crate) async fn settle(mut config: Config) -> Config {
    for encoder in Encoder::ALL.into_iter().filter(|encoder| *encoder != Encoder::X264) {
        let is_used = config.rules.iter().any(|rule| rule.ladder.encoder == encoder);
        if is_used && !works(&config.jobs.ffmpeg, encoder).await {
            tracing::warn!("{} does not work here: using libx264", encoder.name());
            replace(&mut config, encoder);
        }
    }
    config
}

fn replace(config: &mut Config, encoder: Encoder) {
    for ladder in config.rules.iter_mut().map(|rule| &mut rule.ladder) {
        if ladder.encoder == encoder {
            // The presets of the other encoder are not valid for libx264.
            (ladder.encoder, ladder.preset) = (Encoder::X264, Some("veryfast".into()));
        }
    }
}

/// Returns whether the encoder can encode one frame.
async fn works(ffmpeg: &Path, encoder: Encoder) -> bool {
    let (device, filter) = match encoder {
        Encoder::Vaapi => ("-vaapi_device /dev/dri/renderD128 ", "format=nv12,hwupload"),
        _ => ("", "format=nv12"),
    };
    let line = format!(
        "-hide_banner -nostdin -loglevel quiet {device}-f lavfi -i color=size=256x256:rate=25 -frames:v 1 -vf {filter} \
         -c:v {} -f null -",
        encoder.name()
    );
    let arguments: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
    let mut trial = child::command(ffmpeg, &arguments, 0);
    trial.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    matches!(timeout(PATIENCE, trial.status()).await, Ok(Ok(status)) if status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_work_is_replaced() {
        let text = "[ladder.l]\nrungs = [\"480p\"]\nencoder = \"h264_nvenc\"\npreset = \"p4\"\n\
            [[stream]]\napp = \"live\"\nstream = \"*\"\nladder = \"l\"\n";
        let mut config = crate::config::parse(Path::new("x"), text).unwrap();
        replace(&mut config, Encoder::Vaapi);
        assert_eq!(config.rules[0].ladder.encoder, Encoder::Nvenc);
        replace(&mut config, Encoder::Nvenc);
        let ladder = &config.rules[0].ladder;
        assert_eq!((ladder.encoder, ladder.preset.as_deref()), (Encoder::X264, Some("veryfast")));
    }
}
