//! Fragmented MP4 with all tracks, as ffmpeg writes it (ISO/IEC 14496-12), cut into head and fragments.

use std::collections::HashMap;
use std::time::Duration;

use super::{Error, Part, Piece, Stamp};
use crate::cmaf::boxes::ranges;
use crate::cmaf::{self, Splitter};

/// `sample_is_non_sync_sample` of a sample's flags.
const NOT_SYNC: u32 = 0x1_0000;

/// Cuts bytes that arrive in pieces of any size.
#[derive(Debug, Default)]
pub struct Cutter {
    splitter: Splitter,
    tracks: HashMap<u32, Track>,
}

#[derive(Clone, Copy, Debug)]
struct Track {
    timescale: u32,
    pictures: bool,
}

impl Cutter {
    /// Adds bytes. Call [`next_piece`](Self::next_piece) afterwards until it returns `None`.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.splitter.feed(bytes);
    }

    /// Returns the next complete piece, or `None` if more bytes are needed.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, Error> {
        match self.splitter.next_piece().map_err(|_| Error::Size)? {
            None => Ok(None),
            Some(cmaf::Piece::Init(bytes)) => {
                self.tracks = tracks(&bytes)?;
                Ok(Some(Piece::Head(bytes)))
            }
            Some(cmaf::Piece::Fragment(bytes)) => self.part(bytes).map(|part| Some(Piece::Part(part))),
        }
    }

    fn part(&self, bytes: Vec<u8>) -> Result<Part, Error> {
        let moof = find(&bytes, 0..bytes.len(), b"moof").ok_or(Error::Missing("moof"))?;
        let (mut stamps, mut start) = (Vec::new(), None::<Duration>);
        // If the stream has video, a fragment without video is from the middle of the stream.
        let mut key = !self.tracks.values().any(|track| track.pictures);
        for traf in ranges(&bytes, moof).filter(|(kind, _)| kind == b"traf").map(|(_, range)| range) {
            let header = find(&bytes, traf.clone(), b"tfhd").ok_or(Error::Missing("tfhd"))?;
            let id = number(&bytes, header.start + 4).ok_or(Error::Missing("tfhd"))?;
            let track = self.tracks.get(&id).ok_or(Error::Missing("trak"))?;
            let time = find(&bytes, traf.clone(), b"tfdt").ok_or(Error::Missing("tfdt"))?;
            let width = if bytes.get(time.start) == Some(&1) { 8 } else { 4 };
            if time.len() < 4 + width {
                return Err(Error::Missing("tfdt"));
            }
            let stamp = Stamp { at: time.start + 4, width, per_second: u64::from(track.timescale) };
            start = Some(start.map_or(stamp.time(&bytes), |start| start.min(stamp.time(&bytes))));
            stamps.push(stamp);
            if track.pictures {
                key = first_flags(&bytes, &header, &traf).is_some_and(|flags| flags & NOT_SYNC == 0);
            }
        }
        let start = start.ok_or(Error::Missing("traf"))?;
        Ok(Part { bytes, key, start, stamps })
    }
}

/// Returns the flags of the first sample of a track's fragment.
fn first_flags(bytes: &[u8], header: &Range, traf: &Range) -> Option<u32> {
    let run = find(bytes, traf.clone(), b"trun")?;
    let flags = number(bytes, run.start)? & 0xff_ffff;
    let mut at = run.start + 8 + if flags & 0x1 != 0 { 4 } else { 0 };
    if flags & 0x4 != 0 {
        return number(bytes, at);
    }
    if flags & 0x400 != 0 {
        at += [0x100, 0x200].iter().filter(|flag| flags & **flag != 0).count() * 4;
        return number(bytes, at);
    }
    // The default of the fragment.
    let flags = number(bytes, header.start)? & 0xff_ffff;
    let before = [(0x1, 8), (0x2, 4), (0x8, 4), (0x10, 4)];
    let skipped: usize = before.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, length)| length).sum();
    (flags & 0x20 != 0).then(|| number(bytes, header.start + 8 + skipped)).flatten()
}

fn tracks(bytes: &[u8]) -> Result<HashMap<u32, Track>, Error> {
    let moov = find(bytes, 0..bytes.len(), b"moov").ok_or(Error::Missing("moov"))?;
    let mut tracks = HashMap::new();
    for (_, trak) in ranges(bytes, moov).filter(|(kind, _)| kind == b"trak") {
        let header = find(bytes, trak.clone(), b"tkhd").ok_or(Error::Missing("tkhd"))?;
        let id_at = if bytes.get(header.start) == Some(&1) { 20 } else { 12 };
        let id = number(bytes, header.start + id_at).ok_or(Error::Missing("tkhd"))?;
        let media = find(bytes, trak, b"mdia").ok_or(Error::Missing("mdia"))?;
        let header = find(bytes, media.clone(), b"mdhd").ok_or(Error::Missing("mdhd"))?;
        let scale_at = if bytes.get(header.start) == Some(&1) { 20 } else { 12 };
        let timescale = number(bytes, header.start + scale_at).filter(|scale| *scale > 0);
        let handler = find(bytes, media, b"hdlr").ok_or(Error::Missing("hdlr"))?;
        let pictures = bytes.get(handler.start + 8..handler.start + 12) == Some(b"vide");
        tracks.insert(id, Track { timescale: timescale.ok_or(Error::Missing("mdhd"))?, pictures });
    }
    Ok(tracks)
}

type Range = std::ops::Range<usize>;

fn find(bytes: &[u8], range: Range, kind: &[u8; 4]) -> Option<Range> {
    ranges(bytes, range).find(|(found, _)| found == kind).map(|(_, content)| content)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], content: &[&[u8]]) -> Vec<u8> {
        let content = content.concat();
        let mut bytes = u32::try_from(content.len() + 8).unwrap().to_be_bytes().to_vec();
        bytes.extend(kind);
        bytes.extend(content);
        bytes
    }

    fn words(numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    fn trak(id: u32, scale: u32, handler: &[u8; 4]) -> Vec<u8> {
        let header = boxed(b"tkhd", &[&words(&[0, 0, 0, id])]);
        let mdhd = boxed(b"mdhd", &[&words(&[0, 0, 0, scale, 0])]);
        let hdlr = boxed(b"hdlr", &[&words(&[0, 0]), handler]);
        boxed(b"trak", &[&header, &boxed(b"mdia", &[&mdhd, &hdlr])])
    }

    fn traf(id: u32, time: u32, flags: u32) -> Vec<u8> {
        let header = boxed(b"tfhd", &[&words(&[0x2_0000, id])]);
        let tfdt = boxed(b"tfdt", &[&words(&[0x0100_0000, 0, time])]);
        let trun = boxed(b"trun", &[&words(&[0x5, 2, 0, flags])]);
        boxed(b"traf", &[&header, &tfdt, &trun])
    }

    #[test]
    fn fragments_begin_with_key_frames_or_not_and_know_their_times() {
        let moov = boxed(b"moov", &[&trak(1, 90_000, b"vide"), &trak(2, 48_000, b"soun")]);
        let mut file = boxed(b"ftyp", &[b"iso5"]);
        file.extend(&moov);
        let head = file.clone();
        let fragments = [
            vec![traf(1, 90_000, 0x0200_0000), traf(2, 47_000, 0x0200_0000)],
            vec![traf(1, 180_000, 0x0101_0000), traf(2, 96_000, 0x0200_0000)],
            vec![traf(2, 144_000, 0x0200_0000)],
        ];
        for trafs in &fragments {
            file.extend(boxed(b"moof", &[&boxed(b"mfhd", &[&words(&[0, 1])]), &trafs.concat()]));
            file.extend(boxed(b"mdat", &[b"media"]));
        }
        for step in [1, 7, 10_000] {
            let mut cutter = Cutter::default();
            let mut pieces = Vec::new();
            for bytes in file.chunks(step) {
                cutter.feed(bytes);
                while let Some(piece) = cutter.next_piece().unwrap() {
                    pieces.push(piece);
                }
            }
            assert_eq!(pieces[0], Piece::Head(head.clone()));
            let seen: Vec<(bool, u128)> = pieces[1..]
                .iter()
                .map(|piece| match piece {
                    Piece::Part(part) => (part.key, part.start.as_millis()),
                    Piece::Head(_) => panic!("{piece:?}"),
                })
                .collect();
            assert_eq!(seen, [(true, 979), (false, 2000), (false, 3000)]);
        }
    }
}
