//! What the API is told, and what it answers.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use weir_model::key::KeyView;
use weir_model::target::TargetView;
use weir_model::token::{Action, Revocation, TokenId};
use weir_model::{Network, Secret, ServerAddr, Timestamp};

/// `GET /v1/keys`
#[derive(Debug, Deserialize)]
pub struct Keys {
    /// Each of them, without secrets.
    pub keys: Vec<KeyView>,
    /// Where the next part begins, if there is one.
    #[serde(default)]
    pub next: Option<String>,
}

/// A key with its secret: the answer to making and rotating one.
#[derive(Debug, Deserialize)]
#[serde(try_from = "KeyView")]
pub struct FreshKey {
    /// All but the secret.
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

/// `DELETE /v1/keys/{id}`
#[derive(Debug, Deserialize)]
pub struct Revoked {
    /// How many publishers were dropped.
    #[serde(default)]
    pub dropped: u64,
}

/// `POST /v1/keys`
#[derive(Debug, Serialize)]
pub struct NewKey<'a> {
    /// nginx-rtmp application.
    pub app: &'a str,
    /// Public name.
    pub stream: &'a str,
    /// The `server` block that it is limited to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<&'a ServerAddr>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'a str>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Networks it is accepted from.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub publish_from: &'a [Network],
}

/// A live stream; the API may say more than is read here.
#[derive(Clone, Debug, Deserialize)]
pub struct Stream {
    /// nginx-rtmp application.
    pub app: String,
    /// Public name.
    pub name: String,
    /// First address of the `server` block that it came in by.
    #[serde(default)]
    pub server: String,
    /// Differs from publish to publish.
    #[serde(default)]
    pub session: String,
    /// Since when it is live.
    pub since: Timestamp,
    /// Who sends it.
    pub publisher: Publisher,
    /// It is a slate, in the place of a lost publisher.
    #[serde(default)]
    pub slate: bool,
    /// None until it is known.
    #[serde(default)]
    pub video: Option<Video>,
    /// Likewise.
    #[serde(default)]
    pub audio: Option<Audio>,
    /// From the publisher, bit/s.
    #[serde(default)]
    pub bitrate_in: u64,
    /// To all players, bit/s.
    #[serde(default)]
    pub bitrate_out: u64,
    /// From the publisher, bytes.
    #[serde(default)]
    pub bytes_in: u64,
    /// To all players, bytes.
    #[serde(default)]
    pub bytes_out: u64,
    /// Who watches.
    #[serde(default)]
    pub viewers: Viewers,
    /// The most viewers at one time since it is live.
    #[serde(default)]
    pub viewers_peak: u64,
    /// How many viewers came since it is live.
    #[serde(default)]
    pub viewers_total: u64,
    /// Where it is pushed to, or may be.
    #[serde(default)]
    pub targets: Vec<TargetView>,
}

/// What is known of a stream's video; empty or 0 where it is not.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Video {
    /// Such as `H264`.
    pub codec: String,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Frames a second.
    pub fps: f64,
}

/// What is known of a stream's sound.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Audio {
    /// Such as `AAC`.
    pub codec: String,
    /// Hz.
    pub sample_rate: u32,
    /// 1 or 2.
    pub channels: u32,
}

/// How many watch a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Viewers {
    /// RTMP players.
    pub rtmp: u64,
    /// Over HLS.
    pub hls: u64,
    /// Over DASH.
    pub dash: u64,
    /// Over the daemon's Low-Latency HLS.
    pub llhls: u64,
    /// Over the daemon's WebSocket.
    pub ws: u64,
    /// Over the daemon's WebRTC.
    pub webrtc: u64,
}

impl Viewers {
    /// All of them.
    pub fn total(&self) -> u64 {
        let all = [self.rtmp, self.hls, self.dash, self.llhls, self.ws, self.webrtc];
        all.into_iter().fold(0, u64::saturating_add)
    }
}

/// `GET /v1/viewers`
#[derive(Debug, Deserialize)]
pub struct Watched {
    /// Those that somebody watches.
    pub streams: Vec<WatchedStream>,
}

/// A stream that somebody watches; it need not be live.
#[derive(Debug, Deserialize)]
pub struct WatchedStream {
    /// nginx-rtmp application.
    pub app: String,
    /// Public name.
    pub name: String,
    /// How many, at this nginx and its daemon.
    #[serde(default)]
    pub viewers: Viewers,
}

/// Who sends a stream.
#[derive(Clone, Debug, Deserialize)]
pub struct Publisher {
    /// Address, as nginx sees it.
    pub addr: String,
    /// The key that opened it; none with a token or `weir_publish open`.
    #[serde(default)]
    pub key_id: Option<String>,
    /// The nginx worker that has the connection.
    pub worker_pid: u32,
}

/// `GET /v1/streams`
#[derive(Debug, Deserialize)]
pub struct Streams {
    /// Every worker's.
    pub streams: Vec<Stream>,
}

/// `DELETE /v1/streams/...`, of a publisher or a player
#[derive(Debug, Deserialize)]
pub struct Dropped {
    /// How many; 0 when it was already disconnecting.
    #[serde(default)]
    pub dropped: u64,
    /// Until when the publisher's key is refused.
    #[serde(default)]
    pub banned_until: Option<Timestamp>,
}

/// `GET /v1/health`
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Health {
    /// What is wrong, a sentence each; none when all is well.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// Those that are draining too.
    pub workers: Vec<Worker>,
    /// The shared memory.
    pub zone: Zone,
}

/// A worker of nginx.
#[derive(Clone, Debug, Deserialize)]
pub struct Worker {
    /// Its process.
    pub pid: u32,
    /// It only ends what it has.
    #[serde(default)]
    pub draining: bool,
    /// How long ago its event loop came round, milliseconds.
    #[serde(default)]
    pub heartbeat_ms: u64,
}

/// Shared memory, bytes.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Zone {
    /// Of the whole.
    pub size: u64,
    /// Of that, taken.
    pub used: u64,
}

/// `GET /v1/targets`
#[derive(Debug, Deserialize)]
pub struct Targets {
    /// Each of them.
    pub targets: Vec<Target>,
}

/// A push target; the API may say more than is read here.
#[derive(Clone, Debug, Deserialize)]
pub struct Target {
    /// Its handle.
    pub id: String,
    /// Whether streams are pushed there.
    pub enabled: bool,
    /// For people.
    #[serde(default)]
    pub note: Option<String>,
}

/// `POST /v1/state/save`
#[derive(Debug, Deserialize)]
pub struct SavedState {
    /// The state file.
    pub file: PathBuf,
    /// Keys in it.
    pub keys: usize,
    /// Targets in it.
    pub targets: usize,
    /// Where a file that could not be read is now.
    pub set_aside: Option<PathBuf>,
}

/// `POST /v1/tokens`
#[derive(Debug, Serialize)]
pub struct TokenRequest<'a> {
    /// nginx-rtmp application.
    pub app: &'a str,
    /// Public name or `*`.
    pub stream: &'a str,
    /// What it allows.
    pub action: Action,
    /// Seconds.
    pub ttl_s: u64,
    /// Network it is accepted from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<Network>,
}

/// The answer to it.
#[derive(Debug, Deserialize)]
pub struct Minted {
    /// The token, ready to be sent; plain text since it is the command's whole result.
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The name by which it can be revoked; none from a module that gives none.
    #[serde(default)]
    pub jti: Option<TokenId>,
}

/// `POST /v1/tokens/revoke`: a `jti`, or an application and a stream.
#[derive(Debug, Default, Serialize)]
pub struct RevokeTokens<'a> {
    /// The name of one token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<&'a TokenId>,
    /// When that token ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// nginx-rtmp application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<&'a str>,
    /// Public name or `*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<&'a str>,
}

/// `GET /v1/tokens/revocations`
#[derive(Debug, Deserialize)]
pub struct Revocations {
    /// Each of them, the first one first.
    pub revocations: Vec<Revocation>,
}

/// `POST /v1/links`
#[derive(Debug, Serialize)]
pub struct LinkRequest<'a> {
    /// nginx-rtmp application.
    pub app: &'a str,
    /// Public name.
    pub stream: &'a str,
    /// Seconds.
    pub ttl_s: u64,
    /// Network it is accepted from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<Network>,
    /// What viewers call the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<&'a str>,
    /// Where the page is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch_url: Option<String>,
    /// Where the playlist is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hls_url: Option<String>,
    /// Where the manifest is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dash_url: Option<String>,
    /// Where RTMP is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtmp_url: Option<String>,
}

/// The answer to it.
#[derive(Debug, Deserialize)]
pub struct Links {
    /// The name by which the token in the links is revoked.
    pub jti: TokenId,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The page.
    pub watch: String,
    /// The HLS playlist.
    pub hls: String,
    /// The DASH manifest.
    #[serde(default)]
    pub dash: Option<String>,
    /// RTMP.
    pub rtmp: String,
}
