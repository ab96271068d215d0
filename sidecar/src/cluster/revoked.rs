//! Revoked tokens: an origin names its revocations to its edges, and an edge makes them at its own nginx, which disconnects the clients.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::timeout;
use weir_model::token::{LEEWAY_S, Revocation, Revoked, Subject};
use weir_model::{Digest, Timestamp};

use super::store::RENEW;
use super::wire::Revocations;
use crate::clock;
use crate::nginx::{self, Nginx, RevokeTokens};

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
        let list = told.list.into_iter().filter_map(|one| serde_json::from_value(one).ok()).collect();
        self.lists().insert(origin.to_owned(), Told { digest: told.digest, list });
        self.news.notify_one();
    }

    /// Makes the revocations at nginx, again if nginx has lost them in a restart. Never ends.
    pub(super) async fn keep(&self, nginx: &Nginx) {
        let mut last = None;
        loop {
            // An error only means that there is no news.
            let _ = timeout(RENEW, self.news.notified()).await;
            let all: Vec<_> = self.lists().values().flat_map(|told| told.list.clone()).collect();
            if all.is_empty() {
                continue;
            }
            let failed = match apply(nginx, &all).await {
                Ok(0) => None,
                Ok(number) => {
                    tracing::info!("tokens revoked as at the origin, revocations: {number}");
                    None
                }
                Err(error) => Some(error.to_string()),
            };
            if let Some(why) = failed.as_ref().filter(|_| failed != last) {
                tracing::warn!("revoked tokens of the origin are not revoked here: {why}");
            }
            last = failed;
        }
    }
}

/// Makes the revocations that nginx lacks, and returns their number.
///
/// # Errors
///
/// The first error. If the API refuses one revocation, the others are made nevertheless.
async fn apply(nginx: &Nginx, all: &[Revocation]) -> Result<usize, nginx::Error> {
    let known = nginx.revocations().await?.value.revocations;
    let (mut number, mut refused) = (0, None);
    let now = clock::now();
    for one in missing(all, &known, now) {
        match nginx.revoke_tokens(&request(one, now)).await {
            Ok(_) => number += 1,
            Err(error @ nginx::Error::Refused { .. }) => refused = refused.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    refused.map_or(Ok(number), Err)
}

/// Returns the revocations that are not among the known ones and still matter.
fn missing<'a>(all: &'a [Revocation], known: &[Revocation], now: Timestamp) -> Vec<&'a Revocation> {
    let known: HashMap<_, _> = known.iter().map(|one| (&one.what, one.revoked_at)).collect();
    let is_missing = |one: &&Revocation| match (known.get(&one.what), &one.what) {
        (None, _) => true,
        (Some(_), Revoked::Token(_)) => false,
        (Some(at), Revoked::Streams(_)) => *at < one.revoked_at,
    };
    all.iter().filter(|one| !one.is_over(now)).filter(is_missing).collect()
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
        let wanted = [revoked(token, NOW), revoked(streams, NOW)];
        let lacks =
            |known: &[Revocation]| missing(&wanted, known, NOW).into_iter().cloned().collect::<Vec<_>>();
        assert_eq!(lacks(&[]), wanted);
        assert_eq!(lacks(&wanted), []);
        assert_eq!(lacks(&[revoked(token, earlier), revoked(streams, earlier)]), wanted[1..]);
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
}
