//! Sends sessions that no encoder would send to a server that real encoders use at the same time.
//!
//! A sequence begins as a session of an encoder or a player ([`plot`]). It is mutated in its order, its messages and
//! their values ([`mutate`], [`amf`]), and cut into chunks that are not always correct ([`wire`]). The result is only
//! bytes and pauses (`sequence`), which many connections send simultaneously ([`drive`]). Meanwhile [`watch`] checks
//! that no worker dies or grows, and that an independent player loses nothing. The seed alone decides the content.

mod amf;
mod drive;
mod mutate;
mod plot;
mod sequence;
mod watch;
mod wire;

use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use drive::Drivers;
pub use sequence::Sequence;
pub use watch::{Disturbance, Guarded};

use crate::harness::Random;
use watch::Watched;

/// The settings of a run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The seed of all random numbers.
    pub seed: u64,
    /// The duration.
    pub time: Duration,
    /// The server.
    pub server: Guarded,
    /// The folder for sequences that failed.
    pub folder: PathBuf,
}

/// The result of a run without a finding.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// Sequences sent.
    pub sequences: usize,
    /// The largest growth of a worker's memory since the start, in bytes.
    pub growth: u64,
    /// The player's longest time without video.
    pub gap: Duration,
}

/// A failure, and the sequences that were sent before it.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The failure.
    pub what: String,
    /// A file to replay.
    pub file: PathBuf,
    /// The number of sequences in the file: one, if a single sequence causes the failure.
    pub sequences: usize,
}

/// Sends sequences until the time is over or a failure occurs.
pub fn run(options: &Options) -> Result<Report, Finding> {
    let server = Watched::start(options.server);
    let drivers = Drivers::start(server.port(), options.seed);
    let deadline = Instant::now() + options.time;
    let outcome = server.watch(|| Instant::now() >= deadline);
    let (count, recent) = drivers.stop();
    match outcome.and_then(|()| server.settle()) {
        Ok(()) => Ok(Report { sequences: count, growth: server.growth(), gap: server.gap() }),
        Err(what) => {
            drop(server);
            Err(narrow_down(options, &what, recent))
        }
    }
}

/// Sends these sequences, one after the other, to a separate server.
pub fn replay(server: Guarded, sequences: &[Sequence]) -> Result<(), Disturbance> {
    let server = Watched::start(server);
    for sequence in sequences {
        drive::send(server.port(), sequence);
        server.check()?;
    }
    server.settle()
}

/// How long to search for a single sequence that causes the failure.
const SEARCH: Duration = Duration::from_secs(60);

/// Returns the last sequence that causes the failure alone, or all of them.
fn narrow_down(options: &Options, what: &Disturbance, recent: Vec<Sequence>) -> Finding {
    let begin = Instant::now();
    let mut tried = recent.iter().rev().take_while(|_| begin.elapsed() < SEARCH);
    let alone = tried.find(|&sequence| replay(options.server, std::slice::from_ref(sequence)).is_err());
    let kept = alone.map_or(recent.as_slice(), std::slice::from_ref);
    std::fs::create_dir_all(&options.folder).unwrap();
    let file = options.folder.join(format!("failed-{}.txt", options.seed));
    let text: String = kept.iter().map(Sequence::to_string).collect();
    std::fs::write(&file, text).unwrap();
    Finding { what: what.to_string(), file, sequences: kept.len() }
}

/// Returns the sequence with this number.
fn sequence(seed: u64, number: u64) -> Sequence {
    // Neighbouring numbers must not yield similar sequences.
    let begin = Random::new(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).next_u64();
    mutate::sequence(&mut Random::new(begin))
}
