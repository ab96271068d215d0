//! Guests: connections without an accepted publish or play. They count against the limit of their address, have a deadline, and may leave
//! little unfinished. A session's present activity decides, not its earlier commands.

use std::collections::BTreeMap;

use ngx_rtmp::{incoming::Reading, local, sessions::Sessions};
use weir_model::{
    ClientAddr,
    guard::{
        self, Violation, deadline,
        guest::{self, Pace, Role},
    },
    network,
};

use super::{
    guarded::{Bucket, Guarded, Standing},
    publishing::Publish,
    violation::refuse,
};
use crate::{
    process,
    runtime::{self, Runtime},
    session::{Session, SessionExt as _},
};

/// Bytes that a player of a file must get within `weir_session_timeout` to count as a player that gets media, in addition to the answers to
/// its messages.
const FILE_BYTES: u32 = 32_768;
/// Most bytes of an answer.
const ANSWER_BYTES: u32 = 512;

local! {
    /// Whether an address has more guests than its limit, or recently had.
    static CROWDED: bool = false;
}
local! {
    /// Whether a socket is not read until a `publish` is answered.
    static PAUSED: bool = false;
}

fn standing_of<'a>(session: &'a mut Session<'_>) -> Option<&'a mut Standing> {
    guarded_of(session).map(|guarded| &mut guarded.standing)
}

fn guarded_of<'a>(session: &'a mut Session<'_>) -> Option<&'a mut Guarded> {
    session.known_state()?.guard.as_mut().filter(|guarded| guarded.client)
}

/// Counts a client whose address is now known. Returns whether the connection may continue.
pub(super) fn arrive(session: &mut Session) -> bool {
    match standing_of(session) {
        Some(standing) => standing.looked = true,
        None => return true,
    }
    let (Some((runtime, bucket)), Some(settings)) = (counts_for(session), session.guard_settings()) else {
        return true;
    };
    let Some(worker) = runtime.worker() else { return true };
    let limit = settings.limit_unauthenticated();
    let (used, total) = process::connections();
    let most = guest::momentary_limit(limit, used, total);
    let open = || runtime.zone().lock(process::pid()).connection_opened(worker, bucket, most, process::now());
    let opened = open()
        || (make_room(&mut session.all(), &runtime, bucket, u64::from(most.saturating_sub(1))) && open());
    if !opened {
        refuse(session, Violation::TooManyConnections);
        return false;
    }
    if let Some(standing) = standing_of(session) {
        standing.counted = Some(bucket);
    }
    crowded_over(&runtime, bucket, limit);
    true
}

/// Returns the address bucket that the connection is counted for. Loopback addresses and unix sockets are exempt.
fn counts_for(session: &Session) -> Option<(std::rc::Rc<Runtime>, Bucket)> {
    let (ClientAddr::Ip(addr), Some(runtime)) = (session.client(), runtime::current()) else { return None };
    (!session.client().is_local()).then(|| (runtime, network::attempt_bucket(addr)))
}

fn crowded_over(runtime: &Runtime, bucket: Bucket, limit: u32) {
    if runtime.zone().lock(process::pid()).connections_of(bucket) > u64::from(limit) {
        CROWDED.with(|crowded| *crowded = true);
    }
}

/// Notes progress towards a publish or a play: the end of the handshake, or a command.
pub(super) fn step(session: &mut Session) {
    if let Some(standing) = standing_of(session) {
        standing.pace.step(process::uptime());
    }
}

/// Judges a client's message that is not media. Returns the violation: nginx-rtmp would keep all answers for a client that never reads.
pub(super) fn on_message(session: &mut Session) -> Result<(), Violation> {
    let unsent = session.unsent();
    let Some(standing) = standing_of(session) else { return Ok(()) };
    standing.said = standing.said.saturating_add(1);
    if matches!(standing.role, Role::Publishing | Role::Playing) { Ok(()) } else { guard::unread(unsent) }
}

/// Notes that a `publish` was accepted, or that nginx-rtmp is being asked; `authorised`: the client has a key or a token.
pub(super) fn on_publish(session: &mut Session, authorised: bool) {
    if let Some(standing) = standing_of(session) {
        (standing.authorised, standing.media) = (authorised, false);
    }
    refresh(session);
}

/// Notes that a `play` succeeded.
pub(super) fn on_play(session: &mut Session) {
    let sent = session.bytes_out();
    if let Some(standing) = standing_of(session) {
        (standing.plays, standing.fed) = (true, None);
        (standing.sent, standing.said) = (sent, 0);
    }
    refresh(session);
}

/// Returns whether the client plays a stream.
pub(super) fn plays(session: &mut Session) -> bool {
    standing_of(session).is_some_and(|standing| standing.plays)
}

/// Notes a message with audio or a frame.
pub(super) fn on_media(session: &mut Session) {
    let Some(standing) = standing_of(session) else { return };
    standing.since = process::uptime();
    if !std::mem::replace(&mut standing.media, true) {
        refresh(session);
    }
}

/// Notes that the client's stream was closed.
pub(super) fn on_close(session: &mut Session) {
    if let Some(standing) = standing_of(session) {
        (standing.authorised, standing.media, standing.plays, standing.fed) = (false, false, false, None);
    }
    refresh(session);
}

/// Returns the client's present role.
fn role_of(session: &mut Session) -> Option<Role> {
    let asking = session.has_live_streams() && !session.is_live();
    let fed = session.gets_live_media();
    let (sent, now) = (session.bytes_out(), process::uptime());
    let grace_ms = session.guard_settings().map_or(0, |settings| settings.limits().session_timeout_ms);
    let waits = matches!(session.known_state()?.publish, Publish::Waiting(_));
    let guarded = guarded_of(session)?;
    let standing = &mut guarded.standing;
    if guarded.publishes {
        return Some(match standing.media {
            _ if asking => Role::Asking,
            true => Role::Publishing,
            false => Role::Published,
        });
    }
    if waits {
        return Some(Role::Asking);
    }
    if !standing.plays {
        return Some(Role::Arriving);
    }
    let answers = standing.said.saturating_mul(ANSWER_BYTES);
    if fed || sent.wrapping_sub(standing.sent) > answers.saturating_add(FILE_BYTES) {
        (standing.fed, standing.sent, standing.said) = (Some(now), sent, 0);
    }
    let lately = standing.fed.is_some_and(|fed| now.millis_since(fed) <= grace_ms);
    Some(if lately { Role::Playing } else { Role::Waiting })
}

/// Determines the client's role again, and updates whether the client is counted.
fn refresh(session: &mut Session) {
    if session.is_ending() {
        return;
    }
    let (Some(role), Some(standing)) = (role_of(session), standing_of(session)) else { return };
    if standing.role != role {
        let now = process::uptime();
        if !standing.role.is_guest(standing.authorised) && role.is_guest(standing.authorised) {
            standing.pace = Pace::new(now);
        }
        (standing.role, standing.since) = (role, now);
    }
    match (role.is_guest(standing.authorised), standing.counted) {
        (true, None) if standing.looked => count_again(session),
        (false, Some(_)) => release(session),
        _ => {}
    }
}

/// Counts a client again that published or got media before, and is now a guest.
fn count_again(session: &mut Session) {
    let (Some((runtime, bucket)), Some(settings)) = (counts_for(session), session.guard_settings()) else {
        return;
    };
    let Some(worker) = runtime.worker() else { return };
    runtime.zone().lock(process::pid()).connection_opened(worker, bucket, u32::MAX, process::now());
    if let Some(standing) = standing_of(session) {
        standing.counted = Some(bucket);
    }
    crowded_over(&runtime, bucket, settings.limit_unauthenticated());
}

/// Stops counting the connection for its address.
pub(super) fn release(session: &mut Session) {
    let counted = standing_of(session).and_then(|standing| standing.counted.take());
    if let (Some(bucket), Some(runtime)) = (counted, runtime::current())
        && let Some(worker) = runtime.worker()
    {
        runtime.zone().lock(process::pid()).connection_settled(worker, bucket);
    }
}

/// Decides how much to read from a connection.
pub fn before_reading(session: &mut Session) -> Reading {
    let Some(state) = session.known_state() else { return Reading::All };
    if state.is_closing() {
        return Reading::Discard;
    }
    let proxied = session.is_behind_proxy();
    let Some(guarded) = guarded_of(session) else { return Reading::All };
    // The first bytes are the proxy's, and contain the client's address.
    let told = std::mem::replace(&mut guarded.begun, true);
    if proxied && told && !guarded.standing.looked && !arrive(session) {
        return Reading::Close;
    }
    let Some(mut role) = standing_of(session).map(|standing| standing.role) else { return Reading::All };
    if role == Role::Asking {
        refresh(session);
        role = standing_of(session).map_or(role, |standing| standing.role);
    }
    if role.may_send_media() {
        return Reading::All;
    }
    match guard::unfinished(session.unfinished()) {
        Ok(()) => Reading::Little,
        Err(_) if role == Role::Asking => {
            // An encoder that does not wait for the answer loses no data.
            if let Some(standing) = standing_of(session) {
                standing.paused = true;
            }
            PAUSED.with(|paused| *paused = true);
            Reading::Later
        }
        Err(violation) => {
            refuse(session, violation);
            Reading::Close
        }
    }
}

/// Runs ten times per second. Resumes reading after an answer, and closes guests of addresses that have too many.
pub fn tick(sessions: &mut Sessions<'_>) {
    if PAUSED.with(std::mem::take) {
        sessions.each(|session: &mut Session| {
            if standing_of(session).is_some_and(|standing| std::mem::take(&mut standing.paused))
                && !session.is_ending()
            {
                session.read_on();
            }
        });
    }
    let Some(runtime) = runtime::current().filter(|_| CROWDED.with(std::mem::take)) else { return };
    let mut limits: BTreeMap<Bucket, u32> = BTreeMap::new();
    sessions.each(|session: &mut Session| {
        let settings = session.guard_settings();
        let counted = standing_of(session).and_then(|standing| standing.counted);
        if let (Some(bucket), Some(settings)) = (counted, settings) {
            limits.insert(bucket, settings.limit_unauthenticated());
        }
    });
    for (bucket, limit) in limits {
        if !make_room(sessions, &runtime, bucket, u64::from(limit)) {
            CROWDED.with(|crowded| *crowded = true);
        }
    }
}

/// Closes the guests of an address that have made no progress for the longest time, until the address has `most`. Returns whether it has no
/// more.
fn make_room(sessions: &mut Sessions<'_>, runtime: &Runtime, bucket: Bucket, most: u64) -> bool {
    let excess = || runtime.zone().lock(process::pid()).connections_of(bucket).saturating_sub(most);
    if excess() == 0 {
        return true;
    }
    // A player that got its first media since the last look is no guest any more.
    sessions.each(|session: &mut Session| {
        if standing_of(session).is_some_and(|standing| standing.counted == Some(bucket)) {
            refresh(session);
        }
    });
    let mut excess = excess();
    if excess == 0 {
        return true;
    }
    let now = process::uptime();
    let mut idle = Vec::new();
    sessions.each(|session: &mut Session| {
        if let Some(standing) = standing_of(session)
            && standing.counted == Some(bucket)
            && standing.pace.makes_room(standing.role, now)
        {
            idle.push(standing.pace.idle_ms(now));
        }
    });
    idle.sort_unstable_by(|a, b| b.cmp(a));
    // The least idle time among the guests that must close.
    let wanted = usize::try_from(excess).unwrap_or(usize::MAX).min(idle.len());
    let Some(least) = wanted.checked_sub(1).map(|last| idle[last]) else { return false };
    sessions.each(|session: &mut Session| {
        let goes = standing_of(session).is_some_and(|standing| {
            let (pace, role) = (&standing.pace, standing.role);
            standing.counted == Some(bucket) && pace.makes_room(role, now) && pace.idle_ms(now) >= least
        });
        if goes && excess > 0 {
            excess -= 1;
            refuse(session, Violation::TooManyConnections);
            release(session);
            session.close();
        }
    });
    excess == 0
}

/// Runs once per second. Closes a session that was silent for too long.
pub fn check_deadline(session: &mut Session) {
    refresh(session);
    let Some(settings) = session.guard_settings() else { return };
    if session.known_state().is_none_or(|state| state.is_closing()) || session.is_ending() {
        return;
    }
    let Some(standing) = standing_of(session) else { return };
    let (used, total) = process::connections();
    let (role, since, now) = (standing.role, standing.since, process::uptime());
    let scarce = guest::is_scarce(used, total);
    if let Some(violation) = deadline::overdue(role, since, now, &settings.limits(), scarce) {
        refuse(session, violation);
        session.close();
    }
}
