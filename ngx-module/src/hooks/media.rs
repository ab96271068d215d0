//! Audio and video of a publisher: counts them, and checks the name of the stream.

use ngx_rtmp::{incoming::Passage, log::Level, timer};
use weir_model::{
    Refusal, bitrate,
    event::{Event, PublishBitrate},
    guard::Violation,
    verdict::Credential,
};
use weir_zone::NewStream;

use super::{
    guard,
    lingering::close_soon,
    live::Live,
    publishing::{Publish, set},
    refusal::refuse,
    spread, violation,
};
use crate::{
    process, push, registration, runtime,
    session::{Session, SessionExt as _},
    settings::AppSettings,
};

/// Runs once per second. Logs a warning for a publisher that sends more than its application allows, and closes it later.
pub fn limit_bitrate(session: &mut Session) {
    let Some(limit) = session.settings().and_then(|settings| settings.max_bitrate) else { return };
    let Some(Publish::Live(live)) = session.known_state().map(|state| &mut state.publish) else { return };
    let (rate, id, name) = (live.all_rate.bits_per_second(), live.id, live.name.clone());
    let Some(watch) = live.bitrate.as_mut().filter(|_| live.confirmed) else { return };
    let verdict = watch.sample(process::uptime(), rate, &limit);
    let Some(runtime) = runtime::current().filter(|_| verdict != bitrate::Verdict::Fine) else { return };
    let (app, most) = (session.app(), limit.rate);
    let (what, closed) = match verdict {
        bitrate::Verdict::Close => ("publisher disconnected: bitrate above weir_max_bitrate for 20 s", true),
        _ => ("bitrate above weir_max_bitrate for 10 s", false),
    };
    session.log(
        Level::Warning,
        format_args!(
            "{what}, app: \"{app}\", stream: \"{name}\", bitrate: {rate} bit/s, limit: {most} bit/s"
        ),
    );
    let event = Event::PublishBitrate(PublishBitrate {
        app: app.to_owned(),
        bitrate: rate,
        closed,
        limit: most,
        name,
        server: session.server().to_string(),
        session: id.to_string(),
    });
    let zone = runtime.zone().lock(process::pid());
    zone.push_event(&event, process::now());
    if !closed {
        return;
    }
    zone.too_fast(id);
    drop(zone);
    let reason = format!("bitrate of {rate} bit/s: at most {most} bit/s are allowed");
    session.send_status("NetStream.Publish.Denied", "error", &reason);
    close_soon(session);
}

/// Logs that the messages since the last keyframe exceed the limit of the application, once per session.
pub fn gop_is_too_large(session: &mut Session) {
    let Some(Publish::Live(live)) = session.known_state().map(|state| &mut state.publish) else { return };
    if std::mem::replace(&mut live.told_gop, true) {
        return;
    }
    let name = live.name().to_owned();
    session.log(
        Level::Notice,
        format_args!(
            "keyframes too far apart for weir_gop_cache, players that join wait for the next one, app: \"{}\", \
             stream: \"{name}\"",
            session.app()
        ),
    );
}

/// Kind of media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// An audio message.
    Audio,
    /// A video message: a frame, or a header.
    Video,
}

/// Handles an audio or video message of `bytes` bytes. `content`: the message has audio or a frame, so the publisher is not idle.
pub fn on_media(session: &mut Session, media: Media, bytes: u32, content: bool) -> Passage {
    if !guard::on_media(session, content) {
        return Passage::Drop;
    }
    match session.known_state().map(|state| &mut state.publish) {
        Some(Publish::Live(live)) => {
            match live.row() {
                Some(row) if content => row.media(process::now(), u64::from(bytes)),
                Some(row) => row.received(u64::from(bytes)),
                None => {}
            }
            timer::awake();
            match media {
                Media::Audio => live.audio_bytes += u64::from(bytes),
                Media::Video => live.frames += u64::from(content),
            }
            if !live.confirmed && !confirm_name(session) {
                return Passage::Drop;
            }
        }
        Some(Publish::Idle) | None => return watch(session),
        Some(Publish::Waiting(_) | Publish::Unseen | Publish::FromWorker(_)) => {}
    }
    Passage::Open
}

/// Adds a row for a live stream of an application whose keys and names nginx-rtmp alone handles.
fn watch(session: &mut Session) -> Passage {
    let Some(runtime) = runtime::current().filter(|_| registration::ensure_started()) else {
        return Passage::Open;
    };
    let (Some(name), Some(worker)) = (session.live_name(), runtime.worker()) else { return Passage::Open };
    let Some(AppSettings { server, folders, .. }) = session.settings() else { return Passage::Open };
    let addr = session.addr();
    let credential = if session.is_relay() { Credential::Pull } else { Credential::Open };
    let new = NewStream { server, folders, app: session.app(), name: &name, credential, addr: &addr, worker };
    let zone = runtime.zone().lock(process::pid());
    if credential == Credential::Open
        && guard::stands_before(session)
        && zone.occupant(server, folders, new.app, &name, process::alive).is_some()
    {
        drop(zone);
        violation::refuse(session, Violation::Duplicate);
        return Passage::Close;
    }
    let id = zone.watch(&new, process::now()).ok();
    drop(zone);
    let watched = id.map(|id| Live::new(&runtime, id, name.clone(), credential, true));
    match watched {
        Some(live) => {
            set(session, Publish::Live(live));
            started(session);
        }
        None => set(session, Publish::Unseen),
    }
    Passage::Open
}

/// Checks that nginx-rtmp publishes the stream under the name that HLS and the zone know. Returns whether other handlers may see its media.
/// Weir has already refused a redirect of `on_publish` to another name, but a redirect to another server may rename the stream too
/// (`notify_relay_redirect`).
fn confirm_name(session: &mut Session) -> bool {
    let Some(live_name) = session.live_name() else { return true };
    let Some(Publish::Live(live)) = session.state().map(|state| &mut state.publish) else { return true };
    live.confirmed = true;
    if live.name != live_name {
        refuse(session, Refusal::Renamed);
        return false;
    }
    started(session);
    true
}

/// Runs when the stream is live under its name. Starts its pushes.
fn started(session: &mut Session) {
    if let (Some(Publish::Live(live)), Some(runtime)) =
        (session.known_state().map(|state| &state.publish), runtime::current())
    {
        runtime.zone().lock(process::pid()).started(live.id, process::now());
    }
    spread::spread(session);
    push::align(session);
}
