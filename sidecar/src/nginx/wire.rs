//! Requests and answers of the API.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use weir_model::key::KeyView;
use weir_model::snapshot::{AudienceSnapshot, StreamSnapshot, WorkerSnapshot, ZoneSnapshot};
use weir_model::token::{Revocation, TokenId};
use weir_model::{Network, Secret, Timestamp};

/// Answer of `GET /v1/keys`.
#[derive(Debug, Deserialize)]
pub(crate) struct Keys {
    /// The keys, without secrets.
    pub keys: Vec<KeyView>,
    /// Start of the next part, if there is one.
    #[serde(default)]
    pub next: Option<String>,
}

/// A key with its secret: the answer to creating or rotating a key.
#[derive(Debug, Deserialize)]
#[serde(try_from = "KeyView")]
pub(crate) struct FreshKey {
    /// All fields except the secret.
    pub about: KeyView,
    /// The secret.
    pub key: Secret,
}

impl TryFrom<KeyView> for FreshKey {
    type Error = &'static str;

    fn try_from(mut about: KeyView) -> Result<Self, &'static str> {
        let key = about.key.take().ok_or("a new key without its secret")?;
        Ok(Self { about, key })
    }
}

/// Answer of `DELETE /v1/keys/{id}`.
#[derive(Debug, Deserialize)]
pub(crate) struct Revoked {
    /// Number of publishers that were disconnected.
    #[serde(default)]
    pub dropped: u64,
}

/// Answer of `GET /v1/viewers`.
#[derive(Debug, Deserialize)]
pub(crate) struct Watched {
    /// The streams that have viewers. They are not necessarily live.
    pub streams: Vec<AudienceSnapshot>,
}

/// Answer of `GET /v1/streams`.
#[derive(Debug, Deserialize)]
pub(crate) struct Streams {
    /// The streams of all workers.
    pub streams: Vec<StreamSnapshot>,
}

/// Answer of `DELETE /v1/streams/...`, for a publisher or a player.
#[derive(Debug, Deserialize)]
pub(crate) struct Dropped {
    /// Number of disconnected sessions; 0 if the session was already disconnecting.
    #[serde(default)]
    pub dropped: u64,
    /// End of the ban of the publisher's key.
    #[serde(default)]
    pub banned_until: Option<Timestamp>,
}

/// Answer of `GET /v1/health`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Health {
    /// Problems, one sentence each. Empty if there are none.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// All workers, including draining ones.
    pub workers: Vec<WorkerSnapshot>,
    /// The shared memory.
    pub zone: ZoneSnapshot,
}

/// Answer of `GET /v1/targets`.
#[derive(Debug, Deserialize)]
pub(crate) struct Targets {
    /// The targets.
    pub targets: Vec<Target>,
}

/// A push target. The API may send more fields.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Target {
    /// Its handle.
    pub id: String,
    /// Whether streams are pushed to the target.
    pub enabled: bool,
    /// Note for people.
    #[serde(default)]
    pub note: Option<String>,
}

/// Answer of `POST /v1/state/save`.
#[derive(Debug, Deserialize)]
pub(crate) struct SavedState {
    /// The state file.
    pub file: PathBuf,
    /// Number of keys in the file.
    pub keys: usize,
    /// Number of targets in the file.
    pub targets: usize,
    /// New path of a file that could not be read.
    pub set_aside: Option<PathBuf>,
}

/// Body of `POST /v1/tokens`.
#[derive(Debug, Serialize)]
pub(crate) struct TokenRequest<'a> {
    /// nginx-rtmp application.
    pub app: &'a str,
    /// Public name or `*`.
    pub stream: &'a str,
    /// Permission of the token: `play`, `publish` or `chat`.
    pub action: &'static str,
    /// Name of the bearer, with `chat`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    /// Whether the bearer is a moderator, with `chat`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub moderator: bool,
    /// Validity in seconds.
    pub ttl_s: u64,
    /// Network from which the token is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<Network>,
}

/// Answer of `POST /v1/tokens`.
#[derive(Debug, Deserialize)]
pub(crate) struct Minted {
    /// The token. It is plain text, because it is the whole result of the command.
    pub token: String,
}

/// Body of `POST /v1/tokens/revoke`: a `jti`, or an application and a stream.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct RevokeTokens<'a> {
    /// Name of one token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<&'a TokenId>,
    /// End of that token's validity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// nginx-rtmp application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<&'a str>,
    /// Public name or `*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<&'a str>,
    /// Time up to which the tokens for the streams were minted; `None` means now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// Answer of `GET /v1/tokens/revocations`.
#[derive(Debug, Deserialize)]
pub(crate) struct Revocations {
    /// The revocations, the oldest first.
    pub revocations: Vec<Revocation>,
}

/// Body of `POST /v1/links`.
#[derive(Debug, Serialize)]
pub(crate) struct LinkRequest<'a> {
    /// nginx-rtmp application.
    pub app: &'a str,
    /// Public name.
    pub stream: &'a str,
    /// Validity in seconds.
    pub ttl_s: u64,
    /// Network from which the token is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<Network>,
    /// URL of the server for viewers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<&'a str>,
    /// URL of the watch page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch_url: Option<String>,
    /// URL of the HLS playlist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hls_url: Option<String>,
    /// URL of the DASH manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dash_url: Option<String>,
    /// URL for RTMP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtmp_url: Option<String>,
}

/// Answer of `POST /v1/links`.
#[derive(Debug, Deserialize)]
pub(crate) struct Links {
    /// Name for a revocation of the token in the links.
    pub jti: TokenId,
    /// End of the token's validity.
    pub expires_at: Timestamp,
    /// URL of the watch page.
    pub watch: String,
    /// URL of the HLS playlist.
    #[serde(default)]
    pub hls: Option<String>,
    /// URL of the DASH manifest.
    #[serde(default)]
    pub dash: Option<String>,
    /// URL for RTMP.
    pub rtmp: String,
}

impl Links {
    /// Returns the command that revokes the links, with the options that find the API.
    pub(crate) fn revoke_command(&self, api: Option<&str>, token_file: Option<&Path>) -> String {
        let Self { jti, expires_at, .. } = self;
        let at = api.map(|api| format!(" --api {api}")).unwrap_or_default();
        let token =
            token_file.map(|file| format!(" --api-token-file {}", file.display())).unwrap_or_default();
        format!("weir token revoke --jti {jti} --expires {expires_at}{at}{token}")
    }
}

#[cfg(test)]
mod tests {
    use weir_model::link;
    use weir_model::token::{self, Purpose};

    use super::*;

    fn body(request: &impl Serialize) -> Vec<u8> {
        serde_json::to_vec(request).unwrap()
    }

    /// The module reads what the daemon writes, and refuses unknown fields.
    #[test]
    fn the_module_reads_each_request() {
        let ip: Network = "192.0.2.0/24".parse().unwrap();
        let mut token = TokenRequest {
            app: "live",
            stream: "show",
            action: "play",
            name: None,
            moderator: false,
            ttl_s: 60,
            ip: None,
        };
        for (action, ip) in [("play", None), ("publish", Some(ip))] {
            (token.action, token.ip) = (action, ip);
            let read = token::TokenRequest::from_json(&body(&token)).unwrap();
            assert_eq!((read.ttl_s, read.ip), (60, ip), "{action}");
        }
        (token.action, token.name, token.moderator, token.ip) = ("chat", Some("Ana"), true, None);
        let read = token::TokenRequest::from_json(&body(&token)).unwrap();
        assert!(matches!(read.purpose, Purpose::Chat { .. }));

        let jti: TokenId = "0123456789abcdef".parse().unwrap();
        let now = Timestamp::from_millis(1_795_197_600_000);
        let ends = Timestamp::from_millis(1_795_197_660_000);
        let one = RevokeTokens { jti: Some(&jti), expires_at: Some(ends), ..RevokeTokens::default() };
        let all = RevokeTokens { app: Some("live"), stream: Some("*"), ..RevokeTokens::default() };
        let past = RevokeTokens { revoked_at: Some(now), ..all };
        for request in [one, all, past] {
            Revocation::from_json(&body(&request), now).unwrap();
        }

        let url = |path: &str| Some(format!("https://example.org/{path}/{{app}}/{{stream}}"));
        let link = LinkRequest {
            app: "live",
            stream: "show",
            ttl_s: 60,
            ip: Some(ip),
            url: Some("https://example.org"),
            watch_url: url("watch"),
            hls_url: url("hls"),
            dash_url: url("dash"),
            rtmp_url: Some("rtmp://example.org/{app}/{stream}".to_owned()),
        };
        assert_eq!(link::LinkRequest::from_json(&body(&link)).unwrap().ttl_s, 60);
    }
}
