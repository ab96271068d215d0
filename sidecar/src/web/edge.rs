//! `GET /edge?stream=APP/NAME`: returns the server to watch a stream at. `&redirect=hls|watch` redirects there; `&not=ID`, which
//! may be repeated, excludes an edge that did not answer.
//! `POST /v1/edges`: receives reports of edges. `POST /v1/edges/join`: exchanges a ticket for a credential.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use weir_model::Secret;
use weir_model::link::Patterns;

use super::asker::{Asker, asker};
use super::common::Web;
use super::{answer, names};
use crate::cluster::credential::HEADER;
use crate::cluster::origin::{NoPlace, Origin, Place, Viewer, viewer_hash};
use crate::cluster::record::EdgeId;
use crate::cluster::wire::{ANSWER, Join};
use crate::config::Config;
use crate::streams::StreamId;

/// Seconds until a viewer asks again: an edge may have joined, or viewers may have left.
const RETRY_S: &str = "5";

/// Maximum number of edges that a viewer may exclude.
const MOST_NOT: usize = 8;

/// Arguments of a request.
#[derive(Debug, Default, PartialEq)]
struct Asked {
    stream: Option<StreamId>,
    redirect: Option<To>,
    not: Vec<EdgeId>,
    /// Token, unchanged; it is appended to the address.
    token: Option<String>,
}

/// Destination of a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Hls,
    Watch,
}

/// Answers with the server to watch a stream at.
pub(super) async fn get(
    State(web): State<Arc<Web>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let mut response = match &web.origin {
        Some(origin) if sends_viewers(&web, origin) => {
            place(&web, origin, peer, &query.unwrap_or_default(), &headers)
        }
        _ => answer::nothing_here().await,
    };
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// Returns whether this node sends viewers to edges. An edge has the secret of an origin, too, but no edges.
fn sends_viewers(web: &Web, origin: &Origin) -> bool {
    let config = web.context.config();
    config.edge.is_none() || config.loadbalancer.is_some() || !origin.names().is_empty()
}

fn place(web: &Web, origin: &Origin, peer: SocketAddr, query: &str, headers: &HeaderMap) -> Response {
    let asked = match asked(query) {
        Ok(asked) => asked,
        Err(message) => return answer::error(StatusCode::BAD_REQUEST, "bad_request", message),
    };
    let Some(id) = &asked.stream else {
        let message = "argument \"stream\": is missing, such as /edge?stream=live/show";
        return answer::error(StatusCode::BAD_REQUEST, "bad_request", message);
    };
    let config = web.context.config();
    let asker = asker(peer, headers, &config.web.trusted_proxies, &config.web.base);
    let agent = headers.get(header::USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
    let stream = format!("{}/{}", id.0, id.1);
    let viewer = Viewer {
        hash: viewer_hash(asker.client, agent),
        address: asker.client,
        bitrate: bitrate(web, &config, id),
        stream: &stream,
        needs_daemon: needs_daemon(asked.redirect, &config.nginx.addresses, || {
            web.doors.needs_token(id).unwrap_or(true)
        }),
        not: &asked.not,
    };
    match origin.place(viewer) {
        Ok(place) => match asked.redirect {
            None => Json(place).into_response(),
            Some(to) => redirect(&address(&place, id, to, &asked, &config.nginx.addresses)),
        },
        Err(NoPlace::NoEdge) if asked.redirect.is_some() && own(web, &asker).is_some() => {
            let to = format!("{}{}", own(web, &asker).unwrap_or_default(), own_path(id, &asked));
            redirect(&to)
        }
        Err(why) => {
            let code = match why {
                NoPlace::NoEdge => "no_edge",
                NoPlace::Full => "full",
            };
            let mut response = answer::error(StatusCode::SERVICE_UNAVAILABLE, code, &why.to_string());
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_S));
            response
        }
    }
}

/// Returns the bitrate of a stream, in bit/s; 0 if unknown, and `None` if the stream is not live.
fn bitrate(web: &Web, config: &Config, id: &StreamId) -> Option<u64> {
    match web.board.find(id) {
        Some(entry) => Some(entry.bitrate),
        // A load balancer may not know the live streams.
        None => (!config.follows_nginx()).then_some(0),
    }
}

/// Returns the URL of this server for viewers.
fn own(web: &Web, asker: &Asker) -> Option<String> {
    web.context.config().web.url.clone().or_else(|| asker.url.clone())
}

/// Returns the path of a stream at the origin. Without edges, viewers watch at the origin's pages, which also serve HLS.
fn own_path((app, name): &StreamId, asked: &Asked) -> String {
    let path = match asked.redirect {
        Some(To::Watch) => format!("/watch/{app}/{name}"),
        _ => format!("/stream/{app}/{name}/llhls/master.m3u8"),
    };
    match &asked.token {
        Some(token) => format!("{path}?token={token}"),
        None => path,
    }
}

fn asked(query: &str) -> Result<Asked, &'static str> {
    let mut asked = Asked::default();
    for (name, value) in query.split('&').filter_map(|argument| argument.split_once('=')) {
        let text = percent_encoding::percent_decode_str(value).decode_utf8().unwrap_or_default();
        match name {
            "stream" => {
                asked.stream = Some(
                    names::stream(&text).ok_or("argument \"stream\": must be APP/NAME, such as live/show")?,
                );
            }
            "redirect" => {
                asked.redirect = Some(match &*text {
                    "hls" => To::Hls,
                    "watch" => To::Watch,
                    _ => return Err("argument \"redirect\": must be hls or watch"),
                });
            }
            "not" if asked.not.len() >= MOST_NOT => {
                return Err("argument \"not\": is there too often, 8 times at most");
            }
            "not" => {
                asked.not.push(text.parse().map_err(|_| "argument \"not\": must be the name of an edge")?);
            }
            // Only characters of tokens are accepted.
            "token" if value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) => {
                asked.token = Some(value.to_owned());
            }
            "token" => return Err("argument \"token\": is no token"),
            _ => {}
        }
    }
    Ok(asked)
}

/// Returns the address of a stream at an edge: the same as at this server, with the edge's URL.
fn address(place: &Place, (app, name): &StreamId, to: To, asked: &Asked, patterns: &Patterns) -> String {
    let address = pattern(to, patterns).replace("{url}", &place.address);
    let address = address.replace("{app}", app.as_str()).replace("{stream}", name.as_str());
    match &asked.token {
        Some(token) => format!("{address}{}token={token}", if address.contains('?') { '&' } else { '?' }),
        None => address,
    }
}

/// Returns the pattern of addresses at an edge. A pattern with a fixed host would lead back to this server.
fn pattern(to: To, patterns: &Patterns) -> String {
    let (pattern, usual) = match to {
        To::Hls => (&patterns.hls, "{url}/stream/{app}/{stream}/llhls/master.m3u8"),
        To::Watch => (&patterns.watch, "{url}/watch/{app}/{stream}"),
    };
    let own = pattern.as_ref().map(ToString::to_string).filter(|pattern| pattern.starts_with("{url}"));
    own.unwrap_or_else(|| usual.to_owned())
}

/// Returns whether only an edge with a daemon serves the viewer. An nginx that only caches has no pages, and passes no token on for the
/// playlists of the origin's daemon, which the player of a page uses too.
fn needs_daemon(to: Option<To>, patterns: &Patterns, needs_token: impl Fn() -> bool) -> bool {
    match to {
        Some(To::Watch) => true,
        Some(To::Hls) | None => pattern(To::Hls, patterns).contains("/llhls/") && needs_token(),
    }
}

fn redirect(to: &str) -> Response {
    match HeaderValue::from_str(to) {
        Ok(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Err(_) => {
            answer::error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the address of the edge is no URL")
        }
    }
}

/// Receives the report of an edge.
pub(super) async fn post(
    State(web): State<Arc<Web>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(origin) = &web.origin else { return answer::nothing_here().await };
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let config = web.context.config();
    let from = asker(peer, &headers, &config.web.trusted_proxies, &config.web.base).client;
    let facts = || {
        let live = web.board.all();
        let streams = live.iter().map(|entry| format!("{}/{}", entry.live.app, entry.live.name));
        (streams.collect(), web.doors.members())
    };
    let (status, text, signature) =
        origin.take(from, text(header::AUTHORIZATION.as_str()), text(HEADER), &body, facts).await;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], text).into_response();
    if let Some(value) = signature.and_then(|signature| HeaderValue::from_str(&signature).ok()) {
        response.headers_mut().insert(ANSWER, value);
    }
    response
}

/// Exchanges a ticket for a credential.
pub(super) async fn join(
    State(web): State<Arc<Web>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(origin) = &web.origin else { return answer::nothing_here().await };
    let Ok(Join { ticket, user }) = serde_json::from_slice::<Join>(&body) else {
        return answer::error(
            StatusCode::BAD_REQUEST,
            "bad_request",
            "fields \"ticket\" and \"user\" are expected",
        );
    };
    let settings = &web.context.config().web;
    let from = asker(peer, &headers, &settings.trusted_proxies, &settings.base).client;
    match origin.join(from, &Secret::new(ticket), &Secret::new(user)) {
        Ok(credential) => {
            Json(serde_json::json!({ "credential": credential.text().expose() })).into_response()
        }
        Err(why) => answer::error(StatusCode::FORBIDDEN, "forbidden", &why.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_nginx_that_only_caches_gets_the_viewers_that_it_can_serve() {
        let needs = |to, hls: Option<&str>, token: bool| {
            let patterns = Patterns { hls: hls.map(|hls| hls.parse().unwrap()), ..Patterns::default() };
            needs_daemon(to, &patterns, || token)
        };
        assert!(
            needs(Some(To::Watch), None, false)
                && needs(Some(To::Hls), None, true)
                && needs(None, None, true)
        );
        assert!(
            !needs(Some(To::Hls), None, false)
                && !needs(Some(To::Hls), Some("{url}/hls/{stream}.m3u8"), true)
        );
        assert!(
            needs(Some(To::Hls), Some("https://origin/{stream}.m3u8"), true),
            "edges have the usual address"
        );
    }

    #[test]
    fn arguments_are_checked_and_a_token_goes_along() {
        let good = asked("stream=live%2Fshow&redirect=hls&token=a.b-c_d&not=edge1:8443&x=1").unwrap();
        assert_eq!((good.redirect, good.not[0].as_str()), (Some(To::Hls), "edge1:8443"));
        let place = Place { edge: "e".into(), address: "https://e.example.org".into() };
        let id = good.stream.clone().unwrap();
        let at = |to, patterns: &Patterns| address(&place, &id, to, &good, patterns);
        assert_eq!(
            at(To::Hls, &Patterns::default()),
            "https://e.example.org/stream/live/show/llhls/master.m3u8?token=a.b-c_d"
        );
        let nginx = Patterns { hls: Some("{url}/hls/{stream}.m3u8".parse().unwrap()), ..Patterns::default() };
        assert_eq!(at(To::Hls, &nginx), "https://e.example.org/hls/show.m3u8?token=a.b-c_d");
        let own = Patterns { watch: Some("{url}/?s={stream}".parse().unwrap()), ..Patterns::default() };
        assert_eq!(at(To::Watch, &own), "https://e.example.org/?s=show&token=a.b-c_d");
        let back = Patterns { watch: Some("https://o/{stream}".parse().unwrap()), ..Patterns::default() };
        assert_eq!(at(To::Watch, &back), "https://e.example.org/watch/live/show?token=a.b-c_d");
        let often = format!("stream=live/show{}", "&not=a".repeat(9));
        for bad in
            [&*often, "stream=show", "stream=live/../x", "redirect=evil", "not=a%2Fb", "token=a%0D%0Ab"]
        {
            assert!(asked(bad).is_err(), "{bad}");
        }
    }
}
