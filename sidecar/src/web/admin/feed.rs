//! `/admin/api/feed`: server-sent events for open dashboards. The first event is `hello` with the current state; each change
//! follows.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, MissedTickBehavior, interval};
use weir_model::event::daemon::CHAT_MESSAGE;

use super::gate::{Caller, Reader};
use super::watcher::{self, Shown};
use crate::admin::accounts::Account;
use crate::clock;
use crate::web::common::Web;
use crate::web::office::Message;

/// Interval between checks of the session.
const CHECK: Duration = Duration::from_secs(1);
/// Number of past events in `hello`.
const EVENTS: usize = 200;
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The header makes nginx pass on each event immediately.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

pub(super) async fn get(State(web): State<Arc<Web>>, Reader(caller): Reader) -> Response {
    // The subscription starts before the state is read, so that no message is missed.
    let told = web.office.told.subscribe();
    let hello = Event::default().event("hello").data(hello(&web, &caller).await);
    let mut check = interval(CHECK);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let first = stream::iter([Ok::<_, Infallible>(hello)]);
    let rest = follow(web, caller, told, check);
    let mut response =
        Sse::new(first.chain(rest)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    response.headers_mut().insert(BUFFERING, HeaderValue::from_static("no"));
    response
}

/// Returns the current state for `hello`.
async fn hello(web: &Web, caller: &Caller) -> String {
    let streams = watcher::look(web).await.unwrap_or_else(|_| json!({ "streams": null }));
    let live: BTreeSet<String> =
        streams["streams"].as_array().into_iter().flatten().map(watcher::path).collect();
    let kept = web.context.bus.listen(Some(0)).events;
    // The chat page shows chat messages.
    let kept: Vec<_> = kept.iter().filter(|event| event.kind != CHAT_MESSAGE).collect();
    let events: Vec<_> =
        kept.iter().skip(kept.len().saturating_sub(EVENTS)).map(|event| Shown::from(&***event)).collect();
    let bitrates = web.office.past().bitrates(&live);
    let about = json!({ "name": caller.name, "role": caller.role, "at": clock::now(), "streams": streams["streams"],
        "bitrates": bitrates, "events": events, "chat": web.context.chat.is_on() });
    about.to_string()
}

/// Returns the messages, as long as the session lasts.
fn follow(
    web: Arc<Web>,
    caller: Caller,
    told: Receiver<Arc<Message>>,
    check: Interval,
) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((web, caller, told, check), |(web, caller, mut told, mut check)| async move {
        loop {
            tokio::select! {
                message = told.recv() => {
                    let event = match message {
                        Ok(message) => Event::default().event(message.kind).data(&message.data),
                        // The dashboard reconnects and starts again.
                        Err(RecvError::Lagged(_)) | Err(RecvError::Closed) => return None,
                    };
                    return Some((Ok(event), (web, caller, told, check)));
                }
                _ = check.tick() => {
                    let is_same = |account: &Account| account.name == caller.name && account.role == caller.role;
                    if !matches!(caller.own.account(&web).await, Ok(Some(account)) if is_same(&account)) {
                        return None;
                    }
                }
            }
        }
    })
}
