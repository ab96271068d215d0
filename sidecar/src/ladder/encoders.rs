//! Which encoders there are: one of a graphics card may be in ffmpeg and not in the machine, so each is tried.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::config::{Config, Encoder};

/// A card that takes longer than this to encode one small picture is of no use.
const PATIENCE: Duration = Duration::from_secs(10);

/// The configuration with `libx264` in place of encoders that do not work here.
pub async fn settle(mut config: Config) -> Config {
    for encoder in Encoder::ALL.into_iter().filter(|encoder| *encoder != Encoder::X264) {
        let uses = |config: &Config| config.rules.iter().any(|rule| rule.ladder.encoder == encoder);
        if !uses(&config) || works(&config.jobs.ffmpeg, encoder).await {
            continue;
        }
        tracing::warn!("{} does not work here: libx264 takes its place", encoder.name());
        for ladder in config.rules.iter_mut().map(|rule| &mut rule.ladder) {
            if ladder.encoder == encoder {
                // Its presets are not those of the other.
                (ladder.encoder, ladder.preset) = (Encoder::X264, Some("veryfast".into()));
            }
        }
    }
    config
}

/// Encodes one picture.
async fn works(ffmpeg: &Path, encoder: Encoder) -> bool {
    let mut command = Command::new(ffmpeg);
    command.args("-hide_banner -nostdin -loglevel quiet".split(' '));
    let filter = match encoder {
        Encoder::Vaapi => {
            command.args("-vaapi_device /dev/dri/renderD128".split(' '));
            "format=nv12,hwupload"
        }
        _ => "format=nv12",
    };
    command.args("-f lavfi -i color=size=256x256:rate=25 -frames:v 1 -vf".split(' ')).arg(filter);
    command.args(["-c:v", encoder.name(), "-f", "null", "-"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    matches!(timeout(PATIENCE, command.status()).await, Ok(Ok(status)) if status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_work_is_replaced() {
        let text = "[jobs]\nffmpeg = \"/bin/false\"\n[ladder.l]\nrungs = [\"480p\"]\nencoder = \"h264_nvenc\"\npreset = \"p4\"\n\
            [[stream]]\napp = \"live\"\nstream = \"*\"\nladder = \"l\"\n";
        let config = crate::config::parse(Path::new("x"), text).unwrap();
        let ladder = &settle(config.clone()).await.rules[0].ladder;
        assert_eq!((ladder.encoder, ladder.preset.as_deref()), (Encoder::X264, Some("veryfast")));
        let mut works = config;
        works.jobs.ffmpeg = "/bin/true".into();
        assert_eq!(settle(works).await.rules[0].ladder.encoder, Encoder::Nvenc);
    }
}
