//! Stream keys: the stored form, and the form that the API shows.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::network::Network;
use crate::secret::{self, Digest, Secret};
use crate::server::ServerAddr;
use crate::stream_name::{AppName, StreamName};
use crate::time::Timestamp;

mod request;

pub use request::{MAX_OVERLAP_S, NewKey, RotateKey};

/// The longest note of a key, in bytes.
pub const MAX_NOTE_LEN: usize = 200;

/// The most networks that a key is limited to.
pub const MAX_NETWORKS: usize = 16;

/// The public id of a key: `k` and 16 hex digits. The id does not permit a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(pub u64);

/// The text is not a key id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a key id, expected \"k\" and 16 hex digits")]
pub struct KeyIdError;

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k{:016x}", self.0)
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<KeyId, KeyIdError> {
        let hex = text.strip_prefix('k').ok_or(KeyIdError)?;
        // `from_str_radix` alone would accept a sign.
        if hex.len() != 16 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(KeyIdError);
        }
        u64::from_str_radix(hex, 16).map(KeyId).map_err(|_| KeyIdError)
    }
}

impl TryFrom<String> for KeyId {
    type Error = KeyIdError;

    fn try_from(text: String) -> Result<KeyId, KeyIdError> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> String {
        id.to_string()
    }
}

/// The origin of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeySource {
    /// Created over the API; the API can rotate and revoke it.
    Api,
    /// A line of a `weir_key_file`; it changes with the file.
    File,
}

/// One secret of a key, stored as a digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySecret {
    /// Digest of the text that a publisher presents.
    pub digest: Digest,
    /// The time from which the secret is invalid.
    pub expires_at: Option<Timestamp>,
}

/// A stream key as Weir stores it. Weir shows the secret once, when it creates the key, and stores it nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamKey {
    /// The public id of the key.
    pub id: KeyId,
    /// The application that the key permits.
    pub app: AppName,
    /// The public name of the stream.
    pub stream: StreamName,
    /// The `server` block, by an address that it listens on, to which the key is limited. Without one, the key is valid
    /// at each `server` block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerAddr>,
    /// A note for people; at most [`MAX_NOTE_LEN`] bytes, no control characters.
    pub note: String,
    /// The time of creation.
    pub created_at: Timestamp,
    /// The networks from which the key is valid, at most [`MAX_NETWORKS`]. An empty list means all addresses.
    pub publish_from: Vec<Network>,
    /// The current secret, then the one before the last rotation, if any.
    pub secrets: Vec<KeySecret>,
}

impl StreamKey {
    /// Returns the time at which the current secret expires.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.secrets.first().and_then(|current| current.expires_at)
    }

    /// Returns the secret before the last rotation, which may have expired.
    pub fn previous(&self) -> Option<&KeySecret> {
        self.secrets.get(1)
    }

    /// Adds a new current secret. The one before it stays valid until `previous_expires_at` at most; secrets of earlier
    /// rotations are deleted.
    pub fn rotate(&mut self, secret: KeySecret, previous_expires_at: Timestamp) {
        self.secrets.truncate(1);
        if let Some(previous) = self.secrets.first_mut() {
            let end = previous.expires_at.map_or(previous_expires_at, |end| end.min(previous_expires_at));
            previous.expires_at = Some(end);
        }
        self.secrets.insert(0, secret);
    }
}

/// Why a note is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// More than [`MAX_NOTE_LEN`] bytes.
    #[error("{len} bytes, at most 200 are allowed")]
    TooLong {
        /// The length in bytes.
        len: usize,
    },
    /// The note contains a control character, which could disturb a terminal or a log.
    #[error("control characters are not allowed")]
    ControlCharacter,
}

/// Checks a note by the rules for [`StreamKey::note`].
pub fn check_note(note: &str) -> Result<(), NoteError> {
    if note.len() > MAX_NOTE_LEN {
        Err(NoteError::TooLong { len: note.len() })
    } else if note.chars().any(char::is_control) {
        Err(NoteError::ControlCharacter)
    } else {
        Ok(())
    }
}

/// A key as the API shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyView {
    /// The public id of the key.
    pub id: KeyId,
    /// The application that the key permits.
    pub app: AppName,
    /// The public name of the stream.
    pub stream: StreamName,
    /// The `server` block, by an address that it listens on, to which the key is limited. Without one, the key is valid
    /// at each `server` block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerAddr>,
    /// A note for people.
    pub note: String,
    /// The time when Weir created the key, or read it from its file.
    pub created_at: Timestamp,
    /// The time from which the key is invalid.
    pub expires_at: Option<Timestamp>,
    /// The networks from which the key is valid. An empty list means all addresses.
    pub publish_from: Vec<Network>,
    /// The origin of the key.
    pub source: KeySource,
    /// The time at which the secret before the last rotation expires, if it is still valid.
    pub previous_valid_until: Option<Timestamp>,
    /// The secret, present only in the answer to the request that created it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "secret::exposed")]
    pub key: Option<Secret>,
}

impl KeyView {
    /// Returns the facts about a key that the API may always show.
    pub fn new(key: &StreamKey, source: KeySource, now: Timestamp) -> KeyView {
        let previous_end = key.previous().and_then(|previous| previous.expires_at);
        KeyView {
            id: key.id,
            app: key.app.clone(),
            stream: key.stream.clone(),
            server: key.server.clone(),
            note: key.note.clone(),
            created_at: key.created_at,
            expires_at: key.expires_at(),
            publish_from: key.publish_from.clone(),
            source,
            previous_valid_until: previous_end.filter(|&end| now < end),
            key: None,
        }
    }

    /// Returns the view with the secret that was just created.
    pub fn with_secret(self, secret: Secret) -> KeyView {
        KeyView { key: Some(secret), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn id_is_k_and_16_hex_digits() {
        assert_eq!(KeyId(0x0123_4567_89ab_cdef).to_string(), "k0123456789abcdef");
        for text in [
            "",
            "k",
            "0123456789abcdef",
            "k123",
            "k0123456789abcdef0",
            "k+123456789abcdef",
            "K0123456789abcdef",
        ] {
            assert_eq!(text.parse::<KeyId>(), Err(KeyIdError), "{text}");
        }
    }

    const NOW: Timestamp = Timestamp::from_millis(1_795_197_600_000);

    fn key() -> StreamKey {
        StreamKey {
            id: KeyId(1),
            app: "live".parse().unwrap(),
            stream: "show".parse().unwrap(),
            server: None,
            note: "studio".into(),
            created_at: NOW,
            publish_from: vec!["192.0.2.0/24".parse().unwrap()],
            secrets: vec![KeySecret { digest: Digest::of(b"first"), expires_at: None }],
        }
    }

    fn secret(text: &str, expires_at: Option<Timestamp>) -> KeySecret {
        KeySecret { digest: Digest::of(text.as_bytes()), expires_at }
    }

    #[test]
    fn rotation_keeps_one_secret_before() {
        let mut key = key();
        key.rotate(secret("second", None), NOW.plus_seconds(60));
        assert_eq!(key.secrets, [secret("second", None), secret("first", Some(NOW.plus_seconds(60)))]);
        key.rotate(secret("third", None), NOW);
        assert_eq!(key.secrets, [secret("third", None), secret("second", Some(NOW))]);
    }

    #[test]
    fn rotation_never_prolongs_the_old_secret() {
        let end = Some(NOW.plus_seconds(10));
        let mut key = StreamKey { secrets: vec![secret("first", end)], ..key() };
        key.rotate(secret("second", end), NOW.plus_seconds(60));
        assert_eq!(key.previous(), Some(&secret("first", end)));
    }

    #[test]
    fn shown_as_the_api_says() {
        let mut key = key();
        let view = KeyView::new(&key, KeySource::Api, NOW);
        assert_eq!(
            serde_json::to_string(&view).unwrap(),
            concat!(
                r#"{"id":"k0000000000000001","app":"live","stream":"show","note":"studio","#,
                r#""created_at":"2026-11-20T18:00:00Z","expires_at":null,"publish_from":["192.0.2.0/24"],"#,
                r#""source":"api","previous_valid_until":null}"#
            )
        );
        key.rotate(secret("second", None), NOW.plus_seconds(60));
        let view = KeyView::new(&key, KeySource::File, NOW).with_secret(Secret::new("wk_x"));
        assert!(!format!("{view:?}").contains("wk_x"));
        let json = serde_json::to_string(&view).unwrap();
        assert!(
            json.ends_with(r#""source":"file","previous_valid_until":"2026-11-20T18:01:00Z","key":"wk_x"}"#)
        );
        let read: KeyView = serde_json::from_str(&json).unwrap();
        assert_eq!(read.key.unwrap().expose(), "wk_x");
        key.server = Some("1935".parse().unwrap());
        let limited = serde_json::to_string(&KeyView::new(&key, KeySource::Api, NOW)).unwrap();
        assert!(limited.contains(r#""stream":"show","server":"0.0.0.0:1935","note""#), "{limited}");
        let later = KeyView::new(&key, KeySource::Api, NOW.plus_seconds(60));
        assert_eq!(later.previous_valid_until, None);
    }

    #[test]
    fn notes_are_short_and_printable() {
        assert_eq!(check_note(&"n".repeat(200)), Ok(()));
        assert_eq!(check_note(&"n".repeat(201)), Err(NoteError::TooLong { len: 201 }));
        for note in ["a\nb", "\u{1b}[0m", "\u{85}"] {
            assert_eq!(check_note(note), Err(NoteError::ControlCharacter));
        }
    }

    proptest! {
        #[test]
        fn id_is_read_back(id: u64) {
            prop_assert_eq!(KeyId(id).to_string().parse(), Ok(KeyId(id)));
        }
    }
}
