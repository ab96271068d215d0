//! Chunks: the parts of messages that share one connection (specification, section 5.3).

mod header;
mod reader;
mod writer;

pub use header::{Format, Header};
pub use reader::Reader;
pub use writer::Writer;

/// The initial chunk size of both sides.
pub const DEFAULT_CHUNK_SIZE: usize = 128;

/// The largest possible chunk size: the top bit of the number is reserved.
pub const MAX_CHUNK_SIZE: u32 = 0x7fff_ffff;

/// For timestamps from this value on, the header contains this value and four more bytes follow.
const EXTENDED: u32 = 0x00ff_ffff;

/// Why the reader refuses chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A header refers to an earlier one, but the chunk stream has none.
    #[error("chunk stream {0} begins without a full header")]
    NoHeader(u32),
    /// The announced length exceeds the reader's limit.
    #[error("message of {0} bytes is too long")]
    TooLong(usize),
    /// A new header came before the message on that chunk stream was complete.
    #[error("chunk stream {0} begins a message inside another")]
    Interrupted(u32),
    /// A Set Chunk Size is 0 or above 2^31.
    #[error("chunk size {0} is impossible")]
    ChunkSize(u32),
    /// The peer uses more chunk streams than the reader supports.
    #[error("more than {0} chunk streams")]
    TooManyStreams(usize),
}
