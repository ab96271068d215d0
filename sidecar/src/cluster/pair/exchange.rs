//! Sends the new entries of this node to the other node, and receives the new entries of that node. Also makes sure that a key has only one
//! publisher.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::node::{Pair, Untaken};
use super::twins::{self, OnAir, Stage};
use super::wire::{Answer, Letter, MAX_LETTER};
use crate::clock;
use crate::cluster::figures::Gauge;
use crate::cluster::signature::{self, Purpose, Signed};
use crate::cluster::wire::ANSWER;
use crate::http::{self, innermost};
use crate::nginx::Nginx;

/// Time between two letters, when there is nothing new.
const BEAT: Duration = Duration::from_secs(1);
/// Time limit of an answer. After it, the other node counts as away.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Time limit of nginx's list of streams.
const NGINX: Duration = Duration::from_millis(800);
/// Time for which two publishers of one key are allowed: an encoder may be faster than keepalived's notification.
const SETTLE: Duration = Duration::from_secs(3);
/// Most letters in a row, before other tasks get their turn.
const MOST_LETTERS: usize = 100;
/// Difference of the clocks from which it is logged, in milliseconds.
const SKEW_MS: i64 = 5000;

/// Reason why the other node did not get the entries.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The other node does not answer, or another program answers.
    #[error("{0}")]
    Away(String),
    /// The other node's clock differs. The difference is known now.
    #[error("the clocks of the two nodes differ")]
    Clock,
    /// The answer's letter was refused.
    #[error(transparent)]
    Untaken(#[from] Untaken),
}

/// Exchanges letters until the future is dropped.
pub(super) async fn run(pair: Arc<Pair>, nginx: Nginx, folders: BTreeSet<PathBuf>) {
    let http = match http::client().timeout(TIMEOUT).build() {
        Ok(http) => http,
        Err(error) => {
            tracing::error!("pair: no HTTP client: {}", innermost(&error));
            return;
        }
    };
    let mut mail = Mail { pair, http, nginx, offset: AtomicI64::new(0), twins: HashMap::new() };
    let gauge = Gauge::default();
    let mut ticks = interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = mail.pair.tell.notified() => {}
        }
        let (stage, figures) = tokio::join!(mail.stage(), gauge.read(Some(&mail.nginx), folders.clone()));
        {
            let mut status = mail.pair.status();
            (status.mine, status.figures) = (stage, Some(figures));
        }
        let mut done = mail.exchange().await;
        if matches!(done, Err(Failure::Clock)) {
            done = mail.exchange().await;
        }
        mail.say(done.as_ref().err().map(ToString::to_string));
        match done {
            Ok(()) => mail.drop_twins().await,
            Err(_) => mail.twins.clear(),
        }
    }
}

struct Mail {
    pair: Arc<Pair>,
    http: reqwest::Client,
    nginx: Nginx,
    /// The other node's clock minus this node's, in milliseconds.
    offset: AtomicI64,
    /// Publishers that the other node has as well, with the time since when.
    twins: HashMap<OnAir, Instant>,
}

impl Mail {
    /// Exchanges letters until neither node has new entries for the other.
    async fn exchange(&mut self) -> Result<(), Failure> {
        for _ in 0..MOST_LETTERS {
            let node = self.pair.status().node.clone();
            let letter = self.pair.letter(node.as_deref());
            let answer = self.send(&letter).await?;
            if (&answer.node, &answer.run) == (&letter.node, &letter.run) {
                return Err(Failure::Away("that is this server itself: name the other one".into()));
            }
            let is_first = node.as_deref() != Some(answer.node.as_str());
            self.pair.hear(&answer)?;
            if !is_first && !letter.more && !answer.more {
                break;
            }
        }
        Ok(())
    }

    async fn send(&self, letter: &Letter) -> Result<Letter, Failure> {
        let away = |why: &str| Failure::Away(why.to_owned());
        let text = serde_json::to_vec(letter).map_err(|error| away(&error.to_string()))?;
        let body = self.pair.seal.close("request", &text).ok_or_else(|| away("no random bytes"))?;
        let nonce = signature::nonce().ok_or_else(|| away("no random bytes"))?;
        // The number never repeats, even if the clock is set.
        let now = clock::next_number();
        let time = now.saturating_add_signed(self.offset.load(Ordering::Relaxed));
        let header = self.pair.key.sign(Purpose::Request, time, &nonce, &body);
        let request = self
            .http
            .post(format!("{}/v1/pair", self.pair.peer))
            .header("authorization", header)
            .header("content-type", "application/octet-stream");
        let response = request.body(body).send().await.map_err(|error| away(&innermost(&error)))?;
        let status = response.status().as_u16();
        let signed = response.headers().get(ANSWER).and_then(|value| Signed::parse(value.to_str().ok()?));
        let body = read(response).await?;
        let is_of_peer = signed.is_some_and(|signed| {
            signed.nonce == nonce && self.pair.key.verify(Purpose::Answer, &signed, &body)
        });
        let opened = is_of_peer.then(|| self.pair.seal.open("answer", &body)).flatten();
        let answer = opened.and_then(|text| serde_json::from_slice::<Answer>(&text).ok());
        let Some(answer) = answer else {
            let error: Value = serde_json::from_slice(&body).unwrap_or_default();
            let why = error["error"]["message"].as_str().unwrap_or_else(|| no_peer(status));
            // The answer may come from any program.
            let why: String = weir_model::text::clean(why).chars().take(200).collect();
            return Err(away(&format!("status {status}: {why}")));
        };
        match (answer.letter, answer.error) {
            (Some(letter), _) => Ok(letter),
            (None, Some((code, _))) if code == "clock" => {
                let offset = i64::try_from(i128::from(answer.now) - i128::from(now)).unwrap_or_default();
                self.offset.store(offset, Ordering::Relaxed);
                if offset.abs() > SKEW_MS {
                    let seconds = offset / 1000;
                    tracing::warn!(
                        "the clock of the other node is {seconds} s ahead of this one: set both by NTP, peer: {}",
                        self.pair.peer
                    );
                }
                Err(Failure::Clock)
            }
            (None, error) => {
                Err(away(&error.map_or_else(|| "an empty answer".into(), |(_, message)| message)))
            }
        }
    }

    /// Returns the publishers of this node, or `None` if nginx does not answer.
    async fn stage(&self) -> Option<Stage> {
        let asked = async { tokio::join!(self.nginx.pushes(), self.nginx.streams()) };
        let (pushes, streams) = timeout(NGINX, asked).await.ok()?;
        let held = pushes.ok()?.is_some_and(|pushes| pushes.held);
        let streams = streams.ok()?.value.streams.into_iter();
        let on_air = streams.filter(|stream| !stream.slate).filter_map(|stream| {
            Some(OnAir {
                app: stream.app,
                name: stream.name,
                key: stream.publisher?.key_id?.to_string(),
                session: stream.session,
                since: stream.since.as_millis(),
                sends: stream.bitrate_in > 0,
            })
        });
        Some(Stage { held, on_air: on_air.collect() })
    }

    /// Drops a publisher of this node, if the other node has one with the same key and keeps it.
    async fn drop_twins(&mut self) {
        let (mine, theirs, me, they) = {
            let node = self.pair.table().node().to_owned();
            let status = self.pair.status();
            let (Some(mine), Some(theirs)) = (status.mine.clone(), status.theirs.clone()) else { return };
            (mine, theirs, node, status.node.clone().unwrap_or_default())
        };
        let twins = twins::to_drop((&mine, &me), (&theirs, &they));
        self.twins.retain(|known, _| twins.iter().any(|one| one.is_same_publish(known)));
        for one in twins {
            let known = self.twins.keys().find(|known| one.is_same_publish(known)).cloned();
            let since = *self.twins.entry(known.unwrap_or_else(|| one.clone())).or_insert_with(Instant::now);
            if since.elapsed() < SETTLE {
                continue;
            }
            match self.drop_publish(one).await {
                Ok(true) => tracing::warn!(
                    "publisher dropped: the other node of the pair has the same key on air, stream: {}/{}, key: {}",
                    one.app,
                    one.name,
                    one.key
                ),
                Ok(false) => {}
                Err(error) => tracing::warn!("publisher not dropped: {error}"),
            }
        }
    }

    /// Drops a publish. Returns false if it has ended: another publisher may have its name by now. The check and the drop are two requests
    /// to nginx: a publisher that takes the name between them is dropped instead, and can publish again.
    async fn drop_publish(&self, one: &OnAir) -> Result<bool, crate::nginx::Error> {
        let streams = self.nginx.streams().await?.value.streams;
        let Some(stream) = streams.iter().find(|stream| one.is_on(stream)) else { return Ok(false) };
        let server = stream.server.first();
        self.nginx.drop_publisher(&one.app, &one.name, server, 0).await.map(|_| true)
    }

    fn say(&self, error: Option<String>) {
        let mut status = self.pair.status();
        if status.error == error && (error.is_some() || status.heard.is_some()) {
            return;
        }
        match &error {
            None => tracing::info!("the other node of the pair answers, peer: {}", self.pair.peer),
            Some(why) => {
                tracing::warn!("no letters from the other node of the pair: {why}, peer: {}", self.pair.peer)
            }
        }
        status.error = error;
    }
}

/// Reads the body of an answer. The length is limited, because a stranger could send a body without an end.
async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| Failure::Away(innermost(&error)))? {
        body.extend_from_slice(&piece);
        if body.len() > MAX_LETTER {
            return Err(Failure::Away("what answers there is no weir serve: its answer is too large".into()));
        }
    }
    Ok(body)
}

/// Returns the reason for an answer that is not of the other node.
fn no_peer(status: u16) -> &'static str {
    match status {
        502..=504 => "nginx there answers, weir serve does not",
        _ => "what answers there has no peer in [cluster]",
    }
}

#[cfg(test)]
mod tests {
    use super::no_peer;

    #[test]
    fn an_nginx_without_its_daemon_is_no_wrong_address() {
        assert_eq!(no_peer(502), "nginx there answers, weir serve does not");
        assert_eq!(no_peer(404), "what answers there has no peer in [cluster]");
    }
}
