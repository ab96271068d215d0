//! Reads the whole content of a zone for comparison, and checks the rules between its parts.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::Ordering::Relaxed;

use weir_model::target::{PushState, Target};
use weir_model::viewers::ViewerProtocol;

use crate::{
    Audience, KeyRecord, Locked, Mutex, Zone,
    block::{Block, BlockKind, Index, unpack},
    heap::SpinLock,
    layout::KEPT_FOR_WORKERS,
    streams, targets,
};

pub(super) type TestZone<'h> = Zone<'h, &'h SpinLock>;

/// The content of a zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// By digest.
    pub keys: BTreeMap<[u8; 32], KeyRecord>,
    /// By name: the owner's word.
    pub streams: BTreeMap<String, u64>,
    /// By id: the target, and for which worker it is pending.
    pub targets: BTreeMap<u64, (Target, Option<u32>)>,
    /// By target and the owner's word: the state, and the last error.
    pub pushes: BTreeMap<(u64, u64), (PushState, Option<String>)>,
    /// By name: the current number of viewers.
    pub audiences: BTreeMap<String, u64>,
}

/// Locks the zone, which repairs it if necessary, reads it, and checks the rules.
#[track_caller]
pub(super) fn look(zone: &TestZone<'_>) -> Seen {
    let locked = zone.lock(1);
    let mut seen = Seen::default();
    let mut taken = HashSet::new();
    for (at, block) in locked.records(BlockKind::Key) {
        take_all(&locked, at, block, &mut taken);
        let key = locked.read_key(block);
        let reached = locked.chain(crate::keys::key_hash(block)).any(|(found, _)| found == at);
        assert!(reached, "a key is not in its chain");
        let reached = locked.second_chain(key.id.0).any(|(found, _)| found == at);
        assert!(reached, "a key is not in the chain of its id");
        assert!(seen.keys.insert(*key.digest.bytes(), key).is_none(), "a key is there twice");
    }
    for (at, block) in locked.records(BlockKind::Stream) {
        take_all(&locked, at, block, &mut taken);
        let reached = locked.chain(locked.row_hash(block)).any(|(found, _)| found == at);
        assert!(reached, "a stream is not in its chain");
        assert!(
            seen.streams.insert(locked.row_text(block).name, streams::owner(block)).is_none(),
            "a stream is there twice"
        );
    }
    for (at, block) in locked.records(BlockKind::Target) {
        take_all(&locked, at, block, &mut taken);
        let reached = locked.chain(targets::target_hash(block)).any(|(found, _)| found == at);
        assert!(reached, "a target is not in its chain");
        let target = locked.read_target(block).unwrap();
        let pending = targets::pending_pid(block);
        assert!(seen.targets.insert(target.id.0, (target, pending)).is_none(), "a target is there twice");
    }
    for (at, block) in locked.records(BlockKind::Push) {
        take_all(&locked, at, block, &mut taken);
        let push = locked.read_push(at, block, 0);
        assert_eq!((push.app.as_str(), push.name.as_str()), ("live", "show"));
        let key = (push.target.0, streams::owner(block));
        assert!(seen.pushes.insert(key, (push.state, push.last_error)).is_none(), "a push is there twice");
    }
    for (at, block) in locked.records(BlockKind::Worker) {
        take_all(&locked, at, block, &mut taken);
        assert!(locked.worker_rows().any(|(found, _)| found == at), "a worker is not on the list");
    }
    for (at, block) in locked.records(BlockKind::Audience) {
        take_all(&locked, at, block, &mut taken);
        assert!(locked.audience_records().any(|(found, _)| found == at), "an audience is not on the list");
        let reached = locked.chain(locked.audience_hash(block)).any(|(found, _)| found == at);
        assert!(reached, "an audience is not in its chain");
    }
    check_counts(&locked);
    let audiences = locked.audiences().into_iter();
    seen.audiences =
        audiences.map(|one| (one.name, one.audience.now())).filter(|(_, now)| *now > 0).collect();
    for (at, block) in locked.records(BlockKind::Player) {
        take_all(&locked, at, block, &mut taken);
    }
    let workers = locked.worker_rows().count();
    assert_eq!(zone.root.workers.load(Relaxed), workers as u64);
    check_free(zone, &taken, workers);
    seen
}

/// Checks that the counts of the records match the rows.
#[track_caller]
fn check_counts(locked: &Locked<'_, '_, &SpinLock>) {
    let rows = || locked.zone.viewer_table().all().filter_map(crate::viewer_table::ViewerRow::seat);
    assert_eq!(locked.zone.viewer_rows().0, rows().count());
    let players = || locked.records(BlockKind::Player).filter_map(|(_, row)| crate::players::audience(row));
    let mut all = Audience::default();
    for (at, record) in locked.audience_records() {
        let (_, name) = locked.audience_names(record);
        let Some(one) = locked.audiences().into_iter().find(|one| one.name == name) else { continue };
        let of = |kind| rows().filter(|seat| seat.audience == at && seat.kind == kind).count() as u64;
        let rtmp = players().filter(|audience| *audience == at).count() as u64;
        let counted = (one.audience.hls, one.audience.dash, one.audience.rtmp);
        assert_eq!(counted, (of(ViewerProtocol::Hls), of(ViewerProtocol::Dash), rtmp), "{name}");
        all.ws += one.audience.now();
    }
    assert_eq!(locked.watching("live"), all.ws);
}

/// Checks that no other record has a record's blocks.
fn take_all<M: Mutex>(locked: &Locked<'_, '_, M>, at: Index, record: &Block, taken: &mut HashSet<Index>) {
    let (mut at, mut block) = (at, record);
    loop {
        assert!(taken.insert(at), "block {at} is in two records");
        let Some(tail) = block.tail() else { break };
        (at, block) = (tail, locked.zone.block(tail).unwrap());
        assert_eq!(block.kind(), BlockKind::Tail);
    }
}

/// Checks that every other block is on the free list once.
fn check_free(zone: &TestZone<'_>, taken: &HashSet<Index>, workers: usize) {
    let mut free = HashSet::new();
    let mut next = unpack(zone.root.free.load(Relaxed));
    while let Some(at) = next {
        assert!(free.insert(at) && !taken.contains(&at), "block {at} is free and not");
        next = zone.block(at).unwrap().next();
    }
    assert_eq!(free.len() + taken.len(), zone.blocks.len(), "blocks are lost");
    assert!(workers <= KEPT_FOR_WORKERS);
    assert_eq!(zone.usage().0, taken.len() - workers);
}

impl Seen {
    /// Asserts that this is a state between the two: a change may be partly done for a record that it changes, but must
    /// leave all other records whole.
    #[track_caller]
    pub(super) fn assert_between(&self, before: &Seen, after: &Seen) {
        assert_each(&self.keys, &before.keys, &after.keys, |seen, one, other| {
            let mixed = KeyRecord {
                current: seen.current,
                expires_at: seen.expires_at,
                stage: seen.stage,
                ..one.clone()
            };
            *seen == mixed
                && [one.current, other.current].contains(&seen.current)
                && [one.expires_at, other.expires_at].contains(&seen.expires_at)
                && [one.stage, other.stage].contains(&seen.stage)
        });
        assert_each(&self.streams, &before.streams, &after.streams, |seen, one, other| {
            seen == one || seen == other
        });
        assert_each(&self.targets, &before.targets, &after.targets, |seen, one, other| {
            seen == one || seen == other
        });
        let names = [self, before, after].into_iter().flat_map(|seen| seen.audiences.keys());
        for name in names {
            let [now, one, other] =
                [self, before, after].map(|seen| seen.audiences.get(name).copied().unwrap_or(0));
            // A report may appear and disappear within a change.
            assert!((one.min(other)..=one.max(other) + 2).contains(&now), "{name}: {one}, {now}, {other}");
        }
        assert_each(&self.pushes, &before.pushes, &after.pushes, |seen, one, other| {
            [&one.1, &other.1, &None].contains(&&seen.1)
                && [one.0, other.0, PushState::Connecting].contains(&seen.0)
        });
    }
}

#[track_caller]
fn assert_each<K: Ord, V: PartialEq + std::fmt::Debug>(
    seen: &BTreeMap<K, V>,
    before: &BTreeMap<K, V>,
    after: &BTreeMap<K, V>,
    is_mixed: impl Fn(&V, &V, &V) -> bool,
) {
    let keys: std::collections::BTreeSet<_> =
        [seen, before, after].iter().flat_map(|map| map.keys()).collect();
    for key in keys {
        let (seen, before, after) = (seen.get(key), before.get(key), after.get(key));
        let fits = match (seen, before, after) {
            (seen, before, after) if before == after => seen == before,
            (None, _, _) => true,
            (Some(seen), Some(one), Some(other)) => is_mixed(seen, one, other),
            (Some(seen), one, other) => one.or(other).is_some_and(|whole| is_mixed(seen, whole, whole)),
        };
        assert!(fits, "{seen:?} is not between {before:?} and {after:?}");
    }
}
