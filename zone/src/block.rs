//! A block: sixteen words, of which the first two are the header. A record is one block, followed by as many `Tail`
//! blocks as its text needs.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use zerocopy::FromBytes;

/// Words of a block.
pub(crate) const WORDS: usize = 16;
/// The lower half of a word that holds two indexes.
pub(crate) const LOW: u64 = 0xffff_ffff;

/// 128 bytes of the zone.
#[derive(Default, FromBytes)]
#[repr(C, align(128))]
pub struct Block {
    words: [AtomicU64; WORDS],
}

/// What a block is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockKind {
    Free,
    /// Taken, but not yet part of a record: if the worker dies now, the block is lost until a repair finds it.
    Taken,
    Tail,
    Key,
    Stream,
    Player,
    Event,
    Target,
    Push,
    Worker,
    Revocation,
    Audience,
}

impl BlockKind {
    fn of(byte: u64) -> BlockKind {
        match byte {
            1 => BlockKind::Taken,
            2 => BlockKind::Tail,
            3 => BlockKind::Key,
            4 => BlockKind::Stream,
            5 => BlockKind::Player,
            6 => BlockKind::Event,
            7 => BlockKind::Target,
            8 => BlockKind::Push,
            9 => BlockKind::Worker,
            10 => BlockKind::Revocation,
            11 => BlockKind::Audience,
            _ => BlockKind::Free,
        }
    }

    fn byte(self) -> u64 {
        match self {
            BlockKind::Free => 0,
            BlockKind::Taken => 1,
            BlockKind::Tail => 2,
            BlockKind::Key => 3,
            BlockKind::Stream => 4,
            BlockKind::Player => 5,
            BlockKind::Event => 6,
            BlockKind::Target => 7,
            BlockKind::Push => 8,
            BlockKind::Worker => 9,
            BlockKind::Revocation => 10,
            BlockKind::Audience => 11,
        }
    }

    /// Returns the first word of the text in such a block. Blocks of keys and audiences have space for most texts;
    /// blocks of streams, players, pushes and workers keep their whole text in tails.
    pub(crate) fn text_from(self) -> usize {
        match self {
            BlockKind::Key | BlockKind::Audience => 10,
            BlockKind::Event => 5,
            BlockKind::Target | BlockKind::Revocation => 6,
            BlockKind::Stream | BlockKind::Player | BlockKind::Push | BlockKind::Worker => WORDS,
            BlockKind::Free | BlockKind::Taken | BlockKind::Tail => 2,
        }
    }

    /// Returns how many bytes of text such a block holds.
    pub(crate) fn text_bytes(self) -> usize {
        (WORDS - self.text_from()) * 8
    }

    /// Returns how many blocks a record of this kind takes with `len` bytes of text.
    pub(crate) fn blocks_for(self, len: usize) -> usize {
        1 + len.saturating_sub(self.text_bytes()).div_ceil(BlockKind::Tail.text_bytes())
    }

    pub(crate) fn is_record(self) -> bool {
        self.is_chained()
            || matches!(self, BlockKind::Event | BlockKind::Push | BlockKind::Worker | BlockKind::Revocation)
    }

    /// Returns the word whose hash selects the second chain of such a block. A key has an id in addition to its digest.
    pub(crate) fn second_hash(self) -> Option<usize> {
        (self == BlockKind::Key).then_some(6)
    }

    /// Returns whether records of this kind are found by a hash.
    pub(crate) fn is_chained(self) -> bool {
        matches!(
            self,
            BlockKind::Key | BlockKind::Stream | BlockKind::Player | BlockKind::Target | BlockKind::Audience
        )
    }
}

/// Position of a block in the zone.
pub(crate) type Index = u32;

impl Block {
    pub(crate) fn word(&self, at: usize) -> u64 {
        #[cfg(test)]
        crate::effort::count();
        self.words[at].load(Relaxed)
    }

    pub(crate) fn set(&self, at: usize, value: u64) {
        #[cfg(test)]
        {
            crate::death::before_store();
            crate::effort::count();
        }
        self.words[at].store(value, Relaxed);
    }

    /// Adds to a word that only one worker writes, so that no locked instruction is needed.
    pub(crate) fn add(&self, at: usize, value: u64) {
        self.set(at, self.word(at).wrapping_add(value));
    }

    pub(crate) fn kind(&self) -> BlockKind {
        BlockKind::of(self.word(0) & 0xff)
    }

    pub(crate) fn set_kind(&self, kind: BlockKind) {
        self.set(0, (self.word(0) & !0xff) | kind.byte());
    }

    /// Returns the next block of the same record.
    pub(crate) fn tail(&self) -> Option<Index> {
        unpack(self.word(0) >> 32)
    }

    pub(crate) fn set_tail(&self, tail: Option<Index>) {
        self.set(0, (self.word(0) & LOW) | (pack(tail) << 32));
    }

    /// Returns the next record of the same hash chain, or the next free block.
    pub(crate) fn next(&self) -> Option<Index> {
        unpack(self.word(1) & LOW)
    }

    pub(crate) fn set_next(&self, next: Option<Index>) {
        self.set(1, (self.word(1) & !LOW) | pack(next));
    }

    /// Returns the next record of the same second chain ([`BlockKind::second_hash`]).
    pub(crate) fn second_next(&self) -> Option<Index> {
        unpack(self.word(1) >> 32)
    }

    pub(crate) fn set_second_next(&self, next: Option<Index>) {
        self.set(1, (self.word(1) & LOW) | pack(next) << 32);
    }

    pub(crate) fn clear(&self) {
        for at in 0..WORDS {
            self.set(at, 0);
        }
    }

    pub(crate) fn read_text(&self, into: &mut Vec<u8>) {
        for word in &self.words[self.kind().text_from()..] {
            #[cfg(test)]
            crate::effort::count();
            into.extend_from_slice(&word.load(Relaxed).to_le_bytes());
        }
    }

    /// Writes text to the text words of a block of `kind`.
    pub(crate) fn write_text(&self, kind: BlockKind, bytes: &[u8]) {
        for (at, chunk) in bytes.chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.set(kind.text_from() + at, u64::from_le_bytes(word));
        }
    }
}

/// Packs an optional index into a number; 0 means none.
pub(crate) fn pack(index: Option<Index>) -> u64 {
    index.map_or(0, |i| u64::from(i) + 1)
}

pub(crate) fn unpack(number: u64) -> Option<Index> {
    number.checked_sub(1).and_then(|i| Index::try_from(i).ok())
}
