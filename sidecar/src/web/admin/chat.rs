//! The chat in the dashboard: rooms, and the actions of moderators.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::admin::{ChatAction, ChatPlace};
use weir_model::{AppName, StreamName};

use super::gate::{Moderator, Reader};
use super::login::read;
use crate::chat::room::{Refusal, is_who};
use crate::chat::{LONGEST, Order, Outcome, Whom, read as past};
use crate::web::answer;
use crate::web::common::Web;
use crate::web::history::messages;

/// Longest id of a message or of an order, in bytes.
const MOST_ID: usize = 32;

/// A room.
#[derive(Debug, Deserialize)]
pub(super) struct Place {
    app: AppName,
    stream: StreamName,
}

/// An action of a moderator.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    app: AppName,
    stream: StreamName,
    order: Word,
    /// Id of a message, or of an order to undo.
    #[serde(default)]
    id: String,
    /// Name, or the hash of an address.
    #[serde(default)]
    who: String,
    #[serde(default)]
    seconds: u64,
}

/// The action in the event of an order.
type Reported = fn(ChatPlace) -> ChatAction;

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Delete,
    Restore,
    Timeout,
    Ban,
    Unban,
    Undo,
    Slow,
}

impl Wanted {
    fn order(self) -> Result<(Order, Reported), &'static str> {
        if self.seconds > LONGEST.as_secs() {
            return Err("field \"seconds\": must be from 0 to 86400");
        }
        if self.id.len() > MOST_ID {
            return Err("field \"id\": must have at most 32 bytes");
        }
        let is_named = match self.order {
            Word::Timeout | Word::Ban => !self.who.is_empty() || !self.id.is_empty(),
            Word::Unban => !self.who.is_empty(),
            Word::Delete | Word::Restore | Word::Undo | Word::Slow => true,
        };
        if !is_named || !is_who(&self.who) {
            return Err("field \"who\": must be a name of 1 to 32 characters, or the hash of an address");
        }
        let span = Duration::from_secs(self.seconds);
        let (order, action): (_, Reported) = match self.order {
            Word::Delete | Word::Undo if self.id.is_empty() => {
                return Err("field \"id\": must be the id of a message, or of an order to undo");
            }
            Word::Delete => (Order::Delete(self.id), ChatAction::Deleted),
            Word::Undo => (Order::Undo(self.id), ChatAction::Unbanned),
            Word::Slow => (Order::Slow(span), ChatAction::Slow),
            Word::Restore => {
                (Order::Restore(if self.id.is_empty() { self.who } else { self.id }), ChatAction::Restored)
            }
            Word::Timeout => {
                (Order::TimeOut(Whom { name: self.who, message: self.id }, span), ChatAction::TimedOut)
            }
            Word::Ban => (Order::Ban(Whom { name: self.who, message: self.id }), ChatAction::Banned),
            Word::Unban => (Order::Unban(self.who), ChatAction::Unbanned),
        };
        Ok((order, action))
    }
}

/// Returns all rooms, and the settings.
pub(super) async fn rooms(State(web): State<Arc<Web>>, _: Reader) -> Json<Value> {
    let chat = &web.context.chat;
    let (rooms, words) = (if chat.is_on() { chat.summaries() } else { Vec::new() }, chat.words());
    let names = if chat.is_open() { "open" } else { "token" };
    Json(json!({ "enabled": chat.is_on(), "names": names, "words": words, "rooms": rooms }))
}

/// Returns one room.
pub(super) async fn room(State(web): State<Arc<Web>>, _: Reader, Query(place): Query<Place>) -> Response {
    match web.context.chat.is_on() {
        true => Json(web.context.chat.look(&(place.app, place.stream)).await).into_response(),
        false => off(),
    }
}

/// Applies an action in a room.
pub(super) async fn order(
    State(web): State<Arc<Web>>,
    Moderator(caller): Moderator,
    body: Bytes,
) -> Result<Response, Response> {
    let wanted: Wanted = read(&body)?;
    if !web.context.chat.is_on() {
        return Ok(off());
    }
    let place = (wanted.app.clone(), wanted.stream.clone());
    let given = |text: &String| (!text.is_empty()).then(|| text.clone());
    let mut facts = ChatPlace {
        app: wanted.app.to_string(),
        name: wanted.stream.to_string(),
        id: given(&wanted.id),
        from: given(&wanted.who),
        seconds: matches!(wanted.order, Word::Timeout | Word::Slow).then_some(wanted.seconds),
    };
    let bad = |message: &str| answer::error(StatusCode::BAD_REQUEST, "bad_request", message);
    let (order, action) = wanted.order().map_err(bad)?;
    match web.context.chat.moderate(&place, caller.name.as_str(), order).await {
        Ok(Outcome { who, undo }) => {
            facts.from = who.or(facts.from);
            web.office.tell(DaemonEvent::AdminChat, &caller.name, action(facts));
            Ok(Json(undo.map_or_else(|| json!({}), |undo| json!({ "undo": undo }))).into_response())
        }
        Err(why @ Refusal::NotFound) => {
            Err(answer::error(StatusCode::NOT_FOUND, "not_found", &why.to_string()))
        }
        Err(why) => Err(answer::error(StatusCode::CONFLICT, why.code(), &why.to_string())),
    }
}

/// Returns past messages, as JSON or CSV.
pub(super) async fn log(
    State(web): State<Arc<Web>>,
    _: Reader,
    headers: HeaderMap,
    query: Result<Query<past::Query>, QueryRejection>,
) -> Response {
    messages(&web.context.chat, query)
        .await
        .map_or_else(|refusal| refusal, |sheet| sheet.for_browser(&headers))
}

fn off() -> Response {
    let message = "there is no chat on this server: set enabled of [chat] in weir.toml";
    answer::error(StatusCode::NOT_FOUND, "not_found", message)
}
