//! The only thread that writes the history. It writes facts in batches, one transaction per batch.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use weir_model::Timestamp;

use super::facts::{Begin, ChatMinute, End, Fact, Recorded, Sample, Seen};
use super::schema::SCHEMA;
use crate::{clock, database};

/// Most facts that wait for the disk. Further facts are lost.
const WAITING: usize = 4096;
/// Most facts per transaction.
const BUNCH: usize = 500;
/// Interval between removals of old rows.
const SWEEP: Duration = Duration::from_secs(3600);
/// Shortest time between two log lines of the same kind.
const QUIET: Duration = Duration::from_secs(60);
const MINUTE_MS: u64 = 60_000;
/// Tables, and the time columns from which the age of their rows is computed.
const AGING: [(&str, &str); 6] = [
    ("sessions", "seen_at"),
    ("minutes", "at"),
    ("targets", "seen_at"),
    ("recordings", "finished_at"),
    ("chat", "at"),
    ("admin", "at"),
];

/// Channel to the thread.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    facts: SyncSender<Option<Fact>>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
    lost: Arc<Mutex<Quiet>>,
}

/// Limits how often a message is logged.
#[derive(Debug, Default)]
struct Quiet(Option<Instant>);

impl Quiet {
    fn may_log(&mut self) -> bool {
        let may = self.0.is_none_or(|last| last.elapsed() >= QUIET);
        if may {
            self.0 = Some(Instant::now());
        }
        may
    }
}

impl Writer {
    /// Opens the file. Rows older than `keep` are removed regularly.
    pub(super) fn start(file: PathBuf, keep: Duration) -> Result<Self, database::Error> {
        let database = database::open(&file, SCHEMA)?;
        let (facts, received) = sync_channel(WAITING);
        let work = Work { file: file.clone(), database: Some(database), keep, failed: Quiet::default() };
        let thread =
            std::thread::Builder::new().name("weir-history".into()).spawn(move || work.run(&received));
        let thread = thread.map_err(|why| database::Error::File { path: file, why })?;
        Ok(Self { facts, thread: Arc::new(Mutex::new(Some(thread))), lost: Arc::default() })
    }

    /// Queues a fact without waiting.
    pub(super) fn put(&self, fact: Fact) {
        if let Err(TrySendError::Full(_)) = self.facts.try_send(Some(fact))
            && self.lost.lock().unwrap_or_else(PoisonError::into_inner).may_log()
        {
            tracing::error!("history has gaps: the disk is too slow for the number of events");
        }
    }

    /// Writes all queued facts, and returns.
    pub(super) fn finish(&self) {
        // An error means that the thread has ended, so there is nothing to wait for.
        let _ = self.facts.send(None);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

struct Work {
    file: PathBuf,
    /// `None` while the file cannot be opened.
    database: Option<Connection>,
    keep: Duration,
    failed: Quiet,
}

impl Work {
    fn run(mut self, facts: &Receiver<Option<Fact>>) {
        let mut sweep = Instant::now();
        loop {
            if sweep <= Instant::now() {
                sweep = Instant::now() + SWEEP;
                self.attempt(|database, keep| remove_older(database, keep, clock::now()));
            }
            let first = match facts.recv_timeout(sweep.saturating_duration_since(Instant::now())) {
                Ok(Some(fact)) => fact,
                Ok(None) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => continue,
            };
            let mut bunch = vec![first];
            let mut is_last = false;
            while bunch.len() < BUNCH && !is_last {
                match facts.try_recv() {
                    Ok(Some(fact)) => bunch.push(fact),
                    Ok(None) => is_last = true,
                    Err(_) => break,
                }
            }
            self.attempt(|database, _| write(database, &bunch));
            if is_last {
                return;
            }
        }
    }

    /// Runs a write. If it fails, its facts are lost; a damaged file is replaced.
    fn attempt(&mut self, act: impl FnOnce(&mut Connection, Duration) -> rusqlite::Result<()>) {
        if self.database.is_none() {
            match database::open(&self.file, SCHEMA) {
                Ok(database) => self.database = Some(database),
                Err(error) => return self.complain(&error),
            }
        }
        let Some(database) = &mut self.database else { return };
        if let Err(error) = act(database, self.keep) {
            if database::is_damage(&error) {
                // The next fact opens the file again, which moves the damaged file aside.
                self.database = None;
            }
            self.complain(&error);
        }
    }

    fn complain(&mut self, error: &dyn std::fmt::Display) {
        if self.failed.may_log() {
            tracing::error!("history not written: {error}, file: {:?}", self.file);
        }
    }
}

fn write(database: &mut Connection, facts: &[Fact]) -> rusqlite::Result<()> {
    let bunch = database.transaction()?;
    for fact in facts {
        put(&bunch, fact)?;
    }
    bunch.commit()
}

fn put(database: &Connection, fact: &Fact) -> rusqlite::Result<()> {
    match fact {
        Fact::Started(begin) => started(database, begin, begin.at),
        Fact::Ended(end) => ended(database, end),
        Fact::Sample(sample) => sampled(database, sample),
        Fact::Recorded(recorded) => finished(database, recorded),
        Fact::Uploaded { file, upload, at } => run(
            database,
            "UPDATE recordings SET upload = ?2, uploaded_at = ?3 WHERE file = ?1",
            params![file, upload, millis(*at)],
        ),
        Fact::Removed { file, at } => {
            run(database, "UPDATE recordings SET removed_at = ?2 WHERE file = ?1", params![file, millis(*at)])
        }
        Fact::Chat(minute) => chat(database, minute),
        Fact::Admin { kind, who, data, at } => run(
            database,
            "INSERT INTO admin (at, action, who, data) VALUES (?1, ?2, ?3, ?4)",
            params![millis(*at), kind, who, data.to_string()],
        ),
    }
}

fn run(database: &Connection, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<()> {
    database.prepare_cached(sql)?.execute(values).map(drop)
}

fn millis(at: Timestamp) -> i64 {
    whole(at.as_millis())
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn started(database: &Connection, begin: &Begin, seen: Timestamp) -> rusqlite::Result<()> {
    let Begin { session, app, stream, kind, key_id, at } = begin;
    run(
        database,
        "INSERT INTO sessions (session, app, stream, kind, key_id, started_at, seen_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (session) DO NOTHING",
        params![session, app, stream, kind, key_id, millis(*at), millis(seen)],
    )
}

/// Notes the end. If the clock went back, the session has not ended before it began.
fn ended(database: &Connection, end: &End) -> rusqlite::Result<()> {
    started(database, &end.begin, end.at)?;
    run(
        database,
        "UPDATE sessions SET ended_at = max(started_at, ?2), seen_at = max(started_at, ?2), reason = ?3, bytes_in = max(bytes_in, ?4),
            bytes_out = max(bytes_out, ?5)
         WHERE session = ?1",
        params![end.begin.session, millis(end.at), end.reason, whole(end.bytes_in), whole(end.bytes_out)],
    )
}

fn sampled(database: &Connection, sample: &Sample) -> rusqlite::Result<()> {
    for seen in &sample.streams {
        stream(database, seen, sample.at)?;
    }
    // The end of these publishes was missed, because nginx or the daemon was away.
    let mut open = database.prepare_cached("SELECT session FROM sessions WHERE ended_at IS NULL")?;
    let open: Vec<String> = open.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for session in
        open.iter().filter(|session| !sample.streams.iter().any(|seen| seen.begin.session == **session))
    {
        run(
            database,
            "UPDATE sessions SET ended_at = seen_at, reason = 'unknown' WHERE session = ?1",
            params![session],
        )?;
    }
    Ok(())
}

fn stream(database: &Connection, seen: &Seen, at: Timestamp) -> rusqlite::Result<()> {
    started(database, &seen.begin, at)?;
    let (video, audio) = (&seen.media.video, &seen.media.audio);
    run(
        database,
        "UPDATE sessions SET seen_at = max(started_at, ?2), kind = CASE ?3 WHEN 'publisher' THEN kind ELSE ?3 END,
            ended_at = CASE reason WHEN 'unknown' THEN NULL ELSE ended_at END, reason = nullif(reason, 'unknown'),
            video_codec = coalesce(?4, video_codec), width = coalesce(?5, width), height = coalesce(?6, height),
            fps = coalesce(?7, fps), audio_codec = coalesce(?8, audio_codec), sample_rate = coalesce(?9, sample_rate),
            channels = coalesce(?10, channels), bytes_in = max(bytes_in, ?11), bytes_out = max(bytes_out, ?12),
            bitrate_sum = bitrate_sum + ?13, bitrate_samples = bitrate_samples + (?13 > 0),
            bitrate_max = max(bitrate_max, ?13), viewers_peak = max(viewers_peak, ?14), viewers_total = max(viewers_total, ?15)
         WHERE session = ?1",
        params![
            seen.begin.session,
            millis(at),
            seen.begin.kind,
            video.as_ref().map(|video| &video.0),
            video.as_ref().map(|video| video.1).filter(|width| *width > 0),
            video.as_ref().map(|video| video.2).filter(|height| *height > 0),
            video.as_ref().map(|video| video.3).filter(|fps| *fps > 0.0),
            audio.as_ref().map(|audio| &audio.0),
            audio.as_ref().map(|audio| audio.1).filter(|rate| *rate > 0),
            audio.as_ref().map(|audio| audio.2).filter(|channels| *channels > 0),
            whole(seen.bytes_in),
            whole(seen.bytes_out),
            whole(seen.bitrate_in),
            whole(seen.viewers_peak),
            whole(seen.viewers_total),
        ],
    )?;
    minute(database, seen, at)?;
    for target in &seen.targets {
        for push in target.sessions.iter().filter(|push| push.stream == seen.begin.stream) {
            run(
                database,
                "INSERT INTO targets (session, target, app, stream, url, note, started_at, seen_at, state, bytes_out, reconnects,
                    last_error) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9, ?10, ?11)
                 ON CONFLICT (session, target) DO UPDATE SET url = excluded.url, note = excluded.note, seen_at = excluded.seen_at,
                    state = excluded.state, bytes_out = excluded.bytes_out, reconnects = excluded.reconnects,
                    last_error = coalesce(excluded.last_error, last_error)",
                params![
                    seen.begin.session,
                    target.id.to_string(),
                    seen.begin.app,
                    seen.begin.stream,
                    target.url,
                    target.note.as_ref().filter(|note| !note.is_empty()),
                    millis(at),
                    push.state.as_str(),
                    whole(push.bytes_out),
                    whole(push.reconnects),
                    push.last_error,
                ],
            )?;
        }
    }
    Ok(())
}

fn minute(database: &Connection, seen: &Seen, at: Timestamp) -> rusqlite::Result<()> {
    let viewers = &seen.viewers;
    run(
        database,
        "INSERT INTO minutes (at, app, stream, viewers, rtmp, hls, dash, llhls, ws, webrtc, bitrate_in)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT (app, stream, at) DO UPDATE SET viewers = max(viewers, excluded.viewers), rtmp = max(rtmp, excluded.rtmp),
            hls = max(hls, excluded.hls), dash = max(dash, excluded.dash), llhls = max(llhls, excluded.llhls),
            ws = max(ws, excluded.ws), webrtc = max(webrtc, excluded.webrtc), bitrate_in = max(bitrate_in, excluded.bitrate_in)",
        params![
            minute_of(at),
            seen.begin.app,
            seen.begin.stream,
            whole(viewers.total()),
            whole(viewers.rtmp),
            whole(viewers.hls),
            whole(viewers.dash),
            whole(viewers.llhls),
            whole(viewers.ws),
            whole(viewers.webrtc),
            whole(seen.bitrate_in),
        ],
    )
}

fn minute_of(at: Timestamp) -> i64 {
    whole(at.as_millis() / MINUTE_MS * MINUTE_MS)
}

fn finished(database: &Connection, recorded: &Recorded) -> rusqlite::Result<()> {
    let Recorded { file, app, stream, session, bytes, duration_ms, at } = recorded;
    run(
        database,
        "INSERT OR REPLACE INTO recordings (file, app, stream, session, finished_at, bytes, duration_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![file, app, stream, session, millis(*at), whole(*bytes), duration_ms.map(whole)],
    )
}

fn chat(database: &Connection, minute: &ChatMinute) -> rusqlite::Result<()> {
    let ChatMinute { app, stream, counts, at } = minute;
    let [messages, joined, left, peak] = counts.map(whole);
    run(
        database,
        "INSERT INTO chat (at, app, stream, messages, joined, left_count, peak) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (app, stream, at) DO UPDATE SET messages = messages + excluded.messages, joined = joined + excluded.joined,
            left_count = left_count + excluded.left_count, peak = max(peak, excluded.peak)",
        params![minute_of(*at), app, stream, messages, joined, left, peak],
    )
}

fn remove_older(database: &mut Connection, keep: Duration, now: Timestamp) -> rusqlite::Result<()> {
    let keep = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
    let oldest = whole(now.as_millis().saturating_sub(keep));
    let all = database.transaction()?;
    for (table, time) in AGING {
        all.execute(&format!("DELETE FROM {table} WHERE {time} < ?1"), [oldest])?;
    }
    all.commit()?;
    let mut vacuum = database.prepare("PRAGMA incremental_vacuum(1000)")?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}
