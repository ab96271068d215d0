//! Starts streams that start on demand.

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::answer;
use super::common::Web;
use crate::relay::paths::via;
use crate::streams::StreamId;

/// Waits for a stream that starts on demand. Refuses a request that comes from this node over other nodes: without a publisher, such nodes
/// would keep each other awake.
pub(super) async fn wake(web: &Web, id: &StreamId, headers: &HeaderMap) -> Result<(), Box<Response>> {
    if !web.board.demand.offers(id) {
        return Ok(());
    }
    let (paths, via) = (&web.context.paths, via(headers));
    if web.board.find(id).is_some() {
        // The input may be about to end, because nobody has watched until now.
        if paths.check(&via).is_ok() {
            web.board.demand.note(id);
        }
        return Ok(());
    }
    paths.check(&via).map_err(|error| answer::error(StatusCode::CONFLICT, "conflict", &error.to_string()))?;
    paths.ask(id, via);
    web.board.wait_for(id).await;
    Ok(())
}
