//! Why a publisher is refused.

use crate::stream_name::NameError;
use crate::token::{CheckError, TokenError};

/// Why a publish is refused. Displays as the short reason for the log, which never holds a secret,
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
    /// The zone has no room for another stream.
    #[error("zone full")]
    ZoneFull,
    /// A token came, but no `weir_secret` is configured to check it.
    #[error("no weir_secret to check the token with")]
    NoSecret,
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
    /// `key` or `token` a second time.
    #[error("argument \"{name}\" given twice")]
    Twice {
        /// The name, in lower case.
        name: &'static str,
    },
}

impl Refusal {
    /// The NetStream status code that the publisher is told.
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
            | Refusal::ZoneFull
            | Refusal::NoSecret => "NetStream.Publish.Denied",
        }
    }

    /// Of a publisher who sent a name, where a key was wanted.
    pub fn for_a_name(self) -> Refusal {
        if self == Refusal::UnknownKey { Refusal::NoKey } else { self }
    }

    /// The reason and a further fact for the log, where every line on keys that are not known begins alike.
    pub fn log_parts(&self) -> (String, &'static str) {
        match self {
            Refusal::NoKey => (Refusal::UnknownKey.to_string(), ", key: none was sent"),
            _ => (self.to_string(), ""),
        }
    }

    /// Whether it counts as a guess against the client's address.
    pub fn is_wrong_key(&self) -> bool {
        matches!(self, Refusal::UnknownKey | Refusal::NoKey | Refusal::TokenInvalid)
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
            Refusal::ZoneFull => "zone_full",
            Refusal::NoSecret => "no_secret",
        }
    }

    /// Its place in [`Refusal::LABELS`], and in a table of counters.
    #[must_use]
    pub fn index(&self) -> usize {
        let label = self.label();
        Refusal::LABELS.iter().position(|other| *other == label).unwrap_or(0)
    }

    /// The labels of all reasons, by their [`index`](Refusal::index).
    pub const LABELS: [&'static str; 23] = [
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
    ];
}

/// What a line of the log is about, of those that a client can cause again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// A publish was refused.
    Publish(Refusal),
    /// A pull of nginx-rtmp's was refused.
    Pull(Refusal),
    /// A client played a stream key.
    PlayOfKey,
    /// `on_publish` renamed a stream.
    Renamed,
}

impl Topic {
    /// How many there are.
    pub const COUNT: usize = 2 * Refusal::LABELS.len() + 2;

    /// Its place among all of them. Wrong keys and tokens that nobody signed share the first: both are guesses.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Topic::Publish(refusal) if refusal.is_wrong_key() => 0,
            Topic::Publish(refusal) => refusal.index(),
            Topic::Pull(refusal) => Refusal::LABELS.len() + refusal.index(),
            Topic::PlayOfKey => 2 * Refusal::LABELS.len(),
            Topic::Renamed => 2 * Refusal::LABELS.len() + 1,
        }
    }

    /// What the topic at a place is called, where many are summed up.
    #[must_use]
    pub fn words(index: usize) -> String {
        let count = Refusal::LABELS.len();
        let reason = |index: usize| Refusal::LABELS.get(index).copied().unwrap_or_default().replace('_', " ");
        match index {
            _ if index < count => format!("publish refused: {}", reason(index)),
            _ if index < 2 * count => format!("pull refused: {}", reason(index - count)),
            _ if index == 2 * count => "play refused: a stream key as name".to_owned(),
            _ => "publish refused: on_publish renamed the stream".to_owned(),
        }
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_short_and_lower_case() {
        for (refusal, reason) in [
            (Refusal::UnknownKey, "unknown key"),
            (Refusal::Expired, "key expired"),
            (Refusal::BadName(NameError::Empty), "bad stream name: empty name, expected 1 to 128 characters"),
            (ArgumentError::Reserved { name: "addr" }.into(), "argument \"addr\" is reserved"),
            (Refusal::TooLong { len: 256 }, "name and arguments of 256 bytes, at most 255 are allowed"),
        ] {
            assert_eq!(refusal.to_string(), reason);
        }
    }

    #[test]
    fn each_topic_has_its_place_and_words() {
        for (index, label) in Refusal::LABELS.iter().enumerate() {
            assert_eq!(Refusal::LABELS.iter().filter(|other| *other == label).count(), 1);
            assert_eq!(Topic::words(index), format!("publish refused: {}", label.replace('_', " ")));
        }
        assert_eq!((Refusal::UnknownKey.index(), Refusal::NoSecret.index()), (0, Refusal::LABELS.len() - 1));
        assert_eq!(Topic::Publish(Refusal::TokenInvalid).index(), 0);
        assert_eq!(Topic::words(Topic::Pull(Refusal::Duplicate).index()), "pull refused: duplicate");
        assert_eq!(Topic::words(Topic::PlayOfKey.index()), "play refused: a stream key as name");
        assert_eq!(Topic::Renamed.index(), Topic::COUNT - 1);
        assert!(Topic::words(Topic::COUNT - 1).contains("renamed"));
    }

    #[test]
    fn only_guesses_count_against_an_address() {
        assert!(Refusal::UnknownKey.is_wrong_key() && Refusal::NoKey.is_wrong_key());
        assert!(Refusal::from(TokenError::BadSignature).is_wrong_key());
        assert!(!Refusal::Expired.is_wrong_key());
        assert!(!Refusal::Duplicate.is_wrong_key());
    }
}
