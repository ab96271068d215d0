//! The edges of this origin, and the draining of edges.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::admin::EdgeAction;

use super::gate::{Changer, Reader};
use crate::web::answer;
use crate::web::common::Web;

/// Returns all edges, and the reason why the list may be out of date; `enabled` is false if this server has no edges.
pub(super) fn list(web: &Web) -> Value {
    match &web.origin {
        Some(origin) => {
            let (edges, stale) = origin.list();
            json!({ "enabled": true, "edges": edges, "stale": stale })
        }
        None => json!({ "enabled": false, "edges": [], "stale": null }),
    }
}

pub(super) async fn get(State(web): State<Arc<Web>>, _: Reader) -> Json<Value> {
    Json(list(&web))
}

/// Drains an edge: viewers are sent to other edges.
pub(super) async fn drain(state: State<Arc<Web>>, changer: Changer, id: Path<String>) -> Response {
    set(state, changer, id, true).await
}

/// Undrains an edge.
pub(super) async fn undrain(state: State<Arc<Web>>, changer: Changer, id: Path<String>) -> Response {
    set(state, changer, id, false).await
}

async fn set(
    State(web): State<Arc<Web>>,
    Changer(caller): Changer,
    Path(id): Path<String>,
    drained: bool,
) -> Response {
    let done = match &web.origin {
        Some(origin) => origin.drain(&id, drained).await,
        None => Ok(None),
    };
    match done {
        Ok(Some(id)) => {
            let of = id.to_string();
            let action =
                if drained { EdgeAction::Drained { id: of } } else { EdgeAction::Undrained { id: of } };
            web.office.tell(DaemonEvent::AdminEdge, &caller.name, action);
            Json(json!({ "id": id, "drained": drained })).into_response()
        }
        Ok(None) => answer::error(StatusCode::NOT_FOUND, "not_found", "there is no such edge"),
        Err(error) => {
            let message = format!("nothing has changed: {error}");
            answer::error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &message)
        }
    }
}
