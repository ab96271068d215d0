//! `/stream/APP/NAME/whep` and `.../whip`: start and end WebRTC sessions over HTTP (RFC 9725).
//!
//! The address of a session is secret: a client that has it may end the session.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::common::Web;
use super::names::{Part, part};
use super::offers::{
    ALLOWED, Request, SDP, TRICKLE, To, check_type, link, nothing, off, other, refusal, shared, text,
};
use super::{answer, whep, whip};
use crate::streams::StreamId;
use crate::webrtc::Engine;
use crate::webrtc::sdp::Fragment;
use crate::webrtc::sessions::Unfit;

/// Starts a session.
pub(super) async fn post(
    State(web): State<Arc<Web>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let request = Request { web: &web, peer, query: query.unwrap_or_default(), headers, body };
    let begun = match part(&path) {
        Some((id, Part::Whep)) => whep::begin(request, &id).await,
        Some((id, Part::Whip)) => whip::begin(request, &id).await,
        Some(_) => return other(),
        None => return nothing(),
    };
    shared(begun.unwrap_or_else(|refused| *refused))
}

/// Answers the preflight request of a browser for a page of another site, and `OPTIONS` of other clients.
pub(super) async fn options(State(web): State<Arc<Web>>, Path(path): Path<String>) -> Response {
    if !matches!(part(&path), Some((_, Part::Whep | Part::Whip | Part::Session(_)))) {
        return answer::nothing_here().await;
    }
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, if-match"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
        (HeaderName::from_static("accept-post"), SDP),
        (HeaderName::from_static("accept-patch"), TRICKLE),
    ];
    let mut response = (StatusCode::NO_CONTENT, headers).into_response();
    link(&mut response, &web, To::Anybody);
    shared(response)
}

/// Receives ICE candidates of a client.
pub(super) async fn patch(
    State(web): State<Arc<Web>>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let change = async {
        let (engine, stream, id) = session(&web, &path)?;
        check_type(&headers, TRICKLE)?;
        let etag = headers.get(header::IF_MATCH).and_then(|etag| etag.to_str().ok()).ok_or_else(|| {
            answer::error(StatusCode::PRECONDITION_REQUIRED, "precondition_required", "If-Match is missing")
        })?;
        if !engine.sessions.has(&stream, &id) {
            return Err(Box::new(nothing()));
        }
        let fragment = Fragment::read(&text(body).await?).map_err(|error| refusal(&error.into()))?;
        let told = engine.sessions.trickle(&id, etag, fragment.ufrag.as_deref(), fragment.candidates);
        told.map_err(unfit)?;
        Ok::<_, Box<Response>>(StatusCode::NO_CONTENT.into_response())
    };
    shared(change.await.unwrap_or_else(|refused| *refused))
}

fn unfit(why: Unfit) -> Response {
    let (status, code, message) = match why {
        Unfit::Unknown => return nothing(),
        Unfit::Etag => {
            (StatusCode::PRECONDITION_FAILED, "precondition_failed", "If-Match is not the session's ETag")
        }
        Unfit::Restart => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "unsupported",
            "ICE restarts are not supported: begin a new session",
        ),
        Unfit::Candidates => (StatusCode::BAD_REQUEST, "bad_request", "too many ICE candidates"),
    };
    answer::error(status, code, message)
}

/// Ends a session.
pub(super) async fn delete(State(web): State<Arc<Web>>, Path(path): Path<String>) -> Response {
    let ended = session(&web, &path).map(|(engine, stream, id)| match engine.sessions.stop(&stream, &id) {
        true => StatusCode::OK.into_response(),
        false => nothing(),
    });
    shared(ended.unwrap_or_else(|refused| *refused))
}

fn session<'w>(web: &'w Web, path: &str) -> Result<(&'w Engine, StreamId, String), Box<Response>> {
    let Some((stream, Part::Session(id))) = part(path) else { return Err(other().into()) };
    Ok((web.webrtc.as_ref().ok_or_else(off)?, stream, id))
}
