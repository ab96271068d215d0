//! Functions that WHEP and WHIP share: offers and answers over HTTP (RFC 9725).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::answer;
use super::common::Web;
use crate::config::webrtc::IceServer;
use crate::publisher;
use crate::webrtc::publish::Error;
use crate::webrtc::sdp::{self, MOST_BYTES};
use crate::webrtc::sessions::Full;
use crate::webrtc::{Opened, Refused};

/// Content type of an offer and an answer.
pub(super) const SDP: &str = "application/sdp";
/// Content type of a client's ICE candidates.
pub(super) const TRICKLE: &str = "application/trickle-ice-sdpfrag";
/// Methods that these addresses allow.
pub(super) const ALLOWED: &str = "OPTIONS, POST, PATCH, DELETE";
/// Maximum time to receive a body.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request that starts a session.
pub(super) struct Request<'w> {
    pub web: &'w Arc<Web>,
    pub peer: SocketAddr,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Body,
}

/// Returns 201. `kind` is the last part of the requested path.
pub(super) fn created(kind: &str, opened: &Opened, web: &Web) -> Response {
    // The location is relative to the requested address, so it works whatever path a proxy uses.
    let location = format!("{kind}/{}", opened.id);
    let headers = [
        (header::CONTENT_TYPE, SDP.to_owned()),
        (header::LOCATION, location),
        (header::ETAG, opened.etag.clone()),
        (HeaderName::from_static("accept-patch"), TRICKLE.to_owned()),
    ];
    let mut response = (StatusCode::CREATED, headers, opened.sdp.clone()).into_response();
    link(&mut response, web, To::Session);
    response
}

/// Recipient of the list of STUN and TURN servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// Anybody; gets no servers with a password.
    Anybody,
    /// A client whose session was accepted.
    Session,
}

/// Adds links to STUN and TURN servers (RFC 9725, 4.6).
pub(super) fn link(response: &mut Response, web: &Web, to: To) {
    let config = web.context.config();
    let servers = config.webrtc.iter().flat_map(|settings| &settings.ice_servers);
    for server in servers.filter(|server| to == To::Session || server.credentials.is_none()) {
        if let Ok(value) = HeaderValue::from_str(&ice_server(server)) {
            response.headers_mut().append(header::LINK, value);
        }
    }
}

fn ice_server(server: &IceServer) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let credentials = server.credentials.as_ref().map_or(String::new(), |(user, password)| {
        let (user, password) = (quoted(user), quoted(password.expose()));
        format!("; username=\"{user}\"; credential=\"{password}\"; credential-type=\"password\"")
    });
    format!("<{}>; rel=\"ice-server\"{credentials}", server.url)
}

pub(super) fn check_type(headers: &HeaderMap, wanted: &str) -> Result<(), Box<Response>> {
    let sent = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let sent = sent.split(';').next().unwrap_or_default().trim();
    if sent.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    let message = format!("Content-Type must be {wanted}");
    Err(answer::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", &message).into())
}

pub(super) fn check_accepted(headers: &HeaderMap) -> Result<(), Box<Response>> {
    let Some(accept) = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()) else {
        return Ok(());
    };
    let fits = |range: &str| {
        matches!(range.split(';').next().unwrap_or_default().trim(), SDP | "application/*" | "*/*")
    };
    if accept.split(',').any(fits) {
        return Ok(());
    }
    Err(answer::error(StatusCode::NOT_ACCEPTABLE, "not_acceptable", "the answer is application/sdp").into())
}

pub(super) async fn text(body: Body) -> Result<String, Box<Response>> {
    let bad = |message: &str| answer::error(StatusCode::BAD_REQUEST, "bad_request", message);
    let read = timeout(PATIENCE, to_bytes(body, MOST_BYTES)).await;
    let bytes = read
        .map_err(|_| answer::error(StatusCode::REQUEST_TIMEOUT, "timeout", "the body did not come in time"))?
        .map_err(|_| refusal(&Refused::Offer(sdp::Error::Long)))?;
    String::from_utf8(bytes.into()).map_err(|_| bad("the body is no UTF-8").into())
}

/// Returns the answer to a refused session.
pub(super) fn refusal(refused: &Refused) -> Response {
    let (status, code) = match refused {
        Refused::Offer(sdp::Error::Long) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        Refused::Offer(sdp::Error::Unsupported(_)) => (StatusCode::NOT_ACCEPTABLE, "not_acceptable"),
        Refused::Offer(_) | Refused::Engine(_) => (StatusCode::BAD_REQUEST, "bad_request"),
        // The player distinguishes this answer from other conflicts by its code.
        Refused::Stream(_) => (StatusCode::CONFLICT, "unsuitable"),
        Refused::Publish(error) => return refused_by_nginx(error),
        Refused::Full(Full::Client) => (StatusCode::TOO_MANY_REQUESTS, "too_many_requests"),
        Refused::Full(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    let response = answer::error(status, code, &refused.to_string());
    if matches!(refused, Refused::Full(_)) { retry(response) } else { response }
}

pub(super) fn retry(mut response: Response) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

pub(super) fn off() -> Response {
    answer::error(StatusCode::NOT_FOUND, "not_found", "WebRTC is off: [webrtc] is missing in weir.toml")
}

pub(super) fn nothing() -> Response {
    answer::error(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address")
}

/// Returns the answer to a publish that nginx refused, with nginx's message.
fn refused_by_nginx(error: &Error) -> Response {
    let words = error.to_string();
    let (status, code) = match error {
        Error::Publisher(publisher::Error::Refused { why, .. }) if is_taken(why) => {
            (StatusCode::CONFLICT, "conflict")
        }
        Error::Publisher(publisher::Error::Refused { .. }) => (StatusCode::FORBIDDEN, "forbidden"),
        Error::Publisher(publisher::Error::NoApplication { .. }) => (StatusCode::NOT_FOUND, "not_found"),
        _ => {
            let refused = answer::error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &words);
            return retry(refused);
        }
    };
    answer::error(status, code, &words)
}

/// Returns whether another publisher uses the name.
fn is_taken(why: &str) -> bool {
    let why = why.to_ascii_lowercase();
    why.contains("already") || why.contains("in use")
}

/// Returns 405 for a method that the address does not allow.
pub(super) fn other() -> Response {
    let message = "this address begins a WebRTC session with POST, and its Location ends it with DELETE";
    let mut response = answer::error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(ALLOWED));
    shared(response)
}

/// Adds the CORS headers for pages of other sites.
pub(super) fn shared(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    let exposed = HeaderValue::from_static("location, etag, link, retry-after");
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    response
}
