//! What `weir_stat` costs: each format with 500 streams, and a sample of a rate.
#![allow(missing_docs, reason = "criterion's macros")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use weir_model::server::{BlockApplication, ServerBlock};
use weir_model::snapshot::{PlayerSnapshot, PublisherSnapshot, StreamSnapshot, Viewers};
use weir_model::stat::Format;
use weir_model::{AudioFacts, KeyId, Rate, Server, Snapshot, Timestamp, VideoFacts};

const NOW: Timestamp = Timestamp::from_millis(1_795_197_600_000);
const STREAMS: u16 = 500;

fn stream(number: u16) -> StreamSnapshot {
    StreamSnapshot {
        slate: false,
        app: "live".to_owned(),
        name: format!("show-{number}"),
        server: Server::nowhere(),
        session: format!("{number:016x}"),
        since: NOW,
        publisher: Some(PublisherSnapshot {
            addr: "192.0.2.1".to_owned(),
            key_id: Some(KeyId(number.into())),
            worker_pid: 4321,
        }),
        video: Some(VideoFacts {
            codec_id: 7,
            profile: 100,
            level: 41,
            compat: 0,
            width: 1280,
            height: 720,
            fps_milli: 29_970,
        }),
        audio: Some(AudioFacts { codec_id: 10, aac_profile: 2, channels: 2, sample_rate: 48_000 }),
        bytes_in: 1_100_000_000,
        bytes_out: 2_200_000_000,
        bitrate_in: 2_500_000,
        bitrate_out: 5_000_000,
        bitrate_audio: 128_000,
        bitrate_video: 2_372_000,
        dropped: 3,
        avsync_ms: 0,
        viewers: Viewers { rtmp: 2, hls: 40, dash: 1, ..Viewers::default() },
        viewers_peak: 50,
        viewers_total: 500,
        players: vec![PlayerSnapshot { addr: "192.0.2.2".to_owned(), ..Default::default() }; 2],
        targets: Vec::new(),
    }
}

fn formats(criterion: &mut Criterion) {
    let snapshot = Snapshot {
        now: NOW.plus_seconds(3600),
        servers: vec![ServerBlock {
            server: Server::nowhere(),
            applications: vec![BlockApplication { name: "live".to_owned(), live: true, files: false }],
        }],
        streams: (0..STREAMS).map(stream).collect(),
        ..Default::default()
    };
    let mut group = criterion.benchmark_group("weir_stat, 500 streams");
    // Read as streams a second.
    group.throughput(Throughput::Elements(STREAMS.into()));
    for format in [Format::Html, Format::Xml, Format::Json, Format::Prometheus] {
        for (full, name) in [(false, "redacted"), (true, "full")] {
            group.bench_function(format!("{format:?}, {name}"), |bencher| {
                let render = |snapshot| format.render(black_box(snapshot), full);
                bencher.iter_batched(|| snapshot.clone(), render, BatchSize::LargeInput);
            });
        }
    }
    group.finish();
}

fn rate(criterion: &mut Criterion) {
    criterion.bench_function("take a sample of a rate", |bencher| {
        let mut rate = Rate::default();
        let mut second = 0;
        bencher.iter(|| {
            second += 1;
            rate.push(NOW.plus_seconds(second), second * 125_000);
            rate.bits_per_second()
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = formats, rate
}
criterion_main!(benches);
