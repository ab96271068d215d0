//! The tables. Times are milliseconds since 1970; columns whose names end with `at` are times.

use crate::database::Schema;

/// Migrations. New entries are appended, and existing entries never change.
pub(super) const SCHEMA: Schema = Schema { what: "history", migrations: &[FIRST] };

const FIRST: &str = "
CREATE TABLE sessions (
    session TEXT PRIMARY KEY, app TEXT NOT NULL, stream TEXT NOT NULL, kind TEXT NOT NULL, key_id TEXT,
    started_at INTEGER NOT NULL, seen_at INTEGER NOT NULL, ended_at INTEGER, reason TEXT,
    video_codec TEXT, width INTEGER, height INTEGER, fps REAL,
    audio_codec TEXT, sample_rate INTEGER, channels INTEGER,
    bytes_in INTEGER NOT NULL DEFAULT 0, bytes_out INTEGER NOT NULL DEFAULT 0,
    bitrate_sum INTEGER NOT NULL DEFAULT 0, bitrate_samples INTEGER NOT NULL DEFAULT 0, bitrate_max INTEGER NOT NULL DEFAULT 0,
    viewers_peak INTEGER NOT NULL DEFAULT 0, viewers_total INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX sessions_by_time ON sessions (started_at);
CREATE INDEX sessions_by_stream ON sessions (app, stream, started_at);
CREATE INDEX sessions_open ON sessions (session) WHERE ended_at IS NULL;
CREATE TABLE minutes (
    at INTEGER NOT NULL, app TEXT NOT NULL, stream TEXT NOT NULL,
    viewers INTEGER NOT NULL, rtmp INTEGER NOT NULL, hls INTEGER NOT NULL, dash INTEGER NOT NULL, llhls INTEGER NOT NULL,
    ws INTEGER NOT NULL, webrtc INTEGER NOT NULL, bitrate_in INTEGER NOT NULL,
    PRIMARY KEY (app, stream, at)
) WITHOUT ROWID;
CREATE INDEX minutes_by_time ON minutes (at);
CREATE TABLE targets (
    session TEXT NOT NULL, target TEXT NOT NULL, app TEXT NOT NULL, stream TEXT NOT NULL, url TEXT, note TEXT,
    started_at INTEGER NOT NULL, seen_at INTEGER NOT NULL, state TEXT NOT NULL, bytes_out INTEGER NOT NULL,
    reconnects INTEGER NOT NULL, last_error TEXT,
    PRIMARY KEY (session, target)
) WITHOUT ROWID;
CREATE INDEX targets_by_time ON targets (started_at);
CREATE TABLE recordings (
    file TEXT NOT NULL PRIMARY KEY, app TEXT NOT NULL, stream TEXT NOT NULL, session TEXT, finished_at INTEGER NOT NULL,
    bytes INTEGER NOT NULL, duration_ms INTEGER, upload TEXT, uploaded_at INTEGER, removed_at INTEGER
) WITHOUT ROWID;
CREATE INDEX recordings_by_time ON recordings (finished_at);
CREATE TABLE chat (
    at INTEGER NOT NULL, app TEXT NOT NULL, stream TEXT NOT NULL, messages INTEGER NOT NULL, joined INTEGER NOT NULL,
    left_count INTEGER NOT NULL, peak INTEGER NOT NULL,
    PRIMARY KEY (app, stream, at)
) WITHOUT ROWID;
CREATE INDEX chat_by_time ON chat (at);
CREATE TABLE admin (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, action TEXT NOT NULL, who TEXT, data TEXT NOT NULL);
CREATE INDEX admin_by_time ON admin (at);
";
