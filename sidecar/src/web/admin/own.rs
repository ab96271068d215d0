//! The daemon's jobs, inputs and recordings.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::admin::{JobAction, RecordingAction};

use super::gate::{Changer, Reader};
use super::login::read;
use crate::config::input::Start;
use crate::jobs::View;
use crate::record::index::{Entry, Index};
use crate::web::answer;
use crate::web::common::Web;

/// The id of a job: `APP/NAME/KIND`.
#[derive(Deserialize)]
pub(super) struct Id {
    id: String,
}

/// Returns all jobs.
pub(super) async fn jobs(State(web): State<Arc<Web>>, _: Reader) -> Response {
    Json(json!({ "jobs": web.office.jobs().list() })).into_response()
}

/// Returns the last log lines of a job.
pub(super) async fn job_logs(
    State(web): State<Arc<Web>>,
    _: Reader,
    Query(Id { id }): Query<Id>,
) -> Response {
    let lines = web.office.jobs().logs(&id);
    match lines {
        Some(lines) => Json(json!({ "lines": lines })).into_response(),
        None => no_job(),
    }
}

/// Restarts a job.
pub(super) async fn restart_job(
    State(web): State<Arc<Web>>,
    Changer(caller): Changer,
    body: Bytes,
) -> Response {
    let Id { id } = match read(&body) {
        Ok(id) => id,
        Err(response) => return response,
    };
    if !web.office.jobs().restart(&id) {
        return no_job();
    }
    web.office.tell(DaemonEvent::AdminJob, &caller.name, JobAction::Restarted { id: id.clone() });
    Json(json!({ "id": id })).into_response()
}

fn no_job() -> Response {
    answer::error(StatusCode::NOT_FOUND, "not_found", "no such job")
}

/// Returns the `[[input]]` tables, each with its running job. URLs are not shown, because they may contain passwords.
pub(super) async fn inputs(State(web): State<Arc<Web>>, _: Reader) -> Response {
    let jobs: Vec<View> = web.office.jobs().list();
    let config = web.context.config();
    let inputs = config.inputs.iter().map(|input| {
        let id = format!("{}/{}/input", input.app, input.stream);
        let start = match input.start {
            Start::Always => "always".to_owned(),
            Start::OnDemand => "on-demand".to_owned(),
            Start::Daily { from, until } => {
                format!("{:02}:{:02}..{:02}:{:02}", from / 60, from % 60, until / 60, until % 60)
            }
        };
        json!({ "app": input.app, "stream": input.stream, "source": input.source.word(), "start": start,
            "transcode": input.transcode, "job": jobs.iter().find(|job| job.id == id) })
    });
    Json(json!({ "inputs": inputs.collect::<Vec<_>>() })).into_response()
}

/// Returns the indexes of all folders with recordings.
pub(super) async fn indexes(web: &Web) -> Vec<(PathBuf, Arc<Index>)> {
    tokio::task::spawn_blocking(opening(web)).await.unwrap_or_default()
}

/// Returns a function that opens the indexes of all folders with recordings. It waits for their disks.
pub(super) fn opening(web: &Web) -> impl FnOnce() -> Vec<(PathBuf, Arc<Index>)> + Send + 'static {
    let config = web.context.config();
    let folders: BTreeSet<PathBuf> = config.records.iter().map(|record| record.folder.clone()).collect();
    let recordings = web.office.running.recordings.clone();
    move || {
        let open = |folder: PathBuf| Some((folder.clone(), recordings.of(&folder).ok()?));
        folders.into_iter().filter_map(open).collect()
    }
}

/// Finds a recording by its number.
pub(super) async fn find(web: &Arc<Web>, number: u64) -> Option<(PathBuf, Arc<Index>, Entry)> {
    indexes(web).await.into_iter().find_map(|(folder, index)| {
        let (_, entry) = index.entries().into_iter().find(|(known, _)| *known == number)?;
        Some((folder, index, entry))
    })
}

/// Returns all recordings, newest first.
pub(super) async fn recordings(State(web): State<Arc<Web>>, _: Reader) -> Response {
    let open = opening(&web);
    let read = move || {
        let all = open().into_iter().flat_map(|(folder, index)| {
            index.entries().into_iter().map(move |(number, entry)| (number, with_size(&folder, entry)))
        });
        all.collect::<Vec<_>>()
    };
    let mut all = tokio::task::spawn_blocking(read).await.unwrap_or_default();
    all.sort_by_key(|(number, entry)| Reverse((entry.started, *number)));
    let rows: Vec<Value> = all.into_iter().map(|(number, entry)| row(number, &entry)).collect();
    let is_on = !web.context.config().records.is_empty();
    Json(json!({ "recordings": rows, "enabled": is_on })).into_response()
}

/// Sets the present size of a recording that is still being written. Waits for the disk.
fn with_size(folder: &std::path::Path, mut entry: Entry) -> Entry {
    if entry.ended.is_none()
        && let Ok(about) = std::fs::metadata(folder.join(&entry.file))
    {
        entry.bytes = about.len();
    }
    entry
}

fn row(number: u64, entry: &Entry) -> Value {
    let upload = entry
        .upload
        .as_ref()
        .map(|upload| json!({ "to": upload.to, "done": upload.done, "parts": upload.parts.len(), "error": upload.error }));
    // The number is sent as text, because it is too large for a JavaScript number.
    json!({ "id": number.to_string(), "app": entry.app, "stream": entry.stream, "file": entry.file,
        "started": entry.started, "ended": entry.ended, "duration_ms": entry.duration_ms, "bytes": entry.bytes,
        "upload": upload })
}

/// Removes a finished recording.
pub(super) async fn remove_recording(
    State(web): State<Arc<Web>>,
    Changer(caller): Changer,
    Path(number): Path<u64>,
) -> Response {
    let Some((_, index, entry)) = find(&web, number).await else { return answer::nothing_here().await };
    if entry.ended.is_none() {
        return answer::error(StatusCode::CONFLICT, "conflict", "the recording is still being written");
    }
    let removed = tokio::task::spawn_blocking(move || index.remove(number)).await;
    match removed {
        Ok(Ok(())) => {
            let Entry { app, stream: name, file, .. } = entry;
            let removed = RecordingAction::Removed { app, name, file };
            web.office.tell(DaemonEvent::AdminRecording, &caller.name, removed);
            Json(json!({ "id": number.to_string() })).into_response()
        }
        Ok(Err(error)) => {
            tracing::error!("recording not removed: {error}, file: {:?}", entry.file);
            answer::error(StatusCode::INTERNAL_SERVER_ERROR, "failed", &format!("not removed: {error}"))
        }
        Err(_) => answer::error(StatusCode::INTERNAL_SERVER_ERROR, "failed", "not removed"),
    }
}
