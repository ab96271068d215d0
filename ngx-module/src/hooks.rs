//! The life of a publish: what is presented -> verdict -> claim of the row -> nginx-rtmp; close -> release.

use std::{net::Ipv6Addr, rc::Rc};

use weir_model::{
    ClientAddr, Digest, KeyId, Presented, Refusal, StreamName, Timestamp,
    duplicate::{self, LiveFacts},
    network, publish,
    throttle::LogLine,
    verdict::{self, Accepted, Credential, KeyFacts, Policy, Presentation},
};
use weir_zone::{Claim, NewStream, StreamId, StreamRow};

use crate::{
    ffi::{
        log::{self, Level},
        process,
        session::{self, Session},
        timer::SessionTimer,
    },
    runtime::{self, Runtime},
    settings::AppSettings,
    worker,
};

/// How long a refused publisher may read why, in milliseconds.
const LINGER_MS: usize = 200;
/// How often a newcomer looks whether the publisher that it replaces has gone, in milliseconds.
const WAIT_MS: usize = 20;
/// How long it waits at most, in seconds.
const WAIT_S: u64 = 5;

/// What is kept of a session.
#[derive(Default)]
pub struct SessionState {
    /// How far its publish has come.
    pub publish: Publish,
    timer: Option<SessionTimer>,
}

/// How far a session's publish has come.
#[derive(Default)]
pub enum Publish {
    /// There is none.
    #[default]
    Idle,
    /// It waits for the publisher that it replaces to be gone.
    Waiting(Box<Waiting>),
    /// It holds a stream.
    Live(Live),
    /// It was refused; the connection is about to be closed.
    Refused,
}

/// The stream that a session holds.
pub struct Live {
    id: StreamId,
    row: StreamRow<'static>,
    name: StreamName,
    /// nginx-rtmp was seen to publish it under this name.
    confirmed: bool,
}

/// A publish that was accepted and cannot go on yet.
pub struct Waiting {
    grant: Grant,
    name: Vec<u8>,
    kind: &'static str,
    until: Timestamp,
}

/// A verdict in favour of a publisher.
struct Grant {
    accepted: Accepted,
    /// The digest of the key of the zone that opened it: it may be revoked before the stream is claimed.
    digest: Option<Digest>,
}

impl From<Accepted> for Grant {
    fn from(accepted: Accepted) -> Grant {
        Grant { accepted, digest: None }
    }
}

/// What becomes of a `publish` command.
pub enum Flow {
    /// nginx-rtmp gets it as it came.
    Untouched,
    /// nginx-rtmp gets this name (with arguments) and type instead.
    Forward {
        /// `name` or `name?args`.
        name: Vec<u8>,
        /// `live`, `record` or `append`.
        kind: &'static str,
    },
    /// It was answered, or will be.
    Done,
}

/// A client says `publish`. `raw` is its name with arguments, `kind` the type, as they came.
pub fn on_publish(session: &mut Session, raw: &[u8], kind: &[u8]) -> Flow {
    let Some(runtime) = runtime::current().filter(|_| worker::ensure_started()) else {
        return Flow::Untouched;
    };
    let Some(settings) = session.settings() else { return refuse(session, Refusal::NotConnected) };
    if settings.publish() == Policy::Off {
        return Flow::Untouched;
    }
    match session.state().map(|state| &state.publish) {
        Some(Publish::Idle) => {}
        Some(Publish::Refused) | None => return Flow::Done,
        Some(_) => return refuse(session, Refusal::Busy),
    }
    let kind = publish::publish_type(kind);
    match verdict(&runtime, settings, session, raw) {
        Ok((grant, name)) => claim(&runtime, settings, session, grant, name, kind),
        Err(refusal) => refuse(session, refusal),
    }
}

/// A `publish` command that has no name, or no end.
pub fn on_malformed_publish(session: &mut Session) -> Flow {
    match (runtime::current(), session.settings().map(AppSettings::publish)) {
        (Some(_), Some(Policy::Key | Policy::Open)) => refuse(session, Refusal::NotText),
        (Some(_), None) => refuse(session, Refusal::NotConnected),
        _ => Flow::Untouched,
    }
}

/// Who this is and what the stream will be called, with the arguments that are left.
fn verdict(
    runtime: &Runtime,
    settings: &AppSettings,
    session: &Session,
    raw: &[u8],
) -> Result<(Grant, Vec<u8>), Refusal> {
    let presented = Presented::parse(raw)?;
    let (app, client, now) = (session.app(), session.client(), process::now());
    let grant = match settings.publish() {
        Policy::Key => match verdict::credential_of(&presented) {
            Presentation::Key(digest) => verdict_on_key(runtime, app, digest, client, now)?,
            Presentation::Token(token) => {
                let signer = runtime.signer.as_ref().ok_or(Refusal::NoSecret)?;
                let claims = signer.verify(token.expose())?;
                verdict::decide_token(&claims, app, &presented.name, client, now)?.into()
            }
            Presentation::None => return Err(Refusal::UnknownKey),
        },
        Policy::Open | Policy::Off => verdict::decide_open(&presented)?.into(),
    };
    let mut name = grant.accepted.stream.as_str().as_bytes().to_vec();
    if !presented.args.is_empty() {
        name.push(b'?');
        name.extend_from_slice(presented.args.as_bytes());
    }
    Ok((grant, name))
}

fn verdict_on_key(
    runtime: &Runtime,
    app: &str,
    digest: Digest,
    client: ClientAddr,
    now: Timestamp,
) -> Result<Grant, Refusal> {
    if let Some(key) = runtime.file_key(app, &digest) {
        let facts = KeyFacts {
            id: key.id,
            app: key.app.as_str(),
            stream: key.stream.as_str(),
            expires_at: key.expires_at(),
            publish_from: &key.publish_from,
            banned_until: None,
        };
        return Ok(verdict::decide_key(app, Some(&facts), client, now)?.into());
    }
    let found = runtime.zone.lock(process::pid()).find_key(&digest);
    let facts = found.as_ref().map(|key| KeyFacts {
        id: key.id,
        app: &key.app,
        stream: &key.stream,
        expires_at: key.expires_at,
        publish_from: &key.publish_from,
        banned_until: None,
    });
    let accepted = verdict::decide_key(app, facts.as_ref(), client, now)?;
    Ok(Grant { accepted, digest: Some(digest) })
}

fn claim(
    runtime: &Rc<Runtime>,
    settings: &AppSettings,
    session: &mut Session,
    grant: Grant,
    name: Vec<u8>,
    kind: &'static str,
) -> Flow {
    match try_claim(runtime, settings, session, &grant) {
        Ok(true) => Flow::Forward { name, kind },
        Ok(false) => {
            let until = process::now().plus_seconds(WAIT_S);
            set(session, Publish::Waiting(Box::new(Waiting { grant, name, kind, until })));
            arm(session, WAIT_MS);
            Flow::Done
        }
        Err(refusal) => refuse(session, refusal),
    }
}

/// Claims the row. `false` when the publisher that has it was told to go, and is not gone yet.
fn try_claim(
    runtime: &Rc<Runtime>,
    settings: &AppSettings,
    session: &mut Session,
    grant: &Grant,
) -> Result<bool, Refusal> {
    let accepted = &grant.accepted;
    let now = process::now();
    let addr = session.client().to_string();
    let new = NewStream {
        app: session.app(),
        name: accepted.stream.as_str(),
        credential: accepted.credential,
        addr: &addr,
        worker: runtime.worker().ok_or(Refusal::ZoneFull)?,
    };
    let zone = runtime.zone.lock(process::pid());
    if grant.digest.as_ref().is_some_and(|digest| zone.find_key(digest).is_none()) {
        return Err(Refusal::UnknownKey);
    }
    let claimed = zone.claim(&new, now, process::alive).map_err(|_| Refusal::ZoneFull)?;
    match claimed {
        Claim::Taken(id) => {
            drop(zone);
            let row = runtime.zone.row(id).ok_or(Refusal::ZoneFull)?;
            session.hold(id.session());
            let name = accepted.stream.clone();
            set(session, Publish::Live(Live { id, row, name, confirmed: false }));
            Ok(true)
        }
        Claim::Live(live) => {
            let facts = LiveFacts { credential: live.credential, last_media: live.last_media, now };
            match duplicate::decide_duplicate(&facts, accepted.credential, settings.duplicate()) {
                duplicate::Claim::Refuse => Err(Refusal::Duplicate),
                duplicate::Claim::TakeOver => {
                    zone.order_close(live.id);
                    drop(zone);
                    worker::follow_orders(runtime);
                    Ok(false)
                }
            }
        }
    }
}

/// nginx-rtmp publishes what it pulls: no verdict, but the name must be free. Returns whether it is.
pub fn on_pull(session: &mut Session, name: &[u8]) -> bool {
    let (Some(runtime), Some(settings)) = (runtime::current(), session.settings()) else { return true };
    if settings.publish() == Policy::Off || !worker::ensure_started() {
        return true;
    }
    let claimed = StreamName::parse(name).map_err(Refusal::from).and_then(|stream| {
        try_claim(&runtime, settings, session, &Accepted { stream, credential: Credential::Pull }.into())
    });
    match claimed {
        Ok(taken) => taken,
        Err(refusal) => {
            session.log(Level::Error, format_args!("pull refused: {refusal}, app: \"{}\"", session.app()));
            false
        }
    }
}

/// A stream was closed, or the connection is going.
pub fn on_close(session: &mut Session) {
    let Some(state) = session.known_state() else { return };
    match std::mem::take(&mut state.publish) {
        Publish::Live(live) => {
            session::let_go(live.id.session());
            if let Some(runtime) = runtime::current() {
                runtime.zone.lock(process::pid()).release(live.id);
            }
        }
        // The connection closes for good: nothing may begin on it.
        Publish::Refused => state.publish = Publish::Refused,
        Publish::Waiting(_) | Publish::Idle => {}
    }
}

/// Audio or video of `bytes` bytes came in.
pub fn on_media(session: &mut Session, bytes: u32) {
    let Some(Publish::Live(live)) = session.known_state().map(|state| &state.publish) else { return };
    live.row.media(process::now(), u64::from(bytes));
    if !live.confirmed {
        confirm_name(session);
    }
}

/// An `on_publish` that redirects renames the stream beneath us, after HLS and the zone know its name.
fn confirm_name(session: &mut Session) {
    let Some(live_name) = session.live_name().map(str::to_owned) else { return };
    let Some(Publish::Live(live)) = session.state().map(|state| &mut state.publish) else { return };
    live.confirmed = true;
    if live.name.as_str() != live_name {
        let claimed = live.name.clone();
        session.log(
            Level::Error,
            format_args!(
                "publish refused: on_publish renamed the stream \"{claimed}\", app: \"{}\"",
                session.app()
            ),
        );
        session.close();
    }
}

/// A client says `play`. A stream key is no stream's name: whoever plays it would see it in nginx-rtmp's log.
/// Returns whether nginx-rtmp may see the command.
pub fn may_play(session: &mut Session, raw: &[u8]) -> bool {
    let (Some(runtime), Some(settings)) = (runtime::current(), session.settings()) else { return true };
    let name = raw.split(|byte| *byte == b'?').next().unwrap_or_default();
    let digest = Digest::of(name);
    let is_key = settings.publish() == Policy::Key
        && (runtime.file_key(session.app(), &digest).is_some()
            || runtime.zone.lock(process::pid()).find_key(&digest).is_some());
    if is_key {
        session.log(
            Level::Error,
            format_args!("play refused: a stream key as name, app: \"{}\"", session.app()),
        );
        session.send_status("NetStream.Play.StreamNotFound", "error", "a stream key is not a stream's name");
        set(session, Publish::Refused);
        arm(session, LINGER_MS);
    }
    !is_key
}

/// A session's timer fired: a refused one has lingered, a waiting one looks again.
pub fn on_timer(session: &mut Session) {
    match session.state().map(|state| std::mem::take(&mut state.publish)) {
        Some(Publish::Refused) => {
            set(session, Publish::Refused);
            session.close();
        }
        Some(Publish::Waiting(waiting)) => wait(session, *waiting),
        Some(other) => set(session, other),
        None => {}
    }
}

fn wait(session: &mut Session, waiting: Waiting) {
    let (Some(runtime), Some(settings)) = (runtime::current(), session.settings()) else {
        return session.close();
    };
    if process::now() > waiting.until {
        refuse(session, Refusal::Duplicate);
        return;
    }
    match claim(&runtime, settings, session, waiting.grant, waiting.name, waiting.kind) {
        Flow::Forward { name, kind } if !session.forward_publish(&name, kind) => session.close(),
        _ => {}
    }
}

/// Closes a publisher whose row bears the order.
pub fn close_if_ordered(session: &mut Session) {
    let ordered = match session.known_state().map(|state| &state.publish) {
        Some(Publish::Live(live)) => live.row.is_ordered_to_close(),
        _ => false,
    };
    if ordered {
        session.log(Level::Notice, format_args!("publisher closed by order, app: \"{}\"", session.app()));
        session.close();
    }
}

/// Tells the publisher why, logs it, and closes the connection a moment later, so that the answer arrives.
fn refuse(session: &mut Session, refusal: Refusal) -> Flow {
    log_refusal(session, refusal);
    session.send_status(refusal.status_code(), "error", &refusal.to_string());
    set(session, Publish::Refused);
    arm(session, LINGER_MS);
    Flow::Done
}

fn log_refusal(session: &Session, refusal: Refusal) {
    if refusal.is_wrong_key()
        && let (ClientAddr::Ip(addr), Some(runtime)) = (session.client(), runtime::current())
    {
        let bucket = network::attempt_bucket(addr);
        match runtime.zone.lock(process::pid()).wrong_key(bucket, process::now()) {
            LogLine::Each => {}
            LogLine::Silent => return,
            LogLine::Summary { unlogged } => log_summary(bucket, unlogged),
        }
    }
    session.log(Level::Error, format_args!("publish refused: {refusal}, app: \"{}\"", session.app()));
}

/// One line for the wrong keys of an address that were not logged each.
pub fn log_summary(bucket: [u8; 16], unlogged: u32) {
    let addr = Ipv6Addr::from(bucket);
    let addr = addr.to_ipv4_mapped().map_or_else(|| format!("{addr}/64"), |v4| v4.to_string());
    log::cycle(
        Level::Error,
        format_args!("publish refused: unknown key, {unlogged} more times, client: {addr}"),
    );
}

/// Orders the publishers of a key to be closed, in whichever worker. Returns how many there are.
pub fn drop_publishers(runtime: &Rc<Runtime>, key: KeyId) -> usize {
    let ordered = runtime.zone.lock(process::pid()).order_close_key(key);
    worker::follow_orders(runtime);
    ordered
}

fn set(session: &mut Session, publish: Publish) {
    if let Some(state) = session.state() {
        state.publish = publish;
    }
}

fn arm(session: &mut Session, ms: usize) {
    let fresh = session.timer();
    if let Some(state) = session.state() {
        state.timer.get_or_insert(fresh).arm(ms);
    }
}
