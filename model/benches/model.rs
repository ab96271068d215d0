//! What the words cost: a publish taken apart, a token verified, the state file of 10,000 keys.
#![allow(missing_docs, reason = "criterion's macros")]
#![allow(clippy::unwrap_used, reason = "a benchmark's failure is a panic")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use weir_model::{Digest, KeyId, Presented, State, StreamKey, Timestamp, key::KeySecret};

const NOW: Timestamp = Timestamp::from_millis(1_795_197_600_000);
const KEYS: u64 = 10_000;

fn state() -> State {
    let keys = (0..KEYS).map(|id| StreamKey {
        id: KeyId(id),
        app: "live".parse().unwrap(),
        stream: format!("show-{id}").parse().unwrap(),
        server: None,
        note: String::new(),
        created_at: NOW,
        publish_from: Vec::new(),
        secrets: vec![KeySecret { digest: Digest::of(&id.to_le_bytes()), expires_at: None }],
    });
    State { generation: KEYS, keys: keys.collect(), targets: Vec::new(), ..State::default() }
}

fn publish(criterion: &mut Criterion) {
    criterion.bench_function("take a publish apart", |bencher| {
        let raw = b"show?key=wk_abcdefghijklmnopqrstuvwxyz234567&lang=en&quality=high";
        bencher.iter(|| Presented::parse(black_box(raw)).unwrap());
    });
    criterion.bench_function("digest of a key", |bencher| {
        bencher.iter(|| Digest::of(black_box(b"wk_abcdefghijklmnopqrstuvwxyz234567")));
    });
}

fn state_file(criterion: &mut Criterion) {
    let state = state();
    let file = state.encode();
    assert_eq!(State::decode(file.as_bytes()).unwrap(), state);
    criterion.bench_function("write the state file, 10000 keys", |bencher| bencher.iter(|| state.encode()));
    criterion.bench_function("read the state file, 10000 keys", |bencher| {
        bencher.iter(|| State::decode(black_box(file.as_bytes())).unwrap());
    });
}

criterion_group! {
    name = model;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(50);
    targets = publish, state_file
}
criterion_main!(model);
