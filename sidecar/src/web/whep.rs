//! `/stream/APP/NAME/whep`: playing over WebRTC, begun and ended by HTTP as RFC 9725 has it for publishing.
//!
//! A session's address is its own secret: who has it may end the session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::answer;
use super::asker::asker;
use super::common::Web;
use super::names::{Part, part};
use crate::config::webrtc::IceServer;
use crate::live::station::Kind;
use crate::webrtc::sdp::{self, Fragment, MOST_BYTES};
use crate::webrtc::sessions::{Full, Unfit};
use crate::webrtc::{Engine, MayStay, Opened, Refused};

const SDP: &str = "application/sdp";
const TRICKLE: &str = "application/trickle-ice-sdpfrag";
/// A body that takes longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first viewer of a stream waits so long for its beginning.
const BEGINNING: Duration = Duration::from_secs(8);
const ALLOWED: &str = "OPTIONS, POST, PATCH, DELETE";

/// Begins a session.
pub(super) async fn post(
    State(web): State<Arc<Web>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let request = Request { web: &web, peer, query: query.unwrap_or_default(), headers, body };
    shared(begin(request, &path).await.unwrap_or_else(|refused| *refused))
}

struct Request<'w> {
    web: &'w Arc<Web>,
    peer: SocketAddr,
    query: String,
    headers: HeaderMap,
    body: Body,
}

async fn begin(request: Request<'_>, path: &str) -> Result<Response, Box<Response>> {
    let Request { web, peer, query, headers, body } = request;
    let (id, part) = part(path).ok_or_else(nothing)?;
    if part != Part::Whep {
        return Err(other().into());
    }
    let engine = web.webrtc.as_ref().ok_or_else(off)?;
    let settings = &web.context.config().web;
    let client = asker(peer, &headers, &settings.trusted_proxies, &settings.base).client;
    let admitted = web.doors.admit(&id, &query, &headers, client).map_err(|denied| denied.answer())?;
    check_type(&headers, SDP)?;
    check_accepted(&headers)?;
    let offer = text(body).await?;
    let viewer = web.hub.watch(&id, Kind::Uncounted).ok_or_else(answer::not_live)?;
    let start = viewer.station().begun(BEGINNING).await.ok_or_else(|| {
        retry(answer::error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the stream has not begun yet"))
    })?;
    let may_stay = admitted.pass.map(|pass| {
        let web = web.clone();
        Box::new(move || web.doors.still_opens(&pass)) as MayStay
    });
    match engine.watch(&offer, (viewer, &start), client, may_stay) {
        Ok(opened) => Ok(created(&opened, web)),
        Err(refused) => Err(refusal(&refused).into()),
    }
}

fn created(opened: &Opened, web: &Web) -> Response {
    // Relative to the address that was asked for, whatever a proxy calls it.
    let location = format!("whep/{}", opened.id);
    let headers = [
        (header::CONTENT_TYPE, SDP.to_owned()),
        (header::LOCATION, location),
        (header::ETAG, opened.etag.clone()),
        (HeaderName::from_static("accept-patch"), TRICKLE.to_owned()),
    ];
    let mut response = (StatusCode::CREATED, headers, opened.sdp.clone()).into_response();
    link(&mut response, web);
    response
}

/// STUN and TURN servers (RFC 9725, 4.6).
fn link(response: &mut Response, web: &Web) {
    let config = web.context.config();
    for server in config.webrtc.iter().flat_map(|settings| &settings.ice_servers) {
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

/// What a browser asks before a page of another site may begin a session, and what a client may ask.
pub(super) async fn options(State(web): State<Arc<Web>>, Path(path): Path<String>) -> Response {
    if !matches!(part(&path), Some((_, Part::Whep | Part::WhepSession(_)))) {
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
    link(&mut response, &web);
    shared(response)
}

/// Takes candidates of a client.
pub(super) async fn patch(
    State(web): State<Arc<Web>>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let change = async {
        let (engine, id) = session(&web, &path)?;
        check_type(&headers, TRICKLE)?;
        let etag = headers.get(header::IF_MATCH).and_then(|etag| etag.to_str().ok()).ok_or_else(|| {
            answer::error(StatusCode::PRECONDITION_REQUIRED, "precondition_required", "If-Match is missing")
        })?;
        if !engine.sessions.has(&id) {
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
    let ended = session(&web, &path).map(|(engine, id)| match engine.sessions.stop(&id) {
        true => StatusCode::OK.into_response(),
        false => nothing(),
    });
    shared(ended.unwrap_or_else(|refused| *refused))
}

fn session<'w>(web: &'w Web, path: &str) -> Result<(&'w Engine, String), Box<Response>> {
    let Some((_, Part::WhepSession(id))) = part(path) else { return Err(other().into()) };
    Ok((web.webrtc.as_ref().ok_or_else(off)?, id))
}

fn check_type(headers: &HeaderMap, wanted: &str) -> Result<(), Box<Response>> {
    let sent = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let sent = sent.split(';').next().unwrap_or_default().trim();
    if sent.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    let message = format!("Content-Type must be {wanted}");
    Err(answer::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", &message).into())
}

fn check_accepted(headers: &HeaderMap) -> Result<(), Box<Response>> {
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

async fn text(body: Body) -> Result<String, Box<Response>> {
    let bad = |message: &str| answer::error(StatusCode::BAD_REQUEST, "bad_request", message);
    let read = timeout(PATIENCE, to_bytes(body, MOST_BYTES)).await;
    let bytes = read
        .map_err(|_| answer::error(StatusCode::REQUEST_TIMEOUT, "timeout", "the body did not come in time"))?
        .map_err(|_| refusal(&Refused::Offer(sdp::Error::Long)))?;
    String::from_utf8(bytes.into()).map_err(|_| bad("the body is no UTF-8").into())
}

/// As an answer.
fn refusal(refused: &Refused) -> Response {
    let (status, code) = match refused {
        Refused::Offer(sdp::Error::Long) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        Refused::Offer(sdp::Error::Unsupported(_)) => (StatusCode::NOT_ACCEPTABLE, "not_acceptable"),
        Refused::Offer(_) | Refused::Engine(_) => (StatusCode::BAD_REQUEST, "bad_request"),
        Refused::Stream(_) => (StatusCode::CONFLICT, "conflict"),
        Refused::Full(Full::Client) => (StatusCode::TOO_MANY_REQUESTS, "too_many_requests"),
        Refused::Full(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    let response = answer::error(status, code, &refused.to_string());
    if matches!(refused, Refused::Full(_)) { retry(response) } else { response }
}

fn retry(mut response: Response) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

fn off() -> Response {
    answer::error(StatusCode::NOT_FOUND, "not_found", "WebRTC is off: [webrtc] is missing in weir.toml")
}

fn nothing() -> Response {
    answer::error(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address")
}

/// 405 for a method that the address does not have.
pub(super) fn other() -> Response {
    let message = "this address begins a WebRTC session with POST, and its Location ends it with DELETE";
    let mut response = answer::error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(ALLOWED));
    shared(response)
}

/// For pages of other sites.
fn shared(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    let exposed = HeaderValue::from_static("location, etag, link, retry-after");
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    response
}
