//! Kills each change before each of its stores, and then also kills the repair.

use weir_model::{
    Digest, KeyId, Server, StreamKey, Timestamp,
    key::KeySecret,
    target::{PushState, Target, TargetId, TargetSource},
    verdict::Credential,
    viewers::{Report, ViewerProtocol},
};

use super::seen::{Seen, TestZone, look};
use crate::keys::plan::KeyPlan;
use crate::{
    KeyRecord, Locked, NewPlayer, NewPush, NewStream, Root, Stage, StreamId, Watched, WorkerId,
    block::{Block, BlockKind},
    death,
    heap::{Heap, SpinLock},
    layout::KEPT_FOR_WORKERS,
    targets,
};

static SERVER: Server = Server::nowhere();

pub(super) const NOW: Timestamp = Timestamp::from_millis(1_795_197_600_000);

/// Returns a zone with `records` bytes in addition to its root and the rows of workers.
pub(super) fn small_heap(records: usize) -> Heap {
    let workers = KEPT_FOR_WORKERS * size_of::<Block>();
    Heap::new(128 * 1024, size_of::<Root>() + workers + records).unwrap()
}

pub(super) fn digest(secret: u8) -> Digest {
    Digest::of(&[secret])
}

/// Key number `id`, whose record takes one to three blocks.
pub(super) fn key(id: u8) -> StreamKey {
    StreamKey {
        id: KeyId(id.into()),
        app: "live".parse().unwrap(),
        stream: format!("show-{id}").parse().unwrap(),
        server: None,
        note: "n".repeat(usize::from(id % 3) * 70),
        created_at: NOW,
        publish_from: Vec::new(),
        secrets: vec![KeySecret { digest: digest(id), expires_at: None }],
    }
}

pub(super) fn record(id: u8, stage: Stage) -> KeyRecord {
    KeyRecord::of(&key(id), stage).next().unwrap()
}

pub(super) fn stream(name: &str, worker: crate::WorkerId) -> NewStream<'_> {
    NewStream {
        server: &SERVER,
        folders: &[7],
        app: "live",
        name,
        credential: Credential::Open,
        addr: "2001:db8:1111:2222:3333:4444:5555:1",
        worker,
    }
}

/// Target number `id`, whose record takes two to four blocks.
pub(super) fn target(id: u8) -> Target {
    Target {
        id: TargetId(id.into()),
        app: "live".parse().unwrap(),
        stream: "*".parse().unwrap(),
        server: None,
        url: format!("rtmp://a.example/live/{}", "k".repeat(usize::from(id % 3) * 90 + 60)).parse().unwrap(),
        enabled: true,
        note: String::new(),
        source: TargetSource::Api,
    }
}

pub(super) fn push(target: u8, stream: StreamId, worker: WorkerId) -> NewPush<'static> {
    let target = TargetId(target.into());
    NewPush { target, stream, app: "live", name: "show", state: PushState::Connecting, worker }
}

pub(super) fn sync_keys(locked: &Locked<'_, '_, &SpinLock>, keys: &[StreamKey]) {
    let mut plan = KeyPlan::new(keys);
    while !locked.compare_keys(&mut plan, 3) {}
    while !locked.remove_stale_keys(&mut plan, 1) {}
    while plan.left() > 0 {
        locked.add_missing_keys(&mut plan, 1).unwrap();
    }
}

pub(super) fn sync_targets(locked: &Locked<'_, '_, &SpinLock>, targets: &[Target]) {
    let plan = locked.plan_targets(targets);
    locked.remove_stale_targets(&plan);
    locked.apply_targets(plan).unwrap();
}

/// Keys 1 to 6 valid, 7 pending, 8 revoked; targets 1 to 3 valid, 4 pending; streams of workers 10 and 11, the first of
/// each at three targets.
fn prepared() -> Heap {
    let heap = small_heap(16 * 1024);
    let zone = heap.zone();
    let locked = zone.lock(1);
    (1..=6).for_each(|id| locked.insert_key(&record(id, Stage::Valid)).unwrap());
    locked.insert_key(&record(7, Stage::Pending { pid: 11 })).unwrap();
    locked.insert_key(&record(8, Stage::Valid)).unwrap();
    locked.revoke_key(KeyId(8));
    (1..=4).for_each(|id| locked.pend_target(&target(id), 11).unwrap());
    (1..=3).for_each(|id| locked.confirm_target(TargetId(id)));
    for pid in [10, 11] {
        let worker = locked.register(pid, NOW, |_| true).unwrap();
        for n in 0..3 {
            locked.claim(&stream(&format!("s{pid}{n}"), worker), NOW, |_| true).unwrap();
        }
        let live = locked.streams(|alive| alive == pid)[0].id;
        for target in 1..=3 {
            let id = locked.add_push(&push(target, live, worker), NOW).unwrap();
            locked.set_push_state(id, PushState::Waiting, NOW, None, Some("refused"));
        }
    }
    for name in ["show", "gone"] {
        (0..3).for_each(|n| seat(&locked, name, n, NOW));
    }
    let worker = locked.register(12, NOW, |_| true).unwrap();
    (0..2).for_each(|_| play(&locked, worker));
    drop(locked);
    heap
}

/// Counts viewer number `n` of a stream, until 30 s after `now`.
fn seat(locked: &Locked<'_, '_, &SpinLock>, name: &str, n: u8, now: Timestamp) {
    let watched = Watched { app: "live", stream: name, kind: ViewerProtocol::Hls };
    let key = locked.zone.viewer_key(locked.zone.viewer_of_session(&[n]), &watched);
    locked.seat_viewer(key, &watched, now, 30_000, None).unwrap();
}

fn play(locked: &Locked<'_, '_, &SpinLock>, worker: WorkerId) {
    let new =
        NewPlayer { server: &SERVER, app: "live", stream: "show", addr: "192.0.2.1", worker, own: false };
    locked.add_player(&new, NOW).unwrap();
}

type Change = fn(&TestZone<'_>);

const CHANGES: [(&str, Change); 28] = [
    ("insert", |zone| {
        let locked = zone.lock(1);
        if locked.find_key(&digest(20)).is_none() {
            locked.insert_key(&record(20, Stage::Valid)).unwrap();
        }
    }),
    ("confirm", |zone| zone.lock(1).confirm_secret(&digest(7))),
    ("forget", |zone| zone.lock(1).forget_secret(&digest(7))),
    ("revoke", |zone| {
        zone.lock(1).revoke_key(KeyId(2));
    }),
    ("forget revoked", |zone| zone.lock(1).forget_revoked(KeyId(8))),
    ("retire", |zone| zone.lock(1).retire_secret(KeyId(3), NOW)),
    ("sync", |zone| sync_keys(&zone.lock(1), &[1, 2, 5, 30, 31, 32].map(key))),
    ("claim", |zone| claim(zone, "new", 10)),
    ("claim from the dead", |zone| claim(zone, "s111", 10)),
    ("release", |zone| {
        let id = zone.lock(1).streams(|_| true)[1].id;
        zone.lock(1).release(id, NOW);
    }),
    ("order", |zone| {
        let id = zone.lock(1).streams(|_| true)[1].id;
        zone.lock(1).order_close(id);
    }),
    ("pend a target", |zone| {
        let locked = zone.lock(1);
        locked.forget_target(TargetId(20));
        locked.pend_target(&target(20), 11).unwrap();
    }),
    ("confirm a target", |zone| zone.lock(1).confirm_target(TargetId(4))),
    ("forget a target", |zone| zone.lock(1).forget_target(TargetId(4))),
    ("switch a target off", |zone| {
        zone.lock(1).replace_target(&Target { enabled: false, ..target(2) }).unwrap();
    }),
    ("change a target", |zone| {
        zone.lock(1).replace_target(&Target { note: "n".repeat(200), ..target(2) }).unwrap();
    }),
    ("remove a target", |zone| {
        zone.lock(1).remove_target(TargetId(2));
    }),
    ("sync targets", |zone| {
        let changed = Target { url: target(4).url, ..target(3) };
        sync_targets(&zone.lock(1), &[target(1), changed, target(30), target(31)]);
    }),
    ("push and fail", |zone| {
        let locked = zone.lock(1);
        let first = &locked.pushes(|_| true)[0];
        locked.remove_push(first.id);
        let live = locked.streams(|_| true).remove(0);
        let worker = locked.register(12, NOW, |_| true).unwrap();
        let id = locked.add_push(&push(9, live.id, worker), NOW).unwrap();
        locked.set_push_state(id, PushState::Off, NOW, None, Some(&"e".repeat(200)));
    }),
    ("reclaim", |zone| assert!(zone.lock(1).reclaim(NOW, |pid| pid != 11) <= 3)),
    ("a viewer comes", |zone| seat(&zone.lock(1), "show", 9, NOW)),
    ("the first viewer of a stream comes", |zone| seat(&zone.lock(1), "new", 9, NOW)),
    ("viewers go", |zone| _ = zone.sweep_viewers(1, NOW.plus_seconds(40), 1000)),
    ("a player comes", |zone| {
        let locked = zone.lock(1);
        let worker = locked.register(13, NOW, |_| true).unwrap();
        play(&locked, worker);
    }),
    ("a player goes", |zone| {
        let locked = zone.lock(1);
        let player = locked.players(|_| true).first().map(|player| player.id);
        player.into_iter().for_each(|id| locked.remove_player(id));
    }),
    ("the daemon reports", |zone| {
        let report =
            br#"{"streams":[{"app":"live","stream":"show","ws":2},{"app":"live","stream":"b","ws":1}]}"#;
        zone.lock(1).report_viewers(&Report::from_json(report).unwrap(), NOW).unwrap();
        zone.lock(1).tidy_audiences(NOW);
        zone.lock(1).tidy_audiences(NOW.plus_seconds(40));
    }),
    ("records are freed", |zone| {
        zone.sweep_viewers(1, NOW.plus_seconds(40), 1000);
        zone.lock(1).tidy_audiences(NOW);
    }),
    ("register", |zone| assert!(zone.lock(1).register(11, NOW, |_| true).is_ok())),
];

fn claim(zone: &TestZone<'_>, name: &str, alive: u32) {
    let locked = zone.lock(1);
    let worker = locked.register(12, NOW, |_| true).unwrap();
    locked.claim(&stream(name, worker), NOW, |pid| pid == alive).unwrap();
}

fn seen_after(change: Change) -> Seen {
    let heap = prepared();
    change(&heap.zone());
    look(&heap.zone())
}

#[test]
fn a_change_killed_anywhere_is_repaired() {
    for (name, change) in CHANGES {
        let (before, after) = (look(&prepared().zone()), seen_after(change));
        let mut stores = 0;
        loop {
            let heap = prepared();
            let zone = heap.zone();
            let done = death::after(stores, || change(&zone)).is_some();
            look(&zone).assert_between(&before, &after);
            if done {
                break;
            }
            // The second call makes the change, or finds it made.
            change(&zone);
            look(&zone);
            stores += 1;
        }
        assert!(stores > 0, "{name} stores nothing");
        assert_eq!(seen_after(change), after, "{name}");
    }
}

#[test]
fn a_target_that_is_changed_is_never_lost() {
    let changed = Target { note: "n".repeat(200), ..target(2) };
    let mut were_both = false;
    for stores in 0.. {
        let heap = prepared();
        let zone = heap.zone();
        let generation = zone.targets_generation();
        let done = death::after(stores, || zone.lock(1).replace_target(&changed).unwrap()).is_some();
        let records = zone.blocks.iter().filter(|block| block.kind() == BlockKind::Target);
        let are_both = records.filter(|block| targets::target_hash(block) == 2).count() == 2;
        were_both |= are_both;
        let found = zone.lock(1).target(TargetId(2));
        assert!(found.as_ref() == Some(&changed) || !are_both && found == Some(target(2)), "{found:?}");
        // Workers that had read the old list read it again.
        assert!(zone.targets_generation() > generation);
        if done {
            assert_eq!(found, Some(changed));
            break;
        }
    }
    assert!(were_both, "the old one goes before the new one is there");
}

#[test]
fn a_repair_killed_anywhere_is_repaired() {
    for (_, change) in CHANGES {
        let (before, after) = (look(&prepared().zone()), seen_after(change));
        for stores in 0..200 {
            let heap = prepared();
            let zone = heap.zone();
            if death::after(stores, || change(&zone)).is_some() {
                break;
            }
            let mut step = stores;
            while death::after(step, || drop(zone.lock(1))).is_none() {
                step += 61;
            }
            look(&zone).assert_between(&before, &after);
        }
    }
}

/// A worker that dies after it freed a worker's row, but before it freed that worker's records, leaves records without
/// an owner. No row refers to them any more.
#[test]
fn what_a_dead_reclaimer_left_is_freed_by_the_next() {
    let alive = |pid| pid != 10;
    for stores in 0.. {
        let heap = prepared();
        let zone = heap.zone();
        let done = death::after(stores, || zone.lock(1).reclaim(NOW, alive)).is_some();
        zone.lock(1).reclaim(NOW, alive);
        let mut rows =
            zone.blocks.iter().filter(|block| matches!(block.kind(), BlockKind::Stream | BlockKind::Push));
        let of_the_living = |row: &Block| zone.owner_pid(crate::streams::owner(row)) == Some(11);
        assert!(rows.all(of_the_living), "killed before store {stores}");
        assert_eq!(zone.lock(1).reclaim(NOW, alive), 0);
        if done {
            break;
        }
    }
}
