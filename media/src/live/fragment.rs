//! One fragment: `moof` and `mdat` with a picture, some sound, or both (ISO/IEC 14496-12, 8.8).

use std::ops::Range;

use crate::run::mp4::{boxed, full, words};

pub(super) const VIDEO: u32 = 1;
pub(super) const AUDIO: u32 = 2;
/// `sample_depends_on` another, and is no sync sample.
const DEPENDS: u32 = 0x0101_0000;
const SYNC: u32 = 0x0200_0000;

/// Samples of one track that follow each other.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples {
    /// When the first is decoded, in units of the track.
    pub time: u64,
    /// Each of them: length in time and in bytes, composition, and whether a decoder can begin with it.
    pub each: Vec<Sample>,
    /// All of them.
    pub data: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub duration: u32,
    pub size: u32,
    pub is_key: bool,
    pub composition: u32,
}

/// Where the samples of a fragment are in its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The picture, as the codec's configuration frames it: of H.264, lengths and NAL units.
    pub picture: Option<Range<usize>>,
    /// From decoding the picture until it is shown, in milliseconds.
    pub composition: u32,
    /// Frames of sound, in order.
    pub sound: Vec<Range<usize>>,
    /// When the first of them is played, in milliseconds.
    pub sound_start: i64,
}

/// Writes the fragment; an empty track is left out. `sound_scale` is the units per second of the sound.
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
    // From the beginning of `moof`, which is that of the bytes.
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

/// Returns where the offset of the data is to stand.
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
