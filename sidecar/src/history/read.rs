//! Answers queries to the history with rows. Each query opens the file, so it can run on any thread. It blocks while the disk is read.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use rusqlite::params;
use serde::Deserialize;
use serde_json::{Value, json};
use weir_model::Timestamp;

use crate::database;
use crate::database::rows::{Rows, rows};

/// Most rows of one answer, unless the query limits it further.
pub(crate) const MOST_ROWS: u32 = 100_000;

/// Reason why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file cannot be opened.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// The file cannot be read.
    #[error("history not read: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// A table of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    /// Publishes, with codecs and quality.
    Sessions,
    /// Viewers per minute and kind.
    Minutes,
    /// Pushes to targets.
    Targets,
    /// Complete recordings, with their uploads and removals.
    Recordings,
    /// Chat counts per minute.
    Chat,
    /// Actions of administrators.
    Admin,
}

/// Error of a name that is not a table's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be sessions, minutes, targets, recordings, chat or admin")]
pub(crate) struct NoTable;

impl Table {
    /// All tables.
    pub(crate) const ALL: [Self; 6] =
        [Self::Sessions, Self::Minutes, Self::Targets, Self::Recordings, Self::Chat, Self::Admin];

    /// Returns the name for URLs and the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Minutes => "minutes",
            Self::Targets => "targets",
            Self::Recordings => "recordings",
            Self::Chat => "chat",
            Self::Admin => "admin",
        }
    }

    /// Returns the columns, and the time column.
    fn columns(self) -> (&'static str, &'static str) {
        match self {
            Self::Sessions => (
                "session, app, stream, kind, key_id, started_at, ended_at, coalesce(ended_at, seen_at) - started_at AS duration_ms,
                 reason, video_codec, width, height, fps, audio_codec, sample_rate, channels,
                 CASE bitrate_samples WHEN 0 THEN NULL ELSE bitrate_sum / bitrate_samples END AS bitrate_avg, bitrate_max,
                 bytes_in, bytes_out, viewers_peak, viewers_total",
                "started_at",
            ),
            Self::Minutes => {
                ("at, app, stream, viewers, rtmp, hls, dash, llhls, ws, webrtc, bitrate_in", "at")
            }
            Self::Targets => (
                "session, target, app, stream, url, note, started_at, seen_at, state, bytes_out, reconnects, last_error",
                "started_at",
            ),
            Self::Recordings => (
                "file, app, stream, session, finished_at, bytes, duration_ms, upload, uploaded_at, removed_at",
                "finished_at",
            ),
            Self::Chat => ("at, app, stream, messages, joined, left_count AS \"left\", peak", "at"),
            Self::Admin => ("at, who, action, data", "at"),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Table {
    type Err = NoTable;

    fn from_str(text: &str) -> Result<Self, NoTable> {
        Self::ALL.into_iter().find(|table| table.name() == text).ok_or(NoTable)
    }
}

/// Selection of rows.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Query {
    /// Only rows of this application.
    pub app: Option<String>,
    /// Only rows of this stream.
    pub stream: Option<String>,
    /// Only sessions of this kind.
    pub kind: Option<String>,
    /// Only rows at or after this time.
    pub since: Option<Timestamp>,
    /// Only rows before this time.
    pub until: Option<Timestamp>,
    /// Most rows; the newest are selected.
    pub limit: Option<u32>,
    /// Number of rows to skip.
    pub offset: Option<u32>,
    /// `csv`; JSON by default.
    pub format: Option<String>,
}

/// The stream of an administrator's action.
const ACTED_ON: &str = "coalesce(json_extract(data, '$.stream'), json_extract(data, '$.name'))";

/// Whether an administrator's action `t` concerns the stream of the publish `s`, which is the publish `?1`. A target or key may apply to
/// all streams of an application. The removal of a target, key or link over the API names only its id, so an earlier action on the same
/// id says its stream. The list of these ids does not depend on `t` and `s`, so SQLite makes it only once. An action on an account or edge
/// concerns all streams.
const CONCERNS: &str = "CASE
     WHEN t.action = 'admin.job' THEN instr(json_extract(t.data, '$.id'), s.app || '/' || s.stream || '/') = 1
     WHEN json_extract(t.data, '$.app') IS NOT NULL THEN json_extract(t.data, '$.app') = s.app
         AND coalesce(json_extract(t.data, '$.stream'), json_extract(t.data, '$.name'), s.stream) IN (s.stream, '*')
     WHEN json_extract(t.data, '$.sub') IS NOT NULL THEN json_extract(t.data, '$.sub') IN (s.app || '/' || s.stream, s.app || '/*')
     WHEN t.action IN ('admin.target', 'admin.key', 'admin.link') THEN
         t.action || coalesce(json_extract(t.data, '$.id'), json_extract(t.data, '$.jti'))
         IN (SELECT e.action || coalesce(json_extract(e.data, '$.id'), json_extract(e.data, '$.jti'))
             FROM admin e CROSS JOIN sessions p WHERE p.session = ?1 AND e.action IN ('admin.target', 'admin.key', 'admin.link')
             AND json_extract(e.data, '$.app') = p.app AND json_extract(e.data, '$.name') IN (p.stream, '*')
             AND coalesce(json_extract(e.data, '$.id'), json_extract(e.data, '$.jti')) IS NOT NULL)
     ELSE 1 END";

/// Returns the rows of a table, newest first.
pub(crate) fn table(file: &Path, table: Table, query: &Query) -> Result<Rows, Error> {
    let database = database::open_to_read(file)?;
    let (columns, time) = table.columns();
    let of_stream = match table {
        Table::Admin => {
            let app = "(?1 IS NULL OR json_extract(data, '$.app') = ?1)";
            format!("{app} AND (?2 IS NULL OR {ACTED_ON} = ?2) AND ?7 IS NULL")
        }
        Table::Sessions => {
            "(?1 IS NULL OR app = ?1) AND (?2 IS NULL OR stream = ?2) AND (?7 IS NULL OR kind = ?7)"
                .to_owned()
        }
        // These tables have no kind.
        _ => "(?1 IS NULL OR app = ?1) AND (?2 IS NULL OR stream = ?2) AND ?7 IS NULL".to_owned(),
    };
    // Rows of one moment need an order too, so that no page repeats a row of another page.
    let order = match table {
        Table::Sessions => "session",
        Table::Recordings => "file",
        Table::Admin => "id",
        Table::Minutes | Table::Targets | Table::Chat => "app, stream",
    };
    let sql = format!(
        "SELECT {columns} FROM {table} WHERE {of_stream} AND {time} >= ?3 AND {time} < ?4 ORDER BY {time} DESC, {order} LIMIT ?5 OFFSET ?6"
    );
    let millis = |at: Timestamp| i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    let (since, until) = (query.since.map_or(0, millis), query.until.map_or(i64::MAX, millis));
    let limit = query.limit.unwrap_or(MOST_ROWS).min(MOST_ROWS);
    let offset = query.offset.unwrap_or(0);
    let mut statement = database.prepare(&sql)?;
    Ok(rows(&mut statement, params![query.app, query.stream, since, until, limit, offset, query.kind])?)
}

/// Returns one publish with its `targets`, `recordings`, `minutes`, `chat` and `admin` (the actions of administrators meanwhile), or
/// `None` if the publish is unknown.
pub(crate) fn session(file: &Path, id: &str) -> Result<Option<Value>, Error> {
    let database = database::open_to_read(file)?;
    let of = |table: Table, more: &str, values: &[&dyn rusqlite::ToSql]| -> Result<Vec<Value>, Error> {
        let (columns, time) = table.columns();
        let sql = format!("SELECT {columns} FROM {table} WHERE {more} ORDER BY {time}");
        Ok(rows(&mut database.prepare(&sql)?, values)?.objects())
    };
    let Some(mut found) = of(Table::Sessions, "session = ?1", &[&id])?.pop() else { return Ok(None) };
    // A minute belongs to the publish if any of its seconds does.
    let minutes =
        "EXISTS (SELECT 1 FROM sessions s WHERE s.session = ?1 AND s.app = t.app AND s.stream = t.stream
         AND t.at >= s.started_at - 59999 AND t.at <= coalesce(s.ended_at, s.seen_at))";
    let of_minutes = |table: Table| -> Result<Vec<Value>, Error> {
        let sql = format!("SELECT {} FROM {table} t WHERE {minutes} ORDER BY at", table.columns().0);
        Ok(rows(&mut database.prepare(&sql)?, [id])?.objects())
    };
    found["targets"] = json!(of(Table::Targets, "session = ?1", &[&id])?);
    found["recordings"] = json!(of(Table::Recordings, "session = ?1", &[&id])?);
    found["minutes"] = json!(of_minutes(Table::Minutes)?);
    found["chat"] = json!(of_minutes(Table::Chat)?);
    let actions = format!(
        "action <> 'admin.login' AND EXISTS (SELECT 1 FROM sessions s WHERE s.session = ?1
         AND t.at >= s.started_at AND t.at <= coalesce(s.ended_at, s.seen_at)
         AND {CONCERNS})"
    );
    let sql = format!("SELECT {} FROM admin t WHERE {actions} ORDER BY at, id", Table::Admin.columns().0);
    found["admin"] = json!(rows(&mut database.prepare(&sql)?, [id])?.objects());
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use weir_model::event::daemon::DaemonEvent;
    use weir_model::event::daemon::admin::{ByAdmin, LoginAction};
    use weir_model::event::daemon::fields::{ChatCounts, RecordingFinished};

    use super::*;
    use crate::events::Bus;
    use crate::history::History;
    use crate::nginx;
    use crate::{clock, config};

    const STREAMS: &str = r#"{"streams":[{"app":"live","name":"show","session":"s1","since":"2026-11-20T18:00:00Z",
        "publisher":{"addr":"192.0.2.1","key_id":"k0123456789abcdef","worker_pid":42},"bytes_in":9,"bitrate_in":800000,
        "viewers":{"rtmp":2,"hls":3,"ws":1},"viewers_peak":7,"viewers_total":9,
        "video":{"codec":"H264","width":1280,"height":720,"fps":30.05},"audio":{"codec":"AAC","sample_rate":48000,"channels":2},
        "targets":[{"id":"t0000000000000001","app":"live","stream":"*","url":"rtmp://a/app/***","enabled":true,"note":"club",
        "source":"api","sessions":[{"stream":"show","state":"waiting","since":"2026-11-20T18:00:00Z","bytes_out":5,
        "bitrate_out":0,"reconnects":3,"last_error":"timed out connecting"}]}]}]}"#;

    fn config_of(folder: &Path, keep: &str) -> config::Config {
        let text = format!("[history]\nfile = \"{}/history.db\"\nkeep = \"{keep}\"\n", folder.display());
        config::parse(Path::new("weir.toml"), &text).unwrap()
    }

    #[tokio::test]
    async fn a_publish_is_told_with_all_that_belongs_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let config = config_of(folder.path(), "400d");
        let bus = Bus::new(0);
        let history = History::start(&config, &bus);
        let file = history.file().unwrap();
        let streams: nginx::Streams = serde_json::from_str(STREAMS).unwrap();
        history.see(&config, &streams.streams);
        let (at, of) = (clock::now(), || ("live".to_owned(), "show".to_owned()));
        let ((app, name), (session_id, file_name)) = (of(), ("s1".to_owned(), "/r/a.mp4".into()));
        bus.tell(&DaemonEvent::RecordingFinished(RecordingFinished {
            at,
            app,
            bytes: 7,
            cut_off: true,
            duration_ms: None,
            file: file_name,
            name,
            session: session_id,
        }));
        let (app, stream) = of();
        let counts = ChatCounts { at, app, joined: 2, left: 1, messages: 3, peak: 2, stream };
        bus.tell(&DaemonEvent::ChatCounts(counts));
        let by = ByAdmin { at, who: "ana".to_owned(), action: LoginAction::Out };
        bus.tell(&DaemonEvent::AdminLogin(by));
        let data = json!({ "app": "live", "name": "show", "session": "s1", "reason": "unpublished", "bytes_in": 11 });
        bus.pass_on("stream.ended", data);
        // The listener runs on this thread.
        let ended = || session(&file, "s1").unwrap().is_some_and(|one| one["reason"] == "unpublished");
        let deadline = Instant::now() + Duration::from_secs(10);
        while !ended() && Instant::now() < deadline {
            tokio::task::yield_now().await;
        }
        history.stop();
        let mut one = session(&file, "s1").unwrap().unwrap();
        assert_eq!(
            [&one["video_codec"], &one["audio_codec"], &one["reason"]],
            ["H264", "AAC", "unpublished"]
        );
        assert_eq!([&one["bitrate_avg"], &one["bytes_in"], &one["viewers_peak"]], [800_000, 11, 7]);
        assert_eq!(one["targets"][0]["last_error"], "timed out connecting");
        assert_eq!(
            (&one["recordings"][0]["bytes"], &one["recordings"][0]["duration_ms"]),
            (&json!(7), &Value::Null)
        );
        let minute = one["minutes"].take();
        assert_eq!([&minute[0]["viewers"], &minute[0]["hls"], &minute[0]["ws"]], [6, 3, 1]);
        assert_eq!(session(&file, "s2").unwrap(), None);
        for name in Table::ALL {
            let rows = table(&file, name, &Query::default()).unwrap();
            assert_eq!(rows.rows.len(), 1, "{name}");
            assert!(!format!("{rows:?}").contains("192.0.2"), "{rows:?}");
        }
        let other = Query { stream: Some("other".into()), ..Query::default() };
        assert_eq!(table(&file, Table::Sessions, &other).unwrap().rows.len(), 0);
    }

    #[tokio::test]
    async fn a_report_has_only_the_actions_of_its_stream() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("history.db");
        let history = History::start(&config_of(folder.path(), "400d"), &Bus::new(0));
        history.stop();
        let database = rusqlite::Connection::open(&file).unwrap();
        let publish = "INSERT INTO sessions (session, app, stream, kind, started_at, seen_at)
             VALUES ('s1', 'live', 'show', 'publisher', 10, 99)";
        database.execute(publish, []).unwrap();
        let rows = [
            ("admin.target", json!({ "action": "removed", "id": "t1", "app": "live", "name": "show" }), true),
            ("admin.target", json!({ "action": "removed", "id": "t2", "app": "live", "name": "*" }), true),
            (
                "admin.target",
                json!({ "action": "removed", "id": "t3", "app": "live", "name": "test" }),
                false,
            ),
            ("admin.target", json!({ "action": "added", "id": "t4", "app": "live", "name": "test" }), false),
            ("admin.target", json!({ "action": "removed", "id": "t4" }), false),
            ("admin.key", json!({ "action": "added", "id": "k1", "app": "live", "name": "show" }), true),
            ("admin.key", json!({ "action": "revoked", "id": "k1" }), true),
            ("admin.key", json!({ "action": "revoked", "id": "k2" }), false),
            ("admin.link", json!({ "action": "made", "jti": "j1", "app": "live", "name": "show" }), true),
            ("admin.link", json!({ "action": "revoked", "jti": "j1" }), true),
            ("admin.link", json!({ "action": "revoked", "jti": "j2" }), false),
            ("admin.link", json!({ "action": "revoked", "sub": "live/show" }), true),
            ("admin.link", json!({ "action": "revoked", "sub": "live/*" }), true),
            ("admin.link", json!({ "action": "revoked", "sub": "live/test" }), false),
            ("admin.job", json!({ "action": "restarted", "id": "live/show/ladder" }), true),
            ("admin.job", json!({ "action": "restarted", "id": "live/shows/ladder" }), false),
            ("admin.chat", json!({ "action": "slow", "app": "live", "name": "test" }), false),
            ("admin.edge", json!({ "action": "drained", "id": "e1" }), true),
        ];
        for (action, data, _) in &rows {
            let insert = "INSERT INTO admin (at, action, who, data) VALUES (50, ?1, 'ana', ?2)";
            database.execute(insert, params![action, data.to_string()]).unwrap();
        }
        let expected: Vec<Value> = rows.iter().filter(|row| row.2).map(|row| row.1.clone()).collect();
        let report = session(&file, "s1").unwrap().unwrap();
        let told: Vec<Value> =
            report["admin"].as_array().unwrap().iter().map(|row| row["data"].clone()).collect();
        assert_eq!(told, expected);
    }

    #[tokio::test]
    async fn a_report_with_many_removals_of_older_versions_takes_little_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("history.db");
        let history = History::start(&config_of(folder.path(), "400d"), &Bus::new(0));
        history.stop();
        let database = rusqlite::Connection::open(&file).unwrap();
        let fill = "INSERT INTO sessions (session, app, stream, kind, started_at, seen_at)
                 VALUES ('s1', 'live', 'show', 'publisher', 10, 99);
             WITH RECURSIVE n (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 10000)
                 INSERT INTO admin (at, action, who, data) SELECT 50, 'admin.key', 'ana', json_object('action', 'added', 'id', 'k' || n,
                     'app', 'live', 'name', iif(n % 2, 'show', 'test')) FROM n;
             INSERT INTO admin (at, action, who, data) SELECT 60, action, who, json_object('action', 'revoked', 'id', data ->> '$.id')
                 FROM admin;";
        database.execute_batch(fill).unwrap();
        // Each removal alone would read 20,000 rows, which takes minutes in total.
        let begin = Instant::now();
        let report = session(&file, "s1").unwrap().unwrap();
        assert_eq!(report["admin"].as_array().unwrap().len(), 10_000);
        assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    }

    #[tokio::test]
    async fn an_end_that_nobody_heard_is_found_and_what_is_old_goes() {
        let folder = tempfile::tempdir().unwrap();
        let (config, bus) = (config_of(folder.path(), "400d"), Bus::new(0));
        let streams: nginx::Streams = serde_json::from_str(STREAMS).unwrap();
        let history = History::start(&config, &bus);
        let file = history.file().unwrap();
        history.see(&config, &streams.streams);
        history.see(&config, &[]);
        history.stop();
        let reason = |file: &Path| session(file, "s1").unwrap().map(|one| one["reason"].clone());
        assert_eq!(reason(&file), Some("unknown".into()));
        // nginx was away only for a moment.
        let history = History::start(&config, &bus);
        history.see(&config, &streams.streams);
        history.stop();
        assert_eq!(reason(&file), Some(Value::Null));
        let database = rusqlite::Connection::open(&file).unwrap();
        database.execute("UPDATE sessions SET seen_at = 1000", []).unwrap();
        drop(database);
        let history = History::start(&config_of(folder.path(), "1d"), &bus);
        history.stop();
        assert_eq!(reason(&file), None);
    }
}
