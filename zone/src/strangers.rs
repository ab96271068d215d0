//! Whatever strangers can make grow, under the lock: connections and refusals per address, and bans.

use weir_model::throttle::LogLine;
use weir_model::{KeyId, Timestamp};

use crate::arena::{Locked, Mutex, Zone};
use crate::bucket::Bucket;
use crate::refusals::{GUARD_REASONS, PUBLISH_REASONS};
use crate::throttle::Summary;
use crate::workers::WorkerId;

impl<M: Mutex> Zone<'_, M> {
    /// The guard refused something, for the reason with this index, below [`GUARD_REASONS`].
    pub fn count_guard(&self, index: usize) {
        self.root.refusals.count_guard(index);
    }

    /// What was refused since the zone was made, by all workers, at the index of each reason.
    pub fn guard_counts(&self) -> [u64; GUARD_REASONS] {
        self.root.refusals.guard_counts()
    }

    /// A publish was refused, for the reason with this index, below [`PUBLISH_REASONS`].
    pub fn count_refusal(&self, index: usize) {
        self.root.refusals.count_publish(index);
    }

    /// How many publishes were refused since the zone was made, by all workers, at the index of each reason.
    pub fn refusal_counts(&self) -> [u64; PUBLISH_REASONS] {
        self.root.refusals.publish_counts()
    }

    /// Connections that have not published or played yet, by all workers, as far as the table remembers.
    pub fn unauthenticated(&self) -> u64 {
        self.root.connections.unauthenticated()
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// Counts a refusal from an address by its topic ([`Topic::index`](weir_model::refusal::Topic::index)), and says what of
    /// it belongs into the log: ten lines per minute. Wrong keys are the first topic.
    pub fn refusal(&self, bucket: Bucket, topic: usize, now: Timestamp) -> LogLine {
        self.zone.root.throttle.refusal(self.zone.seed(), bucket, topic, now)
    }

    /// Counts a refusal of the guard, by address and reason (below [`GUARD_REASONS`]), and says what of it
    /// belongs into the log: a line a minute.
    pub fn guard_refusal(&self, bucket: Bucket, reason: usize, now: Timestamp) -> LogLine {
        self.zone.root.throttle.guard_refusal(self.zone.seed(), bucket, reason, now)
    }

    /// The addresses and topics whose minute is over with refusals that were not logged, each told once.
    pub fn refused_since(&self, now: Timestamp) -> Vec<Summary> {
        self.zone.root.throttle.refused_since(now)
    }

    /// The addresses and reasons whose minute is over with refusals of the guard that were not logged, each
    /// told once.
    pub fn guard_refused_since(&self, now: Timestamp) -> Vec<Summary> {
        self.zone.root.throttle.guard_refused_since(now)
    }

    /// A connection from an address was accepted. False when the address has `limit` of them already over all
    /// workers: then nothing is counted.
    pub fn connection_opened(&self, worker: WorkerId, bucket: Bucket, limit: u32, now: Timestamp) -> bool {
        self.zone.root.connections.opened(self.zone.seed(), worker.to_word(), bucket, limit, now)
    }

    /// How many connections of an address are counted, over all workers.
    #[must_use]
    pub fn connections_of(&self, bucket: Bucket) -> u64 {
        self.zone.root.connections.of(self.zone.seed(), bucket)
    }

    /// A connection that was counted published, played or closed. One that was forgotten is ignored.
    pub fn connection_settled(&self, worker: WorkerId, bucket: Bucket) {
        self.zone.root.connections.settled(self.zone.seed(), worker.to_word(), bucket);
    }

    /// Refuses a key until a moment.
    pub fn ban_key(&self, id: KeyId, until: Timestamp) {
        self.zone.root.bans.ban(id, until);
    }

    /// The bans that are not over, by their keys.
    #[must_use]
    pub fn bans(&self, now: Timestamp) -> Vec<(KeyId, Timestamp)> {
        self.zone.root.bans.list(now)
    }

    /// Until when a key is refused, if it was banned.
    #[must_use]
    pub fn banned_until(&self, id: KeyId) -> Option<Timestamp> {
        self.zone.root.bans.until(id)
    }
}
