//! Checks that the received media equal the sent media: each frame of the sample follows the one before, at its time.

use weir_rtmp::flv::TagKind;

use super::{Frame, session};
use crate::harness::media::sample;

/// Asserts that these are frames of the endless sample without a gap or duplicate, in order and at their times.
///
/// nginx-rtmp begins with audio, and sends video from the next keyframe on. Earlier frames do not count.
#[track_caller]
pub fn assert_unbroken(frames: &[Frame]) {
    let sample = sample();
    let begin = frames.iter().position(|frame| frame.kind == TagKind::Video);
    let frames = &frames[begin.expect("no picture came")..];
    let first = &frames[0];
    let of = |nth: usize, round: u32| {
        let tag = &sample.frames[nth];
        Frame {
            kind: tag.kind,
            timestamp: round * sample.duration + tag.timestamp,
            hash: session::hash(&tag.payload),
        }
    };
    let mut round = first.timestamp / sample.duration;
    let mut nth = (0..sample.frames.len())
        .find(|nth| of(*nth, round) == *first)
        .unwrap_or_else(|| panic!("the first frame is none of the sample: {first:?}"));
    for (at, frame) in frames.iter().enumerate() {
        let wanted = of(nth, round);
        assert_eq!(*frame, wanted, "frame {at} of {}", frames.len());
        nth += 1;
        if nth == sample.frames.len() {
            (nth, round) = (0, round + 1);
        }
    }
}
