//! Compares random changes with a simple model; some of the changes are killed.

use proptest::prelude::*;
use weir_model::{
    KeyId,
    target::{PushState, Target, TargetId},
};

use super::deaths::{NOW, digest, key, push, record, small_heap, stream, sync_keys, sync_targets, target};
use super::seen::{Seen, TestZone, look};
use crate::{Claim, KeyRecord, LivePush, Locked, Stage, StreamId, WorkerId, death, heap::SpinLock};

const WORKERS: usize = 3;

#[derive(Debug, Clone)]
enum Change {
    Add { key: u8, pending_at: Option<usize> },
    Confirm(u8),
    Forget(u8),
    Revoke(u8),
    ForgetRevoked(u8),
    Retire { key: u8, overlap_s: u64 },
    ForgetEnded { after_s: u64 },
    Sync(Vec<u8>),
    Claim { name: u8, worker: usize },
    Release(usize),
    Pend { target: u8, worker: usize },
    ConfirmTarget(u8),
    ForgetTarget(u8),
    Replace(Box<Target>),
    Remove(u8),
    SyncTargets(Vec<u8>),
    Push { target: u8, worker: usize },
    Stands { target: u8, worker: usize, state: PushState, error: Option<String> },
    Unpush { target: u8, worker: usize },
    Kill(usize),
}

fn any_change() -> impl Strategy<Value = Change> {
    let (key, worker) = (0_u8..12, 0..WORKERS);
    prop_oneof![
        4 => (key.clone(), prop::option::of(worker.clone()))
            .prop_map(|(key, pending_at)| Change::Add { key, pending_at }),
        2 => key.clone().prop_map(Change::Confirm),
        1 => key.clone().prop_map(Change::Forget),
        2 => key.clone().prop_map(Change::Revoke),
        2 => key.clone().prop_map(Change::ForgetRevoked),
        1 => (key.clone(), 0_u64..90).prop_map(|(key, overlap_s)| Change::Retire { key, overlap_s }),
        1 => (0_u64..90).prop_map(|after_s| Change::ForgetEnded { after_s }),
        1 => prop::collection::btree_set(key, 0..12).prop_map(|keys| Change::Sync(keys.into_iter().collect())),
        4 => (0_u8..6, worker.clone()).prop_map(|(name, worker)| Change::Claim { name, worker }),
        3 => (0_usize..20).prop_map(Change::Release),
        1 => worker.prop_map(Change::Kill),
        5 => any_change_of_targets(),
        5 => any_change_of_pushes(),
    ]
}

fn any_change_of_targets() -> impl Strategy<Value = Change> {
    let id = 0_u8..6;
    prop_oneof![
        3 => (id.clone(), 0..WORKERS).prop_map(|(target, worker)| Change::Pend { target, worker }),
        3 => id.clone().prop_map(Change::ConfirmTarget),
        1 => id.clone().prop_map(Change::ForgetTarget),
        2 => (id.clone(), any::<bool>(), 0_usize..200).prop_map(|(id, enabled, note)| {
            Change::Replace(Box::new(Target { enabled, note: "n".repeat(note), ..target(id) }))
        }),
        1 => id.clone().prop_map(Change::Remove),
        1 => prop::collection::btree_set(id, 0..6).prop_map(|ids| Change::SyncTargets(ids.into_iter().collect())),
    ]
}

fn any_change_of_pushes() -> impl Strategy<Value = Change> {
    let (id, state) = (0_u8..3, prop::sample::select(PushState::ALL.to_vec()));
    let error = prop::option::of("[a-zé]{1,100}");
    prop_oneof![
        2 => (id.clone(), 0..WORKERS).prop_map(|(target, worker)| Change::Push { target, worker }),
        2 => (id.clone(), 0..WORKERS, state, error)
            .prop_map(|(target, worker, state, error)| Change::Stands { target, worker, state, error }),
        1 => (id, 0..WORKERS).prop_map(|(target, worker)| Change::Unpush { target, worker }),
    ]
}

/// The running workers, and all stream ids so far.
struct World {
    workers: [(u32, WorkerId); WORKERS],
    ids: Vec<(String, StreamId)>,
    /// Seconds after [`NOW`] until which nobody searches for ended secrets, because a worker died while it searched.
    searched_s: u64,
}

impl World {
    fn new(zone: &TestZone<'_>) -> World {
        let workers = [10, 11, 12].map(|pid| (pid, zone.lock(pid).register(pid, NOW, |_| true).unwrap()));
        World { workers, ids: Vec::new(), searched_s: 0 }
    }

    fn alive(&self) -> impl Fn(u32) -> bool + use<> {
        let pids = self.workers.map(|(pid, _)| pid);
        move |pid| pids.contains(&pid)
    }

    fn owns(&self, owner: u64) -> bool {
        self.workers.iter().any(|(_, worker)| worker.to_word() == owner)
    }

    fn stage(&self, pending_at: Option<usize>) -> Stage {
        pending_at.map_or(Stage::Valid, |worker| Stage::Pending { pid: self.workers[worker].0 })
    }

    /// Makes the change in the zone.
    fn apply(&mut self, zone: &TestZone<'_>, change: &Change) {
        if let Change::ForgetEnded { after_s } = change {
            return zone.forget_ended_secrets(1, NOW.plus_seconds(*after_s));
        }
        let locked = zone.lock(1);
        match change {
            Change::Add { key, pending_at } => {
                locked.insert_key(&record(*key, self.stage(*pending_at))).unwrap();
            }
            Change::Confirm(key) => locked.confirm_secret(&digest(*key)),
            Change::Forget(key) => locked.forget_secret(&digest(*key)),
            Change::Revoke(key) => {
                locked.revoke_key(id(*key));
            }
            Change::ForgetRevoked(key) => locked.forget_revoked(id(*key)),
            Change::Retire { key, overlap_s } => locked.retire_secret(id(*key), NOW.plus_seconds(*overlap_s)),
            Change::Sync(keys) => {
                let keys: Vec<_> = keys.iter().map(|id| key(*id)).collect();
                sync_keys(&locked, &keys);
            }
            Change::Claim { name, worker } => {
                let name = format!("s{name}");
                let claimed =
                    locked.claim(&stream(&name, self.workers[*worker].1), NOW, self.alive()).unwrap();
                if let Claim::Taken(id) = claimed {
                    self.ids.push((name, id));
                }
            }
            Change::Release(nth) => {
                if let Some((_, id)) = self.ids.get(*nth) {
                    locked.release(*id, NOW);
                }
            }
            // The death was recorded already.
            Change::Kill(_) => {
                locked.reclaim(NOW, self.alive());
            }
            change => self.apply_to_targets(&locked, change),
        }
    }

    fn apply_to_targets(&self, locked: &Locked<'_, '_, &SpinLock>, change: &Change) {
        let find = |target: &u8, worker: &usize| -> Option<LivePush> {
            let pid = self.workers[*worker].0;
            let mut pushes = locked.pushes(|_| true).into_iter();
            pushes.find(|push| push.worker_pid == pid && push.target == target_id(*target))
        };
        match change {
            Change::Pend { target: id, worker } => {
                locked.pend_target(&target(*id), self.workers[*worker].0).unwrap();
            }
            Change::ConfirmTarget(id) => locked.confirm_target(target_id(*id)),
            Change::ForgetTarget(id) => locked.forget_target(target_id(*id)),
            Change::Replace(by) => {
                locked.replace_target(by).unwrap();
            }
            Change::Remove(id) => {
                locked.remove_target(target_id(*id));
            }
            Change::SyncTargets(ids) => {
                let wanted: Vec<_> = ids.iter().map(|id| target(*id)).collect();
                sync_targets(locked, &wanted);
            }
            Change::Push { target, worker } => {
                let of = StreamId { place: 0, session: 1 };
                locked.add_push(&push(*target, of, self.workers[*worker].1), NOW).unwrap();
            }
            Change::Stands { target, worker, state, error } => {
                if let Some(push) = find(target, worker) {
                    locked.set_push_state(push.id, *state, NOW, None, error.as_deref());
                }
            }
            Change::Unpush { target, worker } => {
                find(target, worker).into_iter().for_each(|push| locked.remove_push(push.id));
            }
            _ => {}
        }
    }

    /// Makes the change in the model.
    fn predict(&self, before: &Seen, change: &Change) -> Seen {
        let mut after = before.clone();
        let of = |key: u8, wanted: Stage| {
            move |found: &&mut KeyRecord| found.id == id(key) && found.stage == wanted
        };
        match change {
            Change::Add { key, pending_at } => {
                after.keys.insert(*digest(*key).bytes(), record(*key, self.stage(*pending_at)));
            }
            Change::Confirm(key) => {
                let pending = after.keys.get_mut(digest(*key).bytes()).filter(|key| is_pending(key));
                pending.into_iter().for_each(|key| key.stage = Stage::Valid);
            }
            Change::Forget(key) => {
                after.keys.retain(|of, found| of != digest(*key).bytes() || !is_pending(found))
            }
            Change::Revoke(key) => {
                after
                    .keys
                    .values_mut()
                    .filter(of(*key, Stage::Valid))
                    .for_each(|key| key.stage = Stage::Revoked);
            }
            Change::ForgetRevoked(key) => {
                after.keys.retain(|_, found| found.id != id(*key) || found.stage != Stage::Revoked);
            }
            Change::Retire { key, overlap_s } => {
                let valid = |found: &KeyRecord| found.id == id(*key) && found.stage == Stage::Valid;
                after.keys.retain(|_, found| !valid(found) || found.current);
                for found in after.keys.values_mut().filter(of(*key, Stage::Valid)) {
                    let end = NOW.plus_seconds(*overlap_s);
                    (found.current, found.expires_at) =
                        (false, Some(found.expires_at.map_or(end, |own| own.min(end))));
                }
            }
            Change::ForgetEnded { after_s } => {
                let now = NOW.plus_seconds(*after_s);
                after.keys.retain(|_, found| found.current || found.expires_at.is_none_or(|end| end > now));
            }
            Change::Sync(keys) => {
                after.keys.retain(|_, found| found.stage != Stage::Valid);
                for key in keys {
                    if !after.keys.values().any(|found| found.id == id(*key) && found.stage == Stage::Revoked)
                    {
                        after.keys.insert(*digest(*key).bytes(), record(*key, Stage::Valid));
                    }
                }
            }
            Change::Claim { name, worker } => {
                let owner = after.streams.entry(format!("s{name}")).or_default();
                if !self.owns(*owner) {
                    *owner = self.workers[*worker].1.to_word();
                }
            }
            Change::Release(nth) => {
                // Only the last id of a name is not stale.
                let released = self.ids.get(*nth).filter(|(name, id)| {
                    self.ids.iter().rev().find(|(other, _)| other == name).is_some_and(|(_, last)| last == id)
                });
                if let Some((name, _)) = released {
                    after.streams.remove(name);
                }
            }
            Change::Kill(_) => {
                after.streams.retain(|_, owner| self.owns(*owner));
                let alive = self.alive();
                after.keys.retain(|_, found| !matches!(found.stage, Stage::Pending { pid } if !alive(pid)));
                after.targets.retain(|_, (_, pending)| pending.is_none_or(&alive));
                after.pushes.retain(|(_, owner), _| self.owns(*owner));
            }
            change => self.predict_targets(&mut after, change),
        }
        after
    }

    fn predict_targets(&self, after: &mut Seen, change: &Change) {
        let push = |target: &u8, worker: &usize| (u64::from(*target), self.workers[*worker].1.to_word());
        let targets = &mut after.targets;
        match change {
            Change::Pend { target: id, worker } => {
                targets.insert((*id).into(), (target(*id), Some(self.workers[*worker].0)));
            }
            Change::ConfirmTarget(id) => {
                targets.get_mut(&u64::from(*id)).into_iter().for_each(|(_, pending)| *pending = None);
            }
            Change::ForgetTarget(id) => {
                targets.retain(|of, (_, pending)| *of != u64::from(*id) || pending.is_none())
            }
            Change::Replace(by) => {
                let visible = targets.get_mut(&by.id.0).filter(|(_, pending)| pending.is_none());
                visible.into_iter().for_each(|(target, _)| *target = (**by).clone());
            }
            Change::Remove(id) => {
                targets.retain(|of, (_, pending)| *of != u64::from(*id) || pending.is_some())
            }
            Change::SyncTargets(ids) => {
                targets.retain(|_, (_, pending)| pending.is_some());
                targets.extend(ids.iter().map(|id| (u64::from(*id), (target(*id), None))));
            }
            Change::Push { target, worker } => {
                after.pushes.insert(push(target, worker), (PushState::Connecting, None));
            }
            Change::Stands { target, worker, state, error } => {
                if let Some((stands, last_error)) = after.pushes.get_mut(&push(target, worker)) {
                    *stands = *state;
                    *last_error = error.clone().or(last_error.take());
                }
            }
            Change::Unpush { target, worker } => {
                after.pushes.remove(&push(target, worker));
            }
            _ => {}
        }
    }
}

fn id(key: u8) -> KeyId {
    KeyId(key.into())
}

fn target_id(target: u8) -> TargetId {
    TargetId(target.into())
}

fn is_pending(key: &KeyRecord) -> bool {
    matches!(key.stage, Stage::Pending { .. })
}

/// Excludes changes that callers never make: to add a secret that exists, or to adopt a file with a secret that is
/// pending. Also excludes searches for ended secrets within a minute after one whose worker died: the zone does not begin these.
fn is_possible(change: &Change, world: &World, seen: &Seen) -> bool {
    let there = |key: u8| seen.keys.get(digest(key).bytes());
    match change {
        Change::Add { key, .. } => there(*key).is_none(),
        Change::ForgetEnded { after_s } => *after_s >= world.searched_s,
        Change::Sync(keys) => keys.iter().all(|key| there(*key).is_none_or(|found| !is_pending(found))),
        Change::Pend { target, .. } => !seen.targets.contains_key(&u64::from(*target)),
        Change::SyncTargets(ids) => ids
            .iter()
            .all(|id| seen.targets.get(&u64::from(*id)).is_none_or(|(_, pending)| pending.is_none())),
        Change::Push { target, worker } => {
            let key = (u64::from(*target), world.workers[*worker].1.to_word());
            !seen.pushes.contains_key(&key)
        }
        _ => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_changes_and_deaths(
        changes in prop::collection::vec((any_change(), prop::option::weighted(0.3, 0_usize..60)), 1..100),
    ) {
        let heap = small_heap(30 * 1024);
        let zone = heap.zone();
        let mut world = World::new(&zone);
        let mut seen = look(&zone);
        let mut next_pid = 100;
        for (change, dies_at) in &changes {
            if !is_possible(change, &world, &seen) {
                continue;
            }
            if let Change::Kill(worker) = change {
                let registered = zone.lock(1).register(next_pid, NOW, |_| true).unwrap();
                world.workers[*worker] = (next_pid, registered);
                next_pid += 1;
            }
            let predicted = world.predict(&seen, change);
            let done = death::after(dies_at.unwrap_or(usize::MAX), || world.apply(&zone, change)).is_some();
            let now = look(&zone);
            if done {
                prop_assert_eq!(&now, &predicted, "{:?}", change);
            } else {
                now.assert_between(&seen, &predicted);
                if let Change::ForgetEnded { after_s } = change {
                    world.searched_s = after_s + 60;
                }
                // A claim was made, but its caller died before it got the id.
                for live in zone.lock(1).streams(|_| true) {
                    if !world.ids.iter().any(|(_, id)| *id == live.id) {
                        world.ids.push((live.name.clone(), live.id));
                    }
                }
            }
            seen = now;
            for (secret, key) in &seen.keys {
                let found = zone.lock(1).find_key(&weir_model::Digest::from_bytes(*secret));
                prop_assert_eq!(found.as_ref(), Some(key).filter(|key| key.stage == Stage::Valid));
            }
        }
    }
}
