//! What the guard costs a message: audio and video, which come all the time, and the rest.
#![allow(missing_docs, reason = "criterion's macros")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use weir_model::guard::{self, Gate};

/// How nginx-rtmp holds a message of an encoder that sets this chunk size, as OBS does.
const CHUNK_SIZE: usize = 4096;

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

fn string(value: &str) -> Vec<u8> {
    [&[2][..], &text(value)].concat()
}

/// `@setDataFrame` of 20 fields, as OBS sends it.
fn meta_data() -> Vec<u8> {
    let number =
        |at: u32| [&text(&format!("videodatarate{at}")), &[0][..], &f64::from(at).to_be_bytes()].concat();
    let fields: Vec<u8> = (0..19).flat_map(number).collect();
    let encoder = [text("encoder"), string("obs-output module (libobs version 29.0.2)")].concat();
    let array = [&[8, 0, 0, 0, 20][..], &fields, &encoder, &[0, 0, 9]].concat();
    [string("@setDataFrame"), string("onMetaData"), array].concat()
}

fn connect() -> Vec<u8> {
    let field = |name: &str| [text(name), string("rtmp://192.0.2.1/live")].concat();
    let fields: Vec<u8> =
        ["app", "type", "flashVer", "swfUrl", "tcUrl"].into_iter().flat_map(field).collect();
    [&string("connect"), &[0][..], &1_f64.to_be_bytes(), &[3], &fields, &[0, 0, 9]].concat()
}

/// 40 messages of audio, as one aggregate.
fn aggregate() -> Vec<u8> {
    let message = [&[8, 0, 0, 200][..], &[0; 7], &[0xaf; 200], &[0, 0, 0, 211]].concat();
    message.repeat(40)
}

fn messages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("guard");
    for (name, connected, kind, body) in [
        ("video of 20 kB", true, 9, vec![0x27; 20_000]),
        ("audio of 400 bytes", true, 8, vec![0xaf; 400]),
        ("onMetaData of 20 fields", true, 18, meta_data()),
        ("connect", false, 20, connect()),
        ("aggregate of 40 messages", true, 22, aggregate()),
    ] {
        let mut gate = Gate::accepted();
        assert_eq!(gate.message(connected, kind, body.chunks(CHUNK_SIZE)), Ok(()), "{name}");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                gate.message(black_box(connected), black_box(kind), black_box(&body).chunks(CHUNK_SIZE))
            });
        });
    }
    group.bench_function("a read of the connection", |bencher| {
        let mut gate = Gate::accepted();
        bencher.iter(|| {
            let read = black_box(&mut gate).received(black_box(true), black_box(4096));
            read.and(guard::running_message(black_box(4096), black_box(20_000)))
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = messages
}
criterion_main!(benches);
