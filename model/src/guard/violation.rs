//! Reasons to close a connection, and the limits of the guard.

use crate::publish;

/// The deepest allowed nesting of objects and arrays.
pub const MAX_DEPTH: usize = 32;

/// How often a connection may set its chunk size.
pub const MAX_CHUNK_SIZES: u8 = 8;

/// The smallest allowed chunk size, in bytes. nginx-rtmp allocates a buffer for each chunk, even a small one. 128 is
/// the initial size of every connection, and the smallest that the specification advises (section 5.4.1).
pub const MIN_CHUNK_SIZE: u32 = 128;

/// The largest chunk size of the protocol, in bytes (specification, section 5.4.1).
pub const MAX_CHUNK_SIZE: u32 = 0x7fff_ffff;

/// The most bytes that a client may send before `connect`, in addition to the handshake.
pub const MAX_BYTES_BEFORE_CONNECT: u32 = 16_384;

/// The most bytes of incomplete messages over all chunk streams of a connection, until a publish on it was accepted.
pub const MAX_UNFINISHED: usize = 65_536;

/// The most answers that a client may leave unread until it publishes or receives media.
pub const MAX_UNREAD: usize = 32;

/// The reason to close a connection. Displays as the short reason for the log, which contains nothing that the client
/// sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Violation {
    /// A message other than `connect` and protocol control messages came before `connect`.
    #[error("message before connect")]
    NotConnected,
    /// Objects or arrays are nested too deep.
    #[error("amf nested deeper than {MAX_DEPTH} levels")]
    Depth,
    /// The chunk size was set too often.
    #[error("more than {MAX_CHUNK_SIZES} chunk sizes")]
    ChunkSizes,
    /// The chunk size is out of bounds.
    #[error("chunk size not from {MIN_CHUNK_SIZE} to {MAX_CHUNK_SIZE}")]
    ChunkSize,
    /// An aggregate holds something other than audio, video and data, or ends too early.
    #[error("aggregate cut short, or of other than audio, video and data")]
    Aggregate,
    /// A header within a message announces a length below the number of bytes that have arrived.
    #[error("length changed within a message")]
    RunningLength,
    /// Too many bytes came before `connect`.
    #[error("more than {MAX_BYTES_BEFORE_CONNECT} bytes before connect")]
    BytesBeforeConnect,
    /// Neither a publish nor a play began in time.
    #[error("neither published nor played in time")]
    SessionTimeout,
    /// A publish began, but no audio or video came.
    #[error("published without audio or video")]
    NoMedia,
    /// A publisher sends no audio or video any more, but has not ended its publish.
    #[error("publisher idle")]
    IdlePublisher,
    /// The address has too many connections that neither publish nor play.
    #[error("too many connections from this address")]
    TooManyConnections,
    /// A second publish came on a connection that publishes.
    #[error("second publish on a connection")]
    SecondPublish,
    /// nginx-rtmp would cut `name?args`, because it is too long or holds a NUL, or the name is missing.
    #[error("name longer than {} bytes, with a null byte, or missing", publish::MAX_PRESENTED_LEN)]
    Name,
    /// Another publisher uses the name, and nginx-rtmp manages the names of this application.
    #[error("name is live already")]
    Duplicate,
    /// Too many bytes of incomplete messages, and no publish was accepted.
    #[error("more than {MAX_UNFINISHED} bytes of unfinished messages")]
    Unfinished,
    /// Too many answers are unread.
    #[error("more than {MAX_UNREAD} unread answers")]
    Unread,
    /// The target of a push sends more than answers, or a long message.
    #[error("more than answers from the target of a push")]
    Answers,
}

impl Violation {
    /// All violations, ordered by [`index`](Violation::index).
    pub const ALL: [Violation; 17] = [
        Violation::NotConnected,
        Violation::Depth,
        Violation::ChunkSizes,
        Violation::ChunkSize,
        Violation::Aggregate,
        Violation::RunningLength,
        Violation::BytesBeforeConnect,
        Violation::SessionTimeout,
        Violation::NoMedia,
        Violation::IdlePublisher,
        Violation::TooManyConnections,
        Violation::SecondPublish,
        Violation::Name,
        Violation::Duplicate,
        Violation::Unfinished,
        Violation::Unread,
        Violation::Answers,
    ];

    /// Number of violations.
    pub const COUNT: usize = Violation::ALL.len();

    /// Returns the position in [`Violation::ALL`] and in a table of counters.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Returns a stable word for metrics and events.
    pub const fn label(self) -> &'static str {
        match self {
            Violation::NotConnected => "not_connected",
            Violation::Depth => "depth",
            Violation::ChunkSizes => "chunk_sizes",
            Violation::ChunkSize => "chunk_size",
            Violation::Aggregate => "aggregate",
            Violation::RunningLength => "running_length",
            Violation::BytesBeforeConnect => "bytes_before_connect",
            Violation::SessionTimeout => "session_timeout",
            Violation::NoMedia => "no_media",
            Violation::IdlePublisher => "idle_publisher",
            Violation::TooManyConnections => "too_many_connections",
            Violation::SecondPublish => "second_publish",
            Violation::Name => "name",
            Violation::Duplicate => "duplicate",
            Violation::Unfinished => "unfinished",
            Violation::Unread => "unread",
            Violation::Answers => "answers",
        }
    }
}
