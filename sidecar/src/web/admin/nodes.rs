//! The nodes of this installation: this machine, the other node of a pair, the origins of an edge, and the edges of an origin. Open
//! dashboards get each change within a second, and the figures every few seconds. The same task reports changed jobs and chat rooms.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use super::edges;
use super::gate::Reader;
use super::module::nginx;
use super::watcher::tell;
use crate::clock;
use crate::cluster::figures::{Figures, folders};
use crate::cluster::origin::View as Edge;
use crate::cluster::pair;
use crate::web::common::Web;

/// Interval between looks while a dashboard is open.
const LOOK: Duration = Duration::from_secs(1);
/// Number of looks after which figures are sent even if nothing else has changed.
const FIGURES: u32 = 4;
/// Number of edges for which the table of edges waits one more look, because it is sent as a whole.
const EDGES_PER_LOOK: usize = 25;

pub(super) async fn get(State(web): State<Arc<Web>>, _: Reader) -> Json<Value> {
    Json(read(&web).await.0)
}

/// Returns the nodes except edges, and a text that differs after each change except of figures.
async fn read(web: &Web) -> (Value, String) {
    let config = web.context.config();
    let own = web.gauge.read(nginx(web).ok().as_ref(), folders(&config)).await;
    let twin = web.pair.as_ref().map(|pair| pair.view());
    let origins = web.membership.as_ref().map(|edge| edge.standings()).unwrap_or_default();
    let of_twin = twin.as_ref().map(|twin| {
        let figures = twin.twin.figures.as_ref().map(Figures::steady);
        (&twin.state, twin.held, twin.held_there, &twin.error, &twin.twin.version, figures)
    });
    let states = origins.iter().map(|origin| (&origin.origin, &origin.state)).collect::<Vec<_>>();
    let steady = format!("{} {of_twin:?} {states:?}", own.steady());
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let value = json!({
        "name": machine.trim(), "version": env!("CARGO_PKG_VERSION"), "at": clock::now(),
        "load": own.load, "cores": own.cores, "nginx": own.nginx, "disks": own.disks,
        "twin": twin.as_ref().map(twin_of), "origins": origins,
    });
    (value, steady)
}

/// Returns the other node of a pair, in the form of this node.
fn twin_of(pair: &pair::View) -> Value {
    let figures = pair.twin.figures.as_ref();
    json!({
        "address": pair.peer, "state": pair.state, "held": pair.held_there, "silent_s": pair.silent_s, "error": pair.error,
        "version": pair.twin.version, "skew_ms": pair.twin.skew_ms, "figures": figures,
    })
}

/// Runs until the server ends.
pub(in crate::web) async fn run(web: Weak<Web>) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut node, mut table, mut lists) = (Told::default(), Told::default(), [0_u64; 2]);
    loop {
        looks.tick().await;
        let Some(web) = web.upgrade() else { return };
        if web.office.told.receiver_count() == 0 {
            continue;
        }
        let (value, steady) = read(&web).await;
        node.tell(&web, ("node", &value), steady, FIGURES);
        let (value, (steady, count)) = (edges::list(&web), steady_edges(&web));
        let looks = u32::try_from(count / EDGES_PER_LOOK).unwrap_or(u32::MAX);
        table.tell(&web, ("edges", &value), steady, FIGURES.saturating_add(looks));
        tell_lists(&web, &mut lists);
    }
}

/// Last message of a kind.
#[derive(Default)]
struct Told {
    steady: String,
    looks: u32,
}

impl Told {
    /// Tells a message that has changed, or any after `most` looks.
    fn tell(&mut self, web: &Web, (kind, value): (&'static str, &Value), steady: String, most: u32) {
        self.looks += 1;
        if self.steady != steady || self.looks >= most {
            tell(web, kind, value);
            *self = Self { steady, looks: 0 };
        }
    }
}

/// Returns a text that differs after each change of the edges except of figures, and the number of edges.
fn steady_edges(web: &Web) -> (String, usize) {
    let Some(origin) = &web.origin else { return Default::default() };
    let (edges, stale) = origin.list();
    let one = |edge: &Edge| {
        let figures = edge.figures.as_ref().map(Figures::steady);
        format!(
            "{} {} {} {} {:?} {figures:?}\n",
            edge.id, edge.address, edge.state, edge.version, edge.streams
        )
    };
    (format!("{stale:?} {}", edges.iter().map(one).collect::<String>()), edges.len())
}

/// Reports the lists of the daemon that changed: jobs or chat rooms. Dashboards that show such a list request it again.
fn tell_lists(web: &Web, last: &mut [u64; 2]) {
    let mut jobs = DefaultHasher::new();
    for job in web.office.jobs().list() {
        (&job.id, job.status.state.to_string(), job.status.restarts, job.status.ready).hash(&mut jobs);
    }
    let mut rooms = DefaultHasher::new();
    if web.context.chat.is_on() {
        (web.context.chat.summaries(), web.context.chat.heard()).hash(&mut rooms);
    }
    for (slot, (what, now)) in last.iter_mut().zip([("jobs", jobs.finish()), ("chat", rooms.finish())]) {
        if *slot != now {
            *slot = now;
            tell(web, "changed", &json!({ "what": what }));
        }
    }
}
