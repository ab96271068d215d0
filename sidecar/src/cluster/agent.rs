//! An edge: reports to its origins every two seconds, and learns which streams it may pull, and which of them need play tokens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use weir_model::AppName;
use weir_model::link::Base;

use super::credential::{self, Claim, Credential, CredentialError};
use super::machine::skew;
use super::members::{Members, is_other, leaks, secret};
use super::record::{EdgeIdError, Report};
use super::revoked::Wanted;
use super::signature::{self, Key, KeyError, Purpose, SecretOf, Signed};
use super::store::RENEW;
use super::troubles::Troubles;
use super::wire::{ANSWER, Answer, ERA, Fault, REPLAYED, Request};
use crate::clock;
use crate::config::Config;
use crate::config::cluster::Edge;
use crate::context::Context;
use crate::http::{self, innermost};
use crate::nginx::Nginx;
use crate::relay::said::clean;
use crate::streams::StreamId;

mod measure;
mod membership;
mod standing;
mod told;
mod unserved;

pub(crate) use standing::Standing;
use told::{Kind, Told};

/// Time limit of an answer. After it, the origin is asked again with the next renewal.
const TIMEOUT: Duration = Duration::from_millis(1800);
/// Time limit of nginx's answers, which come from memory.
const NGINX: Duration = Duration::from_millis(500);
/// Time without an answer after which streams are pulled from another origin.
const AWAY: Duration = Duration::from_secs(5);
/// Time without an answer after which the streams of an origin are no longer offered, if another origin answers.
const GONE: Duration = Duration::from_secs(60);
/// Difference of the clocks from which it is logged, in milliseconds.
const SKEW_MS: i64 = 2000;
/// Longest answer of an origin, in bytes: all revocations of a pair with the longest names, and the streams.
const MOST_BYTES: usize = 4 << 20;

/// Reason why this node cannot be an edge.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The secret of the cluster cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The edge's own credential cannot be used.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The credential belongs to another edge.
    #[error("[edge]: name = {0:?}: credential_file is for {1:?}: set this name, or join again")]
    Other(String, String),
    /// The name is not valid.
    #[error("[edge]: name: {0}")]
    Name(#[from] EdgeIdError),
    /// The HTTP client cannot be created.
    #[error("[edge]: {0}")]
    Http(#[from] reqwest::Error),
}

/// Reports to the origins until it is dropped.
#[derive(Debug)]
pub(crate) struct Agent {
    shared: Arc<Shared>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    /// Streams that this edge may pull.
    pub streams: watch::Receiver<Offers>,
}

/// Streams that this edge may pull from its origins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offers {
    /// The streams, each with the index of the origin to pull it from.
    pub streams: BTreeMap<StreamId, usize>,
    /// Applications of which no stream is pulled, because everybody could watch it here.
    pub refused: BTreeSet<AppName>,
}

/// State of an edge in its cluster, as the socket of the daemon reports it.
#[derive(Clone, Debug)]
pub(crate) struct Membership(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    key: Key,
    /// Claim of the edge's credential; `None` if the edge signs with the secret of the cluster.
    claim: Option<Claim>,
    http: reqwest::Client,
    edge: Edge,
    context: Arc<Context>,
    /// Client of this node's nginx; `None` if it cannot be created.
    nginx: Option<Nginx>,
    report: Mutex<Report>,
    revoked: Wanted,
    troubles: Troubles,
    origins: Vec<Origin>,
}

/// Known state of an origin.
#[derive(Debug)]
struct Origin {
    url: Base,
    /// The origin's clock minus this machine's, in milliseconds.
    offset: AtomicI64,
    /// The same from each answer; `None` before the first one.
    skew: Mutex<Option<i64>>,
    /// Era of its clock, from its last answer.
    era: Mutex<Option<String>>,
    /// The origin reports that this edge is drained.
    drained: AtomicBool,
    /// The state, and what the log says of it.
    told: Mutex<Told>,
    /// Addresses of other live edges.
    neighbours: Mutex<Vec<String>>,
    /// Time of its last answer, and the streams in it.
    offered: Mutex<Option<(Instant, BTreeSet<StreamId>)>>,
    /// Applications that need play tokens there.
    members: Mutex<Members>,
}

impl Origin {
    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Agent {
    /// Starts the agent. Returns `None` if the configuration has no `[edge]`.
    pub(crate) fn start(config: &Arc<Config>, context: &Arc<Context>) -> Result<Option<Self>, Error> {
        let Some(edge) = &config.edge else { return Ok(None) };
        let Some((key, claim)) = key(config, edge)? else { return Ok(None) };
        let report = Report {
            id: edge.name.parse()?,
            address: edge.address.as_str().to_owned(),
            region: edge.region.clone(),
            bandwidth: edge.bandwidth,
            max_viewers: edge.max_viewers,
            egress: 0,
            viewers: 0,
            load: 0.0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            streams: Vec::new(),
            draining: false,
            drained: false,
            clock: None,
            figures: None,
            failing: Vec::new(),
            refused: Vec::new(),
        };
        let origin = |url: &Base| Origin {
            url: url.clone(),
            offset: AtomicI64::new(0),
            skew: Mutex::default(),
            era: Mutex::default(),
            drained: AtomicBool::new(false),
            told: Mutex::default(),
            neighbours: Mutex::default(),
            offered: Mutex::default(),
            members: Mutex::default(),
        };
        let at = &config.nginx;
        let shared = Arc::new(Shared {
            key,
            claim,
            http: http::client().timeout(TIMEOUT).build()?,
            report: Mutex::new(report),
            revoked: Wanted::default(),
            troubles: Troubles::default(),
            origins: edge.origins.iter().map(origin).collect(),
            edge: edge.clone(),
            context: context.clone(),
            nginx: Nginx::of_configuration(at.api.clone(), at.api_token_file.as_deref()).ok(),
        });
        let (sender, streams) = watch::channel(Offers::default());
        let mut tasks = vec![
            tokio::spawn(shared.clone().measure(config.clone())),
            tokio::spawn(revoke(shared.clone(), sender.clone())),
        ];
        for nth in 0..shared.origins.len() {
            tasks.push(tokio::spawn(renew(shared.clone(), nth, sender.clone())));
        }
        Ok(Some(Self { shared, tasks, streams }))
    }

    /// Returns the edge's membership.
    pub(crate) fn membership(&self) -> Membership {
        Membership(self.shared.clone())
    }

    /// Returns where the relays note the streams that they cannot pull.
    pub(crate) fn troubles(&self) -> Troubles {
        self.shared.troubles.clone()
    }

    /// Tells all origins that the edge takes no more viewers, and waits briefly for their answers.
    pub(crate) async fn leave(self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
        let all = self.shared.origins.iter().map(|origin| self.shared.tell(origin, true));
        let _ = timeout(TIMEOUT, futures_util::future::join_all(all)).await;
    }
}

/// Returns the signing key: of the edge's credential if there is one, or else the secret of the cluster.
fn key(config: &Config, edge: &Edge) -> Result<Option<(Key, Option<Claim>)>, Error> {
    if let Some(file) = &edge.credential_file {
        let Credential { claim, key, .. } = Credential::read(file)?;
        return match claim.id.as_str() == edge.name {
            true => Ok(Some((key, Some(claim)))),
            false => Err(Error::Other(edge.name.clone(), claim.id.to_string())),
        };
    }
    let file = config.cluster.secret_file.as_ref();
    Ok(file.map(|file| Key::read(SecretOf::Cluster, file)).transpose()?.map(|key| (key, None)))
}

async fn revoke(shared: Arc<Shared>, streams: watch::Sender<Offers>) {
    if let Some(nginx) = &shared.nginx {
        shared.revoked.keep(nginx, || shared.offer(&streams)).await;
    }
}

async fn renew(shared: Arc<Shared>, nth: usize, streams: watch::Sender<Offers>) {
    let Some(origin) = shared.origins.get(nth) else { return };
    // Edges that start at the same time must not ask at the same time.
    tokio::time::sleep(Duration::from_millis(u64::from(clock::random_u32() % 200))).await;
    let mut ticks = interval(RENEW);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let reported = shared.unserved(origin);
        let mut outcome = shared.tell(origin, false).await;
        // The report is repeated once with the origin's clock and era.
        if matches!(outcome, Err(Failure::Clock)) {
            outcome = shared.tell(origin, false).await;
        }
        let (kind, told) = match outcome {
            Ok(answer) => {
                shared.compare(origin, &answer).await;
                if let Some(revoked) = answer.revoked {
                    shared.revoked.note(origin.url.as_str(), revoked);
                }
                origin.drained.store(answer.drained, Ordering::Relaxed);
                *origin.neighbours.lock().unwrap_or_else(PoisonError::into_inner) = answer.edges;
                *origin.offered.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some((Instant::now(), ids(&answer.streams)));
                (Kind::Member, if answer.drained { "drained".to_owned() } else { "joined".to_owned() })
            }
            Err(failure) => (failure.kind(), failure.to_string()),
        };
        shared.say(origin, kind, told);
        shared.offer(&streams);
        if shared.unserved(origin) != reported {
            // Otherwise the origin would send viewers here until the next report.
            ticks.reset_immediately();
        }
    }
}

fn ids(streams: &[String]) -> BTreeSet<StreamId> {
    let id = |path: &String| {
        let (app, name) = path.rsplit_once('/')?;
        Some((app.parse().ok()?, name.parse().ok()?))
    };
    streams.iter().filter_map(id).collect()
}

/// Reason why an origin does not have this edge in its table.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The origin does not answer, or another program does.
    #[error("{0}")]
    Away(String),
    /// The answer has no valid signature. Anybody may have sent it.
    #[error("status {status}: {why}")]
    Unsigned { status: u16, why: String },
    /// The origin refused, with its reason.
    #[error("{0}")]
    Refused(String),
    /// The origin's clock differs or was set back, or this machine's was. The right time and the era are known now.
    #[error("the clocks of this machine and the origin differ")]
    Clock,
}

impl Failure {
    fn kind(&self) -> Kind {
        match self {
            Self::Away(_) => Kind::Away,
            Self::Unsigned { .. } => Kind::Unsigned,
            Self::Refused(_) | Self::Clock => Kind::Refused,
        }
    }
}

/// Returns what an answer without a valid signature says, or what to check.
fn said(status: StatusCode, body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        error: Fault,
    }
    match serde_json::from_slice::<Refusal>(body) {
        Ok(refusal) => clean(&refusal.error.message),
        Err(_) => unsigned(status).to_owned(),
    }
}

/// Returns the reason for an answer that is not from an origin's daemon.
fn unsigned(status: StatusCode) -> &'static str {
    match status.as_u16() {
        502..=504 => "the origin's daemon does not answer behind its nginx",
        404 => "check the path of origin, such as /tv, and [cluster] there",
        _ => "what answers there has no [cluster]",
    }
}

impl Shared {
    /// Compares an origin's applications that need play tokens, and its secret of them, with this node. Logs a difference that is news.
    async fn compare(&self, origin: &Origin, answer: &Answer) {
        let Some(members) = &answer.members else { return };
        let config = self.context.config();
        let play = config.web.play;
        let found = match &self.nginx {
            _ if members.is_empty() => Some(Vec::new()),
            None => None,
            Some(nginx) => match timeout(NGINX, nginx.applications()).await {
                Ok(Ok(known)) => Some(leaks(members, play, &known.unwrap_or_default())),
                _ => None,
            },
        };
        let mut noted = origin.members();
        if noted.note(members, found) {
            noted.tell(origin.url.as_str());
        }
        let own = secret(config.nginx.secret_file.as_deref());
        noted.note_secret(is_other(answer, &self.key, own.as_ref()), origin.url.as_str());
    }

    /// Returns the streams to pull: each from the first origin that answers and has it. If no origin that answers has it, an origin that
    /// does not answer at the moment is still tried, but no longer than [`GONE`] while another one answers.
    fn offers(&self) -> Offers {
        let mut all: Vec<_> = self
            .origins
            .iter()
            .map(|origin| origin.offered.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .enumerate()
            .filter_map(|(nth, offered)| offered.map(|(at, streams)| (nth, at.elapsed(), streams)))
            .collect();
        if all.iter().any(|(_, silent, _)| *silent <= AWAY) {
            all.retain(|(_, silent, _)| *silent <= GONE);
        }
        let mut offers = Offers { streams: BTreeMap::new(), refused: self.refused() };
        for away in [false, true] {
            for (nth, _, streams) in all.iter().filter(|(_, silent, _)| (*silent > AWAY) == away) {
                for id in streams.iter().filter(|id| !offers.refused.contains(&id.0)) {
                    offers.streams.entry(id.clone()).or_insert(*nth);
                }
            }
        }
        offers
    }

    /// Publishes the streams to pull, if they have changed.
    fn offer(&self, streams: &watch::Sender<Offers>) {
        streams.send_if_modified(|known| {
            let now = self.offers();
            let is_news = *known != now;
            *known = now;
            is_news
        });
    }

    async fn tell(&self, origin: &Origin, leaving: bool) -> Result<Answer, Failure> {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner).clone();
        report.drained = origin.drained.load(Ordering::Relaxed);
        report.clock = Some(clock::now().as_millis());
        report.failing = self.troubles.streams();
        report.refused = self.unserved(origin).iter().map(ToString::to_string).collect();
        let era = origin.era.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let revoked = Some(self.revoked.digest(origin.url.as_str()));
        let request = Request { report, leaving, era, revoked };
        let body = serde_json::to_vec(&request).map_err(|e| Failure::Away(e.to_string()))?;
        let nonce = signature::nonce().ok_or_else(|| Failure::Away("no random bytes".into()))?;
        // The number never repeats, even if the clock is set.
        let now = clock::next_number();
        let time = now.saturating_add_signed(origin.offset.load(Ordering::Relaxed));
        let header = self.key.sign(Purpose::Request, time, &nonce, &body);
        let url = format!("{}/v1/edges", origin.url.as_str());
        let away = |error: reqwest::Error| Failure::Away(innermost(&error));
        let request =
            self.http.post(url).header("authorization", header).header("content-type", "application/json");
        let request = match &self.claim {
            Some(claim) => request.header(credential::HEADER, claim.header()),
            None => request,
        };
        let response = request.body(body).send().await.map_err(away)?;
        let status = response.status();
        let signed = response.headers().get(ANSWER).and_then(|value| Signed::parse(value.to_str().ok()?));
        let body =
            http::body(response, MOST_BYTES).await.map_err(|error| Failure::Away(error.to_string()))?;
        let is_of_origin = signed
            .is_some_and(|signed| signed.nonce == nonce && self.key.verify(Purpose::Answer, &signed, &body));
        if !is_of_origin {
            let why = said(status, &body);
            return Err(Failure::Unsigned { status: status.as_u16(), why });
        }
        let answer: Answer = serde_json::from_slice(&body).unwrap_or_default();
        *origin.skew.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(skew(answer.now, clock::now().as_millis()));
        *origin.era.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(answer.era.clone()).filter(|era| !era.is_empty());
        match answer.error {
            None => Ok(answer),
            Some(fault) if fault.code == ERA => Err(Failure::Clock),
            // This machine's clock was set back, and this daemon has started since. Its reports begin after the last one before.
            Some(Fault { code, last: Some(last), .. }) if code == REPLAYED => {
                origin.offset.store(skew(last.saturating_add(1), now), Ordering::Relaxed);
                Err(Failure::Clock)
            }
            Some(fault) if fault.code == "clock" => {
                let offset = skew(answer.now, now);
                origin.offset.store(offset, Ordering::Relaxed);
                if offset.abs() > SKEW_MS {
                    let (origin, seconds) = (origin.url.as_str(), offset / 1000);
                    tracing::warn!(
                        "the clock of the origin is {seconds} s ahead of this one: set both by NTP, origin: {origin}"
                    );
                }
                Err(Failure::Clock)
            }
            Some(fault) => Err(Failure::Refused(clean(&fault.message))),
        }
    }

    fn say(&self, origin: &Origin, kind: Kind, told: String) {
        let is_news = origin.told().note(kind, &told, Instant::now());
        let (edge, url) = (&self.edge.name, origin.url.as_str());
        match told.as_str() {
            _ if !is_news => {}
            "joined" => tracing::info!("edge joined, edge: {edge}, origin: {url}"),
            "drained" => tracing::info!("edge drained by an administrator, edge: {edge}, origin: {url}"),
            why => tracing::warn!("edge not joined: {why}, edge: {edge}, origin: {url}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_program_at_the_origin_is_explained() {
        let said = |status: u16| unsigned(StatusCode::from_u16(status).unwrap());
        assert_eq!(said(502), "the origin's daemon does not answer behind its nginx");
        assert_eq!(said(404), "check the path of origin, such as /tv, and [cluster] there");
        assert_eq!(said(200), "what answers there has no [cluster]");
    }

    #[test]
    fn text_without_a_signature_is_one_short_line() {
        let message = format!("a\nb\u{202e}{}", "x".repeat(1000));
        let body = serde_json::json!({ "now": 1, "error": { "code": "x", "message": message } }).to_string();
        let text = super::said(StatusCode::OK, body.as_bytes());
        assert!(text.starts_with("a b") && text.chars().count() == 200, "{text}");
        assert!(!text.contains(['\n', '\u{202e}']), "{text}");
        assert_eq!(super::said(StatusCode::BAD_GATEWAY, b"<html>"), unsigned(StatusCode::BAD_GATEWAY));
    }
}
