//! The changes that the daemons of a pair make to each other's state: whole keys and targets, in the form of the state
//! file.

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Deserializer};
use sha2::Sha256;

use crate::api::ApiError;
use crate::key::{KeyId, StreamKey, check_note};
use crate::secret::Secret;
use crate::state_file::{Mark, TargetLine, is_key};
use crate::target::Target;
use crate::time::Timestamp;
use crate::token::Revocation;

/// Returns the bearer token of `/v1/replica`. The token does not reveal the secret of the pair from which it is
/// derived.
pub fn replica_token(secret: &[u8]) -> Option<Secret> {
    // HMAC accepts a key of any length.
    let mac = Hmac::<Sha256>::new_from_slice(secret).ok()?.chain_update(b"weir-replica-1");
    Some(Secret::new(HEXLOWER.encode(&mac.finalize().into_bytes())))
}

/// A change from the other node of a pair: the body of `PUT /v1/replica`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is taken apart at once")]
pub enum Put {
    /// A key was created or changed.
    Key {
        /// The old key on this node; `null` if there was none.
        was: Option<StreamKey>,
        /// The new key.
        is: StreamKey,
    },
    /// A target was created or changed.
    Target {
        /// The old target on this node; `null` if there was none.
        #[serde(deserialize_with = "maybe_target")]
        was: Option<Target>,
        /// The new target.
        #[serde(deserialize_with = "target")]
        is: Target,
    },
    /// Tokens that are revoked.
    Revocation(Revocation),
    /// A temporary ban of a key.
    Ban {
        /// The banned key.
        key: KeyId,
        /// The end of the ban.
        until: Timestamp,
    },
    /// The mark of the daemon that owns the file.
    Mark(Mark),
}

fn target<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Target, D::Error> {
    TargetLine::deserialize(deserializer).map(Target::from)
}

fn maybe_target<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Target>, D::Error> {
    Ok(Option::<TargetLine>::deserialize(deserializer)?.map(Target::from))
}

impl Put {
    /// Reads the body of a request, and checks the rules of the state file.
    pub fn from_json(body: &[u8]) -> Result<Self, ApiError> {
        let put: Self =
            serde_json::from_slice(body).map_err(|error| ApiError::bad_request(error.to_string()))?;
        let wrong = match &put {
            Self::Key { was, is } if was.as_ref().is_some_and(|was| was.id != is.id) => Some("another id"),
            Self::Key { is, .. } => (!is_key(is)).then_some("breaks a rule"),
            Self::Target { was, is } if was.as_ref().is_some_and(|was| was.id != is.id) => Some("another id"),
            Self::Target { is, .. } => check_note(&is.note).is_err().then_some("bad note"),
            Self::Revocation(_) | Self::Ban { .. } | Self::Mark(_) => None,
        };
        wrong.map_or(Ok(put), |wrong| Err(ApiError::bad_field("is", wrong)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeySecret;
    use crate::secret::Digest;

    fn key(note: &str, secret: &str) -> StreamKey {
        StreamKey {
            id: KeyId(1),
            app: "live".parse().unwrap(),
            stream: "show".parse().unwrap(),
            server: None,
            note: note.into(),
            created_at: Timestamp::from_millis(1),
            publish_from: Vec::new(),
            secrets: vec![KeySecret { digest: Digest::of(secret.as_bytes()), expires_at: None }],
        }
    }

    #[test]
    fn requests_are_checked() {
        let body = serde_json::json!({ "key": { "was": null, "is": key("", "a") } });
        assert!(matches!(Put::from_json(body.to_string().as_bytes()), Ok(Put::Key { was: None, .. })));
        let target = r#"{"target":{"was":null,"is":{"id":"t0000000000000001","app":"live","stream":"*",
            "url":"rtmp://h/a/k","enabled":true,"note":""}}}"#;
        assert!(matches!(Put::from_json(target.as_bytes()), Ok(Put::Target { was: None, .. })));
        for bad in [r#"{"key":{"was":null}}"#, r#"{"other":1}"#, r#"{"mark":"x"}"#, "[]"] {
            assert_eq!(Put::from_json(bad.as_bytes()).unwrap_err().status, 400, "{bad}");
        }
        let (one, two) = (replica_token(&[1; 32]).unwrap(), replica_token(&[2; 32]).unwrap());
        assert!(one.expose().len() == 64 && one.digest() != two.digest());
    }
}
