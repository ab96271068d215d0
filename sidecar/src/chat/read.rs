//! Reads past messages. Each query opens the file and blocks while the disk is read.

use std::path::Path;

use rusqlite::params;
use serde::Deserialize;
use weir_model::Timestamp;

use crate::database;
use crate::database::rows::{Rows, rows};

/// Most messages of one answer, unless the query limits it further.
pub(crate) const MOST_ROWS: u32 = 1_000_000;

/// Reason why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file cannot be opened.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// The file cannot be read.
    #[error("chat not read: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// Selection of messages.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Query {
    /// Only messages of this application.
    pub app: Option<String>,
    /// Only messages of this stream.
    pub stream: Option<String>,
    /// Only messages at or after this time.
    pub since: Option<Timestamp>,
    /// Only messages before this time.
    pub until: Option<Timestamp>,
    /// Most messages; the newest are selected.
    pub limit: Option<u32>,
    /// `csv`; JSON by default.
    pub format: Option<String>,
}

/// Returns messages, the oldest first: `at`, `app`, `stream`, `id`, `name`, `text`, `verified` and `moderator`, the last two as 0 or 1.
pub(crate) fn messages(file: &Path, query: &Query) -> Result<Rows, Error> {
    let database = database::open_to_read(file)?;
    let sql = "SELECT * FROM (SELECT at, app, stream, id, name, text, verified, moderator FROM messages
               WHERE (?1 IS NULL OR app = ?1) AND (?2 IS NULL OR stream = ?2) AND at >= ?3 AND at < ?4
               ORDER BY at DESC, id DESC LIMIT ?5) ORDER BY at, id";
    let millis = |at: Timestamp| i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    let (since, until) = (query.since.map_or(0, millis), query.until.map_or(i64::MAX, millis));
    let limit = query.limit.unwrap_or(MOST_ROWS).min(MOST_ROWS);
    let mut statement = database.prepare(sql)?;
    Ok(rows(&mut statement, params![query.app, query.stream, since, until, limit])?)
}
