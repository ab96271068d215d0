//! Errors in the form of the API, and headers of every answer.

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::json;

/// Returns an error: `{"error":{"code":..,"message":..}}`.
pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({ "error": { "code": code, "message": message } });
    (status, Json(body)).into_response()
}

/// Returns 404 for a stream that is not live.
pub(super) fn not_live() -> Response {
    error(StatusCode::NOT_FOUND, "not_found", "the stream is not live")
}

/// Returns 404 for an unknown address.
pub(super) async fn nothing_here() -> Response {
    error(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address")
}

/// Redirects `/tv` to `/tv/`. The redirect is relative to the parent folder, so it works whatever path a proxy uses.
pub(super) async fn to_base(request: Request) -> Redirect {
    let last = request.uri().path().rsplit('/').next().unwrap_or_default();
    Redirect::permanent(&format!("{last}/"))
}

/// Sets headers: browsers must not guess the content type, and must not store an answer that does not allow it.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
