//! Media that comes over WebRTC, as nginx takes it over RTMP: H.264 as it is, and Opus as AAC.
//!
//! - [`Intake`] is one stream of it; [`aac`] makes its sound; `line` puts sound and pictures together

use std::time::Instant;

use str0m::format::Codec;
use str0m::media::MediaData;
use weir_media::live::annexb::{self, Picture};
use weir_rtmp::flv::{Tag, TagKind};

pub mod aac;
mod line;

use aac::Encoder;
use line::{Came, Line, Report};

/// FLV: a key frame and another one of H.264.
const KEY: u8 = 0x17;
const OTHER: u8 = 0x27;

/// One stream.
#[derive(Debug)]
pub struct Intake {
    encoder: Encoder,
    /// When media of the first kind came: the stream begins then.
    began: Option<Instant>,
    pictures: Line,
    sound: Line,
    /// The configuration that nginx has.
    record: Vec<u8>,
    sets: (Vec<u8>, Vec<u8>),
    /// A key frame came at this time.
    key: Option<Instant>,
    /// Something is lost, and the stream continues with the next key frame.
    skips: bool,
}

impl Intake {
    /// Nothing has come yet; `encoder` makes AAC of the sound.
    pub fn new(encoder: Encoder) -> Self {
        Self {
            encoder,
            began: None,
            pictures: Line::default(),
            sound: Line::default(),
            record: Vec::new(),
            sets: Default::default(),
            key: None,
            skips: false,
        }
    }

    /// When a key frame came last.
    pub fn key(&self) -> Option<Instant> {
        self.key
    }

    /// The next piece of AAC, or its configuration. May be dropped and called again.
    pub async fn sound(&mut self) -> Tag {
        self.encoder.next().await
    }

    /// Takes media and returns what is to be sent now: sound comes later, by [`sound`](Self::sound). Where there is no `room`, pictures are
    /// left out up to a key frame.
    pub fn take(&mut self, data: &MediaData, room: bool) -> Vec<Tag> {
        let began = *self.began.get_or_insert(data.network_time);
        let arrived = data.network_time.saturating_duration_since(began).as_millis();
        let came = Came {
            // RTP has 32 bits of it.
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
            tracing::debug!("sound and pictures were {millis} ms apart, by the reports of their sender");
        }
        match data.params.spec().codec {
            Codec::H264 => {
                let at = self.pictures.place(came);
                self.picture(&data.data, at, room)
            }
            Codec::Opus => {
                let at = self.sound.place(came);
                self.encoder.put(at, &data.data);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn picture(&mut self, stream: &[u8], at: i64, room: bool) -> Vec<Tag> {
        let picture = Picture::read(stream);
        // It wraps after 49 days, as it does for every publisher.
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
        // Before the first key frame, nothing can be decoded.
        if self.record.is_empty() || picture.data.is_empty() {
            return tags;
        }
        if picture.is_key {
            self.key = Some(Instant::now());
        }
        self.skips = !room || (self.skips && !picture.is_key);
        if !self.skips {
            let first = if picture.is_key { KEY } else { OTHER };
            tags.push(tag(&[first, 1, 0, 0, 0], &picture.data));
        }
        tags
    }
}
