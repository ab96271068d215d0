//! `[jobs]`: settings of all ffmpeg jobs.

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

/// Settings of all ffmpeg jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Jobs {
    /// ffmpeg: a path, or a name to find in `PATH`.
    pub ffmpeg: PathBuf,
    /// Maximum number of processes; further jobs wait.
    pub max_processes: usize,
    /// Nice value of ffmpeg, 0 to 19.
    pub nice: u8,
    /// Time without progress after which ffmpeg is replaced.
    pub stall: Duration,
    /// Time between SIGINT and SIGKILL.
    pub grace: Duration,
    /// Longest pause before ffmpeg is restarted.
    pub backoff_max: Duration,
    /// Run time after which the next pause is the shortest again.
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
