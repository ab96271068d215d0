//! What ffmpeg writes with `-progress`: lines `key=value`, a block each second that ends with `progress=`.

use serde::{Deserialize, Serialize};

/// One block. What ffmpeg does not know (`N/A`) is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Pictures so far.
    pub frame: Option<u64>,
    /// Pictures a second.
    pub fps: Option<f64>,
    /// How far the output reaches, microseconds.
    pub out_time_us: Option<i64>,
    /// Media seconds a second; below 1 the machine is too slow.
    pub speed: Option<f64>,
    /// Bytes that the daemon got.
    #[serde(default)]
    pub bytes: u64,
    /// Pictures that were left out.
    pub drop_frames: Option<u64>,
}

/// Puts blocks together.
#[derive(Debug, Default)]
pub struct Reader {
    block: Progress,
}

impl Reader {
    /// Takes a line; gives the block that it ends.
    pub fn line(&mut self, line: &str) -> Option<Progress> {
        let (key, value) = line.split_once('=')?;
        let value = value.trim();
        match key.trim() {
            "frame" => self.block.frame = value.parse().ok(),
            "fps" => self.block.fps = value.parse().ok(),
            "out_time_us" => self.block.out_time_us = value.parse().ok(),
            "speed" => self.block.speed = value.trim_end_matches('x').parse().ok(),
            "drop_frames" => self.block.drop_frames = value.parse().ok(),
            "progress" => return Some(std::mem::take(&mut self.block)),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(text: &str) -> Vec<Progress> {
        let mut reader = Reader::default();
        text.lines().filter_map(|line| reader.line(line)).collect()
    }

    #[test]
    fn a_block_ends_with_progress() {
        let text = "frame=36\nfps=35.27\nstream_0_0_q=-1.0\nbitrate=   0.2kbits/s\ntotal_size=28\nout_time_us=1260000\n\
            out_time_ms=1260000\nout_time=00:00:01.260000\ndup_frames=0\ndrop_frames=2\nspeed=1.23x\nprogress=continue\n\
            frame=61\nprogress=end\nframe=1\n";
        let first = Progress {
            frame: Some(36),
            fps: Some(35.27),
            out_time_us: Some(1_260_000),
            speed: Some(1.23),
            drop_frames: Some(2),
            ..Progress::default()
        };
        assert_eq!(blocks(text), [first, Progress { frame: Some(61), ..Progress::default() }]);
    }

    #[test]
    fn what_ffmpeg_does_not_know_is_none() {
        let text = "fps=0.00\nout_time_us=N/A\nspeed=N/A\nspeed=   2x\nout_time_us=-60000\nnonsense\n=\nprogress=continue";
        let expected =
            Progress { fps: Some(0.0), out_time_us: Some(-60_000), speed: Some(2.0), ..Progress::default() };
        assert_eq!(blocks(text), [expected]);
    }
}
