//! `weir history list`

use reqwest::Method;
use serde::Deserialize;
use weir_model::Timestamp;

use super::table::{quoted, rate, table};
use super::{Error, Output};
use crate::cli::history::{HistoryListArgs, WhichArgs};
use crate::clock::now;
use crate::daemon::client::Client;

#[derive(Deserialize)]
struct Answer {
    sessions: Vec<Session>,
}

/// A session as the daemon reports it; unknown fields are ignored.
#[derive(Deserialize)]
pub(super) struct Session {
    pub(super) session: String,
    pub(super) app: String,
    pub(super) stream: String,
    pub(super) kind: String,
    pub(super) started_at: Timestamp,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) duration_ms: u64,
    pub(super) reason: Option<String>,
    pub(super) video_codec: Option<String>,
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
    pub(super) fps: Option<f64>,
    pub(super) audio_codec: Option<String>,
    pub(super) bitrate_avg: Option<u64>,
    pub(super) viewers_peak: u64,
    pub(super) viewers_total: u64,
}

pub(super) async fn run(args: &HistoryListArgs) -> Result<Output, Error> {
    let mut query = which(&args.which);
    query.push(("limit", args.limit.to_string()));
    let client = Client::new(&args.daemon.socket)?;
    let text = client.ask_for(Method::GET, &["v1", "history"], &query).await?;
    if args.json.json {
        return Ok(Output::json(&text));
    }
    let answer: Answer =
        serde_json::from_str(&text).map_err(|e| Error::System(format!("weir serve: {e}")))?;
    Ok(render(&answer.sessions).into())
}

pub(super) fn which(which: &WhichArgs) -> Vec<(&'static str, String)> {
    let mut query = Vec::new();
    query.extend(which.app.as_ref().map(|app| ("app", app.to_string())));
    query.extend(which.stream.as_ref().map(|stream| ("stream", stream.to_string())));
    query.extend(which.since.map(|since| ("since", since.at(now()).to_string())));
    query
}

fn render(sessions: &[Session]) -> String {
    let rows: Vec<_> = sessions
        .iter()
        .map(|session| {
            [
                session.session.clone(),
                quoted(&session.app),
                quoted(&session.stream),
                session.kind.clone(),
                Timestamp::from_millis(session.started_at.as_seconds() * 1000).to_string(),
                length(session.duration_ms),
                session.video(),
                session.audio_codec.clone().unwrap_or_default(),
                session.bitrate_avg.map(rate).unwrap_or_default(),
                session.viewers_peak.to_string(),
                session.viewers_total.to_string(),
                session.end(),
            ]
        })
        .collect();
    let head = [
        "SESSION", "APP", "NAME", "KIND", "STARTED", "LENGTH", "VIDEO", "AUDIO", "BITRATE", "PEAK",
        "VIEWERS", "END",
    ];
    table(head, &rows)
}

/// Formats a duration as `1:02:03`.
pub(super) fn length(millis: u64) -> String {
    let s = millis / 1000;
    format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
}

impl Session {
    /// Returns the known video properties, such as `H264 1280x720@30`.
    pub(super) fn video(&self) -> String {
        let mut text = self.video_codec.clone().unwrap_or_default();
        if let (Some(width), Some(height)) = (self.width, self.height) {
            text.push_str(&format!(" {width}x{height}"));
        }
        if let Some(fps) = self.fps {
            text.push_str(&format!("@{fps:.0}"));
        }
        text
    }

    /// Returns the reason of the end, or `live`.
    pub(super) fn end(&self) -> String {
        match (&self.ended_at, &self.reason) {
            (None, _) => "live".into(),
            (Some(_), reason) => reason.clone().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_publish() {
        let answer = r#"{"sessions":[{"session":"s1","app":"live","stream":"show","kind":"publisher","key_id":null,
            "started_at":"2026-11-20T18:00:00.451Z","ended_at":"2026-11-20T19:02:03Z","duration_ms":3723000,"reason":"unpublished",
            "video_codec":"H264","width":1280,"height":720,"fps":30.05,"audio_codec":"AAC","bitrate_avg":768000,
            "viewers_peak":19,"viewers_total":31},
            {"session":"s2","app":"live","stream":"b","kind":"slate","started_at":"2026-11-20T18:00:00Z","ended_at":null,
            "duration_ms":0,"viewers_peak":0,"viewers_total":0}]}"#;
        let answer: Answer = serde_json::from_str(answer).unwrap();
        let text = render(&answer.sessions);
        let cells = |line: usize| -> Vec<&str> {
            text.lines()
                .nth(line)
                .unwrap()
                .split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        };
        assert_eq!(
            cells(1)[3..],
            [
                "publisher",
                "2026-11-20T18:00:00Z",
                "1:02:03",
                "H264 1280x720@30",
                "AAC",
                "768k",
                "19",
                "31",
                "unpublished"
            ]
        );
        assert_eq!(cells(2)[5..], ["0:00:00", "-", "-", "-", "0", "0", "live"]);
    }
}
