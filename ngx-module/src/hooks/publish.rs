//! A publish: what is presented -> verdict -> claim of the row -> nginx-rtmp; close -> release.

use std::{collections::HashSet, rc::Rc};

use weir_model::{
    ClientAddr, Digest, Presented, Refusal, StreamName, Timestamp,
    duplicate::{self, LiveFacts},
    media::{AudioFacts, VideoFacts},
    publish::publish_type,
    rate::Rate,
    verdict::{self, Accepted, Credential, KeyFacts, Policy, Presentation},
};
use weir_zone::{Claim, NewStream, Rates, StreamId, StreamRow};

use super::{SessionState, arm, refusal::refuse};
use crate::{
    ffi::{
        log::Level,
        process,
        session::{self, Session},
    },
    runtime::{self, Runtime},
    settings::AppSettings,
    worker,
};

/// How often a newcomer looks whether the publisher that it replaces has gone, in milliseconds.
const WAIT_MS: usize = 20;
/// How long it waits at most, in seconds.
const WAIT_S: u64 = 5;

/// How far a session's publish has come.
#[derive(Default)]
pub enum Publish {
    /// There is none.
    #[default]
    Idle,
    /// It waits for the publisher that it replaces to be gone.
    Waiting(Box<Waiting>),
    /// It holds a stream.
    Live(Box<Live>),
    /// It publishes, but the zone had no room to show it.
    Unseen,
    /// It brings the stream of this name, which another worker holds.
    FromWorker(String),
}

impl Publish {
    /// Its worker was told to close the publisher.
    #[must_use]
    pub fn is_ordered_to_close(&self) -> bool {
        matches!(self, Publish::Live(live) if live.row.is_ordered_to_close())
    }
}

/// The stream that a session holds.
pub struct Live {
    id: StreamId,
    row: StreamRow<'static>,
    name: StreamName,
    /// nginx-rtmp was seen to publish it under this name.
    confirmed: bool,
    audio_bytes: u64,
    frames: u64,
    all_rate: Rate,
    audio_rate: Rate,
    frame_rate: Rate,
}

impl Live {
    fn new(id: StreamId, row: StreamRow<'static>, name: StreamName, confirmed: bool) -> Box<Live> {
        let (all_rate, audio_rate, frame_rate) = <(Rate, Rate, Rate)>::default();
        Box::new(Live {
            id,
            row,
            name,
            confirmed,
            audio_bytes: 0,
            frames: 0,
            all_rate,
            audio_rate,
            frame_rate,
        })
    }

    /// Tells the zone what came in the last second, and what it is.
    pub fn account(&mut self, video: Option<VideoFacts>, audio: Option<AudioFacts>) {
        let now = process::now();
        self.all_rate.push(now, self.row.bytes_in());
        self.audio_rate.push(now, self.audio_bytes);
        self.frame_rate.push(now, self.frames);
        let rates = Rates { all: self.all_rate.bits_per_second(), audio: self.audio_rate.bits_per_second() };
        let fps_milli = u32::try_from(self.frame_rate.per_second_milli()).unwrap_or(u32::MAX);
        self.row.describe(rates, video.map(|video| VideoFacts { fps_milli, ..video }), audio);
    }
}

/// Audio or video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// A message of audio.
    Audio,
    /// A message of video: a frame, or a header.
    Video,
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
    if session.is_from_worker() {
        let name =
            String::from_utf8_lossy(raw.split(|byte| *byte == b'?').next().unwrap_or_default()).into_owned();
        set(session, Publish::FromWorker(name));
        return Flow::Untouched;
    }
    if settings.publish() == Policy::Off {
        return Flow::Untouched;
    }
    match session.state() {
        Some(state) if state.closing => return Flow::Done,
        Some(SessionState { publish: Publish::Idle, .. }) => {}
        Some(_) => return refuse(session, Refusal::Busy),
        None => return Flow::Done,
    }
    let kind = publish_type(kind);
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
            banned_until: runtime.zone.lock(process::pid()).banned_until(key.id),
        };
        return Ok(verdict::decide_key(app, Some(&facts), client, now)?.into());
    }
    let zone = runtime.zone.lock(process::pid());
    let found = zone.find_key(&digest);
    let banned_until = found.as_ref().and_then(|key| zone.banned_until(key.id));
    drop(zone);
    let facts = found.as_ref().map(|key| KeyFacts {
        id: key.id,
        app: &key.app,
        stream: &key.stream,
        expires_at: key.expires_at,
        publish_from: &key.publish_from,
        banned_until,
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
    let addr = session.addr();
    let new = NewStream {
        app: session.app(),
        name: accepted.stream.as_str(),
        credential: accepted.credential,
        addr: &addr,
        worker: runtime.worker().ok_or(Refusal::ZoneFull)?,
    };
    let zone = runtime.zone.lock(process::pid());
    if runtime.auto_push && zone.stream(new.app, new.name, process::alive).is_none() {
        // The name is free, and the worker that had it has not yet closed what it pushed here.
        if close_from_worker(new.app, new.name) {
            return Ok(false);
        }
    }
    if grant.digest.as_ref().is_some_and(|digest| !zone.is_valid_key(digest)) {
        return Err(Refusal::UnknownKey);
    }
    let claimed = zone.claim(&new, now, process::alive).map_err(|_| Refusal::ZoneFull)?;
    match claimed {
        Claim::Taken(id) => {
            drop(zone);
            let row = runtime.zone.row(id).ok_or(Refusal::ZoneFull)?;
            let name = accepted.stream.clone();
            set(session, Publish::Live(Live::new(id, row, name, false)));
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

/// Audio or video of `bytes` bytes came in.
pub fn on_media(session: &mut Session, media: Media, bytes: u32) {
    match session.known_state().map(|state| &mut state.publish) {
        Some(Publish::Live(live)) => {
            live.row.media(process::now(), u64::from(bytes));
            match media {
                Media::Audio => live.audio_bytes += u64::from(bytes),
                Media::Video => live.frames += 1,
            }
            if !live.confirmed {
                confirm_name(session);
            }
        }
        Some(Publish::Idle) | None => watch(session),
        Some(Publish::Waiting(_) | Publish::Unseen | Publish::FromWorker(_)) => {}
    }
}

/// A stream of an application where keys and names are nginx-rtmp's business is seen once it is live.
fn watch(session: &mut Session) {
    let Some(runtime) = runtime::current().filter(|_| worker::ensure_started()) else { return };
    let Some(name) = session.live_name().map(str::to_owned) else { return };
    let addr = session.addr();
    let watched =
        StreamName::parse(name.as_bytes()).ok().zip(runtime.worker()).and_then(|(stream, worker)| {
            let credential = if session.is_relay() { Credential::Pull } else { Credential::Open };
            let new = NewStream { app: session.app(), name: &name, credential, addr: &addr, worker };
            let id = runtime.zone.lock(process::pid()).watch(&new, process::now()).ok()?;
            Some(Live::new(id, runtime.zone.row(id)?, stream, true))
        });
    match watched {
        Some(live) => {
            set(session, Publish::Live(live));
            started(session);
        }
        None => set(session, Publish::Unseen),
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
        return session.close();
    }
    started(session);
}

/// The stream is live, under the name that it was given.
fn started(session: &mut Session) {
    if let (Some(Publish::Live(live)), Some(runtime)) =
        (session.known_state().map(|state| &state.publish), runtime::current())
    {
        runtime.zone.lock(process::pid()).started(live.id, process::now());
    }
    spread(session);
}

/// Pushes a stream that this worker holds to every worker that does not get it yet: when it goes live, and
/// once a second, for workers that came later.
pub fn spread(session: &mut Session) {
    let Some(runtime) = runtime::current().filter(|runtime| runtime.auto_push) else { return };
    let name = match session.known_state().map(|state| &state.publish) {
        Some(Publish::Live(live)) if live.confirmed => live.name.clone(),
        _ => return,
    };
    let known = session.pushed_to();
    for worker in runtime.zone.workers() {
        if worker.pid == process::pid() || known.contains(&worker.pid) || !process::alive(worker.pid) {
            continue;
        }
        // A worker that drains needs the stream only for players that it still has.
        if worker.draining && !has_players(&runtime, session.app(), name.as_str(), worker.pid) {
            continue;
        }
        if !session.push_to_worker(name.as_str(), &worker) {
            session.log(Level::Info, format_args!("stream not pushed to worker {}", worker.pid));
        }
    }
}

fn has_players(runtime: &Runtime, app: &str, name: &str, pid: u32) -> bool {
    let players = runtime.zone.lock(process::pid()).players(process::census());
    players.iter().any(|player| player.worker_pid == pid && player.stream == name && player.app == app)
}

/// In a worker that drains: closes what other workers have brought and nobody plays here, which would keep
/// the worker for as long as the stream goes on.
pub fn close_unplayed() {
    let mut played = HashSet::new();
    session::each(|session| {
        let app = session.app().to_owned();
        if let Some(playing) = session.known_state().and_then(|state| state.playing.as_ref()) {
            played.insert((app, playing.name.clone()));
        }
    });
    session::each(|session| {
        let app = session.app().to_owned();
        let unplayed = match session.known_state().map(|state| &state.publish) {
            Some(Publish::FromWorker(name)) => !played.contains(&(app, name.clone())),
            _ => false,
        };
        if unplayed {
            session.close();
        }
    });
}

/// Looks again whether the name is free.
pub(super) fn wait(session: &mut Session, waiting: Waiting) {
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

/// The session does not hold its stream any more.
pub(super) fn release(publish: Publish) {
    if let (Publish::Live(live), Some(runtime)) = (publish, runtime::current()) {
        runtime.zone.lock(process::pid()).release(live.id, process::now());
    }
}

/// Closes what another worker has brought under this name. Returns whether there was anything: nginx-rtmp
/// has room for one publisher a name in a worker.
fn close_from_worker(app: &str, wanted: &str) -> bool {
    let mut found = false;
    session::each(|session| {
        let same = session.app() == app
            && matches!(session.known_state().map(|state| &state.publish),
                Some(Publish::FromWorker(name)) if name == wanted);
        if same {
            found = true;
            session.close();
        }
    });
    found
}

fn set(session: &mut Session, publish: Publish) {
    if let Some(state) = session.state() {
        state.publish = publish;
    }
}
