//! Fragmented MP4 of one track, as ffmpeg writes it: cut into what players ask for, and read as far as playlists need
//! (ISO/IEC 14496-12, 14496-15 and 23000-19).

pub(crate) mod boxes;
pub mod fragment;
pub mod init;
#[cfg(test)]
mod tests;

pub use fragment::Fragment;
pub use init::{Init, Kind};

/// A box larger than this is nothing that a stream has.
const MAX_BOX: usize = 64 << 20;

/// Why bytes are not what ffmpeg was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A size that cannot be.
    #[error("a box of an impossible size")]
    Size,
    /// A box that has to be there is not, or is too short.
    #[error("no usable {0} box")]
    Missing(&'static str),
    /// Neither H.264 nor AAC.
    #[error("a codec that is not known here")]
    Codec,
}

/// What the file is cut into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// `ftyp` and `moov`: what a decoder needs first.
    Init(Vec<u8>),
    /// `moof` and `mdat`: pictures from one key frame to the next, or some sound.
    Fragment(Vec<u8>),
}

/// Takes bytes in pieces of any size, gives the pieces that count.
#[derive(Debug, Default)]
pub struct Splitter {
    buffer: Vec<u8>,
    /// Boxes of a piece that is not whole yet.
    piece: Vec<u8>,
}

impl Splitter {
    /// Takes bytes; then ask for [`next_piece`](Self::next_piece) until there is none.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole piece, `None` when more bytes are needed.
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
                // An index at the end of the file, and the like.
                _ => {}
            }
        }
        Ok(None)
    }

    /// Kind and length of the first box.
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
