//! HLS for a finished recording: a playlist beside the file. The segments are byte ranges of the file (RFC 8216, 4.3.2.2).

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::files::SHARED;

/// Shortest segment. A segment ends with the first keyframe after this time.
const SEGMENT: Duration = Duration::from_secs(4);
/// Assumed length of the last piece, because no later piece shows it.
const LAST: Duration = Duration::from_millis(500);

/// A playlist that grows with a file.
#[derive(Debug)]
pub(crate) struct Playlist {
    head: u64,
    segments: Vec<Segment>,
    reaches: Duration,
}

#[derive(Debug)]
struct Segment {
    start: Duration,
    at: u64,
    bytes: u64,
}

impl Playlist {
    /// Returns the playlist of a file that has only its head, of `head` bytes.
    pub(crate) fn new(head: u64) -> Self {
        Self { head, segments: Vec::new(), reaches: Duration::ZERO }
    }

    /// Adds `bytes` bytes of the file, which are played from `start` on.
    pub(crate) fn push(&mut self, start: Duration, key: bool, bytes: u64) {
        self.reaches = self.reaches.max(start);
        let end = self.segments.last().map_or(self.head, |last| last.at + last.bytes);
        match self.segments.last_mut() {
            Some(last) if !key || start.saturating_sub(last.start) < SEGMENT => last.bytes += bytes,
            _ => self.segments.push(Segment { start, at: end, bytes }),
        }
    }

    /// Returns the playlist's text for a file with this name.
    pub(crate) fn text(&self, name: &str) -> String {
        let ends = self.segments.iter().skip(1).map(|segment| segment.start).chain([self.reaches + LAST]);
        let lengths: Vec<f64> = ends
            .zip(&self.segments)
            .map(|(end, segment)| end.saturating_sub(segment.start).as_secs_f64())
            .collect();
        let longest = lengths.iter().fold(1.0_f64, |longest, length| longest.max(length.round()));
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{longest}\n#EXT-X-PLAYLIST-TYPE:VOD\n\
             #EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"{name}\",BYTERANGE=\"{}@0\"\n",
            self.head
        );
        for (length, segment) in lengths.iter().zip(&self.segments) {
            let _ = write!(
                text,
                "#EXTINF:{length:.3},\n#EXT-X-BYTERANGE:{}@{}\n{name}\n",
                segment.bytes, segment.at
            );
        }
        text.push_str("#EXT-X-ENDLIST\n");
        text
    }

    /// Writes the playlist beside the file, atomically.
    pub(crate) fn write(&self, file: &Path) -> io::Result<()> {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let path = beside(file);
        let unfinished = path.with_extension("m3u8.new");
        SHARED.replace(&path, &unfinished, self.text(&name).as_bytes())
    }
}

/// Returns the path of the playlist of a file.
pub(crate) fn beside(file: &Path) -> PathBuf {
    file.with_extension("m3u8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_begin_with_key_frames_and_follow_each_other() {
        let mut playlist = Playlist::new(100);
        let ms = Duration::from_millis;
        for (start, key, bytes) in
            [(0, true, 10), (500, false, 20), (2000, true, 30), (4500, true, 40), (5000, false, 50)]
        {
            playlist.push(ms(start), key, bytes);
        }
        let text = playlist.text("a.mp4");
        let expected = "#EXT-X-MAP:URI=\"a.mp4\",BYTERANGE=\"100@0\"\n#EXTINF:4.500,\n#EXT-X-BYTERANGE:60@100\na.mp4\n\
                        #EXTINF:1.000,\n#EXT-X-BYTERANGE:90@160\na.mp4\n#EXT-X-ENDLIST\n";
        assert!(text.ends_with(expected) && text.contains("TARGETDURATION:5\n"), "{text}");
    }
}
