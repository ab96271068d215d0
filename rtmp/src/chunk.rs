//! Chunks: how messages share one connection (specification, section 5.3).

mod header;
mod reader;
mod writer;

pub use header::{Format, Header};
pub use reader::Reader;
pub use writer::Writer;

/// The chunk size both sides begin with.
pub const DEFAULT_CHUNK_SIZE: usize = 128;

/// The largest chunk size that can be set: the top bit of the number is reserved.
pub const MAX_CHUNK_SIZE: u32 = 0x7fff_ffff;

/// From this timestamp on, the three bytes of a header say so and four more follow.
const EXTENDED: u32 = 0x00ff_ffff;

/// Why bytes are not chunks that this reader takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A header that refers to an earlier one, on a chunk stream that has none.
    #[error("chunk stream {0} begins without a full header")]
    NoHeader(u32),
    /// The announced length is over the reader's limit.
    #[error("message of {0} bytes is too long")]
    TooLong(usize),
    /// A new header while a message on that chunk stream is not complete.
    #[error("chunk stream {0} begins a message inside another")]
    Interrupted(u32),
    /// A Set Chunk Size of 0 or above 2^31.
    #[error("chunk size {0} is impossible")]
    ChunkSize(u32),
    /// The peer uses more chunk streams than the reader keeps track of.
    #[error("more than {0} chunk streams")]
    TooManyStreams(usize),
}
