//! `/v1/history` and `/v1/chat/messages`: the history and past chat messages, over the daemon's socket.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State as Shared};
use axum::response::{IntoResponse, Response};

use super::state::State;
use crate::chat::read as chat;
use crate::history::read::{MOST_ROWS, Table};
use crate::web::history::{self, Asked, Found};

type App = Shared<Arc<State>>;

/// Returns `/v1/history`: the publish sessions.
pub(super) async fn sessions(Shared(state): App, query: Asked) -> Response {
    shown(history::rows(&state.history, Table::Sessions.name(), query, MOST_ROWS).await)
}

/// Returns `/v1/history/{table}`.
pub(super) async fn table(Shared(state): App, Path(name): Path<String>, query: Asked) -> Response {
    shown(history::rows(&state.history, &name, query, MOST_ROWS).await)
}

/// Returns `/v1/history/sessions/{session}`.
pub(super) async fn session(Shared(state): App, Path(id): Path<String>) -> Response {
    shown(history::session(&state.history, &[], id).await)
}

/// Returns `/v1/chat/messages`.
pub(super) async fn messages(
    Shared(state): App,
    query: Result<Query<chat::Query>, QueryRejection>,
) -> Response {
    shown(history::messages(&state.chat, query).await)
}

fn shown(found: Found) -> Response {
    found.map_or_else(|refusal| refusal, IntoResponse::into_response)
}
