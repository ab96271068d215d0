//! `POST /v1/pair`: receives messages of the other node of a pair.

use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::answer;
use super::asker::asker;
use super::common::Web;
use crate::cluster::pair::MAX_LETTER;
use crate::cluster::wire::ANSWER;

/// Maximum time to receive a message.
const PATIENCE: Duration = Duration::from_secs(5);

/// Receives a message. Another thread processes it, because changes are written to disk.
pub(super) async fn post(
    State(web): State<Arc<Web>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(pair) = web.pair.clone() else { return answer::nothing_here().await };
    let config = web.context.config();
    let client = asker(peer, &headers, &config.web.trusted_proxies, &config.web.base).client;
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let authorization = authorization.map(str::to_owned);
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    // The whole message is in memory before its sender is known, so few are read simultaneously. The other node sends one message
    // at a time.
    let Ok(_reading) = web.letters.take(client) else {
        let message = "too many letters are read at the moment";
        return answer::error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message);
    };
    if length.is_some_and(|length: usize| length > MAX_LETTER) {
        // If the server answered before the end of the body, the answer would be lost with the connection.
        let _ = timeout(PATIENCE, body.into_data_stream().for_each(|_| ready(()))).await;
        return answer::error(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "a letter has at most 2 MiB");
    }
    // The body of a request without a signature is not read.
    let body = match authorization {
        None => Ok(Ok(Default::default())),
        Some(_) => timeout(PATIENCE, to_bytes(body, MAX_LETTER)).await,
    };
    let body = match body {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return answer::error(StatusCode::BAD_REQUEST, "bad_request", "the letter is cut off"),
        Err(_) => return answer::error(StatusCode::REQUEST_TIMEOUT, "timeout", "the letter is late"),
    };
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
