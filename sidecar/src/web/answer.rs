//! Errors as the API words them, and headers that every answer has.

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::json;

/// `{"error":{"code":..,"message":..}}`
pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({ "error": { "code": code, "message": message } });
    (status, Json(body)).into_response()
}

/// 404 for what is not live.
pub(super) fn not_live() -> Response {
    error(StatusCode::NOT_FOUND, "not_found", "the stream is not live")
}

/// 404 for what is nowhere.
pub(super) async fn nothing_here() -> Response {
    error(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address")
}

/// From `/tv` to `/tv/`: relative to the folder above, whatever a proxy calls that.
pub(super) async fn to_base(request: Request) -> Redirect {
    let last = request.uri().path().rsplit('/').next().unwrap_or_default();
    Redirect::permanent(&format!("{last}/"))
}

/// Nobody takes an answer for something else, and nobody keeps one that does not say so.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
