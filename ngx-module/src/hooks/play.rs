//! A play, which is counted while it lasts.

use std::rc::Rc;

use ngx_rtmp::{ends::Ends, module::PlayFlow as Flow};
use weir_model::{
    Digest, Refusal, StreamName,
    access::{self, Act},
    arguments,
    client::{self, ticket_of, without_ticket},
    exec,
    guard::Violation,
    masking,
    playback::{self, Believed, By, Presented, Wanted},
    rate::Rate,
    refusal::{ArgumentError, RefusedCommand},
    text,
    token::TokenMark,
    verdict::Policy,
};
use weir_zone::{NewPlayer, PlayerRow, StreamId};

use super::{
    guard, guests,
    lingering::close_soon,
    refusal::refuse_command,
    secrets::{self, with_rule},
    violation,
};
use crate::{
    process, registration,
    runtime::{self, Runtime},
    session::{Session, SessionExt as _},
    settings::AppSettings,
    zone::SharedZone,
};

/// Most tokens of a session that are kept: the first ones, and the newest.
const MAX_MARKS: usize = 8;

/// The stream that a session plays.
pub struct Playing {
    /// Public name of the stream.
    pub name: String,
    id: StreamId,
    zone: Rc<SharedZone>,
    /// nginx-rtmp's counter of the session at its last reading: 32 bits that wrap.
    counter: u32,
    bytes: u64,
    rate: Rate,
}

impl Playing {
    /// Returns its row, unless the row now belongs to another player.
    fn row(&self) -> Option<PlayerRow<'_>> {
        self.zone.view().player_row(self.id)
    }

    /// Returns whether its worker was ordered to close it.
    #[must_use]
    pub fn is_ordered_to_close(&self) -> bool {
        self.row().is_some_and(|row| row.is_ordered_to_close())
    }

    /// Reports the bytes of the last second to the zone.
    pub fn account(&mut self, counter: u32, dropped: u64, avsync_ms: i32, file_ms: Option<u32>) {
        self.bytes += u64::from(counter.wrapping_sub(self.counter));
        self.counter = counter;
        self.rate.push(process::now(), self.bytes);
        if let Some(row) = self.row() {
            row.describe(self.bytes, self.rate.bits_per_second(), dropped, avsync_ms);
            row.set_file(file_ms);
        }
    }
}

/// Handles a client's `play`; `raw` is the name with arguments. nginx-rtmp logs both, and passes them to hooks and programs.
pub fn on_command(session: &mut Session, raw: &[u8]) -> Flow {
    let (Some(runtime), Some(settings)) = (runtime::current(), session.settings()) else {
        return Flow::Untouched;
    };
    if session.is_from_worker() {
        return Flow::Untouched;
    }
    // A token may be longer than any name. nginx-rtmp never sees it.
    let parted = settings.play_needs_token().then(|| playback::part_token(raw));
    let (token, rest) = parted.as_ref().map_or((None, raw), |parted| (parted.token, &parted.rest));
    // Neither does it see a ticket.
    let without = without_ticket(rest);
    if let Some(violation) = guard::on_name(session, without.as_deref().unwrap_or(rest)) {
        refuse_name(session, violation);
        return Flow::Done;
    }
    note_own_player(session, &runtime, rest);
    note_name(session, &runtime, settings.publish(), rest);
    let stripped = without.or_else(|| (rest.len() < raw.len()).then(|| rest.to_vec()));
    let admitted = match parted {
        Some(_) => admit(&runtime, session, token, rest),
        None => Ok(()),
    };
    let judged = admitted
        .and_then(|()| find_place(&runtime, settings, session))
        .and_then(|()| judge(&runtime, settings, session, stripped.as_deref().unwrap_or(raw)));
    match judged {
        Ok(name) => name.or(stripped).map_or(Flow::Untouched, Flow::Forward),
        Err(refusal) => {
            refuse_command(session, RefusedCommand::Play, refusal, 0.0);
            Flow::Done
        }
    }
}

/// Checks that a player has a token for the stream. The daemon's jobs and pulls of this nginx need none.
fn admit(runtime: &Runtime, session: &mut Session, token: Option<&[u8]>, rest: &[u8]) -> Result<(), Refusal> {
    if session.known_state().is_some_and(|state| state.own_player) {
        return Ok(());
    }
    let token = token.ok_or(Refusal::NoToken)?;
    let token = std::str::from_utf8(token).map_err(|_| Refusal::TokenInvalid)?;
    let name = arguments::name_bytes(rest);
    let stream = std::str::from_utf8(name).map_err(|_| Refusal::TokenWrongStream)?;
    let signer = runtime.verifier.as_ref().ok_or(Refusal::NoSecret)?;
    let presented = [Presented { token, by: By::Argument }];
    let wanted = Wanted { app: session.app(), stream, variant_of: None };
    let believed = Believed { signer, revoked: &runtime.revoked_tokens() };
    let (_, claims) = playback::admit(&presented, believed, &wanted, session.client(), process::now())?;
    let mark = TokenMark::new(&claims, stream);
    if let Some(state) = session.state() {
        // nginx-rtmp continues with its present stream, even if a second `play` asks for another one.
        if state.playing.is_none() {
            state.play_tokens.clear();
        }
        if !state.play_tokens.contains(&mark) {
            state.play_tokens.truncate(MAX_MARKS - 1);
            state.play_tokens.push(mark);
        }
    }
    Ok(())
}

/// Checks that another player may watch the application. The limit does not apply to the daemon's jobs and pulls of this nginx.
fn find_place(runtime: &Runtime, settings: &AppSettings, session: &mut Session) -> Result<(), Refusal> {
    let Some(most) = settings.max_viewers else { return Ok(()) };
    let state = session.known_state();
    if state.is_some_and(|state| state.own_player || state.playing.is_some()) {
        return Ok(());
    }
    match runtime.zone().lock(process::pid()).watching(session.app()) < most {
        true => Ok(()),
        false => Err(Refusal::Crowded),
    }
}

/// Judges a `play`. Returns the name with arguments for nginx-rtmp, if it differs from the client's.
fn judge(
    runtime: &Runtime,
    settings: &AppSettings,
    session: &Session,
    raw: &[u8],
) -> Result<Option<Vec<u8>>, Refusal> {
    if access::is_denied(&settings.access, session.client(), Act::Play) {
        return Err(Refusal::Address);
    }
    let name = arguments::name_bytes(raw);
    let policy = settings.publish();
    if is_key(runtime, policy, name) {
        return Err(Refusal::KeyAsName);
    }
    let forward = with_rule(runtime, Some(policy), |rule| masking::without_secret_arguments(raw, rule));
    if policy == Policy::Off {
        return Ok(forward);
    }
    if text::clean_bytes(raw).as_bytes() != raw {
        return Err(Refusal::NotText);
    }
    let (name, args) = arguments::split_bytes(forward.as_deref().unwrap_or(raw));
    if settings.exec.name {
        StreamName::parse(name)?;
    }
    if settings.exec.args && !exec::are_harmless(&String::from_utf8_lossy(args.unwrap_or_default())) {
        return Err(ArgumentError::Program.into());
    }
    Ok(forward)
}

/// Returns whether a name is a key, or looks like a key.
fn is_key(runtime: &Runtime, policy: Policy, name: &[u8]) -> bool {
    masking::holds_key(name)
        || policy == Policy::Key
            && (secrets::is_key(runtime, name)
                || with_rule(runtime, Some(policy), |rule| masking::holds_credential(name, rule)))
}

/// Notes the name for the log line of a refusal.
fn note_name(session: &mut Session, runtime: &Runtime, policy: Policy, raw: &[u8]) {
    let name = arguments::name_bytes(raw);
    let shown = StreamName::parse(name).ok().filter(|_| !is_key(runtime, policy, name));
    if let Some(state) = session.state() {
        state.asked = shown.map(|name| name.to_string());
    }
}

/// Notes whether the player's ticket shows that it is not a viewer.
fn note_own_player(session: &mut Session, runtime: &Runtime, raw: &[u8]) {
    let own = ticket_of(raw).is_some_and(|ticket| is_own(session, runtime, &Digest::of(ticket)));
    if let Some(state) = session.state() {
        state.own_player = own;
    }
}

/// Returns whether a ticket belongs to the daemon on this machine, which gets it from the API, or to a connection that this nginx has
/// opened to pull.
fn is_own(session: &Session, runtime: &Runtime, presented: &Digest) -> bool {
    let ticket = runtime.zone().player_ticket();
    if session.client().is_local() && *presented == ticket.digest() {
        return true;
    }
    let secret = runtime.zone().pull_secret();
    let of_pull = |ends: Ends| client::ticket_of_pull(&secret, ends.far, ends.near).digest();
    session.ends().is_some_and(|ends| ends.are_one_machine() && *presented == of_pull(ends))
}

/// Judges a `play` that is longer than any valid name. Returns whether nginx-rtmp may see the command.
pub fn may_play_at_length(session: &mut Session) -> bool {
    let violation = guard::on_unreadable_name(session);
    if let Some(violation) = violation {
        refuse_name(session, violation);
        return false;
    }
    // Without the guard, Weir still refuses a name that it cannot read, if the application's settings require a check.
    let is_judged = runtime::current().is_some()
        && session
            .settings()
            .is_some_and(|settings| settings.play_needs_token() || settings.publish() != Policy::Off);
    if is_judged {
        refuse_command(session, RefusedCommand::Play, Refusal::NotText, 0.0);
    }
    !is_judged
}

fn refuse_name(session: &mut Session, violation: Violation) {
    violation::refuse(session, violation);
    session.send_status("NetStream.Play.StreamNotFound", "error", &violation.to_string());
    close_soon(session);
}

/// Adds a row for a player that nginx-rtmp serves.
pub fn on_play(session: &mut Session, name: &str) {
    if session.known_state().is_some_and(|state| state.is_closing()) {
        return;
    }
    let Some(runtime) = runtime::current().filter(|_| registration::ensure_started()) else { return };
    let (Some(worker), false) = (runtime.worker(), session.is_relay()) else { return };
    if guard::publishes(session) {
        // nginx-rtmp has one stream per connection, and does not play to a connection that publishes.
        return;
    }
    guests::on_play(session);
    if !session.gather() {
        session.send_at_once(false);
    }
    if session.state().is_none_or(|state| state.playing.is_some()) {
        return;
    }
    let addr = session.addr();
    let own = session.known_state().is_some_and(|state| state.own_player);
    let new =
        NewPlayer { server: session.server(), app: session.app(), stream: name, addr: &addr, worker, own };
    let most = session.settings().and_then(|settings| settings.max_viewers).filter(|_| !own);
    let zone = runtime.zone().lock(process::pid());
    // Another worker may have added a player since this command was judged.
    if most.is_some_and(|most| zone.watching(new.app) >= most) {
        drop(zone);
        return refuse_command(session, RefusedCommand::Play, Refusal::Crowded, 0.0);
    }
    // If the zone is full, nginx-rtmp still serves the player, and Weir does not count it.
    let Ok(id) = zone.add_player(&new, process::now()) else { return };
    drop(zone);
    let (zone, counter) = (Rc::clone(&runtime.shared), session.bytes_out());
    let playing = Playing { name: name.to_owned(), id, zone, counter, bytes: 0, rate: Rate::default() };
    if let Some(row) = playing.row() {
        row.set_file(session.file_position());
    }
    if let Some(state) = session.state() {
        state.playing = Some(playing);
    }
}

/// Returns whether a player begins with the messages since the last keyframe. The daemon's jobs and pulls of this nginx get only live
/// messages. Another worker gets them too, and keeps them for its own players.
pub fn begins_with_gop(session: &mut Session) -> bool {
    if runtime::current().is_none() || session.is_from_worker() {
        return false;
    }
    match session.is_relay() {
        true => session.ticket().is_some() || session.goes_to_worker(),
        false => session.known_state().is_none_or(|state| !state.is_closing() && !state.own_player),
    }
}

/// Removes the row of a play that has ended.
pub(super) fn release(playing: &Playing) {
    if let Some(runtime) = runtime::current() {
        runtime.zone().lock(process::pid()).remove_player(playing.id);
    }
}
