//! Tests the public interface of the zone in the memory of one process: keys, bans, streams, targets, workers, events,
//! the state file, tables per address, viewers, capacity, and the repair after a holder of the lock has died. The
//! header of each file says what it proves.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

mod abandoned;
mod bans;
mod capacity;
mod connections;
mod events;
mod guard;
mod keys;
mod players;
mod pushes;
mod revocations;
mod rows;
mod state;
mod streams;
mod targets;
mod threads;
mod throttle;
mod viewers;
mod workers;

use weir_model::{
    Digest, KeyId, Server, StreamKey, Timestamp,
    key::KeySecret,
    target::{Target, TargetId, TargetSource},
    verdict::Credential,
};
use weir_zone::{
    Claim, KeyRecord, KeyWalk, Locked, NewStream, Shown, Stage, StreamId, WorkerId, Zone,
    heap::{Heap, SpinLock},
};

type TestZone<'h> = Zone<'h, &'h SpinLock>;

const NOW: Timestamp = Timestamp::from_millis(1_795_197_600_000);
/// The process that the tests are.
const PID: u32 = 1000;
/// The `server` block of a configuration with one that listens nowhere.
static SERVER: Server = Server::nowhere();

/// A zone of 128 KB with nothing in it.
fn heap() -> Heap {
    Heap::new(128 * 1024, 96 * 1024).unwrap()
}

fn digest(secret: u64) -> Digest {
    Digest::of(&secret.to_le_bytes())
}

/// The state file number `number`.
fn shown(number: u64) -> Shown {
    Shown { content: digest(number), generation: number, stamp: number }
}

/// Key number `id` for `live/show-ID`, made `id` ms after the beginning, with secret number `id`.
fn key(id: u64) -> StreamKey {
    StreamKey {
        id: KeyId(id),
        app: "live".parse().unwrap(),
        stream: format!("show-{id}").parse().unwrap(),
        server: None,
        note: String::new(),
        created_at: Timestamp::from_millis(NOW.as_millis() + id),
        publish_from: Vec::new(),
        secrets: vec![KeySecret { digest: digest(id), expires_at: None }],
    }
}

#[track_caller]
fn insert(zone: &TestZone<'_>, key: &StreamKey, stage: Stage) {
    for record in KeyRecord::of(key, stage) {
        zone.lock(PID).insert_key(&record).unwrap();
    }
}

/// Target number `id` of `live/show-ID`.
fn target(id: u64) -> Target {
    Target {
        id: TargetId(id),
        app: "live".parse().unwrap(),
        stream: format!("show-{id}").parse().unwrap(),
        server: None,
        url: format!("rtmp://target-{id}.example/live/key-{id}").parse().unwrap(),
        enabled: true,
        note: String::new(),
        source: TargetSource::Api,
    }
}

#[track_caller]
fn add_target(zone: &TestZone<'_>, target: &Target) {
    zone.lock(PID).pend_target(target, PID).unwrap();
    zone.lock(PID).confirm_target(target.id);
}

/// The valid keys, while the lock is held.
fn keys(held: &Locked<'_, '_, &SpinLock>) -> Vec<StreamKey> {
    let mut walk = KeyWalk::new(None, usize::MAX);
    while !held.walk_keys(&mut walk) {}
    held.keys_at(&walk.places())
}

fn opens(zone: &TestZone<'_>, secret: u64) -> bool {
    zone.lock(PID).find_key(&digest(secret)).is_some()
}

fn used(zone: &TestZone<'_>) -> usize {
    zone.usage().0
}

#[track_caller]
fn register(zone: &TestZone<'_>, pid: u32) -> WorkerId {
    zone.lock(pid).register(pid, NOW, |_| true).unwrap()
}

/// An address, as it is counted.
fn bucket(n: u32) -> [u8; 16] {
    let mut bucket = [0; 16];
    bucket[12..].copy_from_slice(&n.to_be_bytes());
    bucket
}

fn after(ms: u64) -> Timestamp {
    Timestamp::from_millis(NOW.as_millis() + ms)
}

fn stream(name: &str, worker: WorkerId) -> NewStream<'_> {
    NewStream {
        server: &SERVER,
        folders: &[],
        app: "live",
        name,
        credential: Credential::Open,
        addr: "192.0.2.1",
        worker,
    }
}

#[track_caller]
fn claim(zone: &TestZone<'_>, new: &NewStream<'_>) -> StreamId {
    let claimed = zone.lock(PID).claim(new, NOW, |_| true).unwrap();
    match claimed {
        Claim::Taken(id) => id,
        Claim::Live(live) => panic!("{live:?} is live"),
    }
}

#[track_caller]
fn names(zone: &TestZone<'_>) -> Vec<String> {
    zone.lock(PID).streams(|_| true).into_iter().map(|live| live.name).collect()
}
