//! Writes one fragment: `moof` and `mdat` with a video frame, some audio, or both (ISO/IEC 14496-12, 8.8).

use std::ops::Range;

use crate::run::mp4::{boxed, full, words};

pub(super) const VIDEO: u32 = 1;
pub(super) const AUDIO: u32 = 2;
/// `sample_depends_on` another sample, and not a sync sample.
const DEPENDS: u32 = 0x0101_0000;
const SYNC: u32 = 0x0200_0000;

/// Consecutive samples of one track.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples {
    /// Decoding time of the first sample, in units of the track.
    pub time: u64,
    /// Per sample: duration, length in bytes, composition offset, and whether a decoder can begin with it.
    pub each: Vec<Sample>,
    /// The bytes of all samples.
    pub data: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub duration: u32,
    pub size: u32,
    pub is_key: bool,
    pub composition: u32,
}

/// The positions of a fragment's samples in its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The video frame, framed as the codec's configuration defines; for H.264, lengths and NAL units.
    pub picture: Option<Range<usize>>,
    /// Time from the decoding of the frame to its presentation, in milliseconds.
    pub composition: u32,
    /// The audio frames, in order.
    pub sound: Vec<Range<usize>>,
    /// Playback time of the first audio frame, in milliseconds.
    pub sound_start: i64,
}

/// Writes the fragment, without empty tracks. `sound_scale` is the time scale of the audio, in units per second.
pub(super) fn write(sequence: u32, video: &Samples, audio: &Samples, sound_scale: u32) -> (Vec<u8>, Layout) {
    let mut out = Vec::with_capacity(256 + video.data.len() + audio.data.len() + audio.each.len() * 4);
    let mut offsets = Vec::with_capacity(2);
    boxed(&mut out, b"moof", |out| {
        full(out, b"mfhd", 0, 0, |out| words(out, &[sequence]));
        for (id, samples) in [(VIDEO, video), (AUDIO, audio)] {
            if !samples.each.is_empty() {
                offsets.push((track(out, id, samples), samples.data.len()));
            }
        }
    });
    // The offset counts from the beginning of `moof`, which is the beginning of the bytes.
    let mut offset = out.len() + 8;
    for (at, length) in offsets {
        if let Some(place) = out.get_mut(at..at + 4) {
            place.copy_from_slice(&(offset as u32).to_be_bytes());
        }
        offset += length;
    }
    let mut at = out.len() + 8;
    boxed(&mut out, b"mdat", |out| {
        out.extend(&video.data);
        out.extend(&audio.data);
    });
    let mut next = |size: usize| {
        at += size;
        at - size..at
    };
    let layout = Layout {
        picture: video.each.first().map(|_| next(video.data.len())),
        composition: video.each.first().map_or(0, |sample| sample.composition),
        sound: audio.each.iter().map(|sample| next(sample.size as usize)).collect(),
        sound_start: i64::try_from(audio.time * 1000 / u64::from(sound_scale.max(1))).unwrap_or(i64::MAX),
    };
    (out, layout)
}

/// Returns the position at which the offset of the data must be written.
fn track(out: &mut Vec<u8>, id: u32, samples: &Samples) -> usize {
    let mut at = 0;
    boxed(out, b"traf", |out| {
        full(out, b"tfhd", 0, 0x2_0000, |out| words(out, &[id]));
        full(out, b"tfdt", 1, 0, |out| out.extend(samples.time.to_be_bytes()));
        let flags = if id == VIDEO { 0xf01 } else { 0x701 };
        full(out, b"trun", 0, flags, |out| {
            at = out.len() + 4;
            words(out, &[samples.each.len() as u32, 0]);
            for sample in &samples.each {
                let flags = if sample.is_key { SYNC } else { DEPENDS };
                words(out, &[sample.duration, sample.size, flags]);
                if id == VIDEO {
                    words(out, &[sample.composition]);
                }
            }
        });
    });
    at
}
