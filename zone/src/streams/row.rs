//! The facts that a publisher's worker writes about its stream, without the lock.

use weir_model::{
    Timestamp,
    media::{AudioFacts, VideoFacts},
};

use super::{AUDIO, BYTES_IN, CLOSE, FPS, LAST_MEDIA, ORDER, RATES, Rates, StreamId, VIDEO};
use crate::arena::{Mutex, Zone};
use crate::block::{Block, BlockKind};

/// The row of one live stream, for the worker that owns it. It needs no lock.
#[derive(Clone, Copy)]
pub struct StreamRow<'z> {
    block: &'z Block,
}

impl StreamRow<'_> {
    /// Counts a message that contains audio or a frame, so that the publisher is not idle.
    pub fn media(&self, now: Timestamp, bytes: u64) {
        self.block.set(LAST_MEDIA, now.as_millis());
        self.received(bytes);
    }

    /// Counts a message of audio or video without such content, such as an empty message or a codec header.
    pub fn received(&self, bytes: u64) {
        self.block.add(BYTES_IN, bytes);
    }

    /// Stores the facts of the last second.
    pub fn describe(
        &self,
        rates: Rates,
        video: Option<VideoFacts>,
        audio: Option<AudioFacts>,
        avsync_ms: i32,
    ) {
        let half = |rate: u64| rate.min(u64::from(u32::MAX));
        self.block.set(RATES, half(rates.all) | half(rates.audio) << 32);
        self.block.set(VIDEO, video.as_ref().map_or(0, VideoFacts::to_words));
        let fps = video.as_ref().map_or(0, |video| u64::from(video.fps_milli));
        self.block.set(FPS, fps | u64::from(avsync_ms.cast_unsigned()) << 32);
        self.block.set(AUDIO, audio.as_ref().map_or(0, AudioFacts::to_words));
    }

    /// Returns the bytes of audio and video received.
    #[must_use]
    pub fn bytes_in(&self) -> u64 {
        self.block.word(BYTES_IN)
    }

    /// Returns whether another worker has ordered to close the publisher.
    #[must_use]
    pub fn is_ordered_to_close(&self) -> bool {
        self.block.word(ORDER) & CLOSE != 0
    }
}

impl<'z, M: Mutex> Zone<'z, M> {
    /// Returns the row of a stream that the calling worker owns.
    pub fn row(&self, id: StreamId) -> Option<StreamRow<'z>> {
        self.own_block(BlockKind::Stream, id).map(|block| StreamRow { block })
    }
}
