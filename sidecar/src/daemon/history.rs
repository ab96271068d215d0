//! `/v1/history`: what happened, over the daemon's socket.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::task::spawn_blocking;

use super::state::State;
use crate::database::csv;
use crate::history::History;
use crate::history::read::{self, Table};

type App = Shared<Arc<State>>;
type Asked = Result<Query<read::Query>, QueryRejection>;

/// `/v1/history`: the publishes.
pub(super) async fn sessions(Shared(state): App, query: Asked) -> Response {
    rows(&state.history, Table::Sessions, query).await
}

/// `/v1/history/{table}`
pub(super) async fn table(Shared(state): App, Path(name): Path<String>, query: Asked) -> Response {
    match name.parse() {
        Ok(table) => rows(&state.history, table, query).await,
        Err(read::NoTable) => {
            error(StatusCode::NOT_FOUND, "not_found", &format!("{name:?}: {}", read::NoTable))
        }
    }
}

/// `/v1/history/sessions/{session}`
pub(super) async fn session(Shared(state): App, Path(id): Path<String>) -> Response {
    let Some(file) = state.history.file() else { return off() };
    match spawn_blocking(move || read::session(&file, &id)).await {
        Ok(Ok(Some(found))) => Json(found).into_response(),
        Ok(Ok(None)) => error(StatusCode::NOT_FOUND, "not_found", "the history has no such session"),
        Ok(Err(why)) => unreadable(&why.to_string()),
        Err(why) => unreadable(&why.to_string()),
    }
}

async fn rows(history: &History, table: Table, query: Asked) -> Response {
    let query = match query {
        Ok(Query(query)) => query,
        Err(why) => return error(StatusCode::BAD_REQUEST, "invalid", &why.body_text()),
    };
    let is_csv = match query.format.as_deref() {
        None | Some("json") => false,
        Some("csv") => true,
        Some(_) => {
            return error(
                StatusCode::BAD_REQUEST,
                "invalid",
                "argument \"format\": must be \"json\" or \"csv\"",
            );
        }
    };
    let Some(file) = history.file() else { return off() };
    match spawn_blocking(move || read::table(&file, table, &query)).await {
        Ok(Ok(rows)) if is_csv => {
            ([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], csv::text(&rows)).into_response()
        }
        Ok(Ok(rows)) => Json(json!({ table.name(): rows.objects() })).into_response(),
        Ok(Err(why)) => unreadable(&why.to_string()),
        Err(why) => unreadable(&why.to_string()),
    }
}

fn off() -> Response {
    let message = "there is no history: file of [history] in weir.toml is \"off\", or the file cannot be used (see the log)";
    error(StatusCode::NOT_FOUND, "not_found", message)
}

fn unreadable(why: &str) -> Response {
    error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", why)
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({ "error": { "code": code, "message": message } }))).into_response()
}
