//! Reasons why Weir refuses a client's connect, publish or play.

use crate::admission::Denial;
use crate::stream_name::NameError;
use crate::token::{CheckError, TokenError};

mod command;

pub use command::RefusedCommand;

/// The reason why Weir refuses a command. Displays as the short reason for the log, which never contains a secret, nor
/// the text that was sent as the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such key exists.
    #[error("unknown key")]
    UnknownKey,
    /// The client sent no key, at most a name.
    #[error("unknown key: no key was sent")]
    NoKey,
    /// The key has expired.
    #[error("key expired")]
    Expired,
    /// The key is for another application.
    #[error("key of another application")]
    WrongApplication,
    /// The key is limited to another `server` block.
    #[error("key of another server block")]
    WrongServer,
    /// The key is limited to networks that do not contain the client.
    #[error("key not valid from this network")]
    ForeignNetwork,
    /// The key is temporarily banned.
    #[error("key banned")]
    Banned,
    /// The stream's name is invalid.
    #[error("bad stream name: {0}")]
    BadName(#[from] NameError),
    /// Weir cannot pass on one of the arguments after `?`.
    #[error("{0}")]
    BadArgument(#[from] ArgumentError),
    /// nginx-rtmp would cut `name?args`.
    #[error("name and arguments of {len} bytes, at most 255 are allowed")]
    TooLong {
        /// The length in bytes.
        len: usize,
    },
    /// `name?args` contains a byte that is not printable ASCII.
    #[error("name or arguments are not printable ascii")]
    NotText,
    /// The stream is live already.
    #[error("already publishing")]
    Duplicate,
    /// The stream is live at another `server` block, whose HLS or DASH uses the same folder.
    #[error("already publishing at another server block, which writes to the same folder")]
    SharedFolder,
    /// This connection already publishes.
    #[error("this connection already publishes")]
    Busy,
    /// This connection plays.
    #[error("this connection plays, close its stream first")]
    Plays,
    /// `publish` came before `connect`.
    #[error("not connected")]
    NotConnected,
    /// The token is not a token, or is signed with another secret.
    #[error("invalid token")]
    TokenInvalid,
    /// The token has expired.
    #[error("token expired")]
    TokenExpired,
    /// The token is not valid yet.
    #[error("token not valid yet")]
    TokenNotYet,
    /// The token is for another stream or application.
    #[error("token of another stream")]
    TokenWrongStream,
    /// The token permits another action.
    #[error("token for another action")]
    TokenWrongAction,
    /// The token is limited to a network that does not contain the client.
    #[error("token not valid from this network")]
    TokenForeignNetwork,
    /// The token was revoked.
    #[error("token revoked")]
    TokenRevoked,
    /// The zone has no capacity for another stream.
    #[error("zone full")]
    ZoneFull,
    /// The stream key is part of the server's address.
    #[error("the stream key is in the Server field: Server is rtmp://HOST/APP, Stream Key is the key")]
    KeyInServer,
    /// The client sent a stream key where the application expects a stream's name.
    #[error("a stream key is not a stream's name")]
    KeyAsName,
    /// The application does not exist.
    #[error("no such application: Server is rtmp://HOST/APP")]
    NoApplication,
    /// `deny publish` or `deny play` applies to the client's address.
    #[error("denied to this address")]
    Address,
    /// The program of `on_connect`, `on_publish` or `on_play` refused the client.
    #[error("not admitted: {} {denial}", command.hook())]
    NotAdmitted {
        /// The command that the program decided on.
        command: RefusedCommand,
        /// The program's answer.
        denial: Denial,
    },
    /// `on_publish` gave the stream another name.
    #[error("on_publish renamed the stream")]
    Renamed,
    /// A handler of nginx-rtmp failed.
    #[error("nginx-rtmp failed: see the lines before in nginx's error log")]
    Failed,
    /// The client sent a token, but no `weir_secret` is configured to verify it.
    #[error("no weir_secret to check the token with")]
    NoSecret,
    /// The application has as many viewers as `weir_max_viewers` allows.
    #[error("too many viewers: weir_max_viewers is reached")]
    Crowded,
    /// A viewer of this stream needs a token.
    #[error("no token: this stream needs one")]
    NoToken,
}

/// The problem of an argument. Messages give its position, counted from 1, because an unknown argument may contain
/// anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// The name does not match `[A-Za-z0-9_][A-Za-z0-9_-]{0,63}`.
    #[error("bad name of argument {at}")]
    Name {
        /// The position, counted from 1.
        at: usize,
    },
    /// The value has a character other than `[A-Za-z0-9._~:@,+/=%-]`, or `%` without two hex digits.
    #[error("bad value of argument {at}")]
    Value {
        /// The position, counted from 1.
        at: usize,
    },
    /// nginx-rtmp's own hooks use this name.
    #[error("argument \"{name}\" is reserved")]
    Reserved {
        /// The name, in lower case.
        name: &'static str,
    },
    /// An `exec` of the application passes the arguments to a program, and a shell would not read them as one plain
    /// word.
    #[error("only one argument is allowed, without \"~\": an exec of this application uses $args")]
    Program,
    /// `key` or `token` appears twice.
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
    /// Returns the status code for the client.
    pub fn code(&self, command: RefusedCommand) -> &'static str {
        match (command, self) {
            (RefusedCommand::Publish, _) => self.status_code(),
            (RefusedCommand::Connect, _) => "NetConnection.Connect.Rejected",
            (
                RefusedCommand::Play,
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
            (RefusedCommand::Play, _) => "NetStream.Play.StreamNotFound",
        }
    }

    /// Returns the NetStream status code for a publisher.
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
            Refusal::NotAdmitted { command: RefusedCommand::Publish, denial: Denial::Status(403) },
            Refusal::NotAdmitted { command: RefusedCommand::Publish, denial: Denial::NoAnswer },
            Refusal::Renamed,
            Refusal::Failed,
        ];
        refusals.extend(ArgumentError::ONE_OF_EACH.map(Refusal::BadArgument));
        refusals
    }

    /// Returns the refusal for a publisher who sent a name instead of a key.
    pub fn for_a_name(self) -> Refusal {
        if self == Refusal::UnknownKey { Refusal::NoKey } else { self }
    }

    /// Returns the reason and a further fact for the log. All lines about unknown keys begin with the same text.
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

    /// Returns whether the refusal counts as a guess from the client's address.
    pub fn is_wrong_key(&self) -> bool {
        matches!(self, Refusal::UnknownKey | Refusal::NoKey | Refusal::TokenInvalid)
    }

    /// Returns whether the requested name is the reason of the refusal.
    pub fn is_of_a_name(&self) -> bool {
        matches!(self, Refusal::Duplicate | Refusal::SharedFolder | Refusal::ZoneFull)
    }

    /// Returns the name of the reason in metrics and events.
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

    /// Returns the position in [`Refusal::LABELS`] and in a table of counters.
    #[must_use]
    pub fn index(&self) -> usize {
        let label = self.label();
        Refusal::LABELS.iter().position(|other| *other == label).unwrap_or(0)
    }

    /// The labels of all reasons, ordered by [`index`](Refusal::index).
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

/// The subject of a log line that a client can cause repeatedly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// A client's command was refused.
    Refused(RefusedCommand, Refusal),
    /// Weir refused a pull of nginx-rtmp.
    Pull(Refusal),
    /// nginx-rtmp itself logs an error of a client's connection, in a line of this kind ([`kind_of_line`]).
    Server(u8),
}

/// The number of distinguished kinds of nginx-rtmp's log lines.
const KINDS: usize = 32;

/// Returns the kind of an nginx-rtmp log line, below 32. Lines that differ only in numbers and quoted words have the
/// same kind.
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
    /// The word for each group of topics; each group has one position per reason.
    const GROUPS: [&'static str; 4] = ["publish", "pull", "connect", "play"];

    /// The first position of [`Topic::Server`], after all groups.
    const SERVER: usize = Topic::GROUPS.len() * Refusal::LABELS.len();

    /// The number of topics.
    pub const COUNT: usize = Topic::SERVER + KINDS;

    /// Returns the position of the topic, below [`Topic::COUNT`]. Wrong keys and invalid tokens share the first
    /// position, because both are guesses.
    #[must_use]
    pub fn index(self) -> usize {
        let (group, refusal) = match self {
            Topic::Refused(RefusedCommand::Publish, refusal) if refusal.is_wrong_key() => return 0,
            Topic::Refused(RefusedCommand::Publish, refusal) => (0, refusal),
            Topic::Pull(refusal) => (1, refusal),
            Topic::Refused(RefusedCommand::Connect, refusal) => (2, refusal),
            Topic::Refused(RefusedCommand::Play, refusal) => (3, refusal),
            Topic::Server(kind) => return Topic::SERVER + usize::from(kind) % KINDS,
        };
        group * Refusal::LABELS.len() + refusal.index()
    }

    /// Returns the words for the topic at a position, for a line that sums up many refusals.
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

/// The details of an invalid token are of interest only to the service that mints tokens. The publisher learns only
/// that the token is invalid.
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
