//! Parses an HLS playlist (RFC 8216), as far as a check needs it.

use std::time::Duration;

/// A parsed playlist.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Playlist {
    /// A list of playlists.
    Master {
        /// URIs of the variants, as written.
        variants: Vec<String>,
    },
    /// A list of segments.
    Media(Media),
}

/// A playlist of segments.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Media {
    /// Target duration: no segment is longer.
    pub target: Duration,
    /// Number of the first segment.
    pub sequence: u64,
    /// URIs of the segments, as written.
    pub segments: Vec<String>,
    /// No more segments will follow.
    pub ended: bool,
}

impl Media {
    /// Returns whether the playlist has advanced since an earlier read.
    pub(super) fn is_after(&self, earlier: &Self) -> bool {
        self.last() > earlier.last() || self.segments.last() != earlier.segments.last()
    }

    fn last(&self) -> u64 {
        self.sequence.saturating_add(self.segments.len() as u64)
    }
}

/// Parses a playlist. The error describes the fault.
pub(super) fn read(text: &str) -> Result<Playlist, &'static str> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    if lines.next() != Some("#EXTM3U") {
        return Err("not a playlist: expected #EXTM3U in the first line");
    }
    let mut media = Media::default();
    let (mut uris, mut is_master) = (Vec::new(), false);
    for line in lines {
        let number = |value: &str| value.trim().parse::<u64>().ok();
        if let Some(seconds) = line.strip_prefix("#EXT-X-TARGETDURATION:") {
            media.target = Duration::from_secs(number(seconds).ok_or("the target duration is not a number")?);
        } else if let Some(first) = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
            media.sequence = number(first).ok_or("the media sequence is not a number")?;
        } else if line == "#EXT-X-ENDLIST" {
            media.ended = true;
        } else if line.starts_with("#EXT-X-STREAM-INF") {
            is_master = true;
        } else if !line.starts_with('#') {
            uris.push(line.to_owned());
        }
    }
    match (is_master, uris.is_empty()) {
        (true, true) => Err("the master playlist has no variant"),
        (true, false) => Ok(Playlist::Master { variants: uris }),
        (false, true) => Err("the playlist has no segment"),
        (false, false) => Ok(Playlist::Media(Media { segments: uris, ..media })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masters_and_media() {
        let master = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"a,b\"\nshow_720p.m3u8\n\n\
            #EXT-X-STREAM-INF:BANDWIDTH=2\r\nshow.m3u8?token=x\r\n";
        let variants = vec!["show_720p.m3u8".into(), "show.m3u8?token=x".into()];
        assert_eq!(read(master), Ok(Playlist::Master { variants }));
        let media = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:17\n#EXT-X-MAP:URI=\"init.mp4\"\n\
            #EXTINF:2.000,\nshow-17.ts\n#EXTINF:1.9,\nshow-18.ts\n";
        let Ok(Playlist::Media(media)) = read(media) else { panic!("no media") };
        assert_eq!((media.target, media.sequence, media.ended), (Duration::from_secs(2), 17, false));
        assert_eq!(media.segments, ["show-17.ts", "show-18.ts"]);
    }

    #[test]
    fn it_goes_on_by_its_numbers_or_its_names() {
        let at = |sequence, segments: &[&str]| Media {
            sequence,
            segments: segments.iter().map(|s| (*s).to_owned()).collect(),
            ..Media::default()
        };
        let first = at(1, &["a", "b"]);
        assert!(at(2, &["b", "c"]).is_after(&first) && at(1, &["a", "b", "c"]).is_after(&first));
        // A new stream with the old name starts again at 0.
        assert!(at(0, &["x"]).is_after(&first));
        assert!(!at(1, &["a", "b"]).is_after(&first));
    }

    #[test]
    fn what_is_no_playlist_says_why() {
        for (text, why) in [
            ("<html>", "#EXTM3U"),
            ("", "#EXTM3U"),
            ("#EXTM3U\n", "no segment"),
            ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n", "no variant"),
            ("#EXTM3U\n#EXT-X-TARGETDURATION:x\na.ts", "target duration"),
        ] {
            assert!(read(text).unwrap_err().contains(why), "{text:?}");
        }
    }
}
