//! A message's bytes in order, however they are cut.

/// What is still to be read. `I` gives the pieces; cloning it keeps the place.
#[derive(Clone)]
pub(super) struct Bytes<'a, I> {
    piece: &'a [u8],
    pieces: I,
    /// Whether the very first piece held anything.
    begun: bool,
    /// How much may be read, at most.
    limit: usize,
}

impl<'a, I: Iterator<Item = &'a [u8]>> Bytes<'a, I> {
    pub(super) fn new(mut pieces: I) -> Bytes<'a, I> {
        let piece = pieces.next().unwrap_or_default();
        Bytes { piece, pieces, begun: !piece.is_empty(), limit: usize::MAX }
    }

    /// Whether the first piece of all held anything.
    pub(super) fn first_piece_held_any(&self) -> bool {
        self.begun
    }

    /// The same bytes, but none after the next `len`.
    pub(super) fn limited(mut self, len: usize) -> Bytes<'a, I> {
        self.limit = self.limit.min(len);
        self
    }

    /// Whether there is a byte to read.
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

    /// The next `N` bytes; when there are fewer they are gone.
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut array = [0; N];
        for place in &mut array {
            *place = self.byte()?;
        }
        Some(array)
    }

    /// Passes over `len` bytes; `None` when there are fewer.
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
