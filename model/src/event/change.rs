//! Fields of the events of changes through the API: what was changed, and which program did it.

use serde::{Deserialize, Serialize};

use crate::key::KeyId;
use crate::target::TargetId;

/// The program that made a change. The header `Weir-By` of its request names it; the header is no proof.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Any client of the API.
    #[default]
    Api,
    /// The command line.
    Weir,
    /// The daemon: its dashboard, or the daemon itself.
    Serve,
    /// The other node of a pair.
    Pair,
}

impl By {
    /// Name of the header.
    pub const HEADER: &str = "weir-by";

    /// Returns the value of the header, and the name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            By::Api => "api",
            By::Weir => "weir",
            By::Serve => "serve",
            By::Pair => "pair",
        }
    }

    /// Reads the header. Any other value counts as [`By::Api`].
    pub fn of_header(value: Option<&str>) -> By {
        let known = [By::Weir, By::Serve, By::Pair].into_iter().find(|by| value == Some(by.as_str()));
        known.unwrap_or_default()
    }
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyChange {
    /// The key is new.
    Added,
    /// The key has a new secret.
    Rotated,
    /// The key is no longer valid.
    Revoked,
}

/// Fields of `key.changed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChanged {
    /// The application; `None` for a revoked key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The program that made the change; `None` from an older module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
    /// What happened.
    pub change: KeyChange,
    /// The key.
    pub id: KeyId,
    /// The name of the stream; `None` for a revoked key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The time during which the old secret of a rotated key is also valid, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap_s: Option<u64>,
}

/// What happened to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetChange {
    /// The target is new.
    Added,
    /// Streams are no longer pushed to the target.
    Paused,
    /// Streams are pushed to the target again.
    Resumed,
    /// The URL or the note is another one.
    Changed,
    /// The target is gone.
    Removed,
}

/// Fields of `target.changed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetChanged {
    /// The application; `None` for a removed target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The program that made the change.
    pub by: By,
    /// What happened.
    pub change: TargetChange,
    /// The target.
    pub id: TargetId,
    /// The name or the pattern of the streams; `None` for a removed target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
}

/// Fields of `stream.dropped`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamDropped {
    /// The application.
    pub app: String,
    /// The time during which the publisher's key is refused, in seconds.
    pub ban_s: u64,
    /// The program that dropped the publisher.
    pub by: By,
    /// The public name.
    pub name: String,
}

/// Fields of `player.dropped`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlayerDropped {
    /// The application.
    pub app: String,
    /// The program that dropped the player.
    pub by: By,
    /// The public name.
    pub name: String,
}

/// Fields of `token.revoked`: either one token or all tokens of some streams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokensRevoked {
    /// The program that revoked the tokens.
    pub by: By,
    /// The id of one token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// The streams of the tokens, as in the claim `sub`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
}

impl KeyChanged {
    pub(super) fn one() -> Self {
        Self {
            app: Some("live".to_owned()),
            by: Some(By::Weir),
            change: KeyChange::Rotated,
            id: KeyId(1),
            name: Some("show".to_owned()),
            overlap_s: Some(60),
        }
    }
}

impl TargetChanged {
    pub(super) fn one() -> Self {
        let (app, stream) = (Some("live".to_owned()), Some("*".to_owned()));
        Self { app, by: By::Api, change: TargetChange::Paused, id: TargetId(1), stream }
    }
}

impl StreamDropped {
    pub(super) fn one() -> Self {
        Self { app: "live".to_owned(), ban_s: 60, by: By::Weir, name: "show".to_owned() }
    }
}

impl PlayerDropped {
    pub(super) fn one() -> Self {
        Self { app: "live".to_owned(), by: By::Serve, name: "show".to_owned() }
    }
}

impl TokensRevoked {
    pub(super) fn one() -> Self {
        Self { by: By::Pair, jti: None, sub: Some("live/*".to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_weirs_own_programs_have_names() {
        for (value, by) in [
            (Some("weir"), By::Weir),
            (Some("serve"), By::Serve),
            (Some("pair"), By::Pair),
            (Some("\u{fffd}"), By::Api),
            (Some(""), By::Api),
            (None, By::Api),
        ] {
            assert_eq!(By::of_header(value), by, "{value:?}");
        }
        assert!([By::Api, By::Weir, By::Serve, By::Pair].iter().all(|by| json!(by) == by.as_str()));
        let older: KeyChanged =
            serde_json::from_value(json!({ "change": "added", "id": "k0000000000000001" })).unwrap();
        assert_eq!((older.by, older.app), (None, None));
    }
}
