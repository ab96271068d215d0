//! Delivers the queue of one webhook in order: an event is retried until it is accepted or too old, and later events wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::queue::{Message, Queue};
use super::sender::{SendError, Sender};
use crate::clock;
use crate::config::hooks::Webhook;
use crate::supervise::backoff::Backoff;

/// Longest wait that an endpoint can ask for, unless the configuration has longer waits.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);
/// Wait after the first failure.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Counters of one webhook.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Events that the endpoint accepted.
    pub delivered: AtomicU64,
    /// Failed attempts.
    pub failed: AtomicU64,
    /// Events that were never accepted: too old, too many, or refused permanently.
    pub lost: AtomicU64,
}

/// Next step after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Deliver the next event immediately.
    Following,
    /// Give up this event.
    GiveUp,
    /// Repeat this event after this wait.
    Again(Duration),
}

/// Delivers events until the future is dropped.
pub(crate) async fn deliver(queue: Arc<Queue>, webhook: Webhook, sender: Sender, counters: Arc<Counters>) {
    let backoff = Backoff { first: FIRST_WAIT.min(webhook.backoff_max), max: webhook.backoff_max };
    let mut failures: u32 = 0;
    loop {
        let (number, message) = queue.next().await;
        let result = sender.send(&message.id, &message.body).await;
        let age = Duration::from_millis(clock::now().millis_since(message.at));
        let wait = backoff.wait(failures, clock::random_u32());
        let next = decide(&result, age, webhook.give_up, wait, webhook.backoff_max);
        report(&webhook.name, &message, &result, failures, next, &counters);
        failures = if result.is_ok() { 0 } else { failures.saturating_add(1) };
        match next {
            Next::Following => queue.done(number),
            Next::GiveUp => {
                queue.done(number);
                // Later events would fail at this moment, too.
                tokio::time::sleep(wait).await;
            }
            Next::Again(wait) => tokio::time::sleep(wait).await,
        }
    }
}

fn decide(
    result: &Result<(), SendError>,
    age: Duration,
    give_up: Duration,
    wait: Duration,
    most: Duration,
) -> Next {
    match result {
        Ok(()) => Next::Following,
        Err(error) if error.is_permanent() || age >= give_up => Next::GiveUp,
        Err(error) => {
            let most = most.max(LONGEST_ASKED);
            Next::Again(error.retry_after().map_or(wait, |asked| asked.clamp(wait, most)))
        }
    }
}

/// Logs one line when an endpoint begins to fail, one when it works again, and one for each lost event.
fn report(
    name: &str,
    message: &Message,
    result: &Result<(), SendError>,
    failures: u32,
    next: Next,
    counters: &Counters,
) {
    let Err(error) = result else {
        counters.delivered.fetch_add(1, Ordering::Relaxed);
        if failures > 0 {
            tracing::info!("webhook delivers again, webhook: {name:?}, failed attempts: {failures}");
        }
        return;
    };
    counters.failed.fetch_add(1, Ordering::Relaxed);
    if failures == 0 {
        tracing::warn!("webhook failed: {error}, webhook: {name:?}, event: {}", message.kind);
    } else {
        tracing::debug!("webhook failed again: {error}, webhook: {name:?}, event: {}", message.kind);
    }
    if next == Next::GiveUp {
        counters.lost.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            "event lost: {error}, webhook: {name:?}, event: {}, id: {}",
            message.kind,
            message.id
        );
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    #[test]
    fn what_follows_an_attempt() {
        let s = Duration::from_secs;
        let status = |status, retry_after: Option<u64>| {
            Err(SendError::Status { status, retry_after: retry_after.map(Duration::from_secs) })
        };
        let down = || Err(SendError::Unreachable("refused".into()));
        for (result, age, expected) in [
            (Ok(()), s(1), Next::Following),
            (Ok(()), s(999), Next::Following),
            (down(), s(1), Next::Again(s(4))),
            (down(), s(100), Next::GiveUp),
            (status(StatusCode::BAD_REQUEST, None), s(1), Next::Again(s(4))),
            (status(StatusCode::FOUND, None), s(1), Next::Again(s(4))),
            (status(StatusCode::GONE, None), s(1), Next::GiveUp),
            (status(StatusCode::TOO_MANY_REQUESTS, Some(7)), s(1), Next::Again(s(7))),
            (status(StatusCode::TOO_MANY_REQUESTS, Some(1)), s(1), Next::Again(s(4))),
            // The configuration's waits apply if the endpoint asks for none.
            (status(StatusCode::TOO_MANY_REQUESTS, Some(90)), s(1), Next::Again(s(90))),
            (status(StatusCode::SERVICE_UNAVAILABLE, Some(9999)), s(1), Next::Again(s(3600))),
        ] {
            assert_eq!(decide(&result, age, s(100), s(4), s(10)), expected, "{result:?}");
        }
    }
}
