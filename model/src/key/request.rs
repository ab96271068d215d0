//! The requests of the API about keys.

use serde::Serialize;

use super::{KeyId, KeySecret, MAX_NETWORKS, StreamKey, check_note};
use crate::api::ApiError;
use crate::fields::Fields;
use crate::network::Network;
use crate::secret::Digest;
use crate::server::ServerAddr;
use crate::stream_name::{AppName, StreamName};
use crate::time::Timestamp;

/// The longest time that an old secret stays valid after a rotation, in seconds: 365 days.
pub const MAX_OVERLAP_S: u64 = 31_536_000;

/// The body of `POST /v1/keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewKey {
    /// The application that the key permits.
    pub app: AppName,
    /// The public name of the stream.
    pub stream: StreamName,
    /// The `server` block to which the key is limited, by an address that the block listens on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerAddr>,
    /// A note for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// The time from which the key is invalid, in the future.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The networks from which the key is valid. An empty list means all addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub publish_from: Vec<Network>,
}

impl NewKey {
    /// Reads a body. An error 400 names the field.
    pub fn from_json(body: &[u8], now: Timestamp) -> Result<NewKey, ApiError> {
        let mut fields = Fields::parse(body)?;
        let new = NewKey {
            app: fields.parsed("app")?,
            stream: fields.parsed("stream")?,
            note: fields.optional_text("note")?.unwrap_or_default(),
            expires_at: fields.optional_parsed("expires_at")?,
            publish_from: networks(fields.optional_list_of_text("publish_from")?.unwrap_or_default())?,
            server: fields.optional_parsed("server")?,
        };
        fields.finish()?;
        check_note(&new.note).map_err(|error| ApiError::bad_field("note", error))?;
        if new.expires_at.is_some_and(|end| end <= now) {
            return Err(ApiError::bad_field("expires_at", "expected a time in the future"));
        }
        Ok(new)
    }

    /// Returns the key to store, with the digest of its new secret.
    pub fn into_key(self, id: KeyId, digest: Digest, now: Timestamp) -> StreamKey {
        StreamKey {
            id,
            app: self.app,
            stream: self.stream,
            server: self.server,
            note: self.note,
            created_at: now,
            publish_from: self.publish_from,
            secrets: vec![KeySecret { digest, expires_at: self.expires_at }],
        }
    }
}

fn networks(texts: Vec<String>) -> Result<Vec<Network>, ApiError> {
    const NAME: &str = "publish_from";
    if texts.len() > MAX_NETWORKS {
        let problem = format!("{} networks, at most {MAX_NETWORKS} are allowed", texts.len());
        return Err(ApiError::bad_field(NAME, problem));
    }
    let parse = |(at, text): (usize, String)| {
        text.parse().map_err(|error| ApiError::bad_field(NAME, format_args!("entry {}: {error}", at + 1)))
    };
    texts.into_iter().enumerate().map(parse).collect()
}

/// The body of `POST /v1/keys/{id}/rotate`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RotateKey {
    /// How long the old secret stays valid, in seconds.
    pub overlap_s: u64,
}

impl RotateKey {
    /// Reads a body, which may be empty. An error 400 names the field.
    pub fn from_json(body: &[u8]) -> Result<RotateKey, ApiError> {
        if body.trim_ascii().is_empty() {
            return Ok(RotateKey::default());
        }
        let mut fields = Fields::parse(body)?;
        let overlap_s = fields.optional_u64("overlap_s")?.unwrap_or_default();
        fields.finish()?;
        if overlap_s > MAX_OVERLAP_S {
            return Err(ApiError::bad_field("overlap_s", format_args!("expected 0 to {MAX_OVERLAP_S}")));
        }
        Ok(RotateKey { overlap_s })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_197_600_000);

    fn message(body: &str) -> String {
        NewKey::from_json(body.as_bytes(), NOW).unwrap_err().message
    }

    #[test]
    fn a_key_needs_application_and_stream() {
        let least = br#"{"app":"live","stream":"show"}"#;
        let new = NewKey::from_json(least, NOW).unwrap();
        assert_eq!(serde_json::to_vec(&new).unwrap(), least);
        let key = new.into_key(KeyId(1), Digest::of(b"x"), NOW);
        assert_eq!((key.app.as_str(), key.stream.as_str(), key.note.as_str()), ("live", "show", ""));
        assert_eq!(key.secrets, [KeySecret { digest: Digest::of(b"x"), expires_at: None }]);
        assert_eq!(key.created_at, NOW);
        assert_eq!(message("{}"), "field \"app\": expected a string, found nothing");
        assert_eq!(message(r#"{"app":"live"}"#), "field \"stream\": expected a string, found nothing");
    }

    #[test]
    fn all_fields() {
        let body =
            br#"{"app":"live/eu","stream":"show","server":"*:1936","note":"caf\u00e9","expires_at":"2026-11-20T19:00:01+01:00",
            "publish_from":["192.0.2.0/24","2001:db8::1"]}"#;
        let new = NewKey::from_json(body, NOW).unwrap();
        assert_eq!(NewKey::from_json(&serde_json::to_vec(&new).unwrap(), NOW).unwrap(), new);
        assert_eq!(new.note, "caf\u{e9}");
        assert_eq!(new.server.as_ref().map(ServerAddr::as_str), Some("0.0.0.0:1936"));
        assert_eq!(new.expires_at, Some(NOW.plus_seconds(1)));
        assert_eq!(
            new.publish_from.iter().map(Network::to_string).collect::<Vec<_>>(),
            ["192.0.2.0/24", "2001:db8::1/128"]
        );
    }

    #[test]
    fn errors_name_the_field() {
        let with = |field: &str| message(&format!(r#"{{"app":"live","stream":"show",{field}}}"#));
        for (field, expected) in [
            (r#""expires_at":"2026-11-20T18:00:00Z""#, "field \"expires_at\": expected a time in the future"),
            (
                r#""expires_at":"soon""#,
                "field \"expires_at\": not an RFC 3339 time with an offset, such as 2026-11-20T18:00:00Z",
            ),
            (r#""expires_at":5"#, "field \"expires_at\": expected a string, found a number"),
            (
                r#""server":"here""#,
                "field \"server\": not an address to listen on, expected for example 1935, 127.0.0.1:1935, [::]:1935 or unix:/run/rtmp.sock",
            ),
            (r#""note":"a\nb""#, "field \"note\": control characters are not allowed"),
            (
                r#""publish_from":["192.0.2.1","192.0.2.7/24"]"#,
                "field \"publish_from\": entry 2: address bits set after the prefix, expected 192.0.2.0/24",
            ),
            (
                r#""publish_from":"192.0.2.1""#,
                "field \"publish_from\": expected a list of strings, found a string",
            ),
            (
                r#""key":"x""#,
                "unknown field \"key\", known are app, stream, note, expires_at, publish_from, server",
            ),
        ] {
            assert_eq!(with(field), expected);
        }
        let many = vec!["\"192.0.2.1\""; 17].join(",");
        let expected = "field \"publish_from\": 17 networks, at most 16 are allowed";
        assert_eq!(with(&format!(r#""publish_from":[{many}]"#)), expected);
        let long = "n".repeat(201);
        assert_eq!(
            with(&format!(r#""note":"{long}""#)),
            "field \"note\": 201 bytes, at most 200 are allowed"
        );
    }

    #[test]
    fn rotation_has_an_overlap() {
        let read = |body: &str| RotateKey::from_json(body.as_bytes());
        for (body, overlap_s) in [("", 0), (" \n", 0), ("{}", 0), (r#"{"overlap_s":31536000}"#, 31_536_000)] {
            assert_eq!(read(body), Ok(RotateKey { overlap_s }), "{body}");
        }
        let error = read(r#"{"overlap_s":31536001}"#).unwrap_err();
        assert_eq!(error.message, "field \"overlap_s\": expected 0 to 31536000");
        assert!(read(r#"{"overlap_s":-1}"#).is_err());
        assert!(read(r#"{"overlap":1}"#).is_err());
    }
}
