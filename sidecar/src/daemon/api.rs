//! The daemon's own API: metrics, health and events over HTTP, and jobs over a unix socket.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, RawQuery, Request, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream::{self, Stream, StreamExt};
use serde_json::json;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::admin::{EdgeAction, JobAction};
use weir_model::event::daemon::fields::MissedByClient;
use weir_model::origin::{self, Foreign};

use super::error::Error;
use super::state::State;
use super::{deeds, history, metrics};
use crate::config::Daemon;
use crate::events::{CatchUp, Event};
use crate::files;
use crate::values::Host;
use crate::webhooks::admission::Verdict;

type App = Shared<Arc<State>>;

/// Interval between comments on a quiet stream of events.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Error message on a server without a cluster.
const NO_CLUSTER: &str = "this server has no edges: set secret_file of [cluster] in weir.toml";

/// Maximum validity of a ticket or credential, in seconds.
const MAX_TICKET: u64 = 100 * 86_400;

/// Maximum size of a form in bytes; nginx-rtmp's form for a publisher is smaller.
const MAX_FORM: usize = 64 << 10;

/// The listening sockets.
#[derive(Debug)]
pub(crate) struct Listeners {
    http: Option<TcpListener>,
    socket: UnixListener,
    /// Configured name of this machine.
    name: Option<Host>,
}

/// Binds the port and the socket; fails if another daemon uses them.
pub(crate) async fn listen(config: &Daemon) -> Result<Listeners, Error> {
    let failed = |place: String| move |error: std::io::Error| Error::Listen { place, why: error.to_string() };
    let path = &config.socket;
    let place = path.display().to_string();
    if let Some(folder) = path.parent() {
        files::SHARED.make_folder(folder).map_err(failed(format!("[daemon] socket: {place}")))?;
    }
    match UnixStream::connect(path).await {
        Ok(_) => return Err(Error::Listen { place, why: "another weir serve is running".into() }),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        // A killed daemon left this socket.
        Err(_) if is_socket(path) => std::fs::remove_file(path).map_err(failed(place.clone()))?,
        Err(_) => return Err(Error::Listen { place, why: "is there, and is no socket".into() }),
    }
    // The port is bound first, so that a port in use leaves no socket behind.
    let http = match config.listen {
        Some(address) => {
            let place = format!("[daemon] listen = \"{address}\"");
            Some(TcpListener::bind(address).await.map_err(failed(place))?)
        }
        None => None,
    };
    let socket = UnixListener::bind(path).map_err(failed(place.clone()))?;
    // The daemon's group may use the socket.
    files::set_mode(path, 0o660).map_err(failed(place))?;
    Ok(Listeners { http, socket, name: config.public_name.clone() })
}

fn is_socket(path: &std::path::Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|there| there.file_type().is_socket())
}

/// Serves until the daemon ends.
pub(crate) fn serve(listeners: Listeners, state: &Arc<State>) {
    let open = || {
        Router::new()
            .route("/metrics", get(metrics_page))
            .route("/healthz", get(health))
            .route("/v1/events", get(events))
            // nginx-rtmp uses either method, depending on `notify_method`.
            .route("/v1/admission", post(admission).get(admission))
            .layer(DefaultBodyLimit::max(MAX_FORM))
    };
    let jobs = Router::new()
        .route("/v1/edge", get(edge))
        .route("/v1/pair", get(pair))
        .route("/v1/edges", get(edges))
        .route("/v1/edges/{id}/{action}", post(drain))
        .route("/v1/edges/{id}/ticket", post(ticket))
        .route("/v1/jobs", get(jobs))
        .route("/v1/jobs/{id}/logs", get(logs))
        .route("/v1/jobs/{id}/restart", post(restart))
        .route("/v1/history", get(history::sessions))
        .route("/v1/history/{table}", get(history::table))
        .route("/v1/history/sessions/{session}", get(history::session))
        .route("/v1/chat/messages", get(history::messages));
    let name: Arc<str> = listeners.name.map(|Host(name)| origin::host(&name).into()).unwrap_or_default();
    let protected = || middleware::from_fn_with_state(name.clone(), protect);
    if let Some(http) = listeners.http {
        let app = open().layer(protected()).with_state(state.clone());
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(http, app).await });
    }
    let app = open().merge(jobs).layer(protected()).with_state(state.clone());
    tokio::spawn(async move { axum::serve(listeners.socket, app).await });
}

/// Refuses requests that a page of another site sends through a browser on this machine, because clients on this machine are
/// trusted. Sets headers that forbid storing answers and guessing their type.
async fn protect(Shared(name): Shared<Arc<str>>, request: Request, next: Next) -> Response {
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let is_local = from.is_none_or(|from| from.0.ip().to_canonical().is_loopback());
    let mut response = match own(request.headers(), &name) {
        Err(foreign) if is_local => {
            let mut message = foreign.to_string();
            if matches!(foreign, Foreign::Host(_)) {
                message.push_str(", the host name of the machine, or public_name of [daemon] in weir.toml");
            }
            let error = json!({ "error": { "code": "forbidden", "message": message } });
            (StatusCode::FORBIDDEN, Json(error)).into_response()
        }
        _ => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Checks `Host` and `Origin`. Besides the names that every machine has, the machine's own name and the configured name are
/// accepted.
fn own(headers: &HeaderMap, name: &str) -> Result<(), Foreign> {
    // A value that is no valid text matches no name.
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let host = headers.get(header::HOST).map(text);
    let origins: Vec<String> = headers.get_all(header::ORIGIN).iter().map(text).collect();
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let is_own_name = |host: &str| origin::is_name(machine.trim(), host) || origin::is_name(name, host);
    origin::check(host.as_deref(), origins.iter().map(String::as_str), is_own_name)
}

async fn metrics_page(Shared(state): App) -> impl IntoResponse {
    let jobs = state.jobs.lock().unwrap_or_else(PoisonError::into_inner).list();
    let health = state.health.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let view = state.pair.as_ref().map(|pair| pair.view());
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        metrics::page(&jobs, &health, view.as_ref()) + &state.hooks.metrics(),
    )
}

async fn health(Shared(state): App) -> impl IntoResponse {
    let health = state.health.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (status, word) = match health.nginx {
        None => (StatusCode::OK, "ok"),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "degraded"),
    };
    // This node serves, whatever the state of the other node is.
    let of_pair = state.pair.as_ref().and_then(|pair| pair.view().problem());
    let word = if of_pair.is_some() { "degraded" } else { word };
    let reasons: Vec<String> = health.nginx.into_iter().chain(of_pair).collect();
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
        true => {
            let restarted = JobAction::Restarted { id: id.clone() };
            state.bus.tell(&deeds::on_command_line(DaemonEvent::AdminJob, restarted));
            Json(json!({ "id": id })).into_response()
        }
        false => not_found(),
    }
}

async fn edge(Shared(state): App) -> Response {
    match &state.membership {
        Some(membership) => {
            let (origins, pulls) = (membership.standings(), membership.troubles());
            Json(json!({ "origins": origins, "pulls": pulls })).into_response()
        }
        None => refused(StatusCode::NOT_FOUND, "this server is no edge: set [edge] in weir.toml"),
    }
}

async fn pair(Shared(state): App) -> Response {
    match &state.pair {
        Some(pair) => Json(pair.view()).into_response(),
        None => refused(
            StatusCode::NOT_FOUND,
            "this server is no node of a pair: set peer of [cluster] in weir.toml",
        ),
    }
}

async fn edges(Shared(state): App) -> Response {
    match &state.origin {
        Some(origin) => {
            let (edges, stale) = origin.list();
            Json(json!({ "edges": edges, "stale": stale })).into_response()
        }
        None => refused(StatusCode::NOT_FOUND, NO_CLUSTER),
    }
}

async fn drain(Shared(state): App, Path((id, action)): Path<(String, String)>) -> Response {
    let Some(origin) = &state.origin else { return refused(StatusCode::NOT_FOUND, NO_CLUSTER) };
    let drained = match action.as_str() {
        "drain" => true,
        "undrain" => false,
        _ => return refused(StatusCode::NOT_FOUND, "an edge can be drained or undrained"),
    };
    match origin.drain(&id, drained).await {
        Ok(Some(id)) => {
            let of = id.to_string();
            let action =
                if drained { EdgeAction::Drained { id: of } } else { EdgeAction::Undrained { id: of } };
            state.bus.tell(&deeds::on_command_line(DaemonEvent::AdminEdge, action));
            Json(json!({ "id": id, "drained": drained })).into_response()
        }
        Ok(None) => {
            let names: Vec<String> = origin.names().iter().map(ToString::to_string).collect();
            let known = match names.is_empty() {
                true => "no edge has joined".to_owned(),
                false => format!("the edges are {}", names.join(", ")),
            };
            refused(StatusCode::NOT_FOUND, &format!("there is no edge {id:?}: {known}"))
        }
        Err(error) => refused(StatusCode::SERVICE_UNAVAILABLE, &format!("nothing has changed: {error}")),
    }
}

/// Creates a ticket for an edge: the ticket is valid for `ttl_s` seconds, its credential for `credential_s`.
async fn ticket(Shared(state): App, Path(id): Path<String>, query: RawQuery) -> Response {
    let Some(origin) = &state.origin else { return refused(StatusCode::NOT_FOUND, NO_CLUSTER) };
    let query = query.0.unwrap_or_default();
    let seconds = |name: &str, default: u64| {
        let given =
            query.split('&').filter_map(|argument| argument.split_once('=')).find(|(key, _)| *key == name);
        let seconds = given.map_or(Some(default), |(_, value)| value.parse().ok());
        seconds.filter(|seconds| (1..=MAX_TICKET).contains(seconds)).map(Duration::from_secs)
    };
    let (Some(valid), Some(credential), Ok(id)) =
        (seconds("ttl_s", 3600), seconds("credential_s", 7 * 86_400), id.parse())
    else {
        let message =
            format!("a name of an edge is expected, and ttl_s and credential_s from 1 to {MAX_TICKET}");
        return refused(StatusCode::NOT_FOUND, &message);
    };
    match origin.ticket(id, valid, credential) {
        Some(ticket) => Json(json!({ "ticket": ticket.expose() })).into_response(),
        None => refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "no ticket: secret_file of [cluster] is not set, or too many tickets are out",
        ),
    }
}

fn refused(status: StatusCode, message: &str) -> Response {
    let code = if status == StatusCode::NOT_FOUND { "not_found" } else { "unavailable" };
    (status, Json(json!({ "error": { "code": code, "message": message } }))).into_response()
}

fn not_found() -> Response {
    let error = json!({ "error": { "code": "not_found", "message": "no such job" } });
    (StatusCode::NOT_FOUND, Json(error)).into_response()
}

async fn events(Shared(state): App, headers: HeaderMap) -> impl IntoResponse {
    let last = headers.get("last-event-id").and_then(|id| last_event_id(id.to_str().ok()?.trim()));
    let CatchUp { missed, events, live } = state.bus.listen(last);
    let first = missed.then(|| tell_missed(last));
    let first: Vec<sse::Event> = first.into_iter().chain(events.iter().map(|event| wire(event))).collect();
    // The comment shows the client immediately that it is connected.
    let hello = sse::Event::default().comment("events of weir serve");
    let first = stream::iter(std::iter::once(hello).chain(first).map(Ok));
    Sse::new(first.chain(following(live))).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

/// Parses an event id. A number that is too large counts as later than every event.
fn last_event_id(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Returns the later events; a client that is too slow is notified that it missed some.
fn following(live: Receiver<Arc<Event>>) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    stream::unfold(live, async |mut live| {
        let event = match live.recv().await {
            Ok(event) => wire(&event),
            Err(RecvError::Lagged(_)) => tell_missed(None),
            Err(RecvError::Closed) => return None,
        };
        Some((Ok(event), live))
    })
}

/// Returns the event that tells a client that it missed some, after an id if that is known.
fn tell_missed(after: Option<u64>) -> sse::Event {
    let missed = DaemonEvent::Missed(MissedByClient { after });
    sse::Event::default().event(missed.kind()).data(json!(missed).to_string())
}

fn wire(event: &Event) -> sse::Event {
    sse::Event::default().id(event.id.to_string()).event(&event.kind).data(event.data.to_string())
}
