//! Requests to the module's API: streams, keys, targets, links. Refusals by the module are passed on unchanged.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use qrcode::{Color, QrCode};
use serde::Deserialize;
use serde_json::{Value, json};
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::admin::{KeyAction, LinkAction, NamedTarget, StreamAction, TargetAction};
use weir_model::key::KeyId;
use weir_model::target::TargetId;
use weir_model::token::TokenId;
use weir_model::{AppName, StreamName, Timestamp};
use weir_rtmp::url::DEFAULT_PORT;

use super::gate::{Changer, Moderator, Own, Reader};
use super::login::read;
use super::watcher;
use crate::config::DEFAULT_API;
use crate::config::web::Play;
use crate::nginx::{Application, Error, LinkRequest, Nginx, RevokeTokens};
use crate::web::answer;
use crate::web::common::Web;

type Asked = Result<Response, Response>;

/// Creates a client of the module's API.
pub(super) fn nginx(web: &Web) -> Result<Nginx, Response> {
    let at = &web.context.config().nginx;
    Nginx::of_configuration(at.api.clone(), at.api_token_file.as_deref()).map_err(|error| refusal(&error))
}

/// Returns the module's refusal unchanged, or an error of the daemon itself.
pub(super) fn refusal(error: &Error) -> Response {
    match error {
        Error::Refused { status, code, message } => answer::error(*status, code, message),
        _ => {
            tracing::warn!("the dashboard has no answer from nginx: {error}");
            let message = "nginx does not answer: the log of weir serve says why";
            answer::error(StatusCode::BAD_GATEWAY, "unreachable", message)
        }
    }
}

async fn ask(web: &Web, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Response> {
    let answer = nginx(web)?.forward(method, path, body).await.map_err(|error| refusal(&error))?;
    Ok(answer.value)
}

/// Returns the applications of nginx.conf.
pub(super) async fn applications(State(web): State<Arc<Web>>, _: Reader) -> Asked {
    Ok(Json(ask(&web, Method::GET, "v1/applications", None).await?).into_response())
}

/// Returns all live streams with their health, in the form that open dashboards receive.
pub(super) async fn streams(State(web): State<Arc<Web>>, _: Reader) -> Asked {
    let streams = watcher::look(&web).await.map_err(|error| refusal(&error))?;
    Ok(Json(streams).into_response())
}

/// Drops the publisher of a stream; `ban_s` also refuses its key. With `session`, only the publisher of this session is dropped.
pub(super) async fn drop_stream(
    State(web): State<Arc<Web>>,
    Moderator(caller): Moderator,
    Path(path): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Asked {
    let Some((app, name)) = path.rsplit_once('/') else { return Ok(answer::nothing_here().await) };
    let ban_s = query.get("ban_s").map_or(Ok(0), |text| text.parse::<u64>()).map_err(|_| {
        answer::error(StatusCode::BAD_REQUEST, "bad_request", "ban_s: write seconds, 0 to 86400")
    })?;
    let server = query.get("server").and_then(|server| server.parse().ok());
    let nginx = nginx(&web)?;
    if let Some(session) = query.get("session") {
        let listed = nginx.forward(Method::GET, "v1/streams", None).await.map_err(|error| refusal(&error))?;
        let server = query.get("server").map(String::as_str);
        check_session(&listed.value, (app, name, server), session)?;
    }
    let dropped = nginx.drop_publisher(app, name, server.as_ref(), ban_s).await;
    let dropped = dropped.map_err(|error| refusal(&error))?;
    let (app, name) = (app.to_owned(), name.to_owned());
    web.office.tell(DaemonEvent::AdminStream, &caller.name, StreamAction::Dropped { app, name, ban_s });
    let value = dropped.value;
    Ok(Json(json!({ "dropped": value.dropped, "banned_until": value.banned_until })).into_response())
}

/// Returns 409 if the stream is live with another session. A stream that is not live passes, because the module refuses it.
fn check_session(
    listed: &Value,
    (app, name, server): (&str, &str, Option<&str>),
    session: &str,
) -> Result<(), Response> {
    let text = |stream: &Value, field: &str| stream[field].as_str().unwrap_or_default().to_owned();
    let streams = listed["streams"].as_array().into_iter().flatten();
    let found = streams.filter(|stream| {
        text(stream, "app") == app
            && text(stream, "name") == name
            && server.is_none_or(|server| text(stream, "server") == server)
    });
    let sessions: Vec<String> = found.map(|stream| text(stream, "session")).collect();
    if sessions.is_empty() || sessions.iter().any(|live| live == session) {
        return Ok(());
    }
    let message = format!("{app}/{name} has another publisher now, so Weir did not disconnect it");
    Err(answer::error(StatusCode::CONFLICT, "conflict", &message))
}

/// Returns all keys, without secrets.
pub(super) async fn keys(State(web): State<Arc<Web>>, _: Reader) -> Asked {
    let keys = nginx(&web)?.keys().await.map_err(|error| refusal(&error))?;
    Ok(json_text(keys.text))
}

/// Creates a key; only this answer contains it.
pub(super) async fn add_key(State(web): State<Arc<Web>>, Changer(caller): Changer, body: Bytes) -> Asked {
    let wanted: Value = read(&body)?;
    let application = check_application(&web, &wanted).await?;
    let mut made = ask(&web, Method::POST, "v1/keys", Some(&wanted)).await?;
    let NamedTarget { id, app, name } = named(&made);
    web.office.tell(DaemonEvent::AdminKey, &caller.name, KeyAction::Added { id, app, name });
    add_addresses(&web, &caller.own, application.and_then(|found| found.rtmp_port), &mut made);
    Ok((StatusCode::CREATED, Json(made)).into_response())
}

/// Replaces the secret of a key; only this answer contains the new secret.
pub(super) async fn rotate_key(
    State(web): State<Arc<Web>>,
    Changer(caller): Changer,
    Path(id): Path<KeyId>,
    body: Bytes,
) -> Asked {
    #[derive(Deserialize)]
    struct Rotate {
        #[serde(default)]
        overlap_s: u64,
    }
    let Rotate { overlap_s } = read(&body)?;
    let wanted = json!({ "overlap_s": overlap_s });
    let mut made = ask(&web, Method::POST, &format!("v1/keys/{id}/rotate"), Some(&wanted)).await?;
    let NamedTarget { app, name, .. } = named(&made);
    let rotated = KeyAction::Rotated { id: id.to_string(), app, name, overlap_s };
    web.office.tell(DaemonEvent::AdminKey, &caller.name, rotated);
    let known = nginx(&web)?.applications().await.ok().flatten().unwrap_or_default();
    let port = known.into_iter().find(|known| made["app"] == known.name).and_then(|known| known.rtmp_port);
    add_addresses(&web, &caller.own, port, &mut made);
    Ok(Json(made).into_response())
}

/// Revokes a key.
pub(super) async fn revoke_key(
    State(web): State<Arc<Web>>,
    Changer(caller): Changer,
    Path(id): Path<KeyId>,
) -> Asked {
    // The answer does not say of which stream the key was.
    let known = nginx(&web)?.keys().await.ok().and_then(|answer| serde_json::from_str(&answer.text).ok());
    let known: Value = known.unwrap_or_default();
    let id = id.to_string();
    let key = known["keys"].as_array().and_then(|keys| keys.iter().find(|key| key["id"] == *id));
    let (app, name) = of_stream(key);
    let answer = ask(&web, Method::DELETE, &format!("v1/keys/{id}"), None).await?;
    web.office.tell(DaemonEvent::AdminKey, &caller.name, KeyAction::Revoked { id, app, name });
    Ok(Json(answer).into_response())
}

/// Returns all targets, with secrets masked.
pub(super) async fn targets(State(web): State<Arc<Web>>, _: Reader) -> Asked {
    Ok(Json(ask(&web, Method::GET, "v1/targets", None).await?).into_response())
}

/// Creates a target.
pub(super) async fn add_target(State(web): State<Arc<Web>>, Changer(caller): Changer, body: Bytes) -> Asked {
    let wanted: Value = read(&body)?;
    check_application(&web, &wanted).await?;
    let made = ask(&web, Method::POST, "v1/targets", Some(&wanted)).await?;
    web.office.tell(DaemonEvent::AdminTarget, &caller.name, TargetAction::Added(named(&made)));
    Ok((StatusCode::CREATED, Json(made)).into_response())
}

/// Pauses, resumes or changes a target.
pub(super) async fn change_target(
    State(web): State<Arc<Web>>,
    Changer(caller): Changer,
    Path(id): Path<TargetId>,
    body: Bytes,
) -> Asked {
    let wanted: Value = read(&body)?;
    let made = ask(&web, Method::PATCH, &format!("v1/targets/{id}"), Some(&wanted)).await?;
    let action = match wanted["enabled"].as_bool() {
        Some(true) => TargetAction::Resumed,
        Some(false) => TargetAction::Paused,
        None => TargetAction::Changed,
    };
    web.office.tell(DaemonEvent::AdminTarget, &caller.name, action(named(&made)));
    Ok(Json(made).into_response())
}

/// Deletes a target.
pub(super) async fn remove_target(
    State(web): State<Arc<Web>>,
    Changer(caller): Changer,
    Path(id): Path<TargetId>,
) -> Asked {
    let path = format!("v1/targets/{id}");
    // The answer does not say of which stream the target was.
    let target = ask(&web, Method::GET, &path, None).await.ok();
    let (app, name) = of_stream(target.as_ref());
    let answer = ask(&web, Method::DELETE, &path, None).await?;
    let removed = TargetAction::Removed { id: id.to_string(), app, name };
    web.office.tell(DaemonEvent::AdminTarget, &caller.name, removed);
    Ok(Json(answer).into_response())
}

/// Returns id, application and stream of a key or a target in an answer of nginx.
fn named(made: &Value) -> NamedTarget {
    let text = |field: &str| made[field].as_str().unwrap_or_default().to_owned();
    NamedTarget { id: text("id"), app: text("app"), name: text("stream") }
}

/// Returns application and stream of a key or a target, as far as they are known.
fn of_stream(known: Option<&Value>) -> (Option<String>, Option<String>) {
    let text = |field: &str| known.and_then(|known| known[field].as_str()).map(str::to_owned);
    (text("app"), text("stream"))
}

/// Refuses an application that nginx does not have, and lists the known ones; returns the application.
async fn check_application(web: &Web, wanted: &Value) -> Result<Option<Application>, Response> {
    let known = nginx(web)?.applications().await.map_err(|error| refusal(&error))?;
    let (Some(known), Some(app)) = (known, wanted["app"].as_str()) else { return Ok(None) };
    let names: Vec<&str> = known.iter().map(|known| known.name.as_str()).collect();
    if !names.contains(&app) {
        let message = format!("field \"app\": {}", weir_model::api::no_application(app, &names));
        return Err(answer::error(StatusCode::BAD_REQUEST, "bad_request", &message));
    }
    Ok(known.into_iter().find(|known| known.name == app))
}

/// Adds the addresses that an encoder needs beside a new key: OBS's *Server*, and the address for WHIP if WebRTC is on.
fn add_addresses(web: &Web, own: &Own, port: Option<u16>, made: &mut Value) {
    let config = web.context.config();
    let place = config.web.url.clone().or_else(|| own.url.clone()).unwrap_or_default();
    let called = config.daemon.public_name.as_ref().map(|name| name.0.clone());
    let (app, stream) = (&made["app"], &made["stream"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let server = rtmp_server(called, &place, port, &text(app));
    let whip = format!("{place}/stream/{}/{}/whip", text(app), text(stream));
    let whip = web.webrtc.as_ref().map(|_| whip);
    if let Some(made) = made.as_object_mut() {
        made.insert("obs_server".into(), json!(server));
        made.insert("whip_url".into(), json!(whip));
    }
}

/// Returns the RTMP address. `called` is the configured name of this machine; without it, the host of the browser's URL is used.
fn rtmp_server(called: Option<String>, place: &str, port: Option<u16>, app: &str) -> String {
    let of_page = || {
        let authority = place.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or(""));
        match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => host.to_owned(),
            _ => authority.to_owned(),
        }
    };
    let host = called.unwrap_or_else(of_page);
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    match port.filter(|port| *port != DEFAULT_PORT && !has_port) {
        Some(port) => format!("rtmp://{host}:{port}/{app}"),
        None => format!("rtmp://{host}/{app}"),
    }
}

/// Creates a link to share, with a token if viewers need one.
pub(super) async fn make_link(
    State(web): State<Arc<Web>>,
    Moderator(caller): Moderator,
    body: Bytes,
) -> Asked {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        app: AppName,
        stream: StreamName,
        ttl_s: u64,
    }
    let Wanted { app, stream, ttl_s } = read(&body)?;
    let config = web.context.config();
    let place = config.web.url.clone().or_else(|| caller.own.url.clone()).unwrap_or_default();
    let nginx = nginx(&web)?;
    let known = nginx.applications().await.map_err(|error| refusal(&error))?.unwrap_or_default();
    let is_protected = config.web.play == Play::Token
        || (config.web.play == Play::AsNginx
            && known.iter().any(|known| known.name == app.as_str() && known.needs_play_token()));
    let page = format!("{place}/watch/{app}/{stream}");
    if !is_protected {
        return Ok(Json(json!({ "watch": page, "expires_at": null, "qr": code(&page) })).into_response());
    }
    let request = LinkRequest {
        app: app.as_str(),
        stream: stream.as_str(),
        ttl_s,
        ip: None,
        url: None,
        watch_url: Some(format!("{place}/watch/{{app}}/{{stream}}")),
        hls_url: None,
        dash_url: None,
        rtmp_url: None,
    };
    let links = nginx.make_links(&request).await.map_err(|error| refusal(&error))?.value;
    let (app, name, jti) = (app.to_string(), stream.to_string(), links.jti.to_string());
    let made = LinkAction::Made { app, name, jti, expires_at: links.expires_at };
    web.office.tell(DaemonEvent::AdminLink, &caller.name, made);
    let qr = code(&links.watch);
    let at = &config.nginx;
    let api = Some(at.api.to_string()).filter(|api| api != DEFAULT_API);
    let revoke = links.revoke_command(api.as_deref(), at.api_token_file.as_deref());
    let answer = json!({ "watch": links.watch, "expires_at": links.expires_at, "jti": links.jti, "revoke": revoke, "qr": qr });
    Ok(Json(answer).into_response())
}

/// Revokes the token of a link. With `expires_at`, the module forgets the revocation when the token expires.
pub(super) async fn revoke_link(
    State(web): State<Arc<Web>>,
    Moderator(caller): Moderator,
    Path(jti): Path<TokenId>,
    Query(query): Query<HashMap<String, String>>,
) -> Asked {
    let expires_at = query.get("expires_at").map(|text| text.parse::<Timestamp>()).transpose();
    let expires_at = expires_at.map_err(|why| {
        answer::error(StatusCode::BAD_REQUEST, "bad_request", &format!("expires_at: {why}"))
    })?;
    let wanted = RevokeTokens { jti: Some(&jti), expires_at, app: None, stream: None, revoked_at: None };
    let revoked = nginx(&web)?.revoke_tokens(&wanted).await.map_err(|error| refusal(&error))?;
    let action = LinkAction::Revoked { jti: Some(jti.to_string()), sub: None };
    web.office.tell(DaemonEvent::AdminLink, &caller.name, action);
    Ok(json_text(revoked.text))
}

/// Returns the rows of a QR code, with `1` for dark; `None` for a link that is too long.
fn code(link: &str) -> Option<Vec<String>> {
    let code = QrCode::new(link.as_bytes()).ok()?;
    let digit = |color: &Color| if *color == Color::Dark { '1' } else { '0' };
    Some(code.to_colors().chunks(code.width()).map(|row| row.iter().map(digit).collect()).collect())
}

fn json_text(text: String) -> Response {
    ([(axum::http::header::CONTENT_TYPE, "application/json")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoders_are_told_a_server_that_they_reach() {
        for (called, place, port, expected) in [
            (None, "http://192.0.2.1:8080/tv", Some(1935), "rtmp://192.0.2.1/live"),
            (None, "http://[2001:db8::1]:8080", Some(1936), "rtmp://[2001:db8::1]:1936/live"),
            (None, "https://h", None, "rtmp://h/live"),
            (Some("r.example.org:1999"), "https://h", Some(1936), "rtmp://r.example.org:1999/live"),
            (Some("r.example.org"), "https://h", Some(1936), "rtmp://r.example.org:1936/live"),
        ] {
            assert_eq!(rtmp_server(called.map(str::to_owned), place, port, "live"), expected);
        }
        let rows = code("https://h/watch/live/show").unwrap();
        assert!(rows.iter().all(|row| row.len() == rows.len()) && rows[0].starts_with("1111111"));
    }

    #[test]
    fn only_the_publisher_that_the_user_saw_is_dropped() {
        let listed = json!({ "streams": [
            { "app": "live", "name": "show", "server": "a:1", "session": "s1" },
            { "app": "live", "name": "show", "server": "b:1", "session": "s2" },
        ] });
        for (name, server, session, is_ok) in [
            ("show", None, "s1", true),
            ("show", None, "s3", false),
            ("show", Some("b:1"), "s2", true),
            ("show", Some("b:1"), "s1", false),
            ("other", None, "s1", true),
        ] {
            let checked = check_session(&listed, ("live", name, server), session);
            assert_eq!(checked.is_ok(), is_ok, "{name} {server:?} {session}");
        }
    }
}
