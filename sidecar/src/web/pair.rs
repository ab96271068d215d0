//! `POST /v1/pair`: letters of the other node of a pair.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::answer;
use super::common::Web;
use crate::cluster::wire::ANSWER;

/// Takes a letter. It is read elsewhere: what is new in it is written to the disk.
pub(super) async fn post(State(web): State<Arc<Web>>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(pair) = web.pair.clone() else { return answer::nothing_here().await };
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let authorization = authorization.map(str::to_owned);
    let taken = tokio::task::spawn_blocking(move || pair.take(authorization.as_deref(), &body)).await;
    let Ok((status, body, signature)) = taken else {
        return answer::error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the letter was not read");
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = if signature.is_some() { "application/octet-stream" } else { "application/json" };
    let mut response = (status, [(header::CONTENT_TYPE, kind)], body).into_response();
    if let Some(value) = signature.and_then(|signature| HeaderValue::from_str(&signature).ok()) {
        response.headers_mut().insert(ANSWER, value);
    }
    response
}
