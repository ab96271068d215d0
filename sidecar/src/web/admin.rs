//! `/admin/`: the dashboard, and its API below `/admin/api/`, for logged-in users.
//!
//! - [`gate`]: checks the session and that a request comes from the dashboard itself; [`login`]: starts and ends sessions
//! - [`module`]: requests to the module's API; [`own`]: the daemon's jobs; [`files`]: recordings as files; [`settings`]: weir.toml;
//!   [`nodes`]: data of this machine and of the other nodes
//! - [`mod@history`]: the history; [`edges`]: the edges of this origin; [`chat`]: messages and moderation
//! - [`feed`]: messages to open dashboards, which a [`watcher`] produces; [`uploads`] of live streams are part of them
//! - [`pages`]: the files that browsers load
#![allow(clippy::result_large_err, reason = "a refusal is an answer, made once per request")]

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{any, delete, get, patch, post};

use super::common::Web;

mod chat;
mod cookie;
mod edges;
mod feed;
mod files;
mod gate;
mod history;
mod login;
mod module;
pub(super) mod nodes;
mod own;
mod pages;
mod settings;
mod uploads;
pub(super) mod watcher;

/// Maximum size of a request body in bytes; no request of the dashboard is larger.
const MAX_BODY: usize = 64 << 10;

/// Returns all routes, from `/admin` on.
pub(super) fn routes() -> Router<Arc<Web>> {
    let api = Router::new()
        .route("/session", get(login::session))
        .route("/login", post(login::log_in))
        .route("/logout", post(login::log_out))
        .route("/setup", post(login::set_up))
        .route("/setup/check", post(login::check_link))
        .route("/password", post(login::change_password))
        .route("/feed", get(feed::get))
        .route("/applications", get(module::applications))
        .route("/streams", get(module::streams))
        .route("/streams/{*path}", delete(module::drop_stream))
        .route("/keys", get(module::keys).post(module::add_key))
        .route("/keys/{id}", delete(module::revoke_key))
        .route("/keys/{id}/rotate", post(module::rotate_key))
        .route("/targets", get(module::targets).post(module::add_target))
        .route("/targets/{id}", patch(module::change_target).delete(module::remove_target))
        .route("/links", post(module::make_link))
        .route("/links/{jti}", delete(module::revoke_link))
        .route("/jobs", get(own::jobs))
        .route("/jobs/logs", get(own::job_logs))
        .route("/jobs/restart", post(own::restart_job))
        .route("/inputs", get(own::inputs))
        .route("/recordings", get(own::recordings))
        .route("/recordings/{number}", delete(own::remove_recording))
        .route("/recordings/{number}/file", get(files::get))
        .route("/edges", get(edges::get))
        .route("/edges/{id}/drain", post(edges::drain))
        .route("/edges/{id}/undrain", post(edges::undrain))
        .merge(history::routes())
        .route("/chat", get(chat::rooms).post(chat::order))
        .route("/chat/room", get(chat::room))
        .route("/chat/messages", get(chat::log))
        .route("/node", get(nodes::get))
        .route("/settings", get(settings::get))
        // The router around this one has no fallback, so axum would drop a fallback of this router.
        .route("/{*unknown}", any(super::answer::nothing_here))
        .layer(DefaultBodyLimit::max(MAX_BODY));
    Router::new().route("/", get(pages::index)).route("/assets/{name}", get(pages::asset)).nest("/api", api)
}

/// Returns the routes of the history below `/v1`, for programs that log in as the dashboard does.
pub(super) fn history() -> Router<Arc<Web>> {
    history::routes()
}
