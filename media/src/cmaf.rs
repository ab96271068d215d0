//! Fragmented MP4 of one track, as ffmpeg writes it: cuts it into the files that players request, and reads the facts
//! that playlists need (ISO/IEC 14496-12, 14496-15 and 23000-19).

pub(crate) mod boxes;
pub mod fragment;
pub mod init;
#[cfg(test)]
mod tests;

pub use fragment::Fragment;
pub use init::{Init, TrackKind};

/// No stream has a box that is larger than this.
const MAX_BOX: usize = 64 << 20;

/// Why bytes are not in the expected format of ffmpeg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An impossible size.
    #[error("a box of an impossible size")]
    Size,
    /// A required box is missing or too short.
    #[error("no usable {0} box")]
    Missing(&'static str),
    /// The codec is neither H.264 nor AAC.
    #[error("a codec that is not known here")]
    Codec,
}

/// A piece of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// `ftyp` and `moov`: the initialization of a decoder.
    Init(Vec<u8>),
    /// `moof` and `mdat`: frames from one keyframe to the next, or some audio.
    Fragment(Vec<u8>),
}

/// Reads bytes in pieces of any size and returns the pieces of the file.
#[derive(Debug, Default)]
pub struct Splitter {
    buffer: Vec<u8>,
    /// Boxes of an incomplete piece.
    piece: Vec<u8>,
}

impl Splitter {
    /// Adds bytes. Call [`next_piece`](Self::next_piece) afterwards until it returns `None`.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next complete piece, or `None` if more bytes are needed.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, Error> {
        while let Some((kind, length)) = self.head()? {
            if self.buffer.len() < length {
                return Ok(None);
            }
            let whole: Vec<u8> = self.buffer.drain(..length).collect();
            match &kind {
                b"ftyp" | b"moof" => self.piece = whole,
                b"moov" => {
                    self.piece.extend(whole);
                    return Ok(Some(Piece::Init(std::mem::take(&mut self.piece))));
                }
                b"mdat" => {
                    self.piece.extend(whole);
                    return Ok(Some(Piece::Fragment(std::mem::take(&mut self.piece))));
                }
                // For example an index at the end of the file.
                _ => {}
            }
        }
        Ok(None)
    }

    /// Returns kind and length of the first box.
    fn head(&self) -> Result<Option<([u8; 4], usize)>, Error> {
        let Some((&[s3, s2, s1, s0, k0, k1, k2, k3], rest)) = self.buffer.split_first_chunk::<8>() else {
            return Ok(None);
        };
        let length = match u32::from_be_bytes([s3, s2, s1, s0]) {
            1 => match rest.first_chunk::<8>() {
                Some(long) => usize::try_from(u64::from_be_bytes(*long)).map_err(|_| Error::Size)?,
                None => return Ok(None),
            },
            short => short as usize,
        };
        if (8..=MAX_BOX).contains(&length) { Ok(Some(([k0, k1, k2, k3], length))) } else { Err(Error::Size) }
    }
}
