//! Why a connection is closed, and the limits that it went over.

use crate::publish;

/// How deep objects and arrays may lie in each other.
pub const MAX_DEPTH: usize = 32;

/// How often a connection may set its chunk size.
pub const MAX_CHUNK_SIZES: u8 = 8;

/// The least chunk size, in bytes: nginx-rtmp takes a buffer for each chunk, whatever is in it. What
/// every connection begins with, and the least that the specification (section 5.4.1) advises.
pub const MIN_CHUNK_SIZE: u32 = 128;

/// The largest chunk size of the protocol, in bytes (specification, section 5.4.1).
pub const MAX_CHUNK_SIZE: u32 = 0x7fff_ffff;

/// What may come before `connect` is there, in bytes, beside the handshake.
pub const MAX_BYTES_BEFORE_CONNECT: u32 = 16_384;

/// What a connection may leave unfinished over all its chunk streams, in bytes, until a publish on it was accepted.
pub const MAX_UNFINISHED: usize = 65_536;

/// How many answers a client may leave unread until it publishes, or gets media.
pub const MAX_UNREAD: usize = 32;

/// What a connection is closed for. Displays as the short reason for the log, which holds nothing of
/// what the client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Violation {
    /// Before `connect` came anything but it and protocol control messages.
    #[error("message before connect")]
    NotConnected,
    /// Objects or arrays lie too deep in each other.
    #[error("amf nested deeper than {MAX_DEPTH} levels")]
    Depth,
    /// The chunk size was set too often.
    #[error("more than {MAX_CHUNK_SIZES} chunk sizes")]
    ChunkSizes,
    /// The chunk size is out of bounds.
    #[error("chunk size not from {MIN_CHUNK_SIZE} to {MAX_CHUNK_SIZE}")]
    ChunkSize,
    /// An aggregate holds something else than audio, video and data, or ends too early.
    #[error("aggregate cut short, or of other than audio, video and data")]
    Aggregate,
    /// A header within a message says that it is shorter than what of it is there.
    #[error("length changed within a message")]
    RunningLength,
    /// Much came, but no `connect`.
    #[error("more than {MAX_BYTES_BEFORE_CONNECT} bytes before connect")]
    BytesBeforeConnect,
    /// Neither a publish nor a play began in time.
    #[error("neither published nor played in time")]
    SessionTimeout,
    /// A publish began, but no audio or video.
    #[error("published without audio or video")]
    NoMedia,
    /// A publisher's audio and video ended, and the publish did not.
    #[error("publisher idle")]
    IdlePublisher,
    /// The address has too many connections that neither publish nor play.
    #[error("too many connections from this address")]
    TooManyConnections,
    /// A publish on a connection that publishes.
    #[error("second publish on a connection")]
    SecondPublish,
    /// `name?args` would have been cut, for it is too long or holds a NUL, or there is none.
    #[error("name longer than {} bytes, with a null byte, or missing", publish::MAX_PRESENTED_LEN)]
    Name,
    /// Somebody publishes under the name, where names are nginx-rtmp's business.
    #[error("name is live already")]
    Duplicate,
    /// Too much is unfinished, and no publish was accepted.
    #[error("more than {MAX_UNFINISHED} bytes of unfinished messages")]
    Unfinished,
    /// Too many answers are not read.
    #[error("more than {MAX_UNREAD} unread answers")]
    Unread,
    /// The target of a push sends more than answers, or a long message.
    #[error("more than answers from the target of a push")]
    Answers,
}

impl Violation {
    /// Every one, by its [`index`](Violation::index).
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

    /// How many there are.
    pub const COUNT: usize = Violation::ALL.len();

    /// Its place in [`Violation::ALL`], and in a table of counters.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// A stable word for metrics and events.
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
