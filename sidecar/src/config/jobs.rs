//! `[jobs]`: what holds for all ffmpeg jobs.

use std::path::PathBuf;
use std::time::Duration;

use super::check::{Checked, Unfit, number, text_or, time};

pub(in crate::config) mod raw {
    use serde::Deserialize;

    use crate::config::check::{Number, Text};

    /// `[jobs]`
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub(crate) struct Jobs {
        pub ffmpeg: Text,
        pub max_processes: Number,
        pub nice: Number,
        pub stall: Text,
        pub grace: Text,
        pub backoff_max: Text,
        pub healthy: Text,
    }
}

/// What holds for all ffmpeg jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jobs {
    /// A path, or a name that is looked for in `PATH`.
    pub ffmpeg: PathBuf,
    /// More jobs than this wait.
    pub max_processes: usize,
    /// 0 to 19.
    pub nice: u8,
    /// Without progress for so long, ffmpeg is replaced.
    pub stall: Duration,
    /// From SIGINT to SIGKILL.
    pub grace: Duration,
    /// The longest wait before ffmpeg is started again.
    pub backoff_max: Duration,
    /// After so long a run, the next wait is the shortest again.
    pub healthy: Duration,
}

pub(super) fn jobs(raw: raw::Jobs) -> Checked<Jobs> {
    let program = |text: &str| {
        if text.is_empty() {
            Err(Unfit::Remedy("write a program, such as \"ffmpeg\""))
        } else {
            Ok(text.into())
        }
    };
    Ok(Jobs {
        ffmpeg: text_or("ffmpeg", &raw.ffmpeg, || "ffmpeg".into(), program)?,
        max_processes: number("max_processes", &raw.max_processes, 64, 1, 10_000)? as usize,
        nice: u8::try_from(number("nice", &raw.nice, 5, 0, 19)?).unwrap_or(19),
        stall: time("stall", &raw.stall, 10, 2, 600)?,
        grace: time("grace", &raw.grace, 5, 1, 60)?,
        backoff_max: time("backoff_max", &raw.backoff_max, 60, 1, 3600)?,
        healthy: time("healthy", &raw.healthy, 60, 1, 3600)?,
    })
}
