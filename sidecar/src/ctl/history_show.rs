//! `weir history show`

use std::fmt::Write;

use reqwest::Method;
use serde::Deserialize;
use weir_model::Timestamp;

use super::history_list::{Session, length};
use super::table::{plain, rate, table};
use super::{Error, Output};
use crate::cli::history::HistoryShowArgs;
use crate::daemon::client::Client;

#[derive(Deserialize)]
struct Answer {
    #[serde(flatten)]
    session: Session,
    targets: Vec<Target>,
    recordings: Vec<Recording>,
    minutes: Vec<Minute>,
    chat: Vec<Chat>,
}

#[derive(Deserialize)]
struct Target {
    target: String,
    url: Option<String>,
    note: Option<String>,
    state: String,
    reconnects: u64,
    last_error: Option<String>,
}

#[derive(Deserialize)]
struct Recording {
    file: String,
    bytes: u64,
    duration_ms: Option<u64>,
    removed_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Minute {
    at: Timestamp,
    viewers: u64,
    rtmp: u64,
    hls: u64,
    dash: u64,
    llhls: u64,
    ws: u64,
    webrtc: u64,
    bitrate_in: u64,
}

#[derive(Deserialize)]
struct Chat {
    messages: u64,
    joined: u64,
}

pub(super) async fn run(args: &HistoryShowArgs) -> Result<Output, Error> {
    let client = Client::new(&args.daemon.socket)?;
    let text = client.ask(Method::GET, &["v1", "history", "sessions", &args.session]).await?;
    if args.json.json {
        return Ok(Output::json(&text));
    }
    let answer: Answer =
        serde_json::from_str(&text).map_err(|e| Error::System(format!("weir serve: {e}")))?;
    Ok(render(&answer).into())
}

fn render(answer: &Answer) -> String {
    let session = &answer.session;
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to memory cannot fail.
        let _ = writeln!(text, "{name:<10}{}", plain(value));
    };
    line("Stream", format!("{}/{} ({})", session.app, session.stream, session.kind));
    line("Started", session.started_at.to_string());
    line(
        "Ended",
        match session.ended_at {
            Some(at) => format!("{at}: {}", session.end()),
            None => "live".into(),
        },
    );
    line("Length", length(session.duration_ms));
    line("Video", session.video());
    line("Audio", session.audio_codec.clone().unwrap_or_default());
    line("Bitrate", session.bitrate_avg.map(|bits| format!("{}bit/s", rate(bits))).unwrap_or_default());
    line("Viewers", format!("{}, at most {} at the same time", session.viewers_total, session.viewers_peak));
    let messages: u64 = answer.chat.iter().map(|minute| minute.messages).sum();
    let joined: u64 = answer.chat.iter().map(|minute| minute.joined).sum();
    if !answer.chat.is_empty() {
        line("Chat", format!("{messages} messages, {joined} joined"));
    }
    if !answer.targets.is_empty() {
        let rows = answer.targets.iter().map(|target| {
            [
                target.target.clone(),
                target.url.clone().unwrap_or_default(),
                target.note.clone().unwrap_or_default(),
                target.state.clone(),
                target.reconnects.to_string(),
                target.last_error.clone().unwrap_or_default(),
            ]
        });
        text += "\n";
        text +=
            &table(["TARGET", "URL", "NOTE", "STATE", "RECONNECTS", "LAST ERROR"], &rows.collect::<Vec<_>>());
    }
    if !answer.recordings.is_empty() {
        let rows = answer.recordings.iter().map(|recording| {
            [
                recording.file.clone(),
                recording.bytes.to_string(),
                recording.duration_ms.map(length).unwrap_or_default(),
                recording.removed_at.map(|at| format!("removed {at}")).unwrap_or_default(),
            ]
        });
        text += "\n";
        text += &table(["RECORDING", "BYTES", "LENGTH", "STATE"], &rows.collect::<Vec<_>>());
    }
    let rows = answer.minutes.iter().map(|minute| {
        let counts =
            [minute.viewers, minute.rtmp, minute.hls, minute.dash, minute.llhls, minute.ws, minute.webrtc];
        let [viewers, rtmp, hls, dash, llhls, ws, webrtc] = counts.map(|count| count.to_string());
        [minute.at.to_string(), viewers, rtmp, hls, dash, llhls, ws, webrtc, rate(minute.bitrate_in)]
    });
    text += "\n";
    text += &table(
        ["MINUTE", "VIEWERS", "RTMP", "HLS", "DASH", "LLHLS", "WS", "WEBRTC", "BITRATE"],
        &rows.collect::<Vec<_>>(),
    );
    text
}
