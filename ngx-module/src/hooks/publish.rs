//! A publish. At its start: parse the name, get a verdict, claim the row, call nginx-rtmp. At its close: release the row.

use std::rc::Rc;

use ngx_rtmp::{log::Level, module::PublishFlow as Flow};
use weir_model::{
    ClientAddr, Digest, Presented, Refusal, Server, StreamName, Timestamp,
    access::{self, Act},
    arguments,
    duplicate::{self, LiveFacts},
    exec,
    guard::Violation,
    masking,
    publish::publish_type,
    refusal::{ArgumentError, Topic},
    token::TokenMark,
    verdict::{self, Accepted, Credential, KeyFacts, Policy, Presentation},
};
use weir_zone::{Claim, NewStream};

use super::{
    guard, guests,
    live::Live,
    publishing::{Grant, Publish, Waiting, set},
    refusal::{may_tell, refuse},
    secrets::with_rule,
    spread, violation,
};
use crate::{
    orders, process, registration,
    runtime::{self, Runtime},
    session::{Session, SessionExt as _},
    settings::AppSettings,
    zone::View,
};

/// Interval between checks whether the replaced publisher has gone, in milliseconds.
const WAIT_MS: usize = 20;
/// Longest wait of a new publisher, in seconds.
const WAIT_S: u64 = 5;

/// Handles a client's `publish`. `raw` is its name with arguments, `kind` the type, both as the client sent them.
pub fn on_publish(session: &mut Session, raw: &[u8], kind: &[u8]) -> Flow {
    let Some(runtime) = runtime::current().filter(|_| registration::ensure_started()) else {
        return Flow::Untouched;
    };
    let Some(settings) = session.settings() else { return refuse(session, Refusal::NotConnected) };
    if session.is_from_worker() {
        let name = String::from_utf8_lossy(arguments::name_bytes(raw)).into_owned();
        set(session, Publish::FromWorker(name));
        return Flow::Untouched;
    }
    let found = match settings.publish() {
        Policy::Off => guard::on_name(session, raw),
        Policy::Key | Policy::Open => guard::on_name_with_credential(session, raw),
    };
    if let Some(found) = found {
        violation::refuse(session, found);
        let refusal = Presented::parse(raw).err().unwrap_or(Refusal::NotText);
        return refuse(session, refusal);
    }
    if access::is_denied(&settings.access, session.client(), Act::Publish) {
        return refuse(session, Refusal::Address);
    }
    if guests::plays(session) {
        // nginx-rtmp has one stream per connection, and would neither publish nor refuse it.
        return refuse(session, Refusal::Plays);
    }
    if settings.publish() == Policy::Off {
        if masking::holds_key(arguments::name_bytes(raw)) {
            return refuse(session, Refusal::KeyAsName);
        }
        if let Some(found) = guard::on_free_publish(session, raw) {
            violation::refuse(session, found);
            if found == Violation::SecondPublish {
                return refuse(session, Refusal::Busy);
            }
            return match StreamName::parse(arguments::name_bytes(raw)) {
                Ok(name) => refuse_name(session, name.as_str(), Refusal::Duplicate),
                Err(_) => refuse(session, Refusal::Duplicate),
            };
        }
        let clean =
            with_rule(&runtime, Some(Policy::Off), |rule| masking::without_secret_arguments(raw, rule));
        return match clean {
            Some(name) => Flow::Forward { name, kind: publish_type(kind) },
            None => Flow::Untouched,
        };
    }
    match session.state() {
        Some(state) if state.is_closing() => return Flow::Done,
        Some(state) if matches!(state.publish, Publish::Idle) => {}
        Some(_) => {
            violation::refuse(session, Violation::SecondPublish);
            return refuse(session, Refusal::Busy);
        }
        None => return Flow::Done,
    }
    let kind = publish_type(kind);
    match verdict(&runtime, settings, session, raw) {
        Ok((grant, name)) => {
            let until = process::now().plus_seconds(WAIT_S);
            claim(&runtime, settings, session, Waiting { grant, name, kind, until })
        }
        Err(refusal) => refuse(session, refusal),
    }
}

/// Handles a `publish` command without a name, or without an end.
pub fn on_malformed_publish(session: &mut Session) -> Flow {
    if runtime::current().is_none() {
        return Flow::Untouched;
    }
    let Some(settings) = session.settings() else { return refuse(session, Refusal::NotConnected) };
    match guard::on_unreadable_name(session) {
        Some(found) => violation::refuse(session, found),
        None if settings.publish() == Policy::Off => return Flow::Untouched,
        None => {}
    }
    refuse(session, Refusal::NotText)
}

/// Returns the verdict on a publisher: its stream's name, and the remaining arguments.
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
            Presentation::Key(digest) => {
                let judged = verdict_on_key(runtime, (&settings.server, app), digest, client, now);
                // Keys of files may have any form.
                let sent_none = runtime.file_keys.is_empty() && presented.has_no_key();
                judged.map_err(|refusal| if sent_none { refusal.for_a_name() } else { refusal })?
            }
            Presentation::Token(token) => {
                let signer = runtime.signer().ok_or(Refusal::NoSecret)?;
                let claims = signer.verify(token.expose())?;
                let revoked = runtime.revoked_tokens();
                let accepted = verdict::decide_token(&claims, &revoked, app, &presented.name, client, now)?;
                let token = Some(TokenMark::new(&claims, &presented.name));
                Grant { accepted, digest: None, token }
            }
            Presentation::None => return Err(Refusal::NoKey),
        },
        Policy::Open | Policy::Off if masking::holds_key(presented.name.as_bytes()) => {
            return Err(Refusal::KeyAsName);
        }
        Policy::Open | Policy::Off => verdict::decide_open(&presented)?.into(),
    };
    let stream = grant.accepted.stream.as_str();
    let name = presented.renamed(stream)?;
    let clean =
        with_rule(runtime, Some(settings.publish()), |rule| masking::without_secret_arguments(&name, rule));
    let name = clean.unwrap_or(name);
    let args = String::from_utf8_lossy(name.get(stream.len() + 1..).unwrap_or_default());
    if settings.exec.args && !exec::are_harmless(&args) {
        return Err(ArgumentError::Program.into());
    }
    Ok((grant, name))
}

fn verdict_on_key(
    runtime: &Runtime,
    (server, app): (&Server, &str),
    digest: Digest,
    client: ClientAddr,
    now: Timestamp,
) -> Result<Grant, Refusal> {
    if let Some(key) = runtime.file_key(server, app, &digest) {
        let facts = KeyFacts {
            id: key.id,
            app: key.app.as_str(),
            stream: key.stream.as_str(),
            wrong_server: !server.is_within(key.server.as_ref()),
            expires_at: key.expires_at(),
            publish_from: &key.publish_from,
            banned_until: runtime.zone().lock(process::pid()).banned_until(key.id),
        };
        return Ok(verdict::decide_key(app, Some(&facts), client, now)?.into());
    }
    let zone = runtime.zone().lock(process::pid());
    let found = zone.find_key(&digest);
    let banned_until = found.as_ref().and_then(|key| zone.banned_until(key.id));
    drop(zone);
    let facts = found.as_ref().map(|key| KeyFacts {
        id: key.id,
        app: &key.app,
        stream: &key.stream,
        wrong_server: !server.is_within(key.server.as_ref()),
        expires_at: key.expires_at,
        publish_from: &key.publish_from,
        banned_until,
    });
    let accepted = verdict::decide_key(app, facts.as_ref(), client, now)?;
    Ok(Grant { accepted, digest: Some(digest), token: None })
}

/// Continues a publish, or makes it wait and try again, until the time that was set at its start.
fn claim(runtime: &Rc<Runtime>, settings: &AppSettings, session: &mut Session, publish: Waiting) -> Flow {
    match try_claim(runtime, settings, session, &publish.grant) {
        Ok(true) => Flow::Forward { name: publish.name, kind: publish.kind },
        Ok(false) => {
            let authorised = publish.grant.accepted.credential.is_authorised();
            set(session, Publish::Waiting(Box::new(publish)));
            guests::on_publish(session, authorised);
            session.arm_timer(WAIT_MS);
            Flow::Done
        }
        Err(refusal) => refuse_name(session, publish.grant.accepted.stream.as_str(), refusal),
    }
}

/// Like [`refuse`], with the stream's name in the log line.
fn refuse_name(session: &mut Session, name: &str, refusal: Refusal) -> Flow {
    if let Some(state) = session.state() {
        state.asked = Some(name.to_owned());
    }
    refuse(session, refusal)
}

/// Claims the row. Returns `false` if its present publisher was ordered to close, and is not gone yet.
fn try_claim(
    runtime: &Rc<Runtime>,
    settings: &AppSettings,
    session: &mut Session,
    grant: &Grant,
) -> Result<bool, Refusal> {
    let accepted = &grant.accepted;
    let now = process::now();
    let (addr, app) = (session.addr(), session.app().to_owned());
    let new = NewStream {
        server: &settings.server,
        folders: &settings.folders,
        app: &app,
        name: accepted.stream.as_str(),
        credential: accepted.credential,
        addr: &addr,
        worker: runtime.worker().ok_or(Refusal::ZoneFull)?,
    };
    let live = |zone: &View<'_>| {
        let locked = zone.lock(process::pid());
        locked.occupant(new.server, new.folders, new.app, new.name, process::alive).is_some()
    };
    // The name is free, but the worker that had it has not yet closed its push to this worker.
    if runtime.auto_push
        && !live(runtime.zone())
        && spread::close_from_worker(&mut session.all(), new.server, new.app, new.name)
    {
        return Ok(false);
    }
    let zone = runtime.zone().lock(process::pid());
    if grant.digest.as_ref().is_some_and(|digest| !zone.is_valid_key(digest)) {
        return Err(Refusal::UnknownKey);
    }
    let claimed = zone.claim(&new, now, process::alive).map_err(|_| Refusal::ZoneFull)?;
    match claimed {
        Claim::Taken(id) => {
            drop(zone);
            let name = accepted.stream.as_str().to_owned();
            let mut live = Live::new(runtime, id, name, accepted.credential, false);
            live.token.clone_from(&grant.token);
            set(session, Publish::Live(live));
            Ok(true)
        }
        Claim::Live(live) => {
            let elsewhere = !live.server.is_same(&settings.server);
            let facts = LiveFacts { credential: live.credential, last_media: live.last_media, now };
            match duplicate::decide_duplicate(&facts, accepted.credential, settings.duplicate()) {
                duplicate::Claim::Refuse if elsewhere => Err(Refusal::SharedFolder),
                duplicate::Claim::Refuse => Err(Refusal::Duplicate),
                duplicate::Claim::TakeOver => {
                    zone.order_close(live.id);
                    drop(zone);
                    orders::given(runtime, &mut session.all());
                    Ok(false)
                }
            }
        }
    }
}

/// Handles a client's publish that nginx-rtmp accepts.
pub fn on_accepted(session: &mut Session) {
    let publish = session.known_state().map(|state| &state.publish);
    let authorised = publish.is_some_and(|publish| matches!(publish, Publish::Live(live) if live.authorised));
    guard::on_accepted(session, authorised);
}

/// Handles a publish of a stream that nginx-rtmp pulls. There is no verdict, but the name must be free. Returns whether it is.
pub fn on_pull(session: &mut Session, name: &[u8]) -> bool {
    let (Some(runtime), Some(settings)) = (runtime::current(), session.settings()) else { return true };
    if settings.publish() == Policy::Off || !registration::ensure_started() {
        return true;
    }
    let claimed = StreamName::parse(name).map_err(Refusal::from).and_then(|stream| {
        try_claim(&runtime, settings, session, &Accepted { stream, credential: Credential::Pull }.into())
    });
    match claimed {
        Ok(taken) => taken,
        Err(refusal) => {
            if !may_tell(session, Topic::Pull(refusal)) {
                return false;
            }
            let stream =
                StreamName::parse(name).map(|name| format!(", stream: \"{name}\"")).unwrap_or_default();
            session.log(
                Level::Error,
                format_args!("pull refused: {refusal}, app: \"{}\"{stream}", session.app()),
            );
            false
        }
    }
}

/// Continues a waiting publish: checks again whether the name is free.
pub(super) fn wait(session: &mut Session, waiting: Waiting) {
    let (Some(runtime), Some(settings)) = (runtime::current(), session.settings()) else {
        return session.close();
    };
    if process::now() > waiting.until {
        refuse_name(session, waiting.grant.accepted.stream.as_str(), Refusal::Duplicate);
        return;
    }
    match claim(&runtime, settings, session, waiting) {
        Flow::Forward { name, kind } if !session.forward_publish(&name, kind) => session.close(),
        _ => {}
    }
}

/// Releases the stream of a session that no longer publishes.
pub(super) fn release(publish: Publish, unpublished: bool) {
    if let (Publish::Live(live), Some(runtime)) = (publish, runtime::current()) {
        live.release(&runtime, unpublished);
    }
}
