//! An API with push targets, on a unix socket, for tests.

use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, patch};
use axum::{Json, Router};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::UnixListener;

use crate::nginx::Nginx;

/// State of the API, and its requests.
#[derive(Default)]
pub(crate) struct Kept {
    targets: Vec<(String, String, bool)>,
    /// Changes, for example `t1 true`.
    pub changes: Vec<String>,
    /// All answers are 503.
    pub down: bool,
    /// The node belongs to a pair.
    pub paired: bool,
    /// Pushes are held.
    pub held: bool,
}

type Shared = Arc<Mutex<Kept>>;

pub(crate) struct FakeApi {
    pub folder: TempDir,
    pub kept: Shared,
}

impl FakeApi {
    /// Starts the API with targets: id, note, and whether they are enabled. It refuses a change of the id `tf`, like one of a target of
    /// nginx.conf.
    pub(crate) fn start(targets: &[(&str, &str, bool)]) -> Self {
        let targets = targets.iter().map(|(id, note, on)| ((*id).into(), (*note).into(), *on)).collect();
        let kept: Shared = Arc::new(Mutex::new(Kept { targets, ..Kept::default() }));
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("api")).unwrap();
        let routes = Router::new()
            .route("/api/v1/targets", get(list))
            .route("/api/v1/targets/{id}", patch(change))
            .route("/api/v1/pushes", get(pushes).put(hold))
            .with_state(kept.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { folder, kept }
    }

    /// Returns a client of the API.
    pub(crate) fn nginx(&self) -> Nginx {
        let url = format!("unix:{}:/api", self.folder.path().join("api").display());
        Nginx::new(url.parse().unwrap(), None).unwrap()
    }

    /// Returns the ids of the enabled targets.
    pub(crate) fn enabled(&self) -> Vec<String> {
        let kept = self.kept.lock().unwrap();
        kept.targets.iter().filter(|target| target.2).map(|target| target.0.clone()).collect()
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.kept.lock().unwrap().down = down;
    }
}

fn error(status: StatusCode, code: &str) -> (StatusCode, Json<Value>) {
    (status, Json(json!({ "error": { "code": code, "message": code } })))
}

async fn pushes(State(kept): State<Shared>) -> (StatusCode, Json<Value>) {
    let kept = kept.lock().unwrap();
    match kept.down {
        true => error(StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        false => (StatusCode::OK, Json(json!({ "held": kept.held, "paired": kept.paired }))),
    }
}

async fn hold(State(kept): State<Shared>, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    let mut kept = kept.lock().unwrap();
    kept.held = body["held"].as_bool().unwrap();
    (StatusCode::OK, Json(json!({ "held": kept.held, "paired": kept.paired })))
}

async fn list(State(kept): State<Shared>) -> (StatusCode, Json<Value>) {
    let kept = kept.lock().unwrap();
    if kept.down {
        return error(StatusCode::SERVICE_UNAVAILABLE, "unavailable");
    }
    let shown = |(id, note, on): &(String, String, bool)| json!({ "id": id, "app": "live", "stream": "*", "url": "rtmp://h/a/***", "enabled": on, "note": note });
    (StatusCode::OK, Json(json!({ "targets": kept.targets.iter().map(shown).collect::<Vec<_>>() })))
}

async fn change(
    State(kept): State<Shared>,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let mut kept = kept.lock().unwrap();
    if kept.down {
        return error(StatusCode::SERVICE_UNAVAILABLE, "unavailable");
    }
    if id == "tf" {
        return error(StatusCode::CONFLICT, "conflict");
    }
    let enabled = body["enabled"].as_bool().unwrap();
    kept.changes.push(format!("{id} {enabled}"));
    match kept.targets.iter_mut().find(|target| target.0 == id) {
        Some(target) => {
            target.2 = enabled;
            (StatusCode::OK, Json(json!({ "id": id, "enabled": enabled })))
        }
        None => error(StatusCode::NOT_FOUND, "not_found"),
    }
}
