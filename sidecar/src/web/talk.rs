//! `/v1/ws`: messages to front ends about a stream, one JSON object per text message.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{ConnectInfo, Extension, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, interval, timeout};
use weir_model::front::{FrontMessage, Place};
use weir_model::token::TokenError;
use weir_model::token::chat::ChatClaims;

use super::access::{Denied, Pass, first_token};
use super::answer;
use super::asker::asker;
use super::common::Web;
use super::farewell::{End, farewell};
use super::patience::Inbound;
use crate::chat::room::{Refusal, is_who};
use crate::chat::{LONGEST, Order, Presence, Visitor, Whom};
use crate::cluster::signature::Refused;
use crate::cluster::{credential, voice};
use crate::streams::StreamId;

mod far;

use far::{Far, Pace};

/// Maximum size of a message from a front end, in bytes.
const MAX_MESSAGE: usize = 4096;
/// Maximum size of a message that is read to its end, so that the front end gets the reason; a longer one ends the connection earlier.
const MOST_READ: usize = 16 << 10;
const READ_BUFFER: usize = 2048;
const WRITE_BUFFER: usize = 4096;
/// Maximum number of messages from a front end within [`WINDOW`].
const MOST_MESSAGES: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);
/// Time after which a front end that reads nothing is disconnected. It gets the reason if it reads again within the same time.
const STALL: Duration = Duration::from_secs(10);
const TOO_LONG: End = End::Told(close_code::SIZE, "a message has at most 4096 bytes");
const STALLED: End = End::Told(close_code::AGAIN, "no data was taken for 10 seconds");
/// Maximum number of bytes from a front end within [`WINDOW`], including incomplete messages.
const MOST_BYTES: i64 = 128 << 10;
/// Interval between pings, and maximum silence of a front end.
const PING: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_secs(50);
/// Time until a front end must have joined a stream.
const JOIN: Duration = Duration::from_secs(30);
/// Interval between checks of the token.
const CHECK: Duration = Duration::from_secs(1);

/// Upgrades the connection.
pub(super) async fn get(
    State(web): State<Arc<Web>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    Extension(inbound): Extension<Inbound>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        let message = "this address speaks WebSocket";
        return answer::error(StatusCode::UPGRADE_REQUIRED, "upgrade_required", message);
    };
    let client = match client(&web, peer, &headers) {
        Ok(client) => client,
        Err(why) => return answer::error(StatusCode::UNAUTHORIZED, "forbidden", &why.to_string()),
    };
    let about = Caller { client, headers, inbound, query: query.unwrap_or_default() };
    upgrade
        .max_message_size(MOST_READ)
        .max_frame_size(MOST_READ)
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .on_upgrade(async move |socket| talk(socket, &web, &about).await)
}

/// Returns the address of the front end, or of the viewer for whom an edge speaks.
fn client(web: &Web, peer: SocketAddr, headers: &HeaderMap) -> Result<IpAddr, Refused> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let settings = &web.context.config().web;
    let from = asker(peer, headers, &settings.trusted_proxies, &settings.base).client;
    let Some(spoken) = header(voice::HEADER) else { return Ok(from) };
    let origin = web.origin.as_ref().ok_or(Refused::Signature)?;
    origin.viewer(from, spoken, header(credential::HEADER))
}

/// The connection of a front end.
struct Caller {
    client: IpAddr,
    headers: HeaderMap,
    inbound: Inbound,
    query: String,
}

#[derive(Debug, Deserialize)]
struct Request {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    app: String,
    #[serde(default)]
    stream: String,
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    text: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    seconds: u64,
}

/// The stream that a front end has joined.
struct Joined {
    id: StreamId,
    pass: Option<Pass>,
    /// Presence in the chat, if there is a chat and the person may enter.
    presence: Option<Presence>,
    /// Presence in the chat of the origin, if this server is an edge.
    far: Option<Far>,
    /// Person who was told of a ban or time-out: the name, and whether a token gives it.
    silenced: Option<(Option<String>, bool)>,
}

impl Joined {
    /// Notes that the person was told of a ban or time-out.
    fn told(&mut self, why: &Refusal) {
        if let (Refusal::Banned | Refusal::TimedOut(_), Some(presence)) = (why, &self.presence) {
            self.silenced = Some((presence.person.name.clone(), presence.person.is_verified));
        }
    }

    /// Returns the message that the person may write again, if the ban or time-out is over. It may be that of another name.
    fn forgiven(&mut self, web: &Web, client: IpAddr) -> Option<Utf8Bytes> {
        let (name, is_verified) = self.silenced.as_ref()?;
        if web.context.chat.is_silenced(&self.id, name.as_deref(), *is_verified, client) {
            return None;
        }
        let (name, _) = self.silenced.take()?;
        let place = Place { app: self.id.0.to_string(), stream: self.id.1.to_string() };
        let name = name.unwrap_or_default();
        Some(FrontMessage::ChatForgiven { place, name, you: true }.text().into())
    }
}

/// Answer to a message.
enum Reply {
    /// With an error, if the front end has joined without the chat.
    Joined(Box<Joined>, Option<Utf8Bytes>),
    Done,
    Error(&'static str, String),
    /// The chat refuses the message.
    Refused(Refusal),
}

async fn talk(mut socket: WebSocket, web: &Arc<Web>, about: &Caller) {
    let Err(end) = serve(&mut socket, web, about).await else { return };
    let patience =
        if matches!(end, End::Told(close_code::AGAIN, _)) { STALL } else { Duration::from_secs(1) };
    farewell(socket, end, patience).await;
}

async fn serve(socket: &mut WebSocket, web: &Arc<Web>, about: &Caller) -> Result<(), End> {
    about.inbound.small();
    let mut news = web.news.listen();
    let mut joined: Option<Joined> = None;
    let mut pace = Pace::default();
    let (mut ping, mut check, mut refill) = (interval(PING), interval(CHECK), interval(WINDOW));
    ping.reset();
    let came = Instant::now();
    let (mut heard_at, mut window, mut messages) = (came, came, 0);
    loop {
        tokio::select! {
            told = news.recv() => {
                let Some(Joined { id, .. }) = &joined else { continue };
                match told {
                    Ok(told) if told.id == *id => send(socket, told.text.clone()).await?,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => tell(socket, web.news.about(&web.context.config(), id)).await?,
                    Err(RecvError::Closed) => return Err(End::Told(close_code::AWAY, "the daemon ends")),
                }
            }
            said = hear(&mut joined) => match said {
                Ok(text) => send(socket, text).await?,
                Err(RecvError::Lagged(count)) => send(socket, missed(count)).await?,
                Err(RecvError::Closed) => return Err(End::Told(close_code::AGAIN, "the chat begins again")),
            },
            message = socket.recv() => {
                let now = Instant::now();
                heard_at = now;
                if now - window >= WINDOW {
                    (window, messages) = (now, 0);
                }
                messages += 1;
                if messages > MOST_MESSAGES {
                    return Err(End::Told(close_code::POLICY, "too many messages"));
                }
                let reply = match message {
                    None => return Err(End::Gone),
                    Some(Ok(Message::Close(_))) => return Err(End::Closed),
                    Some(Err(error)) => return Err(match End::of(error) {
                        End::Told(close_code::SIZE, _) => TOO_LONG,
                        end => end,
                    }),
                    Some(Ok(Message::Text(text))) if text.len() > MAX_MESSAGE => return Err(TOO_LONG),
                    Some(Ok(Message::Binary(bytes))) if bytes.len() > MAX_MESSAGE => return Err(TOO_LONG),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(Message::Binary(_))) => Reply::Error("bad_message", "send JSON as text".into()),
                    Some(Ok(Message::Text(text))) => take(web, about, &text, &mut joined, &mut pace).await,
                };
                match reply {
                    Reply::Joined(mut next, refusal) => {
                        tell(socket, web.news.about(&web.context.config(), &next.id)).await?;
                        if let Some(presence) = &mut next.presence {
                            tell(socket, std::mem::take(&mut presence.first)).await?;
                        }
                        joined = Some(*next);
                        if let Some(text) = refusal {
                            send(socket, text).await?;
                        }
                    }
                    Reply::Done => {}
                    Reply::Error(code, message) => send(socket, error(code, &message)).await?,
                    Reply::Refused(why) => {
                        if let Some(joined) = &mut joined {
                            joined.told(&why);
                        }
                        send(socket, refusal(&why)).await?;
                    }
                }
            }
            _ = check.tick() => {
                let now = Instant::now();
                match &joined {
                    None if now - came >= JOIN => return Err(End::Told(close_code::POLICY, "no join")),
                    Some(Joined { pass: Some(pass), .. }) if !web.doors.still_opens(pass) => {
                        return Err(End::Told(close_code::POLICY, "the token has expired or was revoked"));
                    }
                    _ if now - heard_at >= SILENCE => return Err(End::Gone),
                    _ => {}
                }
                if let Some(text) = joined.as_mut().and_then(|joined| joined.forgiven(web, about.client)) {
                    send(socket, text).await?;
                }
            }
            _ = refill.tick() => about.inbound.allow(MOST_BYTES),
            _ = ping.tick() => put(socket, Message::Ping(Default::default())).await?,
        }
    }
}

/// Handles a message.
async fn take(
    web: &Arc<Web>,
    about: &Caller,
    text: &str,
    joined: &mut Option<Joined>,
    pace: &mut Pace,
) -> Reply {
    let Ok(request) = serde_json::from_str::<Request>(text) else {
        return Reply::Error("bad_message", "no JSON object with a text in \"type\"".into());
    };
    match request.kind.as_str() {
        // The front end leaves the room before it joins again, perhaps with another name.
        "join" => {
            let before = joined.take();
            let was_in =
                before.as_ref().filter(|joined| joined.presence.is_some()).map(|joined| joined.id.clone());
            let far = before.and_then(|joined| joined.far);
            join(web, about, request, (far, was_in), pace).await
        }
        "chat" | "chat.delete" | "chat.timeout" | "chat.ban" | "chat.unban" | "chat.slow"
        | "chat.restore" => {
            let here = joined.as_ref().and_then(|joined| Some((&joined.id, joined.presence.as_ref()?)));
            let Some((id, presence)) = here else {
                if let Some(far) = joined.as_ref().and_then(|joined| joined.far.as_ref())
                    && !far.has_ended()
                {
                    return match far.say(text) {
                        true => Reply::Done,
                        false => {
                            Reply::Error("unavailable", "the chat is not reachable at the moment".into())
                        }
                    };
                }
                return match web.context.chat.is_on() {
                    false => Reply::Error("chat_off", "there is no chat on this server".into()),
                    true => Reply::Error("not_joined", "join the chat of a stream first".into()),
                };
            };
            let span = Duration::from_secs(request.seconds).min(LONGEST);
            let name = request.name.unwrap_or_default();
            if request.kind != "chat" && !is_who(&name) {
                let why = "name: must be a name of at most 32 characters, or the hash of an address";
                return Reply::Error("bad_message", why.into());
            }
            let order = match request.kind.as_str() {
                "chat" => None,
                "chat.delete" => Some(Order::Delete(request.id)),
                "chat.timeout" => Some(Order::TimeOut(Whom { name, message: request.id }, span)),
                "chat.ban" => Some(Order::Ban(Whom { name, message: request.id })),
                "chat.unban" => Some(Order::Unban(name)),
                "chat.restore" if request.id.is_empty() => Some(Order::Restore(name)),
                "chat.restore" => Some(Order::Restore(request.id)),
                _ => Some(Order::Slow(span)),
            };
            let done = match order {
                None => presence.say(&request.text, is_known(web, id)),
                Some(order) => presence.moderate(order).await.map(drop),
            };
            done.map_or_else(Reply::Refused, |()| Reply::Done)
        }
        kind => {
            let kind: String = weir_model::text::clean(kind).chars().take(32).collect();
            Reply::Error("unknown_type", format!("type {kind:?}: must be \"join\" or \"chat\""))
        }
    }
}

/// Returns whether a stream is or was live, or is an event. Anybody may join an invented stream.
fn is_known(web: &Web, id: &StreamId) -> bool {
    let is_event =
        || web.context.config().events.iter().any(|event| event.app == id.0 && event.stream == id.1);
    web.news.has_known(id) || is_event()
}

/// `far` is the earlier presence at the origin, and `was_in` the room of the earlier presence here.
async fn join(
    web: &Arc<Web>,
    about: &Caller,
    request: Request,
    (far, was_in): (Option<Far>, Option<StreamId>),
    pace: &mut Pace,
) -> Reply {
    let (Ok(app), Ok(name)) = (request.app.parse(), request.stream.parse()) else {
        return Reply::Error("bad_message", "app and stream: must be the names of a stream".into());
    };
    let id: StreamId = (app, name);
    let client = about.client;
    let given = request.token.clone();
    let person = match request.token.as_deref() {
        Some(token) => web.doors.person(&id, token, client),
        None => Ok(web.doors.person_of(&id, &about.query, &about.headers, client)),
    };
    let (person, admitted) = match person {
        Ok(Some((claims, pass))) => (Some(claims), Ok(Some(pass))),
        Ok(None) => (None, watch(web, about, &id, request.token, client)),
        Err(denied) => (None, Err(denied)),
    };
    let pass = match admitted {
        Ok(pass) => pass,
        Err(denied) => return refused(denied),
    };
    if !web.context.chat.is_on() {
        return Reply::Joined(Box::new(Joined { id, pass, presence: None, far: None, silenced: None }), None);
    }
    if let Some(membership) = &web.membership {
        // The room is at the origin, which checks the token for itself.
        let accepted = pass.as_ref().map(|pass| pass.token().expose().to_owned());
        let token = accepted.or(given).or_else(|| first_token(&about.query, &about.headers));
        let (app, stream) = &id;
        let join =
            json!({ "type": "join", "app": app, "stream": stream, "name": request.name, "token": token });
        let join = Utf8Bytes::from(join.to_string());
        // A repeated join opens no new connection.
        let far = far.filter(|far| far.is_in(&join)).map_or_else(
            || {
                let share = web.guests.take(client).ok()?;
                Some(Far::enter(membership, client, join, pace.next(Instant::now()), share))
            },
            Some,
        );
        let full = "too many people are in the chat of this server";
        let refusal = far.is_none().then(|| error("unavailable", full));
        return Reply::Joined(Box::new(Joined { id, pass, presence: None, far, silenced: None }), refusal);
    }
    let stream_is_known = is_known(web, &id);
    let visitor = match person {
        Some(ChatClaims { name, moderator: is_moderator, .. }) => {
            // A token without a name lets its bearer choose one.
            let (is_verified, name) = (name.is_some(), name.or(request.name));
            Visitor {
                name,
                has_token: true,
                is_verified,
                is_moderator,
                stream_is_known,
                ..Visitor::default()
            }
        }
        None => Visitor { name: request.name, stream_is_known, ..Visitor::default() },
    };
    let visitor = Visitor { is_back: was_in.as_ref() == Some(&id), ..visitor };
    let who = (visitor.name.clone(), visitor.is_verified);
    match web.context.chat.enter(&id, visitor, client).await {
        Ok(presence) => {
            let joined = Joined { id, pass, presence: Some(presence), far: None, silenced: None };
            Reply::Joined(Box::new(joined), None)
        }
        Err(why) => {
            let silenced = (why == Refusal::Banned).then_some(who);
            let joined = Joined { id, pass, presence: None, far: None, silenced };
            Reply::Joined(Box::new(joined), Some(refusal(&why)))
        }
    }
}

fn refused(denied: Denied) -> Reply {
    let code = if matches!(denied, Denied::Token(_)) { "forbidden" } else { "unavailable" };
    Reply::Error(code, denied.to_string())
}

/// Checks whether a client without a chat token may join a stream.
fn watch(
    web: &Web,
    about: &Caller,
    id: &StreamId,
    token: Option<String>,
    client: IpAddr,
) -> Result<Option<Pass>, Denied> {
    let admitted = match token {
        None => web.doors.admit(id, &about.query, &about.headers, client),
        Some(token) => {
            let mut headers = HeaderMap::new();
            match format!("Bearer {token}").parse() {
                Ok(value) => _ = headers.insert(header::AUTHORIZATION, value),
                // The text contains characters that no token has.
                Err(_) => return Err(Denied::Token(TokenError::Malformed.into())),
            }
            web.doors.admit(id, "", &headers, client)
        }
    };
    admitted.map(|admitted| admitted.pass)
}

/// Waits for the next message of the joined chat room.
async fn hear(joined: &mut Option<Joined>) -> Result<Utf8Bytes, RecvError> {
    match joined {
        Some(Joined { presence: Some(presence), .. }) => presence.told.recv().await,
        Some(Joined { far: Some(far), .. }) => Ok(far.hear().await),
        _ => std::future::pending().await,
    }
}

fn error(code: &str, message: &str) -> Utf8Bytes {
    FrontMessage::Error { code: code.to_owned(), message: message.to_owned(), seconds: None }.text().into()
}

fn refusal(why: &Refusal) -> Utf8Bytes {
    let seconds = if let Refusal::TimedOut(seconds) = why { Some(*seconds) } else { None };
    FrontMessage::Error { code: why.code().to_owned(), message: why.to_string(), seconds }.text().into()
}

/// Returns the message that tells a slow client how many chat messages it missed.
fn missed(count: u64) -> Utf8Bytes {
    FrontMessage::ChatMissed { count }.text().into()
}

async fn tell(socket: &mut WebSocket, messages: Vec<Utf8Bytes>) -> Result<(), End> {
    for text in messages {
        send(socket, text).await?;
    }
    Ok(())
}

async fn send(socket: &mut WebSocket, text: Utf8Bytes) -> Result<(), End> {
    put(socket, Message::Text(text)).await
}

async fn put(socket: &mut WebSocket, message: Message) -> Result<(), End> {
    match timeout(STALL, socket.send(message)).await {
        Ok(sent) => sent.map_err(|_| End::Gone),
        Err(_) => Err(STALLED),
    }
}
