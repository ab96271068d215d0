//! Revoked tokens: an origin names its revocations to its edges, and an edge makes them at its own nginx, which disconnects the clients.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use reqwest::StatusCode;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use weir_model::token::{LEEWAY_S, Revocation, Revoked, Subject};
use weir_model::{Digest, Timestamp};

use super::store::RENEW;
use super::wire::Revocations;
use crate::clock;
use crate::nginx::{self, Nginx, RevokeTokens};

/// Number of requests at the same time. nginx writes the changes of requests that wait together into its state file at once.
const AT_ONCE: usize = 16;
/// Time after which a full nginx is asked again.
const AGAIN: Duration = Duration::from_secs(60);

impl Revocations {
    /// Returns a list for edges, with its digest.
    pub(super) fn new(list: &[Revocation]) -> Self {
        let list: Vec<_> = list.iter().filter_map(|one| serde_json::to_value(one).ok()).collect();
        let digest = Digest::of(&serde_json::to_vec(&list).unwrap_or_default()).to_hex();
        Self { digest, list }
    }
}

/// Revocations of one origin.
#[derive(Debug)]
struct Told {
    digest: String,
    list: Vec<Revocation>,
    /// This edge's nginx has had all revocations of a list of this origin.
    is_made: bool,
}

/// Knowledge of this edge's nginx.
#[derive(Debug, Default)]
struct There {
    /// The tokens that are revoked there.
    held: HashSet<Revoked>,
    /// Number of revocations with which nginx was full, and when.
    full: Option<(usize, Instant)>,
}

impl There {
    /// Returns whether nginx has lost a revocation that it had.
    fn has_lost(&self, all: &[Revocation], known: &HashSet<Revoked>, now: Timestamp) -> bool {
        let is_lost = |one: &&Revocation| self.held.contains(&one.what) && !known.contains(&one.what);
        all.iter().filter(|one| !one.is_over(now)).any(|one| is_lost(&one))
    }

    /// Returns whether nginx is still full.
    fn is_full(&self) -> bool {
        self.full.is_some_and(|(most, since)| self.held.len() >= most && since.elapsed() < AGAIN)
    }
}

/// End of a pass over all revocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// nginx has all of them.
    Complete,
    /// nginx is full, as before. It was not asked for more.
    Full,
    /// An origin has named other revocations meanwhile.
    News,
}

/// Revocations that the origins of an edge have named.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// The lists by URL of the origin.
    lists: Mutex<BTreeMap<String, Told>>,
    news: Notify,
}

impl Wanted {
    fn lists(&self) -> MutexGuard<'_, BTreeMap<String, Told>> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the digest of the last list of an origin; empty before the first one.
    pub(super) fn digest(&self, origin: &str) -> String {
        self.lists().get(origin).map(|told| told.digest.clone()).unwrap_or_default()
    }

    /// Notes the list of an origin. Leaves out revocations that only a newer version understands.
    pub(super) fn note(&self, origin: &str, told: Revocations) {
        let list: Vec<_> = told.list.into_iter().filter_map(|one| serde_json::from_value(one).ok()).collect();
        let mut lists = self.lists();
        let is_made = list.is_empty() || lists.get(origin).is_some_and(|before| before.is_made);
        lists.insert(origin.to_owned(), Told { digest: told.digest, list, is_made });
        drop(lists);
        self.news.notify_one();
    }

    /// Returns whether this edge's nginx may accept many tokens that are revoked: it has not had the first list of an origin yet, or has
    /// lost its state since.
    pub(super) fn is_behind(&self) -> bool {
        self.lists().values().any(|told| !told.is_made)
    }

    /// Returns the revocations of all origins, each once and with the latest times, and the digests of their lists.
    fn all(&self) -> (Vec<Revocation>, BTreeMap<String, String>) {
        let lists = self.lists();
        let mut all: HashMap<&Revoked, Revocation> = HashMap::new();
        for one in lists.values().flat_map(|told| &told.list) {
            all.entry(&one.what).and_modify(|known| _ = known.merge(one)).or_insert_with(|| one.clone());
        }
        let digests = lists.iter().map(|(origin, told)| (origin.clone(), told.digest.clone()));
        (all.into_values().collect(), digests.collect())
    }

    /// Notes that nginx has had these lists. Returns whether that is news.
    fn note_made(&self, digests: &BTreeMap<String, String>) -> bool {
        let mut is_news = false;
        for (origin, told) in self.lists().iter_mut() {
            let is_same = digests.get(origin) == Some(&told.digest);
            is_news |= is_same && !told.is_made;
            told.is_made |= is_same;
        }
        is_news
    }

    fn note_lost(&self) {
        self.lists().values_mut().for_each(|told| told.is_made = told.list.is_empty());
    }

    /// Makes the revocations at nginx, again if nginx has lost them in a restart. Calls `changed` if [`is_behind`](Self::is_behind) may
    /// have changed. Never ends.
    pub(super) async fn keep(&self, nginx: &Nginx, changed: impl Fn()) {
        let (mut there, mut last) = (There::default(), None);
        loop {
            // An error only means that there is no news.
            let _ = timeout(RENEW, self.news.notified()).await;
            let (all, digests) = self.all();
            if all.is_empty() {
                continue;
            }
            let mut number = 0;
            let done = self.apply(nginx, &all, &mut there, &mut number, &changed).await;
            if number > 0 {
                tracing::info!("tokens revoked as at the origin, revocations: {number}");
            }
            // If nginx refuses a revocation, more of the same requests do not help: the streams are pulled nevertheless.
            let is_done = matches!(done, Ok(End::Complete | End::Full) | Err(nginx::Error::Refused { .. }));
            if is_done && self.note_made(&digests) {
                changed();
            }
            last = match done {
                Ok(End::Full | End::News) => last,
                Ok(End::Complete) => None,
                Err(error) => {
                    let why = error.to_string();
                    if last.as_ref() != Some(&why) {
                        tracing::warn!("revoked tokens of the origin are not revoked here: {why}");
                    }
                    Some(why)
                }
            };
        }
    }

    /// Makes the revocations that nginx lacks, and counts them in `number`. Ends early if nginx is full, and if an origin has named other
    /// revocations.
    ///
    /// # Errors
    ///
    /// The first error. If the API refuses one revocation, the others are made nevertheless.
    async fn apply(
        &self,
        nginx: &Nginx,
        all: &[Revocation],
        there: &mut There,
        number: &mut usize,
        changed: &impl Fn(),
    ) -> Result<End, nginx::Error> {
        let known = nginx.revocations().await?.value.revocations;
        let now = clock::now();
        let held = known.iter().map(|one| one.what.clone()).collect();
        if there.has_lost(all, &held, now) {
            self.note_lost();
            changed();
        }
        there.held = held;
        let (mut missing, is_full) = (missing(all, &known, now), there.is_full());
        if is_full {
            // A later time of a revocation needs no more memory.
            missing.retain(|one| there.held.contains(&one.what));
        }
        let mut refused = None;
        for some in missing.chunks(AT_ONCE) {
            let asked = some.iter().map(|one| async move { nginx.revoke_tokens(&request(one, now)).await });
            for (one, answer) in some.iter().zip(join_all(asked).await) {
                match answer {
                    Ok(_) => {
                        there.held.insert(one.what.clone());
                        *number += 1;
                    }
                    Err(error) if has_no_room(&error) => {
                        there.full = Some((there.held.len(), Instant::now()));
                        refused = Some(error);
                    }
                    Err(error @ nginx::Error::Refused { .. }) => refused = refused.or(Some(error)),
                    Err(error) => return Err(error),
                }
            }
            if let Some(error) = refused.take_if(|error| has_no_room(error)) {
                return Err(error);
            }
            if self.news.notified().now_or_never().is_some() {
                self.news.notify_one();
                return Ok(End::News);
            }
        }
        refused.map_or(Ok(if is_full { End::Full } else { End::Complete }), Err)
    }
}

/// Returns whether nginx has no room for the revocation.
fn has_no_room(error: &nginx::Error) -> bool {
    matches!(error, nginx::Error::Refused { status, code, .. } if *status == StatusCode::CONFLICT || code == "zone_full")
}

/// Returns the revocations that are not among the known ones and still matter: those of whole streams first, then the newest ones first.
fn missing<'a>(all: &'a [Revocation], known: &[Revocation], now: Timestamp) -> Vec<&'a Revocation> {
    let known: HashMap<_, _> = known.iter().map(|one| (&one.what, one.revoked_at)).collect();
    let is_missing = |one: &&Revocation| match (known.get(&one.what), &one.what) {
        (None, _) => true,
        (Some(_), Revoked::Token(_)) => false,
        (Some(at), Revoked::Streams(_)) => *at < one.revoked_at,
    };
    let mut missing: Vec<_> = all.iter().filter(|one| !one.is_over(now)).filter(is_missing).collect();
    missing.sort_by_key(|one| (matches!(one.what, Revoked::Token(_)), Reverse(one.revoked_at)));
    missing
}

/// Returns the request for a revocation. Tokens that were minted after it stay valid.
fn request(one: &Revocation, now: Timestamp) -> RevokeTokens<'_> {
    match &one.what {
        Revoked::Token(jti) => {
            RevokeTokens { jti: Some(jti), expires_at: Some(one.expires_at), ..RevokeTokens::default() }
        }
        Revoked::Streams(Subject { app, stream }) => RevokeTokens {
            app: Some(app.as_str()),
            stream: Some(stream.as_ref().map_or("*", |stream| stream.as_str())),
            // The origin's clock may be ahead. Tokens from a later time are not valid yet; the next request includes them.
            revoked_at: Some(one.revoked_at.min(now.plus_seconds(LEEWAY_S))),
            ..RevokeTokens::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_197_600_000);

    fn revoked(body: &str, at: Timestamp) -> Revocation {
        Revocation::from_json(body.as_bytes(), at).unwrap()
    }

    #[test]
    fn an_edge_makes_the_revocations_that_its_nginx_lacks() {
        let earlier = Timestamp::from_millis(NOW.as_millis() - 60_000);
        let (token, streams) = (r#"{"jti":"a"}"#, r#"{"app":"live","stream":"show"}"#);
        let wanted = [revoked(streams, NOW), revoked(token, NOW)];
        let lacks =
            |known: &[Revocation]| missing(&wanted, known, NOW).into_iter().cloned().collect::<Vec<_>>();
        assert_eq!(lacks(&[]), wanted);
        assert_eq!(lacks(&wanted), []);
        assert_eq!(lacks(&[revoked(token, earlier), revoked(streams, earlier)]), wanted[..1]);
        let mixed = [revoked(r#"{"jti":"b"}"#, earlier), revoked(token, NOW), revoked(streams, earlier)];
        let order = missing(&mixed, &[], NOW);
        assert_eq!(order, [&mixed[2], &mixed[1], &mixed[0]], "streams first, then the newest first");
        assert_eq!(missing(&wanted, &[], wanted[0].expires_at), Vec::<&Revocation>::new(), "they are over");
    }

    #[test]
    fn the_time_of_a_revocation_stays_the_origins() {
        let json = |one: &Revocation| serde_json::to_value(request(one, NOW)).unwrap();
        let token = json(&revoked(r#"{"jti":"a","expires_at":"2026-12-31T00:00:00Z"}"#, NOW));
        assert_eq!(token, serde_json::json!({ "jti": "a", "expires_at": "2026-12-31T00:00:30Z" }));
        for (origins, expected) in [(-3600, -3600), (5, 5), (90, 30)] {
            let at =
                |seconds: i64| Timestamp::from_millis(NOW.as_millis().saturating_add_signed(seconds * 1000));
            let one = json(&revoked(r#"{"app":"live","stream":"*"}"#, at(origins)));
            assert_eq!(
                one,
                serde_json::json!({ "app": "live", "stream": "*", "revoked_at": at(expected) }),
                "{origins}"
            );
        }
    }

    #[test]
    fn a_list_is_named_by_its_digest() {
        let wanted = Wanted::default();
        assert_eq!(wanted.digest("http://a"), "");
        let mut list = Revocations::new(&[revoked(r#"{"jti":"a"}"#, NOW)]);
        assert_ne!(list.digest, Revocations::new(&[]).digest);
        // A newer version has another kind of revocation.
        list.list.push(serde_json::json!({ "kind": "new" }));
        wanted.note("http://a", list.clone());
        assert_eq!((wanted.digest("http://a"), wanted.digest("http://b")), (list.digest, String::new()));
        assert_eq!(wanted.lists()["http://a"].list, [revoked(r#"{"jti":"a"}"#, NOW)]);
    }

    fn told(bodies: &[(&str, i64)]) -> Revocations {
        let at = |seconds: i64| Timestamp::from_millis(NOW.as_millis().saturating_add_signed(seconds * 1000));
        let list: Vec<_> = bodies.iter().map(|(body, seconds)| revoked(body, at(*seconds))).collect();
        Revocations::new(&list)
    }

    #[test]
    fn a_revocation_of_several_origins_is_made_once_with_the_latest_time() {
        let (wanted, show) = (Wanted::default(), r#"{"app":"live","stream":"show"}"#);
        wanted.note("http://a", told(&[(show, 5), (r#"{"jti":"a"}"#, 0)]));
        wanted.note("http://b", told(&[(show, 0), (r#"{"jti":"a"}"#, 0)]));
        let (mut all, digests) = wanted.all();
        all.sort_by_key(|one| one.revoked_at);
        assert_eq!((all.len(), digests.len()), (2, 2), "{all:?}");
        assert_eq!(all[1], revoked(show, NOW.plus_seconds(5)));
    }

    #[test]
    fn an_edge_is_behind_until_its_nginx_has_the_first_list() {
        let wanted = Wanted::default();
        wanted.note("http://a", told(&[]));
        assert!(!wanted.is_behind(), "nothing is revoked");
        wanted.note("http://b", told(&[(r#"{"jti":"a"}"#, 0)]));
        let (_, before) = wanted.all();
        assert!(wanted.is_behind());
        // The list has changed during the pass.
        wanted.note("http://b", told(&[(r#"{"jti":"a"}"#, 0), (r#"{"jti":"b"}"#, 0)]));
        assert!(!wanted.note_made(&before) && wanted.is_behind());
        let (all, now) = wanted.all();
        assert!(wanted.note_made(&now) && !wanted.is_behind() && !wanted.note_made(&now));
        wanted.note("http://b", told(&[(r#"{"jti":"c"}"#, 0)]));
        assert!(!wanted.is_behind(), "one more is no reason to stop streams");

        let held: HashSet<_> = all.iter().map(|one| one.what.clone()).collect();
        let there = There { held: held.clone(), full: None };
        assert!(!there.has_lost(&all, &held, NOW) && there.has_lost(&all, &HashSet::new(), NOW));
        assert!(!There::default().has_lost(&all, &HashSet::new(), NOW), "it never had them");
        wanted.note_lost();
        assert!(wanted.is_behind());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_nginx_is_asked_again_after_a_while() {
        let one = revoked(r#"{"jti":"a"}"#, NOW);
        let mut there = There { held: [one.what].into(), full: Some((1, Instant::now())) };
        assert!(there.is_full());
        tokio::time::advance(AGAIN).await;
        assert!(!there.is_full());
        there.full = Some((2, Instant::now()));
        assert!(!there.is_full(), "nginx has forgotten some");
        let refused = |status, code: &str| nginx::Error::Refused {
            status,
            code: code.to_owned(),
            message: String::new(),
        };
        assert!(has_no_room(&refused(StatusCode::CONFLICT, "conflict")));
        assert!(!has_no_room(&refused(StatusCode::SERVICE_UNAVAILABLE, "not_persisted")));
    }
}
