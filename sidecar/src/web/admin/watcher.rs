//! Reads the live streams for all open dashboards together, and keeps the samples of the last minutes. The number of open
//! dashboards does not change the number of requests.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::http::Method;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use weir_model::Timestamp;

use super::own;
use super::uploads::{self, Live, Uploads};
use crate::clock;
use crate::config::{Config, Delivery};
use crate::events::Event;
use crate::nginx::{self, Nginx};
use crate::web::common::Web;
use crate::web::office::Message;
use crate::web::past::Now;

/// Interval between reads while a dashboard is open.
const LOOK: Duration = Duration::from_secs(2);
/// Number of intervals between reads while no dashboard is open; such a read only records the bitrate.
const QUIET: u32 = 5;
/// Delay after an event, so that several events cause only one read.
const BUNCH: Duration = Duration::from_millis(100);

/// Beginnings of the kinds of events that change the list of live streams.
const SHOWN: [&str; 4] = ["stream.", "target.", "recording.", "webrtc."];

/// Returns the part of a list of nginx that does not change constantly.
type Steady = fn(&Value) -> String;

/// Lists of nginx that can change without an event: the applications after a reload.
const LISTS: [(&str, Steady); 2] = [("targets", steady), ("applications", Value::to_string)];

/// Runs until the server ends.
pub(in crate::web) async fn run(web: Weak<Web>) {
    let Some(mut events) = web.upgrade().map(|web| web.context.bus.listen(None).live) else { return };
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut turn, mut soon, mut last) = (0_u32, None, [0; LISTS.len()]);
    loop {
        let wait = async {
            match soon {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let is_open = |web: &Web| web.office.told.receiver_count() > 0;
        tokio::select! {
            event = events.recv() => {
                let Some(web) = web.upgrade() else { return };
                match event {
                    Ok(event) => {
                        tell(&web, "event", &json!(Shown::from(&*event)));
                        if SHOWN.iter().any(|kind| event.kind.starts_with(kind)) {
                            soon.get_or_insert(Instant::now() + BUNCH);
                        }
                    }
                    Err(RecvError::Lagged(_)) => tell(&web, "missed", &json!({})),
                    Err(RecvError::Closed) => return,
                }
                continue;
            }
            () = wait => soon = None,
            _ = looks.tick() => {
                turn = turn.wrapping_add(1);
                let Some(web) = web.upgrade() else { return };
                if !is_open(&web) && !turn.is_multiple_of(QUIET) {
                    continue;
                }
            }
        }
        let Some(web) = web.upgrade() else { return };
        // Without a dashboard, the read only records the bitrate.
        if !is_open(&web) {
            let _ = read(&web, false).await;
            continue;
        }
        if let Ok(streams) = look(&web).await {
            tell(&web, "streams", &streams);
        }
        if is_open(&web) {
            tell_lists(&web, &mut last).await;
        }
    }
}

/// Sends a message to all open dashboards.
pub(super) fn tell(web: &Web, kind: &'static str, data: &Value) {
    // Sending fails if no dashboard is open.
    let _ = web.office.told.send(Arc::new(Message { kind, data: data.to_string() }));
}

/// An event in the form for dashboards.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'a> {
    /// As text, because JavaScript has no such large numbers.
    id: String,
    kind: &'a str,
    data: &'a Value,
}

impl<'a> From<&'a Event> for Shown<'a> {
    fn from(event: &'a Event) -> Self {
        Self { id: event.id.to_string(), kind: &event.kind, data: &event.data }
    }
}

/// Reports which lists of nginx have changed. Dashboards that show such a list request it again. `last` has the hashes of the last lists.
async fn tell_lists(web: &Web, last: &mut [u64; LISTS.len()]) {
    let Some(nginx) = client(web) else { return };
    for ((what, steady), last) in LISTS.iter().zip(last) {
        let Ok(list) = nginx.forward(Method::GET, &format!("v1/{what}"), None).await else { return };
        let mut hasher = DefaultHasher::new();
        steady(&list.value).hash(&mut hasher);
        let now = hasher.finish();
        if *last != now {
            *last = now;
            tell(web, "changed", &json!({ "what": what }));
        }
    }
}

/// Returns the fields of the targets that do not change constantly.
fn steady(targets: &Value) -> String {
    let mut text = String::new();
    for target in targets["targets"].as_array().into_iter().flatten() {
        text.push_str(&format!("{}{}{}{}", target["id"], target["enabled"], target["note"], target["url"]));
        for session in target["sessions"].as_array().into_iter().flatten() {
            text.push_str(&format!("{}{}{}", session["stream"], session["state"], session["last_error"]));
        }
    }
    text
}

fn client(web: &Web) -> Option<Nginx> {
    let at = &web.context.config().nginx;
    Nginx::of_configuration(at.api.clone(), at.api_token_file.as_deref()).ok()
}

/// Returns the live streams with their health and uploads, and records a sample of each.
pub(super) async fn look(web: &Web) -> Result<Value, nginx::Error> {
    read(web, true).await
}

async fn read(web: &Web, with_uploads: bool) -> Result<Value, nginx::Error> {
    let config = web.context.config();
    let at = &config.nginx;
    let nginx = Nginx::of_configuration(at.api.clone(), at.api_token_file.as_deref())?;
    let mut streams = nginx.forward(Method::GET, "v1/streams", None).await?.value;
    let uploads = if with_uploads { uploads(web, &streams).await } else { Vec::new() };
    let mut uploads = uploads.into_iter();
    let (now, jobs) = (clock::now(), web.office.jobs().list());
    let mut past = web.office.past();
    let mut paths = BTreeSet::new();
    for stream in streams["streams"].as_array_mut().into_iter().flatten() {
        let path = path(stream);
        let mut facts = facts(stream, now);
        let id = (stream["app"].as_str().map(str::parse), stream["name"].as_str().map(str::parse));
        if let (Some(Ok(app)), Some(Ok(name))) = id {
            let id = (app, name);
            facts.key_interval = web.hub.known(&id).and_then(|station| station.key_interval());
            facts.unfit = web.webrtc.as_ref().and_then(|webrtc| webrtc.unfit(&id));
        }
        past.note(&path, &facts, now.as_seconds());
        stream["health"] = json!(past.health(&path, &facts));
        stream["source"] = json!(source(&config, stream));
        let has_job = |kind: &str| jobs.iter().any(|job| job.id.starts_with(&format!("{path}/{kind}")));
        stream["recording"] = json!(has_job("record"));
        stream["uploads"] = json!(uploads.next().flatten());
        stream["still"] = json!(has_still(&config, stream));
        paths.insert(path);
    }
    past.forget(now.as_seconds());
    streams["at"] = json!(now);
    Ok(streams)
}

/// Returns the uploads of each stream, or nothing if the disk does not answer.
async fn uploads(web: &Web, streams: &Value) -> Vec<Option<Uploads>> {
    let live = streams["streams"].as_array().into_iter().flatten().map(|stream| {
        let [app, name, session] =
            ["app", "name", "session"].map(|field| stream[field].as_str().unwrap_or_default().to_owned());
        Live { app, name, session }
    });
    let (live, open): (Vec<Live>, _) = (live.collect(), own::opening(web));
    uploads::scan(&web.office.scanning, move || uploads::of(&open(), &live)).await.unwrap_or_default()
}

/// Returns `APP/NAME`.
pub(super) fn path(stream: &Value) -> String {
    let text = |field: &str| stream[field].as_str().unwrap_or_default();
    format!("{}/{}", text("app"), text("name"))
}

fn facts(stream: &Value, now: Timestamp) -> Now {
    let since = stream["since"].as_str().and_then(|since| since.parse::<Timestamp>().ok());
    let sessions = stream["targets"].as_array().into_iter().flatten();
    let sessions = sessions.flat_map(|target| target["sessions"].as_array().into_iter().flatten());
    Now {
        session: stream["session"].as_str().unwrap_or_default().to_owned(),
        age_s: since.map_or(0, |since| now.millis_since(since) / 1000),
        bitrate: stream["bitrate_in"].as_u64().unwrap_or_default(),
        has_video: !stream["video"].is_null(),
        has_audio: !stream["audio"].is_null(),
        fps: stream["video"]["fps"].as_f64().unwrap_or_default(),
        is_slate: stream["slate"] == true,
        key_interval: None,
        unfit: None,
        waiting_targets: sessions.filter(|session| session["state"] == "waiting").count(),
    }
}

/// Returns the source stream of a rendition, as `APP/NAME`.
fn source(config: &Config, stream: &Value) -> Option<String> {
    let (app, name) = (stream["app"].as_str()?, stream["name"].as_str()?);
    config.rules.iter().find_map(|rule| match &rule.delivery {
        Delivery::Rtmp(to) if to.app.as_str() == app => {
            let (source, _) = name.rsplit_once('_')?;
            rule.stream.fits(source).then(|| format!("{}/{source}", rule.app))
        }
        _ => None,
    })
}

fn has_still(config: &Config, stream: &Value) -> bool {
    let (Some(app), Some(name)) = (stream["app"].as_str(), stream["name"].as_str()) else { return false };
    config.thumbnails.iter().any(|rule| rule.app.as_str() == app && rule.stream.fits(name))
}
