//! Reads ffmpeg's `-progress` output: lines `key=value`, one block per second that ends with `progress=`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Time over which the speed is measured.
const WINDOW: Duration = Duration::from_secs(10);
/// Time before the first speed: ffmpeg must find the streams first, and encoders hold frames back.
const SETTLED: Duration = Duration::from_secs(5);
/// Highest plausible speed. A higher one is a jump of the timestamps.
const MAX_SPEED: f64 = 1000.0;

/// One block. A value that ffmpeg does not know (`N/A`) is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Number of frames.
    pub frame: Option<u64>,
    /// Frames per second.
    pub fps: Option<f64>,
    /// End of the output, in microseconds.
    pub out_time_us: Option<i64>,
    /// Seconds of media per second, over the last ten seconds. Below 1, the machine is too slow. `None` in the first seconds.
    pub speed: Option<f64>,
    /// Bytes that the daemon received.
    #[serde(default)]
    pub bytes: u64,
    /// Number of frames that were left out.
    pub drop_frames: Option<u64>,
}

/// Assembles blocks from lines.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    block: Progress,
    /// Times at which the output reached a position in microseconds, the oldest first.
    reached: VecDeque<(Instant, i64)>,
}

impl Reader {
    /// Takes a line that was read at `now`. Returns the block if the line ends it.
    pub(crate) fn line(&mut self, line: &str, now: Instant) -> Option<Progress> {
        let (key, value) = line.split_once('=')?;
        let value = value.trim();
        match key.trim() {
            "frame" => self.block.frame = value.parse().ok(),
            "fps" => self.block.fps = value.parse().ok(),
            "out_time_us" => self.block.out_time_us = value.parse().ok(),
            "drop_frames" => self.block.drop_frames = value.parse().ok(),
            "progress" => {
                self.block.speed = self.speed(now);
                return Some(std::mem::take(&mut self.block));
            }
            _ => {}
        }
        None
    }

    /// Computes the speed. ffmpeg's own `speed` is an average of the whole run and includes the time before the first frame.
    fn speed(&mut self, now: Instant) -> Option<f64> {
        self.reached.push_back((now, self.block.out_time_us?));
        while self.reached.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
            self.reached.pop_front();
        }
        let ((first, from), (last, to)) = (self.reached.front()?, self.reached.back()?);
        let seconds = last.duration_since(*first);
        let media = Duration::from_micros(u64::try_from(to.saturating_sub(*from)).ok()?);
        let speed = media.as_secs_f64() / seconds.as_secs_f64();
        (seconds >= SETTLED && speed < MAX_SPEED).then_some(speed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(text: &str) -> Vec<Progress> {
        let mut reader = Reader::default();
        let now = Instant::now();
        text.lines().filter_map(|line| reader.line(line, now)).collect()
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
            drop_frames: Some(2),
            ..Progress::default()
        };
        assert_eq!(blocks(text), [first, Progress { frame: Some(61), ..Progress::default() }]);
    }

    #[test]
    fn what_ffmpeg_does_not_know_is_none() {
        let text = "fps=0.00\nout_time_us=N/A\nspeed=N/A\nout_time_us=-60000\nnonsense\n=\nprogress=continue";
        let expected = Progress { fps: Some(0.0), out_time_us: Some(-60_000), ..Progress::default() };
        assert_eq!(blocks(text), [expected]);
    }

    #[test]
    fn the_speed_is_that_of_the_last_seconds() {
        let (mut reader, start) = (Reader::default(), Instant::now());
        let mut at = |second: u64, reached: &str| {
            let now = start + Duration::from_secs(second);
            assert_eq!(reader.line(&format!("out_time_us={reached}"), now), None);
            reader.line("progress=continue", now).unwrap().speed
        };
        // No media arrives in the first three seconds.
        assert_eq!((at(1, "N/A"), at(2, "N/A"), at(3, "0")), (None, None, None));
        for second in 4..8 {
            assert_eq!(at(second, &((second - 3) * 1_000_000).to_string()), None);
        }
        for second in 8..30 {
            assert_eq!(at(second, &((second - 3) * 1_000_000).to_string()), Some(1.0), "{second}");
        }
        // From now on the machine is too slow.
        for second in 30..50 {
            at(second, &(26_000_000 + (second - 29) * 500_000).to_string());
        }
        assert_eq!(at(50, "36500000"), Some(0.5));
        // Jumps of the timestamps give no speed.
        assert_eq!((at(51, "1000000"), at(52, "900000000000")), (None, None));
    }
}
