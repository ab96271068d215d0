//! State that strangers can make grow, under the lock: connections and refusals per address, and bans.

use weir_model::throttle::LogLine;
use weir_model::{KeyId, Timestamp};

use crate::arena::{Locked, Mutex, Zone};
use crate::bans::MAX_BANS;
use crate::bucket::Bucket;
use crate::refusals::{GUARD_REASONS, PUBLISH_REASONS};
use crate::throttle::Summary;
use crate::workers::WorkerId;

impl<M: Mutex> Zone<'_, M> {
    /// Counts a refusal of the guard, for the reason with this index, below [`GUARD_REASONS`].
    pub fn count_guard(&self, index: usize) {
        self.root.refusals.count_guard(index);
    }

    /// Returns the guard's refusals since the zone was created, over all workers, by reason.
    pub fn guard_counts(&self) -> [u64; GUARD_REASONS] {
        self.root.refusals.guard_counts()
    }

    /// Counts a refused publish, for the reason with this index, below [`PUBLISH_REASONS`].
    pub fn count_refusal(&self, index: usize) {
        self.root.refusals.count_publish(index);
    }

    /// Returns the refused publishes since the zone was created, over all workers, by reason.
    pub fn refusal_counts(&self) -> [u64; PUBLISH_REASONS] {
        self.root.refusals.publish_counts()
    }

    /// Returns the number of connections that have not published or played yet, over all workers, as far as the table
    /// has them.
    pub fn unauthenticated(&self) -> u64 {
        self.root.connections.unauthenticated()
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// Counts a refusal from an address by its topic ([`Topic::index`](weir_model::refusal::Topic::index)), and returns
    /// the log line to write: ten lines per minute. Wrong keys are the first topic.
    pub fn refusal(&self, bucket: Bucket, topic: usize, now: Timestamp) -> LogLine {
        self.zone.root.throttle.refusal(self.zone.seed(), bucket, topic, now)
    }

    /// Counts a refusal of the guard, by address and reason (below [`GUARD_REASONS`]), and returns the log line to
    /// write: one line per minute.
    pub fn guard_refusal(&self, bucket: Bucket, reason: usize, now: Timestamp) -> LogLine {
        self.zone.root.throttle.guard_refusal(self.zone.seed(), bucket, reason, now)
    }

    /// Returns the addresses and topics whose minute has ended with refusals that were not logged, each once.
    pub fn refused_since(&self, now: Timestamp) -> Vec<Summary> {
        self.zone.root.throttle.refused_since(now)
    }

    /// Returns the addresses and reasons whose minute has ended with refusals of the guard that were not logged, each
    /// once.
    pub fn guard_refused_since(&self, now: Timestamp) -> Vec<Summary> {
        self.zone.root.throttle.guard_refused_since(now)
    }

    /// Counts an accepted connection of an address. Returns false and counts nothing if the address already has `limit`
    /// connections over all workers.
    pub fn connection_opened(&self, worker: WorkerId, bucket: Bucket, limit: u32, now: Timestamp) -> bool {
        self.zone.root.connections.opened(self.zone.seed(), worker.to_word(), bucket, limit, now)
    }

    /// Returns how many connections of an address are counted, over all workers.
    #[must_use]
    pub fn connections_of(&self, bucket: Bucket) -> u64 {
        self.zone.root.connections.of(self.zone.seed(), bucket)
    }

    /// Ends the count of a connection that has published, played or closed. Ignores a connection whose row was dropped.
    pub fn connection_settled(&self, worker: WorkerId, bucket: Bucket) {
        self.zone.root.connections.settled(self.zone.seed(), worker.to_word(), bucket);
    }

    /// Whether these keys can be banned in addition to those that are.
    #[must_use]
    pub fn can_ban(&self, keys: &[KeyId], now: Timestamp) -> bool {
        let banned = self.bans(now);
        let is_new = |id: &&KeyId| banned.iter().all(|(known, _)| known != *id);
        banned.len() + keys.iter().filter(is_new).count() <= MAX_BANS
    }

    /// Bans a key until a time.
    pub fn ban_key(&self, id: KeyId, until: Timestamp) {
        self.zone.root.bans.ban(id, until);
    }

    /// Returns the bans that have not ended, by their keys.
    #[must_use]
    pub fn bans(&self, now: Timestamp) -> Vec<(KeyId, Timestamp)> {
        self.zone.root.bans.list(now)
    }

    /// Returns the end of a key's ban, if it was banned.
    #[must_use]
    pub fn banned_until(&self, id: KeyId) -> Option<Timestamp> {
        self.zone.root.bans.until(id)
    }
}
