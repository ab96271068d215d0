//! The number of viewers over HTTP: `weir_viewers` and `weir_max_viewers`.
//!
//! A known viewer is refreshed without a lock. A new viewer takes the zone's lock once.

use std::net::IpAddr;

use ngx_rtmp::{gate::Asked, value::Value};
use weir_model::{
    ClientAddr, Digest, StreamName, client,
    playback::uri::{self, Layout, Named, UriError},
    viewers::{self, Trace, ViewerProtocol},
};
use weir_zone::{Seated, Viewer, ViewerKey, Watched};

use crate::{
    process,
    runtime::{self, Runtime},
    settings::{Counting, LocationSettings, ViewersRule},
};

/// `Retry-After` for a client of a full application, in seconds. A place is free again when a window ends.
pub const RETRY_AFTER_S: &str = "10";

/// How long a place is reserved for a request whose answer has not begun, in milliseconds.
const KEPT_MS: u64 = 5_000;

/// State of a viewer's request before its answer begins.
pub struct Visit {
    /// The viewer, if a token identifies it.
    viewer: Option<Viewer>,
    /// The viewer that was counted for this request, to reserve a place.
    seated: Option<ViewerKey>,
}

/// The application has its largest number of viewers.
pub struct Crowded {
    /// The application.
    pub app: String,
    /// The requested stream.
    pub stream: StreamName,
}

/// Decides whether a request for a location with `weir_viewers` may be answered. If the application has a limit, counts the viewer
/// immediately.
pub fn visit(
    asked: &Asked<'_>,
    settings: &LocationSettings,
    viewer: Option<Viewer>,
) -> Result<Option<Visit>, Crowded> {
    let Some(ViewersRule::Count(counting)) = &settings.viewers else { return Ok(None) };
    let Some(runtime) = runtime::current() else { return Ok(None) };
    let known = || viewer.map(|viewer| Visit { viewer: Some(viewer), seated: None });
    if runtime.has_no_limit() || is_own(&runtime, asked) {
        return Ok(known());
    }
    let Ok(named) = named(&runtime, asked, &counting.layout, counting.stream.as_ref()) else {
        return Ok(known());
    };
    let Some(limit) = runtime.max_viewers(named.app) else { return Ok(known()) };
    let Some(trace) = Trace::of(asked.path(), &[]) else { return Ok(known()) };
    let (zone, now) = (runtime.zone(), process::uptime());
    let of = |kind| Watched { app: named.app, stream: named.watched().as_str(), kind };
    let who = viewer.unwrap_or_else(|| viewer_at(&runtime, asked));
    let kinds: &[ViewerProtocol] = match trace {
        Trace::Of(kind) => &[kind],
        Trace::Either => &[ViewerProtocol::Hls, ViewerProtocol::Dash],
    };
    let is_known = |kind: &ViewerProtocol| zone.knows_viewer(zone.viewer_key(who, &of(*kind)));
    if kinds.iter().any(is_known) {
        return Ok(known());
    }
    let crowded = || Crowded { app: named.app.to_owned(), stream: named.watched().clone() };
    match trace {
        Trace::Of(kind) if asked.method() == b"GET" => {
            let (watched, key) = (of(kind), zone.viewer_key(who, &of(kind)));
            let locked = zone.lock(process::pid());
            // An unknown name gets a record only when its answer succeeds, because most requests for unknown names end with 404.
            if !locked.is_watchable(watched.app, watched.stream) {
                return if locked.watching(named.app) >= limit { Err(crowded()) } else { Ok(known()) };
            }
            // A redirect to another location may lose the visit; the place then soon becomes free again.
            match locked.seat_viewer(key, &watched, now, counting.window_ms.min(KEPT_MS), Some(limit)) {
                Ok(Seated::Full) => Err(crowded()),
                Ok(Seated::New) => Ok(Some(Visit { viewer, seated: Some(key) })),
                Ok(Seated::Known) | Err(_) => Ok(known()),
            }
        }
        _ if zone.lock(process::pid()).watching(named.app) >= limit => Err(crowded()),
        _ => Ok(known()),
    }
}

/// Runs when the answer begins. Counts a viewer who gets media.
pub fn answered(
    asked: &Asked<'_>,
    settings: &LocationSettings,
    status: u16,
    content_type: &[u8],
    visit: Option<Visit>,
) {
    let Some(ViewersRule::Count(counting)) = &settings.viewers else { return };
    let Some(runtime) = runtime::current() else { return };
    if !viewers::is_watched(status) || asked.method() != b"GET" || is_own(&runtime, asked) {
        if let Some(key) = visit.and_then(|visit| visit.seated) {
            runtime.zone().lock(process::pid()).unseat_viewer(key);
        }
        return;
    }
    let Ok(named) = named(&runtime, asked, &counting.layout, counting.stream.as_ref()) else { return };
    let Some(trace) = Trace::of(asked.path(), content_type) else { return };
    let viewer = visit.and_then(|visit| visit.viewer).unwrap_or_else(|| viewer_at(&runtime, asked));
    count(&runtime, counting, &named, trace, viewer);
}

fn count(runtime: &Runtime, counting: &Counting, named: &Named<'_>, trace: Trace, viewer: Viewer) {
    let (zone, now) = (runtime.zone(), process::uptime());
    let of = |kind| Watched { app: named.app, stream: named.watched().as_str(), kind };
    let refresh = |kind| {
        let key = zone.viewer_key(viewer, &of(kind));
        (key, zone.refresh_viewer(key, now, counting.window_ms))
    };
    match trace {
        Trace::Of(kind) => {
            if let (key, false) = refresh(kind) {
                let locked = zone.lock(process::pid());
                // A full zone reports that itself.
                let _ = locked.seat_viewer(key, &of(kind), now, counting.window_ms, None);
            }
        }
        Trace::Either => _ = refresh(ViewerProtocol::Hls).1 || refresh(ViewerProtocol::Dash).1,
    }
}

/// Returns the stream that a request is for.
pub fn named<'n>(
    runtime: &Runtime,
    asked: &Asked<'n>,
    layout: &'n Layout,
    stream: Option<&Value>,
) -> Result<Named<'n>, UriError> {
    match (stream, &layout.app) {
        (Some(value), Some(app)) => {
            let name = asked.value(value).and_then(|name| StreamName::parse(name).ok());
            Ok(Named { app, stream: name.ok_or(UriError::NoStream)?, variant_of: None })
        }
        _ => {
            let is_known = |app: &str| runtime.application_facts.iter().any(|facts| facts.name == app);
            uri::stream_of(location_of(asked), asked.below(), layout, is_known)
        }
    }
}

fn viewer_at(runtime: &Runtime, asked: &Asked<'_>) -> Viewer {
    let addr = match asked.client() {
        Some(IpAddr::V4(addr)) => addr.to_ipv6_mapped().octets(),
        Some(IpAddr::V6(addr)) => addr.octets(),
        None => [0; 16],
    };
    runtime.zone().viewer_at(addr, asked.user_agent())
}

/// Returns whether the request is from a program of Weir on this machine, such as `weir check hls`: it has the ticket of the API, and it is
/// no viewer.
fn is_own(runtime: &Runtime, asked: &Asked<'_>) -> bool {
    let is_local = asked.client().map_or(ClientAddr::Unix, ClientAddr::Ip).is_local();
    let ticket = client::ticket_of_cookies(asked.cookies()).filter(|_| is_local);
    ticket.is_some_and(|ticket| Digest::of(ticket) == runtime.zone().player_ticket().digest())
}

/// Returns the path of the location.
fn location_of<'r>(asked: &Asked<'r>) -> &'r [u8] {
    let (path, below) = (asked.path(), asked.below());
    &path[..path.len().saturating_sub(below.len())]
}
