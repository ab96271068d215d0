//! Matroska as ffmpeg writes it to an output without seeking (RFC 9559), cut into head and clusters.

use super::{Error, Part, Piece, Stamp};

const SEGMENT: u32 = 0x1853_8067;
const TRACKS: u32 = 0x1654_ae6b;
const TRACK_ENTRY: u32 = 0xae;
const TRACK_NUMBER: u32 = 0xd7;
const TRACK_TYPE: u32 = 0x83;
const CLUSTER: u32 = 0x1f43_b675;
const TIMESTAMP: u32 = 0xe7;
const SIMPLE_BLOCK: u32 = 0xa3;
const BLOCK_GROUP: u32 = 0xa0;
const BLOCK: u32 = 0xa1;
const REFERENCE_BLOCK: u32 = 0xfb;
/// No stream has an element that is larger than this.
const MAX_ELEMENT: u64 = 64 << 20;
/// ffmpeg's unit of time: a millisecond.
const PER_SECOND: u64 = 1000;

/// Takes bytes in pieces of any size.
#[derive(Debug, Default)]
pub struct Cutter {
    buffer: Vec<u8>,
    head: Vec<u8>,
    /// Whether the head was returned.
    begun: bool,
    /// The number of the video track.
    pictures: Option<u64>,
    /// The second half of a cluster.
    pending: Option<Part>,
}

/// The id of an element, and the ranges of the element and its content.
struct Element {
    id: u32,
    start: usize,
    content: std::ops::Range<usize>,
}

impl Cutter {
    /// Adds bytes. Call [`next_piece`](Self::next_piece) afterwards until it returns `None`.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next complete piece, or `None` if more bytes are needed.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, Error> {
        if let Some(part) = self.pending.take() {
            return Ok(Some(Piece::Part(part)));
        }
        loop {
            let Some((id, size, header)) = head_of(&self.buffer)? else { return Ok(None) };
            if id == SEGMENT {
                // The size of the segment is unknown; the following elements are inside it.
                self.head.extend(self.buffer.drain(..header));
                continue;
            }
            if id == CLUSTER && !self.begun {
                self.begun = true;
                self.pictures = pictures(&self.head);
                return Ok(Some(Piece::Head(self.head.clone())));
            }
            let size = size.filter(|size| *size <= MAX_ELEMENT).ok_or(Error::Size)?;
            let whole = header + usize::try_from(size).map_err(|_| Error::Size)?;
            if self.buffer.len() < whole {
                return Ok(None);
            }
            let bytes: Vec<u8> = self.buffer.drain(..whole).collect();
            if id == CLUSTER {
                let (part, rest) = self.halves(bytes, header)?;
                self.pending = rest;
                return Ok(Some(Piece::Part(part)));
            }
            // After the first cluster, only elements such as an index remain.
            if !self.begun {
                self.head.extend(bytes);
            }
        }
    }

    /// Splits a cluster with a keyframe inside into two halves. ffmpeg begins no cluster with a keyframe if it has sent
    /// little since the last cluster.
    fn halves(&self, bytes: Vec<u8>, header: usize) -> Result<(Part, Option<Part>), Error> {
        let (mut stamp, mut first, mut cut) = (None, None, None);
        for element in children(&bytes, header..bytes.len()) {
            let start = element.start;
            let key = match element.id {
                TIMESTAMP if element.content.len() <= 8 => {
                    stamp = Some(element.content);
                    None
                }
                SIMPLE_BLOCK => self.key(&bytes[element.content], None),
                BLOCK_GROUP => {
                    let inside: Vec<Element> = children(&bytes, element.content).collect();
                    let refers = inside.iter().any(|element| element.id == REFERENCE_BLOCK);
                    let block = inside.iter().find(|element| element.id == BLOCK);
                    block.and_then(|block| self.key(&bytes[block.content.clone()], Some(!refers)))
                }
                _ => None,
            };
            if first == Some(false) && key == Some(true) {
                cut = cut.or(Some(start));
            }
            first = first.or(key);
        }
        let stamp = stamp.ok_or(Error::Missing("timestamp of a cluster"))?;
        let key = first.unwrap_or(self.pictures.is_none());
        let Some(cut) = cut else { return Ok((part(bytes, stamp, key), None)) };
        let time = Stamp { at: stamp.start, width: stamp.len(), per_second: PER_SECOND }.read(&bytes);
        let before = children(&bytes, header..cut).filter(|element| element.id != TIMESTAMP);
        let before: Vec<u8> =
            before.flat_map(|element| bytes[element.start..element.content.end].to_vec()).collect();
        let mut after = bytes.get(cut..).unwrap_or_default().to_vec();
        let moved = begin_anew(&mut after);
        Ok((cluster(time, &before, false), Some(cluster(time + moved, &after, true))))
    }

    /// Returns whether a video block begins with a keyframe, or `None` for other blocks.
    fn key(&self, block: &[u8], of_group: Option<bool>) -> Option<bool> {
        let (track, length) = vint(block, true)?;
        let flags = block.get(length + 2)?;
        (Some(track) == self.pictures).then(|| of_group.unwrap_or(flags & 0x80 != 0))
    }
}

fn part(bytes: Vec<u8>, stamp: std::ops::Range<usize>, key: bool) -> Part {
    let stamp = Stamp { at: stamp.start, width: stamp.len(), per_second: PER_SECOND };
    Part { key, start: stamp.time(&bytes), stamps: vec![stamp], bytes }
}

/// Returns a cluster with this time and these blocks.
fn cluster(time: u64, blocks: &[u8], key: bool) -> Part {
    // Both numbers have eight bytes, which is always enough.
    let size = (10 + blocks.len()) as u64 | 1 << 56;
    let mut bytes = [&CLUSTER.to_be_bytes()[..], &size.to_be_bytes(), &[TIMESTAMP as u8, 0x88]].concat();
    let at = bytes.len()..bytes.len() + 8;
    bytes.extend(time.to_be_bytes());
    bytes.extend(blocks);
    part(bytes, at, key)
}

/// Subtracts the time of the first block from all blocks, and returns it. The caller must add it to the time of their
/// cluster.
fn begin_anew(blocks: &mut [u8]) -> u64 {
    let mut places = Vec::new();
    for element in children(blocks, 0..blocks.len()) {
        let block = match element.id {
            SIMPLE_BLOCK => Some(element.content),
            BLOCK_GROUP => children(blocks, element.content)
                .find(|inside| inside.id == BLOCK)
                .map(|inside| inside.content),
            _ => None,
        };
        // The time follows the track number.
        let place = block.and_then(|block| Some(block.start + vint(&blocks[block], true)?.1));
        places.extend(place.filter(|place| place + 2 <= blocks.len()));
    }
    let time = |blocks: &[u8], at: usize| i16::from_be_bytes([blocks[at], blocks[at + 1]]);
    let first = places.first().map_or(0, |at| time(blocks, *at)).max(0);
    for at in places {
        let moved = time(blocks, at).saturating_sub(first);
        blocks[at..at + 2].copy_from_slice(&moved.to_be_bytes());
    }
    first.unsigned_abs().into()
}

fn pictures(head: &[u8]) -> Option<u64> {
    // The head is EBML's own element, the beginning of the segment, and what is in that.
    let mut at = 0;
    while let Ok(Some((id, size, header))) = head_of(&head[at..]) {
        let content = at + header;
        if id == SEGMENT {
            at = content;
            continue;
        }
        let end = content.checked_add(usize::try_from(size?).ok()?)?;
        if id == TRACKS && end <= head.len() {
            return children(head, content..end).filter(|entry| entry.id == TRACK_ENTRY).find_map(|entry| {
                let value = |id: u32| {
                    let found = children(head, entry.content.clone()).find(|element| element.id == id)?;
                    Some(
                        head[found.content].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)),
                    )
                };
                (value(TRACK_TYPE)? == 1).then(|| value(TRACK_NUMBER)).flatten()
            });
        }
        at = end.min(head.len());
    }
    None
}

/// Returns the elements in a range, without an incomplete element at the end.
fn children(bytes: &[u8], range: std::ops::Range<usize>) -> impl Iterator<Item = Element> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        let (id, size, header) = head_of(bytes.get(at..range.end)?).ok()??;
        let start = at + header;
        let end = start.checked_add(usize::try_from(size?).ok()?).filter(|end| *end <= range.end)?;
        at = end;
        Some(Element { id, start: start - header, content: start..end })
    })
}

/// Returns id, size (`None` if unknown) and header length of the first element, or `None` if there are too few bytes.
fn head_of(bytes: &[u8]) -> Result<Option<(u32, Option<u64>, usize)>, Error> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    if first < 0x10 {
        // No id is longer than four bytes.
        return Err(Error::Size);
    }
    let Some((id, id_length)) = vint(bytes, false) else { return Ok(None) };
    let rest = &bytes[id_length..];
    match rest.first() {
        None => return Ok(None),
        Some(0) => return Err(Error::Size),
        Some(_) => {}
    }
    let Some((size, size_length)) = vint(rest, true) else { return Ok(None) };
    let unknown = (1 << (7 * size_length)) - 1;
    let id = u32::try_from(id).map_err(|_| Error::Size)?;
    Ok(Some((id, (size != unknown).then_some(size), id_length + size_length)))
}

/// Reads a number of variable length, with or without its length marker, and returns its length too.
fn vint(bytes: &[u8], strip: bool) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = first.leading_zeros() as usize + 1;
    let all = bytes.get(..length).filter(|_| length <= 8)?;
    let number = all.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    Some((if strip { number & !(1 << (7 * length)) } else { number }, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(id: &[u8], content: &[u8]) -> Vec<u8> {
        let mut bytes = id.to_vec();
        // In two bytes.
        bytes.extend((0x4000 | u16::try_from(content.len()).unwrap()).to_be_bytes());
        bytes.extend(content);
        bytes
    }

    fn whole(time: u16, blocks: &[Vec<u8>]) -> Vec<u8> {
        let mut content = element(&[0xe7], &time.to_be_bytes());
        content.extend(blocks.concat());
        element(&[0x1f, 0x43, 0xb6, 0x75], &content)
    }

    fn block(track: u8, key: bool) -> Vec<u8> {
        block_at(0, track, key)
    }

    fn block_at(time: u8, track: u8, key: bool) -> Vec<u8> {
        element(&[0xa3], &[0x80 | track, 0, time, if key { 0x80 } else { 0 }, 1, 2, 3])
    }

    #[test]
    fn clusters_begin_with_key_frames_or_not_and_know_their_times() {
        let track = |number: u8, kind: u8| {
            let inside = [element(&[0xd7], &[number]), element(&[0x83], &[kind])].concat();
            element(&[0xae], &inside)
        };
        let mut head = element(&[0x1a, 0x45, 0xdf, 0xa3], b"ebml");
        head.extend([0x18, 0x53, 0x80, 0x67, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        head.extend(element(&[0x16, 0x54, 0xae, 0x6b], &[track(1, 1), track(2, 2)].concat()));
        let clusters = [
            whole(1000, &[block(2, true), block(1, true), block(1, false)]),
            whole(2000, &[block(1, false), block(2, true), block_at(40, 1, true), block_at(50, 2, true)]),
            whole(3000, &[block(2, true)]),
        ];
        let file = [head.clone(), clusters.concat(), element(&[0x1c, 0x53, 0xbb, 0x6b], b"cues")].concat();
        for step in [1, 5, 10_000] {
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
            assert_eq!(seen, [(true, 1000), (false, 2000), (true, 2040), (false, 3000)]);
            let Piece::Part(second) = &pieces[3] else { panic!("{pieces:?}") };
            let expected = cluster(2040, &[block(1, true), block_at(10, 2, true)].concat(), true);
            assert_eq!(second, &expected);
        }
    }

    #[test]
    fn other_bytes_are_an_error() {
        for bytes in [&b"\x00\x01\x02\x03"[..], b"\x1f\x43\xb6\x75\x00\x00"] {
            let mut cutter = Cutter { begun: true, ..Cutter::default() };
            cutter.feed(bytes);
            assert_eq!(cutter.next_piece(), Err(Error::Size), "{bytes:?}");
        }
    }
}
