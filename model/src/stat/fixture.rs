//! A server with two streams, for the tests of all formats.

use crate::key::KeyId;
use crate::media::{AudioFacts, VideoFacts};
use crate::refusal::Refusal;
use crate::server::{BlockApplication, Server, ServerBlock};
use crate::snapshot::{
    PlayerSnapshot, PublisherSnapshot, Snapshot, StreamSnapshot, Viewers, WorkerSnapshot, ZoneSnapshot,
};
use crate::target::{PushState, PushView, TargetId, TargetSource, TargetView};
use crate::time::Timestamp;

/// 2026-11-20T18:00:00Z
const START: Timestamp = Timestamp::from_millis(1_795_197_600_000);

/// An hour after the start: `live/show` with two players, and `radio/jazz & <blues>` without video.
pub(super) fn snapshot() -> Snapshot {
    Snapshot {
        now: START.plus_seconds(3600),
        nginx_version: "1.22.1".into(),
        rtmp_version: "1.1.4".into(),
        pid: 101,
        since: START,
        accepted: 12,
        guard: std::array::from_fn(|index| index as u64),
        refused: (0..Refusal::LABELS.len() as u64).collect(),
        bytes_in: 1_125_000_000,
        bytes_out: 2_250_000_000,
        bitrate_in: 2_628_000,
        bitrate_out: 5_000_000,
        workers: vec![
            WorkerSnapshot { pid: 101, master_pid: None, since: START, draining: false, heartbeat_ms: 250 },
            WorkerSnapshot { pid: 99, master_pid: None, since: START, draining: true, heartbeat_ms: 12_000 },
        ],
        zone: ZoneSnapshot { size: 8_388_608, used: 1_048_576 },
        servers: vec![ServerBlock {
            server: Server::nowhere(),
            applications: ["live", "empty"].map(live).into(),
        }],
        streams: vec![show(), radio()],
        file_players: Vec::new(),
    }
}

pub(super) fn live(name: &str) -> BlockApplication {
    BlockApplication { name: name.into(), live: true, files: false }
}

fn show() -> StreamSnapshot {
    StreamSnapshot {
        app: "live".into(),
        name: "show".into(),
        server: Server::nowhere(),
        session: "s1".into(),
        since: START.plus_seconds(60),
        publisher: Some(PublisherSnapshot {
            addr: "192.0.2.1".into(),
            key_id: Some(KeyId(0x0123_4567_89ab_cdef)),
            worker_pid: 101,
        }),
        video: Some(VideoFacts {
            codec_id: 7,
            profile: 100,
            level: 41,
            compat: 0,
            width: 1280,
            height: 720,
            fps_milli: 29_970,
        }),
        audio: Some(AudioFacts { codec_id: 10, aac_profile: 2, channels: 2, sample_rate: 48_000 }),
        bytes_in: 1_100_000_000,
        bytes_out: 2_250_000_000,
        bitrate_in: 2_500_000,
        bitrate_out: 5_000_000,
        bitrate_audio: 128_000,
        bitrate_video: 2_372_000,
        dropped: 3,
        avsync_ms: -20,
        slate: false,
        viewers: Viewers { rtmp: 2, hls: 40, dash: 1, llhls: 5, ws: 6, webrtc: 7 },
        viewers_peak: 70,
        viewers_total: 900,
        players: vec![player("s11", "192.0.2.2"), player("s12", "192.0.2.3")],
        targets: vec![target(1, PushState::Live), target(2, PushState::Waiting)],
    }
}

fn target(id: u64, state: PushState) -> TargetView {
    TargetView {
        id: TargetId(id),
        app: "live".parse().unwrap(),
        stream: "*".parse().unwrap(),
        server: None,
        url: Some(format!("rtmp://198.51.100.{id}/app/***")),
        enabled: true,
        note: Some("to <198.51.100.0>".into()),
        source: TargetSource::Api,
        sessions: vec![PushView {
            stream: "show".into(),
            state,
            since: START.plus_seconds(90),
            retry_in_ms: (state == PushState::Waiting).then_some(1500),
            bytes_out: 1_000_000_000,
            bitrate_out: if state == PushState::Live { 2_500_000 } else { 0 },
            reconnects: 4,
            last_error: Some("rejected: no 198.51.100.9".into()),
        }],
    }
}

pub(super) fn player(id: &str, addr: &str) -> PlayerSnapshot {
    PlayerSnapshot {
        id: id.into(),
        addr: addr.into(),
        worker_pid: 99,
        since: START.plus_seconds(120),
        bytes_out: 1_125_000_000,
        bitrate_out: 2_500_000,
        dropped: 1,
        avsync_ms: 0,
    }
}

fn radio() -> StreamSnapshot {
    StreamSnapshot {
        app: "radio".into(),
        name: "jazz & <blues>".into(),
        session: "s2".into(),
        since: START.plus_seconds(3599),
        publisher: Some(PublisherSnapshot { addr: "192.0.2.4".into(), key_id: None, worker_pid: 99 }),
        audio: Some(AudioFacts { codec_id: 2, aac_profile: 0, channels: 2, sample_rate: 44_100 }),
        bytes_in: 16_000,
        bitrate_in: 128_000,
        bitrate_audio: 128_000,
        ..Default::default()
    }
}
