//! Converts media from WebRTC to RTMP for nginx: H.264 unchanged, and Opus as AAC.
//!
//! - [`Intake`] converts one stream; [`aac`] encodes its audio; `line` aligns audio and video

use std::time::Instant;

use str0m::format::Codec;
use str0m::media::MediaData;
use weir_media::live::annexb::{self, Picture};
use weir_rtmp::flv::{Tag, TagKind};
use weir_rtmp::media;

pub(crate) mod aac;
mod line;

use aac::Encoder;
use line::{Came, Line, Report};

/// First byte of an H.264 tag in FLV: keyframe, and other frame.
const KEY: u8 = media::KEY_FRAME << 4 | media::AVC;
const OTHER: u8 = media::INTER_FRAME << 4 | media::AVC;

/// A stream that arrives over WebRTC.
#[derive(Debug)]
pub(crate) struct Intake {
    encoder: Encoder,
    /// Arrival time of the first media: the start of the stream.
    began: Option<Instant>,
    pictures: Line,
    sound: Line,
    /// Codec configuration that nginx has.
    record: Vec<u8>,
    sets: (Vec<u8>, Vec<u8>),
    /// Time of the last keyframe.
    key: Option<Instant>,
    gate: Gate,
}

/// Decides which pictures are sent: after a loss, video continues with the next keyframe.
#[derive(Debug, Default)]
struct Gate {
    skips: bool,
}

impl Gate {
    /// Takes a picture, and returns whether it is sent. `room`: there is room for it. `follows`: no picture is missing before it.
    fn opens(&mut self, is_key: bool, room: bool, follows: bool) -> bool {
        self.skips = !room || ((self.skips || !follows) && !is_key);
        !self.skips
    }
}

impl Intake {
    /// Creates an intake; `encoder` encodes the audio as AAC.
    pub(crate) fn new(encoder: Encoder) -> Self {
        Self {
            encoder,
            began: None,
            pictures: Line::default(),
            sound: Line::default(),
            record: Vec::new(),
            sets: Default::default(),
            key: None,
            gate: Gate::default(),
        }
    }

    /// Returns the time of the last keyframe.
    pub(crate) fn key(&self) -> Option<Instant> {
        self.key
    }

    /// Returns whether video waits for a keyframe, because some of it was lost.
    pub(crate) fn needs_key(&self) -> bool {
        self.gate.skips
    }

    /// Returns the next AAC frame, or the AAC configuration. Cancel-safe: the future may be dropped and the method called again.
    pub(crate) async fn sound(&mut self) -> Tag {
        self.encoder.next().await
    }

    /// Takes media and returns the tags to send now; audio follows through [`sound`](Self::sound). Without `room`, or after
    /// a loss, video is left out up to the next keyframe.
    pub(crate) fn take(&mut self, data: &MediaData, room: bool) -> Vec<Tag> {
        let began = *self.began.get_or_insert(data.network_time);
        let arrived = data.network_time.saturating_duration_since(began).as_millis();
        let came = Came {
            // RTP timestamps have 32 bits.
            ticks: data.time.numer() as u32,
            rate: data.time.frequency().get(),
            rtp: i64::try_from(data.time.as_micros() / 1000).unwrap_or(i64::MAX / 2),
            arrived: i64::try_from(arrived).unwrap_or(i64::MAX / 2),
        };
        let report =
            data.last_sender_info.map(|info| Report { rtp: info.rtp_time.numer() as u32, at: info.ntp_time });
        let is_picture = data.params.spec().codec == Codec::H264;
        let line = if is_picture { &mut self.pictures } else { &mut self.sound };
        if let Some(report) = report {
            line.hear(report, came);
        }
        if let Some(millis) = line::align(&mut self.pictures, &mut self.sound) {
            tracing::debug!("audio and video were {millis} ms apart, according to the sender's reports");
        }
        match data.params.spec().codec {
            Codec::H264 => {
                let at = self.pictures.place(came);
                self.picture(&data.data, at, room, data.contiguous)
            }
            Codec::Opus => {
                let at = self.sound.place(came);
                self.encoder.put(at, &data.data);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn picture(&mut self, stream: &[u8], at: i64, room: bool, follows: bool) -> Vec<Tag> {
        let picture = Picture::read(stream);
        // The timestamp wraps after 49 days, as it does for every publisher.
        let timestamp = at as u32;
        let tag = |head: &[u8], data: &[u8]| Tag {
            kind: TagKind::Video,
            timestamp,
            payload: [head, data].concat(),
        };
        if let Some(sequence) = picture.sequence {
            self.sets.0 = sequence;
        }
        if let Some(parameters) = picture.picture {
            self.sets.1 = parameters;
        }
        let mut tags = Vec::new();
        if picture.is_key
            && let Some(record) = annexb::record(&self.sets.0, &self.sets.1)
            && record != self.record
        {
            tags.push(tag(&[KEY, 0, 0, 0, 0], &record));
            self.record = record;
        }
        // A decoder can decode nothing before the first keyframe.
        if self.record.is_empty() || picture.data.is_empty() {
            return tags;
        }
        if picture.is_key {
            self.key = Some(Instant::now());
        }
        if self.gate.opens(picture.is_key, room, follows) {
            let first = if picture.is_key { KEY } else { OTHER };
            tags.push(tag(&[first, 1, 0, 0, 0], &picture.data));
        }
        tags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_loss_video_continues_with_a_keyframe() {
        let mut gate = Gate::default();
        // Whether it is a keyframe, whether there is room, whether it follows the last picture; whether it is sent.
        for (nth, (is_key, room, follows, expected)) in [
            (true, true, true, true),
            (false, true, true, true),
            (false, true, false, false),
            (false, true, true, false),
            (true, true, true, true),
            (true, true, false, true),
            (false, false, true, false),
            (false, true, true, false),
            (true, false, true, false),
            (true, true, true, true),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(gate.opens(is_key, room, follows), expected, "{nth}");
        }
    }
}
