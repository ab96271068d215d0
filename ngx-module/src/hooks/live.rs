//! A live stream: its row in the zone, and its incoming media.

use std::rc::Rc;

use weir_model::{
    bitrate,
    media::{AudioFacts, VideoFacts},
    rate::Rate,
    token::TokenMark,
    verdict::Credential,
};
use weir_zone::{Rates, StreamId, StreamRow};

use crate::{process, runtime::Runtime, zone::SharedZone};

/// The stream that a session holds.
pub struct Live {
    /// Public name.
    pub(super) name: String,
    pub(super) id: StreamId,
    zone: Rc<SharedZone>,
    /// Whether nginx-rtmp was seen to publish it under this name.
    pub(super) confirmed: bool,
    /// Whether a key or token authorised it.
    pub(super) authorised: bool,
    /// The token, if a token authorised it.
    pub(super) token: Option<TokenMark>,
    pub(super) audio_bytes: u64,
    pub(super) frames: u64,
    pub(super) all_rate: Rate,
    audio_rate: Rate,
    frame_rate: Rate,
    /// State of the bitrate limit. `None` for pulls and slates, which are the admin's own.
    pub(super) bitrate: Option<bitrate::Watch>,
    /// Whether a log line has reported that `weir_gop_cache` is too small for it.
    pub(super) told_gop: bool,
}

impl Live {
    /// Creates the state of a claimed stream. `confirmed`: it was seen live.
    pub(super) fn new(
        runtime: &Runtime,
        id: StreamId,
        name: String,
        credential: Credential,
        confirmed: bool,
    ) -> Box<Live> {
        let (all_rate, audio_rate, frame_rate) = <(Rate, Rate, Rate)>::default();
        Box::new(Live {
            id,
            zone: Rc::clone(&runtime.shared),
            name,
            confirmed,
            authorised: credential.is_authorised(),
            token: None,
            audio_bytes: 0,
            frames: 0,
            all_rate,
            audio_rate,
            frame_rate,
            bitrate: (!matches!(credential, Credential::Pull | Credential::Stopgap)).then(Default::default),
            told_gop: false,
        })
    }

    /// Returns the public name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns its place in the zone.
    #[must_use]
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// Returns its row, unless the row now belongs to another stream.
    pub(super) fn row(&self) -> Option<StreamRow<'_>> {
        self.zone.view().row(self.id)
    }

    /// Returns the bytes of audio and video that arrived.
    #[must_use]
    pub fn bytes_in(&self) -> u64 {
        self.row().map_or(0, |row| row.bytes_in())
    }

    /// Returns whether nginx-rtmp was seen to publish it under its name.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// Returns whether its worker was ordered to close the publisher.
    pub(super) fn is_ordered_to_close(&self) -> bool {
        self.row().is_some_and(|row| row.is_ordered_to_close())
    }

    /// Releases the name.
    pub(super) fn release(&self, runtime: &Runtime, unpublished: bool) {
        let zone = runtime.zone().lock(process::pid());
        if unpublished {
            zone.unpublished(self.id);
        }
        zone.release(self.id, process::now());
    }

    /// Reports the media of the last second, and its codecs, to the zone.
    pub fn account(&mut self, video: Option<VideoFacts>, audio: Option<AudioFacts>, avsync_ms: i32) {
        let now = process::now();
        self.all_rate.push(now, self.bytes_in());
        self.audio_rate.push(now, self.audio_bytes);
        self.frame_rate.push(now, self.frames);
        let rates = Rates { all: self.all_rate.bits_per_second(), audio: self.audio_rate.bits_per_second() };
        let fps_milli = u32::try_from(self.frame_rate.per_second_milli()).unwrap_or(u32::MAX);
        if let Some(row) = self.row() {
            row.describe(rates, video.map(|video| VideoFacts { fps_milli, ..video }), audio, avsync_ms);
        }
    }
}
