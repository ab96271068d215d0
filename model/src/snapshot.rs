//! All live streams and workers at one moment, for the API and `weir_stat`.

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::guard::Violation;
use crate::key::KeyId;
use crate::media::{AudioFacts, VideoFacts};
use crate::server::{Server, ServerBlock};
use crate::target::TargetView;
use crate::time::Timestamp;

/// The whole server. Bytes are totals since `since`, rates are bits per second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The time of the snapshot.
    pub now: Timestamp,
    /// nginx's own version, such as `1.22.1`.
    pub nginx_version: String,
    /// nginx-rtmp's version, as it reports itself.
    pub rtmp_version: String,
    /// The worker that answers.
    pub pid: u32,
    /// The start of the counters.
    pub since: Timestamp,
    /// RTMP connections accepted.
    pub accepted: u64,
    /// Connections that the guard refused or closed, by [`Violation::index`].
    pub guard: [u64; Violation::COUNT],
    /// Refused publishes, by [`Refusal::index`](crate::refusal::Refusal::index).
    pub refused: Vec<u64>,
    /// Bytes received over RTMP.
    pub bytes_in: u64,
    /// Bytes sent over RTMP.
    pub bytes_out: u64,
    /// Rate received over RTMP.
    pub bitrate_in: u64,
    /// Rate sent over RTMP.
    pub bitrate_out: u64,
    /// All workers, including draining ones.
    pub workers: Vec<WorkerSnapshot>,
    /// The shared memory.
    pub zone: ZoneSnapshot,
    /// The `server` blocks of the configuration, in its order.
    pub servers: Vec<ServerBlock>,
    /// Every live stream.
    pub streams: Vec<StreamSnapshot>,
    /// The players of files.
    pub file_players: Vec<FilePlayerSnapshot>,
}

/// A worker process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSnapshot {
    /// The process id.
    pub pid: u32,
    /// The process id of its master. During an upgrade of nginx, there are two masters. `None` is unknown, and omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master_pid: Option<u32>,
    /// The time when it started.
    #[serde(default)]
    pub since: Timestamp,
    /// Whether the worker accepts no new connections, and exits after its last session.
    #[serde(default)]
    pub draining: bool,
    /// The time since the last run of the event loop, in milliseconds.
    #[serde(default)]
    pub heartbeat_ms: u64,
}

impl WorkerSnapshot {
    /// A worker counts as stuck if its event loop has not run for longer than this, in milliseconds.
    pub const STUCK_MS: u64 = 2000;

    /// Returns whether the event loop hangs.
    pub fn is_stuck(&self) -> bool {
        self.heartbeat_ms > Self::STUCK_MS
    }
}

/// The use of the shared memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneSnapshot {
    /// The size of the whole zone.
    pub size: u64,
    /// The used part.
    pub used: u64,
}

/// A live stream: the API's Stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StreamSnapshot {
    /// The application.
    pub app: String,
    /// The public name; never a key.
    pub name: String,
    /// The `server` block of the publisher, serialised as its first address. Omitted if nginx has only one block.
    #[serde(default, skip_serializing_if = "Server::is_nowhere")]
    pub server: Server,
    /// The id of the publish.
    #[serde(default)]
    pub session: String,
    /// The start of the publish.
    pub since: Timestamp,
    /// The client that publishes; `None` if there is none.
    pub publisher: Option<PublisherSnapshot>,
    /// The video, or `None` until a video header has arrived.
    pub video: Option<VideoFacts>,
    /// The audio, or `None` until an audio header has arrived.
    pub audio: Option<AudioFacts>,
    /// Bytes received from the publisher.
    #[serde(default)]
    pub bytes_in: u64,
    /// Bytes sent to all players.
    #[serde(default)]
    pub bytes_out: u64,
    /// Rate from the publisher, in bits per second.
    #[serde(default)]
    pub bitrate_in: u64,
    /// Rate to all players, in bits per second.
    #[serde(default)]
    pub bitrate_out: u64,
    /// The audio's part of `bitrate_in`.
    #[serde(skip)]
    pub bitrate_audio: u64,
    /// The video's part of `bitrate_in`.
    #[serde(skip)]
    pub bitrate_video: u64,
    /// Frames that players did not receive because they read too slowly.
    #[serde(skip)]
    pub dropped: u64,
    /// How far the audio lags behind the video, in milliseconds.
    #[serde(skip)]
    pub avsync_ms: i32,
    /// Whether a slate replaces a lost publisher. Any publisher replaces the slate. Omitted if false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub slate: bool,
    /// The number of viewers.
    #[serde(default)]
    pub viewers: Viewers,
    /// The most simultaneous viewers since `since`.
    #[serde(default)]
    pub viewers_peak: u64,
    /// The number of viewers since `since`.
    #[serde(default)]
    pub viewers_total: u64,
    /// The RTMP players; the API has a separate route for them.
    #[serde(skip)]
    pub players: Vec<PlayerSnapshot>,
    /// The targets of the stream, each with its session of this stream.
    #[serde(default)]
    pub targets: Vec<TargetView>,
}

/// The publisher of a stream. In JSON: `{addr,key_id,worker_pid}`, or `{worker_pid}` when redacted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct PublisherSnapshot {
    /// The client's address; empty when redacted.
    #[serde(default)]
    pub addr: String,
    /// The key of the publish; `None` if the application requires no key.
    pub key_id: Option<KeyId>,
    /// The worker of the connection.
    pub worker_pid: u32,
}

impl Serialize for PublisherSnapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let redacted = self.addr.is_empty();
        let mut object = serializer.serialize_struct("Publisher", if redacted { 1 } else { 3 })?;
        if !redacted {
            object.serialize_field("addr", &self.addr)?;
            object.serialize_field("key_id", &self.key_id)?;
        }
        object.serialize_field("worker_pid", &self.worker_pid)?;
        object.end()
    }
}

/// The number of viewers of a stream, by protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Viewers {
    /// RTMP players.
    pub rtmp: u64,
    /// Distinct viewers over HLS.
    pub hls: u64,
    /// Distinct viewers over DASH.
    pub dash: u64,
    /// Viewers of the daemon's Low-Latency HLS.
    pub llhls: u64,
    /// Viewers of the daemon's WebSocket.
    pub ws: u64,
    /// Viewers of the daemon's WebRTC.
    pub webrtc: u64,
}

impl Viewers {
    /// Returns the sum.
    pub fn total(&self) -> u64 {
        self.by_kind().iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Returns each count with its name.
    pub fn by_kind(&self) -> [(&'static str, u64); 6] {
        [
            ("rtmp", self.rtmp),
            ("hls", self.hls),
            ("dash", self.dash),
            ("llhls", self.llhls),
            ("ws", self.ws),
            ("webrtc", self.webrtc),
        ]
    }
}

/// The viewers of a stream, live here or not: an entry of `GET /v1/viewers`, and the content of the event `viewers`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudienceSnapshot {
    /// The application.
    pub app: String,
    /// The stream.
    pub name: String,
    /// The number of viewers.
    #[serde(default)]
    pub viewers: Viewers,
    /// The most simultaneous viewers since the stream began.
    #[serde(default)]
    pub viewers_peak: u64,
    /// The number of viewers since the stream began.
    #[serde(default)]
    pub viewers_total: u64,
}

/// An RTMP player of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlayerSnapshot {
    /// The id in the API.
    pub id: String,
    /// The client's address; omitted when redacted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub addr: String,
    /// The worker of the connection.
    pub worker_pid: u32,
    /// The time when it began to play.
    pub since: Timestamp,
    /// Bytes sent to it.
    pub bytes_out: u64,
    /// Rate to it, in bits per second.
    pub bitrate_out: u64,
    /// Frames that it did not receive because it read too slowly.
    pub dropped: u64,
    /// How far the audio lags behind the video, in milliseconds.
    #[serde(skip)]
    pub avsync_ms: i32,
}

/// A player of a file (nginx-rtmp's directive `play`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePlayerSnapshot {
    /// The `server` block of its connection.
    pub server: Server,
    /// The application.
    pub app: String,
    /// The name that the player asked for.
    pub name: String,
    /// The timestamp in the file, in milliseconds.
    pub position_ms: u32,
    /// The client that plays the file.
    pub player: PlayerSnapshot,
}

impl Snapshot {
    /// Returns the snapshot for the public: without addresses and key ids, and without the URLs, notes and errors of
    /// targets.
    pub fn redacted(mut self) -> Snapshot {
        for stream in &mut self.streams {
            stream.redact();
        }
        for file in &mut self.file_players {
            file.player.addr.clear();
        }
        self
    }

    /// Returns whether streams must be identified together with their `server` block.
    pub fn has_several_servers(&self) -> bool {
        self.servers.len() > 1
    }

    /// Returns the number of RTMP players of all streams.
    pub fn players(&self) -> u64 {
        self.streams.iter().fold(0, |sum: u64, stream| sum.saturating_add(stream.viewers.rtmp))
    }
}

impl Snapshot {
    /// Returns the number of viewers of all streams.
    pub fn viewers(&self) -> u64 {
        self.streams.iter().fold(0, |sum: u64, stream| sum.saturating_add(stream.viewers.total()))
    }
}

impl StreamSnapshot {
    /// Removes the fields that [`Snapshot::redacted`] removes.
    pub fn redact(&mut self) {
        if let Some(publisher) = &mut self.publisher {
            publisher.addr.clear();
            publisher.key_id = None;
        }
        for player in &mut self.players {
            player.addr.clear();
        }
        for target in &mut self.targets {
            target.redact();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{PushView, TargetId, TargetSource};
    use serde_json::json;

    fn stream() -> StreamSnapshot {
        StreamSnapshot {
            app: "live".into(),
            name: "show".into(),
            server: Server::new(["1935".parse().unwrap(), "[::]:1935".parse().unwrap()]),
            session: "7f".into(),
            slate: false,
            since: Timestamp::from_millis(1_795_197_600_000),
            publisher: Some(PublisherSnapshot {
                addr: "192.0.2.1".into(),
                key_id: Some(KeyId(0x0123_4567_89ab_cdef)),
                worker_pid: 7,
            }),
            video: Some(VideoFacts {
                codec_id: 7,
                profile: 100,
                level: 41,
                compat: 0,
                width: 1280,
                height: 720,
                fps_milli: 30_000,
            }),
            audio: None,
            bytes_in: 1,
            bytes_out: 2,
            bitrate_in: 3,
            bitrate_out: 4,
            bitrate_audio: 5,
            bitrate_video: 6,
            dropped: 7,
            avsync_ms: 0,
            viewers: Viewers { rtmp: 1, hls: 2, dash: 3, llhls: 4, ws: 5, webrtc: 6 },
            viewers_peak: 30,
            viewers_total: 40,
            players: vec![PlayerSnapshot { id: "p1".into(), addr: "192.0.2.2".into(), ..Default::default() }],
            targets: vec![TargetView {
                id: TargetId(1),
                app: "live".parse().unwrap(),
                stream: "*".parse().unwrap(),
                server: None,
                url: Some("rtmp://192.0.2.3/app/***".into()),
                enabled: true,
                note: Some("192.0.2.4".into()),
                source: TargetSource::Api,
                sessions: vec![PushView {
                    stream: "show".into(),
                    last_error: Some("rejected: 192.0.2.3".into()),
                    ..Default::default()
                }],
            }],
        }
    }

    #[test]
    fn a_stream_is_read_as_the_api_shows_it() {
        let mut redacted = stream();
        redacted.redact();
        for stream in [stream(), redacted] {
            let shown = serde_json::to_string(&stream).unwrap();
            let read: StreamSnapshot = serde_json::from_str(&shown).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), shown);
        }
        let least = r#"{"app":"live","name":"a","since":"2026-11-20T18:00:00Z","publisher":{"worker_pid":1},"more":1}"#;
        let read: StreamSnapshot = serde_json::from_str(least).unwrap();
        assert_eq!(
            (read.publisher.unwrap().worker_pid, read.video, read.server),
            (1, None, Server::nowhere())
        );
    }

    #[test]
    fn a_stream_has_the_form_of_the_api() {
        let mut stream = stream();
        stream.targets.clear();
        assert_eq!(
            serde_json::to_string(&stream).unwrap(),
            concat!(
                r#"{"app":"live","name":"show","server":"0.0.0.0:1935","session":"7f","since":"2026-11-20T18:00:00Z","#,
                r#""publisher":{"addr":"192.0.2.1","key_id":"k0123456789abcdef","worker_pid":7},"#,
                r#""video":{"codec":"H264","profile":"High","level":"4.1","width":1280,"height":720,"fps":30},"#,
                r#""audio":null,"bytes_in":1,"bytes_out":2,"bitrate_in":3,"bitrate_out":4,"#,
                r#""viewers":{"rtmp":1,"hls":2,"dash":3,"llhls":4,"ws":5,"webrtc":6},"#,
                r#""viewers_peak":30,"viewers_total":40,"targets":[]}"#
            )
        );
    }

    #[test]
    fn a_player_and_a_worker_have_the_form_of_the_api() {
        assert_eq!(
            serde_json::to_string(&stream().players).unwrap(),
            concat!(
                r#"[{"id":"p1","addr":"192.0.2.2","worker_pid":0,"since":"1970-01-01T00:00:00Z","#,
                r#""bytes_out":0,"bitrate_out":0,"dropped":0}]"#
            )
        );
        let worker = WorkerSnapshot {
            pid: 7,
            master_pid: Some(5),
            draining: true,
            heartbeat_ms: 12,
            ..Default::default()
        };
        assert_eq!(
            serde_json::to_string(&worker).unwrap(),
            r#"{"pid":7,"master_pid":5,"since":"1970-01-01T00:00:00Z","draining":true,"heartbeat_ms":12}"#
        );
    }

    #[test]
    fn redacted_shows_nobody() {
        let file = FilePlayerSnapshot { player: stream().players.remove(0), ..Default::default() };
        let snapshot =
            Snapshot { streams: vec![stream()], file_players: vec![file], ..Default::default() }.redacted();
        assert_eq!(snapshot.file_players[0].player.addr, "");
        let stream = &snapshot.streams[0];
        let json = json!({ "stream": stream, "players": stream.players });
        assert!(!json.to_string().contains("192.0.2."), "{json}");
        assert!(!json.to_string().contains("k0123456789abcdef"), "{json}");
        assert_eq!(json["stream"]["publisher"], json!({ "worker_pid": 7 }));
        let target = &json["stream"]["targets"][0];
        assert_eq!((&target["url"], &target["note"]), (&json!(null), &json!(null)));
        assert_eq!(
            target["sessions"],
            json!([{
                "stream": "show", "state": "off", "since": "1970-01-01T00:00:00Z", "bytes_out": 0,
                "bitrate_out": 0, "reconnects": 0, "last_error": null,
            }])
        );
        assert_eq!((snapshot.players(), snapshot.viewers(), stream.viewers.total()), (1, 21, 21));
    }
}
