//! `GET /v1/live`: the streams that viewers can watch, without addresses and keys.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use weir_model::front::Nature;

use super::asker::asker;
use super::common::Web;
use super::news::source_of;
use crate::config::Config;
use crate::jobs::View;
use crate::ladder;
use crate::ladder::plan::{LadderJob, Rendition};
use crate::live::board::Entry;
use crate::live::station::Counts;
use crate::streams::StreamId;

/// The rendition that every stream has.
const SOURCE: &str = "source";

/// Lists all live streams.
pub(super) async fn list(
    State(web): State<Arc<Web>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    let config = web.context.config();
    let asker = asker(peer, &headers, &config.web.trusted_proxies, &config.web.base);
    let place = config.web.url.clone().or(asker.url).unwrap_or_default();
    let jobs = web.office.jobs().list();
    let ready = ready(&jobs);
    let all = web.board.all();
    let slates: HashSet<StreamId> = all.iter().filter(|entry| entry.live.slate).map(Entry::id).collect();
    let streams: Vec<Value> = all
        .iter()
        .map(|entry| {
            let choice = Choice::of(&config, &ready, entry);
            let has_captions = web.hub.known(&entry.id()).is_some_and(|station| station.has_captions());
            let nature = nature(&config, &slates, &entry.id());
            let mut stream = stream(entry, &choice, web.hub.counts_of(&entry.id()), has_captions, &place);
            if let (Some(stream), Value::Object(nature)) = (stream.as_object_mut(), json!(nature)) {
                // Until nginx has answered, nobody may watch.
                stream.insert("protected".into(), web.doors.needs_token(&entry.id()).unwrap_or(true).into());
                stream.extend(nature);
            }
            stream
        })
        .collect();
    let mut response = Json(json!({ "streams": streams, "on_demand": on_demand(&web) })).into_response();
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// Returns what a stream is.
fn nature(config: &Config, slates: &HashSet<StreamId>, id: &StreamId) -> Nature {
    let source = source_of(config, id);
    let of_source = source.as_ref().and_then(|of| Some((of.app.parse().ok()?, of.name.parse().ok()?)));
    let slate = slates.contains(id) || of_source.is_some_and(|id| slates.contains(&id));
    Nature::of(source, slate)
}

/// Lists streams that start on demand and are not live.
fn on_demand(web: &Web) -> Vec<Value> {
    let waiting = web.board.demand.all().into_iter().filter(|id| web.board.find(id).is_none());
    waiting.map(|(app, name)| json!({ "app": app, "name": name })).collect()
}

/// Returns the ids of the jobs whose output can be played.
pub(super) fn ready(jobs: &[View]) -> HashSet<&str> {
    jobs.iter().filter(|job| job.status.ready).map(|job| job.id.as_str()).collect()
}

/// What viewers can choose from now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// The stream as its publisher sends it, and what its ladder makes of it.
    renditions: Vec<String>,
    /// Nothing is missing.
    pub(super) is_ready: bool,
}

impl Choice {
    /// `ready` holds the ids of the jobs whose output can be played.
    pub(super) fn of(config: &Config, ready: &HashSet<&str>, entry: &Entry) -> Self {
        let wanted = ladder::plan::plan(config, std::iter::once(&entry.live)).into_iter().next();
        let is_done = |ladder: &LadderJob| ready.contains(ladder.id.as_str());
        let is_ready = wanted.as_ref().is_none_or(is_done);
        let made = wanted.filter(|_| is_ready).map(|ladder| ladder.renditions).unwrap_or_default();
        let others = made.iter().map(Rendition::name).filter(|name| *name != SOURCE);
        let renditions = std::iter::once(SOURCE).chain(others).map(str::to_owned).collect();
        Self { renditions, is_ready }
    }
}

fn stream(entry: &Entry, choice: &Choice, counts: Counts, has_captions: bool, place: &str) -> Value {
    let live = &entry.live;
    let video = live.video.as_ref().map(|video| {
        json!({ "codec": video.codec, "width": video.width, "height": video.height, "fps": entry.fps })
    });
    let audio = live.audio.as_ref().map(|audio| json!({ "codec": audio.codec }));
    let (app, name) = (&live.app, &live.name);
    json!({
        "app": app, "name": name, "since": entry.since, "video": video, "audio": audio,
        "captions": has_captions, "ready": choice.is_ready, "renditions": choice.renditions,
        "viewers": { "rtmp": entry.viewers.rtmp, "hls": entry.viewers.hls, "dash": entry.viewers.dash,
            "llhls": counts.llhls, "ws": counts.ws, "webrtc": counts.webrtc },
        "watch": format!("{place}/watch/{app}/{name}"),
    })
}
