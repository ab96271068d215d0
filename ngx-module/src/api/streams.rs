//! `/v1/streams`: lists the live streams of all workers, and drops a publisher or a player in any worker. `/v1/viewers`: lists the viewers,
//! and takes the numbers of viewers that the daemon serves itself.
//!
//! A stream is named by application and name, in the path or in arguments, and also by `?server=` if several `server` blocks have a stream
//! with that name.

use std::collections::HashSet;

use ngx_rtmp::{
    request::{Response, Step},
    sessions::Sessions,
};
use serde_json::json;
use weir_model::{
    ServerAddr, Timestamp,
    api::ApiError,
    event::{Event, PlayerDropped, StreamDropped},
    fields::TWICE,
    snapshot::StreamSnapshot,
    verdict::Credential,
    viewers::Report,
};
use weir_zone::{LiveStream, MAX_BANS};

use super::{
    applications,
    call::{Answer, Call, answer},
    list,
};
use crate::{orders, process, snapshot};

/// Longest ban, in seconds: one day.
const MAX_BAN_S: u64 = 86_400;

/// The arguments after `?`.
#[derive(Default)]
struct Asked {
    app: Option<String>,
    name: Option<String>,
    server: Option<ServerAddr>,
    ban_s: u64,
}

pub(super) fn list(call: &Call<'_>) -> Answer {
    let asked = Asked::read(call.head.query, &["app", "name", "server"])?;
    let fits = |stream: &StreamSnapshot| {
        asked.app.as_ref().is_none_or(|app| *app == stream.app)
            && asked.name.as_ref().is_none_or(|name| *name == stream.name)
            && stream.server.is_within(asked.server.as_ref())
    };
    let streams: Vec<StreamSnapshot> = snapshot::streams(&call.runtime).into_iter().filter(fits).collect();
    list::list("streams", snapshot::told(&call.runtime, streams))
}

pub(super) fn show(call: &Call<'_>, app: &[&str], name: &str) -> Answer {
    let streams = snapshots(call, app, name)?;
    answer(200, &streams.first())
}

pub(super) fn players(call: &Call<'_>, app: &[&str], name: &str) -> Answer {
    let streams = snapshots(call, app, name)?;
    list::list("players", streams.into_iter().flat_map(|stream| stream.players).collect())
}

/// Drops a publisher. With `?ban_s=60`, its key is refused for that many seconds.
pub(super) fn drop_publisher(
    call: &Call<'_>,
    sessions: &mut Sessions<'_>,
    app: &[&str],
    name: &str,
) -> Answer {
    let asked = Asked::read(call.head.query, &["ban_s", "server"])?;
    drop_all(call, sessions, &asked, find(call, app, name, &asked)?)
}

/// Like [`drop_publisher`], for any name: `?app=live&name=..` can name a stream that no path can name.
pub(super) fn drop_asked(call: &Call<'_>, sessions: &mut Sessions<'_>) -> Answer {
    let asked = Asked::read(call.head.query, &["app", "name", "server", "ban_s"])?;
    let (Some(app), Some(name)) = (&asked.app, &asked.name) else {
        return Err(ApiError::bad_request(
            "arguments \"app\" and \"name\" are missing: they select the stream",
        ));
    };
    let streams = live(call, app, name, &asked);
    if streams.is_empty() {
        Err(not_live(call, app, name, &asked))
    } else {
        drop_all(call, sessions, &asked, streams)
    }
}

fn drop_all(call: &Call<'_>, sessions: &mut Sessions<'_>, asked: &Asked, streams: Vec<LiveStream>) -> Answer {
    let until = process::now().plus_seconds(asked.ban_s);
    let key = |stream: &LiveStream| match stream.credential {
        Credential::Key(id) => Some(id),
        _ => None,
    };
    let keys: Vec<_> = streams.iter().filter_map(key).collect();
    if asked.ban_s > 0 && keys.len() < streams.len() {
        return Err(ApiError::conflict("no key opened this stream: only a key can be banned"));
    }
    let banned: Option<Timestamp> = (asked.ban_s > 0).then_some(until);
    let zone = call.runtime.zone().lock(process::pid());
    if banned.is_some() {
        if !zone.can_ban(&keys, process::now()) {
            let message = format!(
                "{MAX_BANS} keys are banned already, as many as possible: drop the publisher without \"ban_s\", or revoke its key"
            );
            return Err(ApiError::conflict(message));
        }
        keys.into_iter().for_each(|id| zone.ban_key(id, until));
    }
    let dropped = streams.iter().filter(|stream| zone.order_close(stream.id)).count();
    if let Some(LiveStream { app, name, .. }) = streams.first() {
        let (app, ban_s, by, name) = (app.clone(), asked.ban_s, call.by(), name.clone());
        zone.push_event(&Event::StreamDropped(StreamDropped { app, ban_s, by, name }), process::now());
    }
    drop(zone);
    orders::given(&call.runtime, sessions);
    answer(200, &json!({ "dropped": dropped, "banned_until": banned }))
}

pub(super) fn drop_player(
    call: &Call<'_>,
    sessions: &mut Sessions<'_>,
    app: &[&str],
    name: &str,
    id: &str,
) -> Answer {
    let session = snapshot::parse_number(id);
    let zone = call.runtime.zone().lock(process::pid());
    let found = session.and_then(|session| {
        readings(app, name).into_iter().find(|(app, name)| zone.order_drop(app, name, session))
    });
    let found = found.map(|(app, name)| {
        let event = Event::PlayerDropped(PlayerDropped { app, by: call.by(), name });
        zone.push_event(&event, process::now());
    });
    drop(zone);
    if found.is_none() {
        let app = app.join("/");
        applications::require(&call.runtime, &app)?;
        return Err(ApiError::not_found(format!("no player \"{id}\" plays \"{app}/{name}\"")));
    }
    orders::given(&call.runtime, sessions);
    answer(200, &json!({ "dropped": 1 }))
}

/// Lists every stream that is or was recently watched.
pub(super) fn audiences(call: &Call<'_>) -> Answer {
    let zone = call.runtime.zone();
    let (used, rows) = zone.viewer_rows();
    let end = json!({ "rows": rows, "used": used, "saturated": zone.is_saturated(process::uptime()) });
    let streams = snapshot::audiences(&call.runtime);
    let is_short = streams.len() <= list::AT_ONCE;
    Ok(list::step("streams", is_short, list::parts(streams, format!(",\"table\":{end}"))))
}

/// Stores the daemon's report of the viewers that it serves itself, in place of its last report.
pub(super) fn report_viewers(call: &Call<'_>) -> Answer {
    let report = Report::from_json(call.body)?;
    let zone = call.runtime.zone().lock(process::pid());
    zone.report_viewers(&report, process::uptime())
        .map_err(|full| ApiError::zone_full(format!("some streams are not counted: {full}")))?;
    let (headers, body) = (Vec::new(), String::new());
    Ok(Step::Answer(Response { status: 204, content_type: "application/json", headers, body }))
}

/// Returns the streams of a path; the stream that began first comes first.
fn snapshots(call: &Call<'_>, app: &[&str], name: &str) -> Result<Vec<StreamSnapshot>, ApiError> {
    let asked = Asked::read(call.head.query, &["server"])?;
    let sessions: Vec<String> =
        find(call, app, name, &asked)?.iter().map(|stream| stream.id.to_string()).collect();
    let streams = snapshot::streams(&call.runtime).into_iter();
    let found: Vec<StreamSnapshot> = streams.filter(|stream| sessions.contains(&stream.session)).collect();
    if found.is_empty() {
        Err(not_live(call, &app.join("/"), name, &asked))
    } else {
        Ok(snapshot::told(&call.runtime, found))
    }
}

/// Returns the live streams of a path, from its first reading that has any.
fn find(call: &Call<'_>, app: &[&str], name: &str, asked: &Asked) -> Result<Vec<LiveStream>, ApiError> {
    let found = readings(app, name)
        .iter()
        .map(|(app, name)| live(call, app, name, asked))
        .find(|all| !all.is_empty());
    found.ok_or_else(|| not_live(call, &app.join("/"), name, asked))
}

/// Returns the possible readings of a path, because applications and names may both contain slashes. A part with `%2F` was not split, so a
/// path of two parts has only one reading.
fn readings(app: &[&str], name: &str) -> Vec<(String, String)> {
    let parts: Vec<&str> = app.iter().copied().chain([name]).collect();
    let splits = |parts: &[&str]| {
        let cuts = (1..parts.len()).rev();
        cuts.map(|cut| (parts[..cut].join("/"), parts[cut..].join("/"))).collect::<Vec<_>>()
    };
    let mut all = splits(&parts);
    // A slash at the end of a longer path is either an empty name or nothing.
    if let [before @ .., ""] = parts.as_slice()
        && before.len() > 1
    {
        all.extend(splits(before));
    }
    all
}

fn live(call: &Call<'_>, app: &str, name: &str, asked: &Asked) -> Vec<LiveStream> {
    let zone = call.runtime.zone().lock(process::pid());
    let mut streams = zone.streams_named(app, name, process::alive);
    streams.retain(|stream| stream.server.is_within(asked.server.as_ref()));
    streams
}

/// Returns the error for a stream that is not live. For an unknown application or `server` block, the error lists the known ones.
fn not_live(call: &Call<'_>, app: &str, name: &str, asked: &Asked) -> ApiError {
    if let Some(error) = asked.server.as_ref().and_then(|server| call.runtime.unknown_server(server)) {
        return ApiError::not_found(format!("argument \"server\": {error}"));
    }
    let not_live = ApiError::not_found(format!("no stream \"{app}/{name}\" is live"));
    applications::require(&call.runtime, app).err().unwrap_or(not_live)
}

impl Asked {
    /// Reads the arguments. Only those in `known` are allowed.
    fn read(query: &str, known: &[&str]) -> Result<Asked, ApiError> {
        let mut asked = Asked::default();
        let mut seen = HashSet::new();
        for (argument, value) in form_urlencoded::parse(query.as_bytes()) {
            let bad = |what: String| ApiError::bad_request(format!("argument \"{argument}\": {what}"));
            if !seen.insert(argument.clone()) {
                return Err(bad(TWICE.to_owned()));
            }
            match argument.as_ref() {
                unknown if !known.contains(&unknown) => {
                    let known = known.join(", ");
                    return Err(ApiError::bad_request(format!(
                        "unknown argument \"{unknown}\", known is {known}"
                    )));
                }
                "app" => asked.app = Some(value.into_owned()),
                "name" => asked.name = Some(value.into_owned()),
                "server" => asked.server = Some(value.parse().map_err(|error| bad(format!("{error}")))?),
                _ => {
                    asked.ban_s = value
                        .parse()
                        .ok()
                        .filter(|ban_s| *ban_s <= MAX_BAN_S)
                        .ok_or_else(|| bad(format!("expected seconds from 0 to {MAX_BAN_S}")))?;
                }
            }
        }
        Ok(asked)
    }
}
