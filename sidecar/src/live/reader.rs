//! Converts the tags of a stream to the media that viewers get. Time is an argument.

use std::time::Duration;

use weir_media::live::{Output, Packager};
use weir_media::run::cut::{Cut, Wanted};
use weir_rtmp::flv::{Tag, TagKind};

/// Longest wait for an announced track: the `onMetaData` of some encoders names more tracks than they send.
const PATIENCE: Duration = Duration::from_secs(2);

/// Reader of one connection.
#[derive(Debug)]
pub(super) struct Reader {
    cut: Cut,
    wanted: Wanted,
    /// The tracks that have arrived.
    seen: Wanted,
    since: Option<Duration>,
}

impl Reader {
    /// Returns a reader for a new connection.
    pub(super) fn new(wanted: Wanted) -> Self {
        Self {
            cut: Cut::new(wanted).with_common_times(),
            wanted,
            seen: Wanted { video: false, audio: false },
            since: None,
        }
    }

    /// Takes the next tag.
    pub(super) fn take(&mut self, tag: Tag, now: Duration, packager: &mut Packager, out: &mut Vec<Output>) {
        match tag.kind {
            TagKind::Video => self.seen.video = true,
            TagKind::Audio => self.seen.audio = true,
            TagKind::Script => {}
        }
        if tag.kind != TagKind::Script {
            let is_late = now.saturating_sub(*self.since.get_or_insert(now)) >= PATIENCE;
            let expected = |seen: bool, wanted: bool| seen || (wanted && !is_late);
            let wanted = Wanted {
                video: expected(self.seen.video, self.wanted.video),
                audio: expected(self.seen.audio, self.wanted.audio),
            };
            if wanted != self.wanted {
                self.wanted = wanted;
                self.cut.want(wanted);
            }
        }
        self.cut.take(tag, now).into_iter().for_each(|step| packager.take(step, out));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_come_is_not_waited_for_and_may_come_later() {
        let mut reader = Reader::new(Wanted { video: true, audio: true });
        let (mut packager, mut out) = (Packager::default(), Vec::new());
        let mut take = |kind, at: u32, payload: &[u8]| {
            let tag = Tag { kind, timestamp: at, payload: payload.to_vec() };
            reader.take(tag, Duration::from_millis(at.into()), &mut packager, &mut out);
            let inits = out.iter().filter_map(|output| match output {
                Output::Init(init) => Some((init.has_video, init.has_audio)),
                Output::Fragment(_) => None,
            });
            inits.collect::<Vec<_>>()
        };
        for n in 0..87 {
            assert_eq!(take(TagKind::Audio, n * 23, &[0xaf, u8::from(n > 0), 0x12, 0x10]), []);
        }
        assert_eq!(take(TagKind::Audio, 2060, &[0xaf, 1, 1]), [(false, true)]);
        take(TagKind::Video, 3000, &[0x17, 0, 0, 0, 0, 1, 100, 0, 31, 0xff, 0xe1, 0, 0]);
        let mut seen = Vec::new();
        for n in 0..12 {
            seen = take(TagKind::Video, 3000 + n * 40, &[if n == 0 { 0x17 } else { 0x27 }, 1, 0, 0, 0, 9]);
        }
        assert_eq!(seen, [(false, true), (true, true)]);
    }
}
