//! Merged writes: decides when to send the messages that wait for a player.
//!
//! A message of audio or video goes to many players. If a server writes each message to each socket immediately, it
//! spends most of its time on small packets. So messages wait, and are sent together with a video message, or after a
//! time.

/// The part of the queue that waiting messages may fill. A server begins to drop messages for slow players at a half.
const MOST_QUEUED: usize = 8;
/// How long audio waits for a video message, in milliseconds, if no time is set.
const FOR_PICTURE_MS: u64 = 100;
/// Without video for this long, in milliseconds, a stream counts as one without video.
const WITHOUT_PICTURES_MS: u64 = 1000;

/// How long messages may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The time in milliseconds. 0 means until the next video message.
    pub time_ms: u64,
}

/// The state of a player's queue after a message was added.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Whether the message is video.
    pub is_video: bool,
    /// Milliseconds since the last video message of the stream; `None` before the first.
    pub since_video_ms: Option<u64>,
    /// Milliseconds since messages were last sent to this player.
    pub since_sent_ms: u64,
    /// Number of waiting messages.
    pub queued: usize,
    /// Capacity of the queue, in messages.
    pub room: usize,
}

impl Moment {
    /// Returns whether the queue has so many messages that they must be sent.
    fn is_full(&self) -> bool {
        self.queued * MOST_QUEUED >= self.room
    }

    /// Decides when to send the waiting messages if the publisher has sent more bytes, which the server is about to read: these may be
    /// further messages for the same write.
    #[must_use]
    pub fn before_more(&self) -> When {
        if self.is_full() { When::Now } else { When::After(0) }
    }
}

/// When to send the waiting messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Immediately.
    Now,
    /// This many milliseconds after the oldest message arrived, if no message is sent before.
    After(u64),
}

impl Rule {
    /// Decides when to send the messages that wait for a player.
    #[must_use]
    pub fn when(self, moment: &Moment) -> When {
        let has_video = moment.since_video_ms.is_some_and(|since| since < WITHOUT_PICTURES_MS);
        let may_end_here = moment.is_video || !has_video;
        if moment.is_full() || may_end_here && moment.since_sent_ms >= self.time_ms {
            return When::Now;
        }
        When::After(self.most_ms())
    }

    /// Returns the maximum wait of a message, in milliseconds.
    #[must_use]
    pub fn most_ms(self) -> u64 {
        if self.time_ms == 0 { FOR_PICTURE_MS } else { self.time_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Moment =
        Moment { is_video: true, since_video_ms: Some(0), since_sent_ms: 30, queued: 3, room: 256 };

    #[test]
    fn video_ends_a_write_when_the_time_is_over() {
        assert_eq!(Rule { time_ms: 0 }.when(&MOMENT), When::Now);
        assert_eq!(Rule { time_ms: 30 }.when(&MOMENT), When::Now);
        assert_eq!(Rule { time_ms: 60 }.when(&MOMENT), When::After(60));
    }

    #[test]
    fn audio_waits_for_video_where_there_is_some() {
        let audio = Moment { is_video: false, since_video_ms: Some(40), ..MOMENT };
        assert_eq!(Rule { time_ms: 0 }.when(&audio), When::After(100));
        assert_eq!(Rule { time_ms: 20 }.when(&audio), When::After(20));
        for since_video_ms in [None, Some(1000)] {
            assert_eq!(Rule { time_ms: 0 }.when(&Moment { since_video_ms, ..audio }), When::Now);
            assert_eq!(Rule { time_ms: 60 }.when(&Moment { since_video_ms, ..audio }), When::After(60));
        }
    }

    #[test]
    fn a_queue_that_fills_is_sent() {
        let full = Moment { is_video: false, since_sent_ms: 0, queued: 32, ..MOMENT };
        assert_eq!(Rule { time_ms: 1000 }.when(&full), When::Now);
        assert_eq!(Rule { time_ms: 1000 }.when(&Moment { queued: 31, ..full }), When::After(1000));
        assert_eq!(full.before_more(), When::Now);
        assert_eq!(Moment { queued: 31, ..full }.before_more(), When::After(0));
    }
}
