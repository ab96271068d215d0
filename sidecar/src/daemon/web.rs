//! The daemon's own API: metrics, health and events over HTTP, and jobs over a unix socket.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Path, RawQuery, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream::{self, Stream, StreamExt};
use serde_json::json;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::{Error, State, metrics};
use crate::config::Daemon;
use crate::events::{CatchUp, Event};
use crate::files;
use crate::webhooks::admission::Verdict;

type App = Shared<Arc<State>>;

/// Between comments on a quiet stream of events.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// More than what nginx-rtmp ever sends of one publisher.
const MAX_FORM: usize = 64 << 10;

/// What is listened on.
#[derive(Debug)]
pub struct Listeners {
    http: Option<TcpListener>,
    socket: UnixListener,
}

/// Takes port and socket, so that a second daemon finds them taken.
pub async fn listen(config: &Daemon) -> Result<Listeners, Error> {
    let failed = |place: String| move |error: std::io::Error| Error::Listen { place, why: error.to_string() };
    let path = &config.socket;
    let place = path.display().to_string();
    if let Some(folder) = path.parent() {
        files::SHARED.make_folder(folder).map_err(failed(folder.display().to_string()))?;
    }
    match UnixStream::connect(path).await {
        Ok(_) => return Err(Error::Listen { place, why: "another weir serve is running".into() }),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        // Left by a daemon that was killed.
        Err(_) if is_socket(path) => std::fs::remove_file(path).map_err(failed(place.clone()))?,
        Err(_) => return Err(Error::Listen { place, why: "is there, and is no socket".into() }),
    }
    let socket = UnixListener::bind(path).map_err(failed(place.clone()))?;
    // Who may use it is who is in the daemon's group.
    files::set_mode(path, 0o660).map_err(failed(place))?;
    let http = match config.listen {
        Some(address) => Some(TcpListener::bind(address).await.map_err(failed(address.to_string()))?),
        None => None,
    };
    Ok(Listeners { http, socket })
}

fn is_socket(path: &std::path::Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|there| there.file_type().is_socket())
}

/// Serves until the daemon ends.
pub fn serve(listeners: Listeners, state: &Arc<State>) {
    let open = || {
        Router::new()
            .route("/metrics", get(metrics_page))
            .route("/healthz", get(health))
            .route("/v1/events", get(events))
            // nginx-rtmp's notify_method may be either.
            .route("/v1/admission", post(admission).get(admission))
            .layer(DefaultBodyLimit::max(MAX_FORM))
    };
    let jobs = Router::new()
        .route("/v1/jobs", get(jobs))
        .route("/v1/jobs/{id}/logs", get(logs))
        .route("/v1/jobs/{id}/restart", post(restart));
    if let Some(http) = listeners.http {
        let app = open().with_state(state.clone());
        tokio::spawn(async move { axum::serve(http, app).await });
    }
    let app = open().merge(jobs).with_state(state.clone());
    tokio::spawn(async move { axum::serve(listeners.socket, app).await });
}

async fn metrics_page(Shared(state): App) -> impl IntoResponse {
    let jobs = state.jobs.lock().unwrap_or_else(PoisonError::into_inner).list();
    let health = state.health.lock().unwrap_or_else(PoisonError::into_inner).clone();
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        metrics::page(&jobs, &health) + &state.hooks.metrics(),
    )
}

async fn health(Shared(state): App) -> impl IntoResponse {
    let health = state.health.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (status, word) = match health.nginx {
        None => (StatusCode::OK, "ok"),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "degraded"),
    };
    let reasons: Vec<String> = health.nginx.into_iter().collect();
    (status, Json(json!({ "status": word, "reasons": reasons, "streams": health.streams })))
}

async fn admission(Shared(state): App, query: RawQuery, body: String) -> StatusCode {
    let form = if body.is_empty() { query.0.unwrap_or_default() } else { body };
    match state.hooks.admit(&form).await {
        Some(Verdict::Allow) => StatusCode::OK,
        Some(Verdict::Deny) => StatusCode::FORBIDDEN,
        Some(Verdict::Misplaced) => StatusCode::BAD_REQUEST,
        None => StatusCode::NOT_FOUND,
    }
}

async fn jobs(Shared(state): App) -> impl IntoResponse {
    let jobs = state.jobs.lock().unwrap_or_else(PoisonError::into_inner).list();
    Json(json!({ "jobs": jobs }))
}

async fn logs(Shared(state): App, Path(id): Path<String>) -> Response {
    match state.jobs.lock().unwrap_or_else(PoisonError::into_inner).logs(&id) {
        Some(lines) => Json(json!({ "lines": lines })).into_response(),
        None => not_found(),
    }
}

async fn restart(Shared(state): App, Path(id): Path<String>) -> Response {
    match state.jobs.lock().unwrap_or_else(PoisonError::into_inner).restart(&id) {
        true => Json(json!({ "id": id })).into_response(),
        false => not_found(),
    }
}

fn not_found() -> Response {
    let error = json!({ "error": { "code": "not_found", "message": "no such job" } });
    (StatusCode::NOT_FOUND, Json(error)).into_response()
}

async fn events(Shared(state): App, headers: HeaderMap) -> impl IntoResponse {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let CatchUp { missed, events, live } = state.bus.listen(last);
    let first =
        missed.then(|| sse::Event::default().event("missed").data(json!({ "after": last }).to_string()));
    let first: Vec<sse::Event> = first.into_iter().chain(events.iter().map(|event| wire(event))).collect();
    // Nobody should wait for the first event to know that it listens.
    let hello = sse::Event::default().comment("events of weir serve");
    let first = stream::iter(std::iter::once(hello).chain(first).map(Ok));
    Sse::new(first.chain(following(live))).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

/// Events as they come; who is too slow is told that it missed some.
fn following(live: Receiver<Arc<Event>>) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    stream::unfold(live, async |mut live| {
        let event = match live.recv().await {
            Ok(event) => wire(&event),
            Err(RecvError::Lagged(_)) => sse::Event::default().event("missed").data("{}"),
            Err(RecvError::Closed) => return None,
        };
        Some((Ok(event), live))
    })
}

fn wire(event: &Event) -> sse::Event {
    sse::Event::default().id(event.id.to_string()).event(&event.kind).data(event.data.to_string())
}
