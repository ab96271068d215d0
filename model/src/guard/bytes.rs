//! Reads a message's bytes in order, independent of the division into buffers.

/// The bytes that have not been read yet. `I` yields the pieces; a clone of it keeps the position.
#[derive(Clone)]
pub(super) struct Bytes<'a, I> {
    piece: &'a [u8],
    pieces: I,
    /// Whether the very first piece was not empty.
    begun: bool,
    /// The most bytes that may still be read.
    limit: usize,
}

impl<'a, I: Iterator<Item = &'a [u8]>> Bytes<'a, I> {
    pub(super) fn new(mut pieces: I) -> Bytes<'a, I> {
        let piece = pieces.next().unwrap_or_default();
        Bytes { piece, pieces, begun: !piece.is_empty(), limit: usize::MAX }
    }

    /// Returns whether the first piece of the message was not empty.
    pub(super) fn first_piece_held_any(&self) -> bool {
        self.begun
    }

    /// Limits the reader to the next `len` bytes.
    pub(super) fn limited(mut self, len: usize) -> Bytes<'a, I> {
        self.limit = self.limit.min(len);
        self
    }

    /// Returns whether there is a byte to read, and moves to the next piece that has one.
    fn fill(&mut self) -> bool {
        while self.piece.is_empty() {
            match self.pieces.next() {
                Some(piece) => self.piece = piece,
                None => return false,
            }
        }
        self.limit > 0
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        if !self.fill() {
            return None;
        }
        let (&byte, rest) = self.piece.split_first()?;
        self.piece = rest;
        self.limit -= 1;
        Some(byte)
    }

    /// Returns the next `N` bytes. If there are fewer, they are consumed.
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut array = [0; N];
        for place in &mut array {
            *place = self.byte()?;
        }
        Some(array)
    }

    /// Skips `len` bytes. Returns `None` if there are fewer.
    pub(super) fn skip(&mut self, mut len: usize) -> Option<()> {
        while len > 0 {
            if !self.fill() {
                return None;
            }
            let step = len.min(self.piece.len()).min(self.limit);
            self.piece = &self.piece[step..];
            self.limit -= step;
            len -= step;
        }
        Some(())
    }
}
