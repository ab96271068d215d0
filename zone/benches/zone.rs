//! What a connection and a publish cost beside nginx-rtmp: the count of an address, the verdict alone with 10,000 keys in the
//! zone, the claim of a name, a message of media; what a request of a viewer costs; and what the API and the push targets cost a worker.
#![allow(missing_docs, reason = "criterion's macros")]
#![allow(clippy::unwrap_used, reason = "a benchmark's failure is a panic")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use weir_model::{
    ClientAddr, KeyId, Presented, Secret, Server, StreamKey, Timestamp,
    key::KeySecret,
    secret,
    target::{Target, TargetId, TargetSource},
    verdict::{self, Accepted, Credential, KeyFacts, Presentation},
    viewers::ViewerProtocol,
};
use weir_zone::{
    Claim, KeyRecord, NewStream, Seated, Stage, ViewerKey, Watched, Zone,
    heap::{Heap, SpinLock},
};

const NOW: Timestamp = Timestamp::from_millis(1_795_197_600_000);
const KEYS: u64 = 10_000;
const PID: u32 = 1000;

fn secret(id: u64) -> Secret {
    let mut random = [7; 20];
    random[..8].copy_from_slice(&id.to_le_bytes());
    secret::stream_key(random)
}

/// `weir_zone 4m` with 10,000 keys.
fn zone_of_keys() -> Heap {
    let heap = Heap::new(4 << 20, 4 << 20).unwrap();
    let zone = heap.zone();
    for id in 0..KEYS {
        let key = StreamKey {
            id: KeyId(id),
            app: "live".parse().unwrap(),
            stream: format!("show-{id}").parse().unwrap(),
            server: None,
            note: String::new(),
            created_at: NOW,
            publish_from: Vec::new(),
            secrets: vec![KeySecret { digest: secret(id).digest(), expires_at: None }],
        };
        KeyRecord::of(&key, Stage::Valid).for_each(|record| zone.lock(PID).insert_key(&record).unwrap());
    }
    heap
}

/// As the module does it for `weir_publish key`.
fn verdict(zone: &Zone<'_, &SpinLock>, raw: &[u8], client: ClientAddr) -> Option<Accepted> {
    let presented = Presented::parse(raw).ok()?;
    let Presentation::Key(digest) = verdict::credential_of(&presented) else { return None };
    let found = zone.lock(PID).find_key(&digest);
    let facts = found.as_ref().map(|key| KeyFacts {
        id: key.id,
        app: &key.app,
        stream: &key.stream,
        wrong_server: false,
        expires_at: key.expires_at,
        publish_from: &key.publish_from,
        banned_until: None,
    });
    verdict::decide_key("live", facts.as_ref(), client, NOW).ok()
}

fn verdicts(criterion: &mut Criterion) {
    let heap = zone_of_keys();
    let zone = heap.zone();
    let client = ClientAddr::Ip("192.0.2.1".parse().unwrap());
    let keys: Vec<String> = (0..KEYS).map(|id| secret(id).expose().to_owned()).collect();
    let mut order = (0..keys.len()).map(|n| n * 7919 % keys.len()).cycle();
    assert!(keys.iter().all(|key| verdict(&zone, key.as_bytes(), client).is_some()));
    let mut next = || keys[order.next().unwrap()].as_str();
    criterion.bench_function("verdict, 10000 keys", |bencher| {
        bencher.iter(|| verdict(&zone, black_box(next()).as_bytes(), client));
    });
    criterion.bench_function("verdict, 10000 keys, as ?key=", |bencher| {
        bencher.iter(|| verdict(&zone, format!("show?key={}", black_box(next())).as_bytes(), client));
    });
    criterion.bench_function("verdict, 10000 keys, wrong key", |bencher| {
        let wrong = secret(KEYS + 1);
        bencher.iter(|| verdict(&zone, black_box(wrong.expose()).as_bytes(), client));
    });
}

fn streams(criterion: &mut Criterion) {
    let heap = zone_of_keys();
    let zone = heap.zone();
    let worker = zone.lock(PID).register(PID, NOW, |_| true).unwrap();
    let server = Server::nowhere();
    let stream = |name| NewStream {
        server: &server,
        folders: &[],
        app: "live",
        name,
        credential: Credential::Key(KeyId(1)),
        addr: "192.0.2.1",
        worker,
    };
    let claim = |name| {
        let claimed = zone.lock(PID).claim(&stream(name), NOW, |_| true).unwrap();
        match claimed {
            Claim::Taken(id) => id,
            Claim::Live(live) => panic!("{live:?} is live"),
        }
    };
    let names: Vec<String> = (0..100).map(|n| format!("live-{n}")).collect();
    for name in &names {
        claim(name);
    }
    criterion.bench_function("claim and release, 10000 keys, 100 streams", |bencher| {
        bencher.iter(|| {
            let id = claim(black_box("show"));
            zone.lock(PID).release(id, NOW);
        });
    });
    let row = zone.row(claim("show")).unwrap();
    criterion
        .bench_function("a message of media", |bencher| bencher.iter(|| row.media(black_box(NOW), 1400)));
    criterion.bench_function("list 100 streams, 10000 keys", |bencher| {
        bencher.iter(|| zone.lock(PID).streams(|_| true).len());
    });
    criterion.bench_function("list 10000 keys", |bencher| bencher.iter(|| zone.keys(PID).len()));
}

fn connections(criterion: &mut Criterion) {
    let heap = zone_of_keys();
    let zone = heap.zone();
    let worker = zone.lock(PID).register(PID, NOW, |_| true).unwrap();
    let mut nth = 0_u32;
    let mut next = || {
        nth = nth.wrapping_add(1);
        let mut bucket = [0; 16];
        bucket[12..].copy_from_slice(&nth.to_be_bytes());
        bucket
    };
    (0..2000).for_each(|_| assert!(zone.lock(PID).connection_opened(worker, next(), 32, NOW)));
    criterion.bench_function("connection_opened and settled, full table", |bencher| {
        bencher.iter(|| {
            let bucket = black_box(next());
            let locked = zone.lock(PID);
            assert!(locked.connection_opened(worker, bucket, 32, NOW));
            locked.connection_settled(worker, bucket);
        });
    });
    let flood = next();
    while zone.lock(PID).connection_opened(worker, flood, 32, NOW) {}
    criterion.bench_function("connection_opened, over the limit", |bencher| {
        bencher.iter(|| assert!(!zone.lock(PID).connection_opened(worker, black_box(flood), 32, NOW)));
    });
    criterion.bench_function("a refusal of the guard that is not logged", |bencher| {
        bencher.iter(|| {
            zone.count_guard(black_box(1));
            zone.lock(PID).guard_refusal(black_box(flood), 1, NOW)
        });
    });
}

fn targets(criterion: &mut Criterion) {
    let heap = Heap::new(1 << 20, 1 << 20).unwrap();
    let zone = heap.zone();
    for id in 0..1000 {
        let target = Target {
            id: TargetId(id),
            app: "live".parse().unwrap(),
            stream: format!("show-{id}").parse().unwrap(),
            server: None,
            url: format!("rtmps://a.rtmp.example.com/live2/{id:04}-abcd-efgh-ijkl-mnop").parse().unwrap(),
            enabled: true,
            note: String::new(),
            source: TargetSource::Api,
        };
        zone.lock(PID).pend_target(&target, PID).unwrap();
        zone.lock(PID).confirm_target(target.id);
    }
    criterion.bench_function("read 1000 targets", |bencher| {
        bencher.iter(|| zone.lock(PID).targets().len());
    });
    criterion.bench_function("have 1000 targets changed?", |bencher| {
        bencher.iter(|| black_box(zone.targets_generation()));
    });
}

/// The user agent of a browser.
const AGENT: &[u8] =
    b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36";
const WATCHED: Watched<'_> = Watched { app: "live", stream: "show", kind: ViewerProtocol::Hls };
const WINDOW_MS: u64 = 30_000;

/// The viewer of a request without a token, as the module finds it.
fn viewer(zone: &Zone<'_, &SpinLock>, nth: u64) -> ViewerKey {
    let mut addr = [0; 16];
    addr[8..].copy_from_slice(&nth.to_be_bytes());
    zone.viewer_key(zone.viewer_at(addr, AGENT), &WATCHED)
}

/// The part of `weir_zone 16m` that nginx leaves to Weir, with this many viewers of one stream.
fn zone_of_viewers(count: u64) -> Heap {
    let heap = Heap::new(16 << 20, 4062 * 4096).unwrap();
    let zone = heap.zone();
    for nth in 0..count {
        let key = viewer(&zone, nth);
        zone.lock(PID).seat_viewer(key, &WATCHED, NOW, WINDOW_MS, None).unwrap();
    }
    heap
}

fn viewers(criterion: &mut Criterion) {
    for count in [1_000, 100_000] {
        let heap = zone_of_viewers(count);
        let zone = heap.zone();
        assert_eq!((zone.viewer_rows().0 as u64, zone.is_saturated(NOW)), (count, false));
        // The next viewer is another one, and comes later, so that its row changes.
        let mut nth = 0;
        criterion.bench_function(&format!("a request of a viewer, {count} viewers"), |bencher| {
            bencher.iter(|| {
                nth += 1;
                let key = viewer(&zone, black_box(nth * 7919 % count));
                assert!(zone.refresh_viewer(key, NOW.plus_millis(100 * nth), WINDOW_MS));
            });
        });
        let now = NOW.plus_millis(100 * nth);
        criterion.bench_function(&format!("a new viewer comes and goes, {count} viewers"), |bencher| {
            bencher.iter(|| {
                nth += 1;
                let key = viewer(&zone, black_box(count + nth));
                let seated = zone.lock(PID).seat_viewer(key, &WATCHED, now, WINDOW_MS, Some(1_000_000));
                assert_eq!(seated, Ok(Seated::New));
                zone.lock(PID).unseat_viewer(key);
            });
        });
        criterion.bench_function(&format!("a tenth of a second's sweep, {count} viewers"), |bencher| {
            bencher.iter(|| assert_eq!(zone.sweep_viewers(PID, black_box(NOW), 1024), 0));
        });
    }
}

criterion_group! {
    name = zone;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = verdicts, streams, connections, targets, viewers
}
criterion_main!(zone);
