//! Why a client is refused: a publisher, a player, or who connects.

use crate::admission::Denial;
use crate::stream_name::NameError;
use crate::token::{CheckError, TokenError};

/// The command that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `connect`.
    Connect,
    /// `publish`.
    Publish,
    /// `play` and `play2`.
    Play,
}

impl Command {
    /// Its name in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Command::Connect => "connect",
            Command::Publish => "publish",
            Command::Play => "play",
        }
    }

    /// The directive of nginx-rtmp that asks a program about it.
    pub fn hook(self) -> &'static str {
        match self {
            Command::Connect => "on_connect",
            Command::Publish => "on_publish",
            Command::Play => "on_play",
        }
    }
}

/// Why a command is refused. Displays as the short reason for the log, which never holds a secret,
/// nor what stood in place of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody knows the key.
    #[error("unknown key")]
    UnknownKey,
    /// There was a name at most, and no name is a key.
    #[error("unknown key: no key was sent")]
    NoKey,
    /// The key's time is over.
    #[error("key expired")]
    Expired,
    /// The key is another application's.
    #[error("key of another application")]
    WrongApplication,
    /// The key is limited to another `server` block.
    #[error("key of another server block")]
    WrongServer,
    /// The key is limited to networks that do not hold the client.
    #[error("key not valid from this network")]
    ForeignNetwork,
    /// The key was banned for a while.
    #[error("key banned")]
    Banned,
    /// The stream's name breaks the rule.
    #[error("bad stream name: {0}")]
    BadName(#[from] NameError),
    /// One of the arguments after `?` cannot be passed on.
    #[error("{0}")]
    BadArgument(#[from] ArgumentError),
    /// `name?args` would have been cut.
    #[error("name and arguments of {len} bytes, at most 255 are allowed")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// `name?args` holds a byte that is not printable ASCII.
    #[error("name or arguments are not printable ascii")]
    NotText,
    /// The stream is live.
    #[error("already publishing")]
    Duplicate,
    /// The stream is live by another `server` block, whose HLS or DASH has the same folder.
    #[error("already publishing at another server block, which writes to the same folder")]
    SharedFolder,
    /// This connection publishes already.
    #[error("this connection already publishes")]
    Busy,
    /// This connection plays.
    #[error("this connection plays, close its stream first")]
    Plays,
    /// `publish` came before `connect`.
    #[error("not connected")]
    NotConnected,
    /// The token is no token, or signed with another secret.
    #[error("invalid token")]
    TokenInvalid,
    /// The token's time is over.
    #[error("token expired")]
    TokenExpired,
    /// The token's time has not come.
    #[error("token not valid yet")]
    TokenNotYet,
    /// The token is for another stream or application.
    #[error("token of another stream")]
    TokenWrongStream,
    /// The token allows something else.
    #[error("token for another action")]
    TokenWrongAction,
    /// The token is limited to a network that does not hold the client.
    #[error("token not valid from this network")]
    TokenForeignNetwork,
    /// The token was revoked.
    #[error("token revoked")]
    TokenRevoked,
    /// The zone has no room for another stream.
    #[error("zone full")]
    ZoneFull,
    /// The stream key is part of the server's address.
    #[error("the stream key is in the Server field: Server is rtmp://HOST/APP, Stream Key is the key")]
    KeyInServer,
    /// A stream key stands where the application wants a stream's name.
    #[error("a stream key is not a stream's name")]
    KeyAsName,
    /// There is no such application.
    #[error("no such application: Server is rtmp://HOST/APP")]
    NoApplication,
    /// `deny publish` or `deny play` holds for the client's address.
    #[error("denied to this address")]
    Address,
    /// The program behind `on_connect`, `on_publish` or `on_play` keeps the client out.
    #[error("not admitted: {} {denial}", command.hook())]
    NotAdmitted {
        /// What it was asked about.
        command: Command,
        /// What it said.
        denial: Denial,
    },
    /// `on_publish` gave the stream another name.
    #[error("on_publish renamed the stream")]
    Renamed,
    /// A handler of nginx-rtmp failed.
    #[error("nginx-rtmp failed: see the lines before in nginx's error log")]
    Failed,
    /// A token came, but no `weir_secret` is configured to check it.
    #[error("no weir_secret to check the token with")]
    NoSecret,
    /// As many watch the application as `weir_max_viewers` allows.
    #[error("too many viewers: weir_max_viewers is reached")]
    Crowded,
    /// Whoever watches here needs a token.
    #[error("no token: this stream needs one")]
    NoToken,
}

/// What is wrong with an argument. Counted from 1, as an argument that is not known may hold anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// Not `[A-Za-z0-9_][A-Za-z0-9_-]{0,63}`.
    #[error("bad name of argument {at}")]
    Name {
        /// Its place, from 1.
        at: usize,
    },
    /// A character other than `[A-Za-z0-9._~:@,+/=%-]`, or `%` without two hex digits.
    #[error("bad value of argument {at}")]
    Value {
        /// Its place, from 1.
        at: usize,
    },
    /// nginx-rtmp's own hooks use this name.
    #[error("argument \"{name}\" is reserved")]
    Reserved {
        /// The name, in lower case.
        name: &'static str,
    },
    /// An `exec` of the application passes the arguments to a program, and a shell would read more in them.
    #[error("only one argument is allowed, without \"~\": an exec of this application uses $args")]
    Program,
    /// `key` or `token` a second time.
    #[error("argument \"{name}\" given twice")]
    Twice {
        /// The name, in lower case.
        name: &'static str,
    },
}

impl ArgumentError {
    /// One error of each kind.
    const ONE_OF_EACH: [ArgumentError; 5] = [
        ArgumentError::Name { at: 1 },
        ArgumentError::Value { at: 1 },
        ArgumentError::Reserved { name: "addr" },
        ArgumentError::Program,
        ArgumentError::Twice { name: "key" },
    ];
}

impl Refusal {
    /// The status code that the client is told.
    pub fn code(&self, command: Command) -> &'static str {
        match (command, self) {
            (Command::Publish, _) => self.status_code(),
            (Command::Connect, _) => "NetConnection.Connect.Rejected",
            (
                Command::Play,
                Refusal::Address
                | Refusal::NotAdmitted { .. }
                | Refusal::Failed
                | Refusal::Crowded
                | Refusal::NoToken
                | Refusal::NoSecret
                | Refusal::TokenInvalid
                | Refusal::TokenExpired
                | Refusal::TokenNotYet
                | Refusal::TokenWrongStream
                | Refusal::TokenWrongAction
                | Refusal::TokenForeignNetwork
                | Refusal::TokenRevoked,
            ) => "NetStream.Play.Failed",
            (Command::Play, _) => "NetStream.Play.StreamNotFound",
        }
    }

    /// The NetStream status code that a publisher is told.
    pub fn status_code(&self) -> &'static str {
        match self {
            Refusal::UnknownKey
            | Refusal::NoKey
            | Refusal::BadName(_)
            | Refusal::BadArgument(_)
            | Refusal::TooLong { .. }
            | Refusal::NotText
            | Refusal::Duplicate
            | Refusal::SharedFolder
            | Refusal::Busy
            | Refusal::Plays
            | Refusal::KeyInServer
            | Refusal::KeyAsName
            | Refusal::NoApplication
            | Refusal::Renamed
            | Refusal::NotConnected => "NetStream.Publish.BadName",
            Refusal::Expired
            | Refusal::WrongApplication
            | Refusal::WrongServer
            | Refusal::ForeignNetwork
            | Refusal::Banned
            | Refusal::TokenInvalid
            | Refusal::TokenExpired
            | Refusal::TokenNotYet
            | Refusal::TokenWrongStream
            | Refusal::TokenWrongAction
            | Refusal::TokenForeignNetwork
            | Refusal::TokenRevoked
            | Refusal::ZoneFull
            | Refusal::Address
            | Refusal::NotAdmitted { .. }
            | Refusal::Failed
            | Refusal::Crowded
            | Refusal::NoToken
            | Refusal::NoSecret => "NetStream.Publish.Denied",
        }
    }

    /// Returns one refusal of each kind, for the documentation's test.
    pub fn one_of_each() -> Vec<Refusal> {
        let mut refusals = vec![
            Refusal::UnknownKey,
            Refusal::NoKey,
            Refusal::Expired,
            Refusal::WrongApplication,
            Refusal::WrongServer,
            Refusal::ForeignNetwork,
            Refusal::Banned,
            Refusal::BadName(NameError::Empty),
            Refusal::TooLong { len: 256 },
            Refusal::NotText,
            Refusal::Duplicate,
            Refusal::SharedFolder,
            Refusal::Busy,
            Refusal::Plays,
            Refusal::NotConnected,
            Refusal::TokenInvalid,
            Refusal::TokenExpired,
            Refusal::TokenNotYet,
            Refusal::TokenWrongStream,
            Refusal::TokenWrongAction,
            Refusal::TokenForeignNetwork,
            Refusal::TokenRevoked,
            Refusal::ZoneFull,
            Refusal::NoSecret,
            Refusal::Crowded,
            Refusal::NoToken,
            Refusal::KeyInServer,
            Refusal::KeyAsName,
            Refusal::NoApplication,
            Refusal::Address,
            Refusal::NotAdmitted { command: Command::Publish, denial: Denial::Status(403) },
            Refusal::NotAdmitted { command: Command::Publish, denial: Denial::NoAnswer },
            Refusal::Renamed,
            Refusal::Failed,
        ];
        refusals.extend(ArgumentError::ONE_OF_EACH.map(Refusal::BadArgument));
        refusals
    }

    /// Of a publisher who sent a name, where a key was wanted.
    pub fn for_a_name(self) -> Refusal {
        if self == Refusal::UnknownKey { Refusal::NoKey } else { self }
    }

    /// The reason and a further fact for the log, where every line on keys that are not known begins alike.
    pub fn log_parts(&self) -> (String, &'static str) {
        match self {
            Refusal::NoKey => (Refusal::UnknownKey.to_string(), ", key: none was sent"),
            Refusal::NoSecret => (
                self.to_string(),
                ", remedy: \"weir secret new FILE\", and \"weir_secret FILE;\" outside of all blocks of nginx.conf",
            ),
            _ => (self.to_string(), ""),
        }
    }

    /// Whether it counts as a guess against the client's address.
    pub fn is_wrong_key(&self) -> bool {
        matches!(self, Refusal::UnknownKey | Refusal::NoKey | Refusal::TokenInvalid)
    }

    /// Whether the name that a publisher asked for is what it is refused for.
    pub fn is_of_a_name(&self) -> bool {
        matches!(self, Refusal::Duplicate | Refusal::SharedFolder | Refusal::ZoneFull)
    }

    /// The name of the reason in metrics and events.
    pub fn label(&self) -> &'static str {
        match self {
            Refusal::UnknownKey | Refusal::NoKey => "unknown_key",
            Refusal::Expired => "expired",
            Refusal::WrongApplication => "wrong_application",
            Refusal::WrongServer => "wrong_server",
            Refusal::ForeignNetwork => "foreign_network",
            Refusal::Banned => "banned",
            Refusal::BadName(_) => "bad_name",
            Refusal::BadArgument(_) => "bad_argument",
            Refusal::TooLong { .. } => "too_long",
            Refusal::NotText => "not_text",
            Refusal::Duplicate => "duplicate",
            Refusal::SharedFolder => "shared_folder",
            Refusal::Busy => "busy",
            Refusal::Plays => "plays",
            Refusal::NotConnected => "not_connected",
            Refusal::TokenInvalid => "token_invalid",
            Refusal::TokenExpired => "token_expired",
            Refusal::TokenNotYet => "token_not_yet",
            Refusal::TokenWrongStream => "token_wrong_stream",
            Refusal::TokenWrongAction => "token_wrong_action",
            Refusal::TokenForeignNetwork => "token_foreign_network",
            Refusal::TokenRevoked => "token_revoked",
            Refusal::ZoneFull => "zone_full",
            Refusal::NoSecret => "no_secret",
            Refusal::KeyInServer => "key_in_server",
            Refusal::KeyAsName => "key_as_name",
            Refusal::NoApplication => "no_application",
            Refusal::Address => "address",
            Refusal::NotAdmitted { .. } => "not_admitted",
            Refusal::Renamed => "renamed",
            Refusal::Failed => "failed",
            Refusal::Crowded => "max_viewers",
            Refusal::NoToken => "no_token",
        }
    }

    /// Its place in [`Refusal::LABELS`], and in a table of counters.
    #[must_use]
    pub fn index(&self) -> usize {
        let label = self.label();
        Refusal::LABELS.iter().position(|other| *other == label).unwrap_or(0)
    }

    /// The labels of all reasons, by their [`index`](Refusal::index).
    pub const LABELS: [&'static str; 33] = [
        "unknown_key",
        "expired",
        "wrong_application",
        "wrong_server",
        "foreign_network",
        "banned",
        "bad_name",
        "bad_argument",
        "too_long",
        "not_text",
        "duplicate",
        "shared_folder",
        "busy",
        "plays",
        "not_connected",
        "token_invalid",
        "token_expired",
        "token_not_yet",
        "token_wrong_stream",
        "token_wrong_action",
        "token_foreign_network",
        "zone_full",
        "no_secret",
        "key_in_server",
        "key_as_name",
        "no_application",
        "address",
        "not_admitted",
        "renamed",
        "failed",
        "max_viewers",
        "no_token",
        "token_revoked",
    ];
}

/// The subject of a line in the log that a client can cause again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// A client's command was refused.
    Refused(Command, Refusal),
    /// A pull of nginx-rtmp was refused.
    Pull(Refusal),
    /// nginx-rtmp itself logs an error of a client's connection: a line of this kind ([`kind_of_line`]).
    Server(u8),
}

/// How many kinds of lines of nginx-rtmp are told apart.
const KINDS: usize = 32;

/// The kind of a line of nginx-rtmp's, below 32: lines that differ in numbers and quoted words alone have the same one.
#[must_use]
pub fn kind_of_line(line: &[u8]) -> u8 {
    // `DATE TIME [LEVEL] PID#TID: *CONNECTION TEXT, CONTEXT` (ngx_log_error_core).
    let text = line.iter().position(|byte| *byte == b'*').map_or(line, |star| &line[star + 1..]);
    let words = text.iter().take_while(|byte| !b"'\",(".contains(byte)).filter(|byte| !byte.is_ascii_digit());
    // FNV-1a, 32 bits.
    let hash = words.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    (hash >> 16) as u8 % KINDS as u8
}

impl Topic {
    /// The words for each group of topics, which has a place for each reason.
    const GROUPS: [&'static str; 4] = ["publish", "pull", "connect", "play"];

    /// The first place of [`Topic::Server`], behind all groups.
    const SERVER: usize = Topic::GROUPS.len() * Refusal::LABELS.len();

    /// The number of topics.
    pub const COUNT: usize = Topic::SERVER + KINDS;

    /// Returns the place of the topic, below [`Topic::COUNT`]. Wrong keys and tokens that nobody signed share the first place: both
    /// are guesses.
    #[must_use]
    pub fn index(self) -> usize {
        let (group, refusal) = match self {
            Topic::Refused(Command::Publish, refusal) if refusal.is_wrong_key() => return 0,
            Topic::Refused(Command::Publish, refusal) => (0, refusal),
            Topic::Pull(refusal) => (1, refusal),
            Topic::Refused(Command::Connect, refusal) => (2, refusal),
            Topic::Refused(Command::Play, refusal) => (3, refusal),
            Topic::Server(kind) => return Topic::SERVER + usize::from(kind) % KINDS,
        };
        group * Refusal::LABELS.len() + refusal.index()
    }

    /// Returns the words for the topic at a place, for a line that sums up many refusals.
    #[must_use]
    pub fn words(index: usize) -> String {
        if index >= Topic::SERVER {
            return "error lines of nginx-rtmp".to_owned();
        }
        let (group, reason) = (index / Refusal::LABELS.len(), index % Refusal::LABELS.len());
        let group = Topic::GROUPS.get(group).copied().unwrap_or_default();
        format!("{group} refused: {}", Refusal::LABELS[reason].replace('_', " "))
    }
}

/// What is wrong with a token's form is for whoever mints tokens; the publisher hears only that it is invalid.
impl From<TokenError> for Refusal {
    fn from(_: TokenError) -> Refusal {
        Refusal::TokenInvalid
    }
}

impl From<CheckError> for Refusal {
    fn from(error: CheckError) -> Refusal {
        match error {
            CheckError::Expired => Refusal::TokenExpired,
            CheckError::NotYet => Refusal::TokenNotYet,
            CheckError::WrongAction => Refusal::TokenWrongAction,
            CheckError::WrongStream => Refusal::TokenWrongStream,
            CheckError::ForeignNetwork => Refusal::TokenForeignNetwork,
            CheckError::Revoked => Refusal::TokenRevoked,
        }
    }
}

#[cfg(test)]
mod tests;
