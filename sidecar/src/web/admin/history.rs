//! The history, for every account: below `/admin/api/history` for the dashboard, and below `/v1/history` for programs.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;

use super::gate::Reader;
use crate::history::read::Table;
use crate::web::common::Web;
use crate::web::history::{self, Asked, Found};

/// Default number of rows per page.
const PAGE: u32 = 100;

/// Returns all routes, from `/history` on.
pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/history", get(sessions))
        .route("/history/{table}", get(table))
        .route("/history/sessions/{session}", get(session))
}

async fn sessions(State(web): State<Arc<Web>>, _: Reader, headers: HeaderMap, query: Asked) -> Response {
    let found = history::rows(&web.context.history, Table::Sessions.name(), query, PAGE).await;
    shown(found, &headers)
}

async fn table(
    State(web): State<Arc<Web>>,
    _: Reader,
    Path(name): Path<String>,
    headers: HeaderMap,
    query: Asked,
) -> Response {
    shown(history::rows(&web.context.history, &name, query, PAGE).await, &headers)
}

async fn session(
    State(web): State<Arc<Web>>,
    _: Reader,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let config = web.context.config();
    shown(history::session(&web.context.history, &config.events, id).await, &headers)
}

fn shown(found: Found, headers: &HeaderMap) -> Response {
    found.map_or_else(|refusal| refusal, |sheet| sheet.for_browser(headers))
}
