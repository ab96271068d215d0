//! Reads boxes inside a box, and numbers inside boxes.

use std::ops::Range;

use super::Error;

/// Returns the boxes in a range of `bytes`, as kind and the range of their content, without an incomplete box at the
/// end.
pub(crate) fn ranges(bytes: &[u8], range: Range<usize>) -> impl Iterator<Item = ([u8; 4], Range<usize>)> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        let (&[s3, s2, s1, s0, k0, k1, k2, k3], _) = bytes.get(at..)?.split_first_chunk::<8>()?;
        let length = u32::from_be_bytes([s3, s2, s1, s0]) as usize;
        let content = at + 8..at.checked_add(length)?;
        if length < 8 || content.end > range.end {
            return None;
        }
        at = content.end;
        Some(([k0, k1, k2, k3], content))
    })
}

/// Returns the boxes of `bytes`, as kind and content.
pub(crate) fn children(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    ranges(bytes, 0..bytes.len()).map(|(kind, content)| (kind, &bytes[content]))
}

/// Returns the content of the first box of this kind.
pub(crate) fn find<'b>(bytes: &'b [u8], kind: &'static str) -> Result<&'b [u8], Error> {
    children(bytes)
        .find(|(found, _)| found == kind.as_bytes())
        .map(|(_, content)| content)
        .ok_or(Error::Missing(kind))
}

/// Returns the content of the box at the end of a path of kinds.
pub(crate) fn descend<'b>(bytes: &'b [u8], path: &[&'static str]) -> Result<&'b [u8], Error> {
    path.iter().try_fold(bytes, |bytes, kind| find(bytes, kind))
}

/// Reads numbers from the beginning of a box.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'b> {
    rest: &'b [u8],
    kind: &'static str,
}

impl<'b> Cursor<'b> {
    /// Returns a cursor at the beginning of the content of a box of this kind.
    pub(crate) fn new(rest: &'b [u8], kind: &'static str) -> Self {
        Self { rest, kind }
    }

    /// Returns the next bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'b [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Error::Missing(self.kind))?;
        self.rest = rest;
        Ok(taken)
    }

    /// Reads a number of 32 bits.
    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    /// Reads a number of 16 bits.
    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        let bytes = self.take(2)?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u16::from(*byte)))
    }

    /// Reads a number of 8 bits.
    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        Ok(self.take(1)?[0])
    }

    /// Reads a number of 32 bits, or of 64 in version 1 of a box.
    pub(crate) fn by_version(&mut self, version: u8) -> Result<u64, Error> {
        let high = if version == 1 { u64::from(self.u32()?) << 32 } else { 0 };
        Ok(high | u64::from(self.u32()?))
    }

    /// Reads version and flags at the beginning of a full box.
    pub(crate) fn full(&mut self) -> Result<(u8, u32), Error> {
        let both = self.u32()?;
        Ok(((both >> 24) as u8, both & 0x00ff_ffff))
    }

    /// Returns the remaining bytes.
    pub(crate) fn rest(self) -> &'b [u8] {
        self.rest
    }
}
