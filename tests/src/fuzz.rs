//! Sessions that no encoder would have, against a server that real ones use at the same time.
//!
//! A sequence begins as what an encoder or a player says ([`plot`]), is mutated in its order, its messages and the values in them
//! ([`mutate`], [`amf`]), and cut into chunks that are not always right ([`wire`]). It is then only bytes and pauses (`sequence`),
//! which many connections send at a time ([`drive`]), while [`watch`] sees to it that no worker dies or grows and that a player
//! that has nothing to do with it misses nothing. The seed alone decides what is sent.

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
pub use watch::Guarded;

use crate::harness::Random;
use watch::Watched;

/// What to do for how long.
#[derive(Debug, Clone)]
pub struct Options {
    /// What everything follows from.
    pub seed: u64,
    /// How long.
    pub time: Duration,
    /// Whose server.
    pub server: Guarded,
    /// Where what failed is written to.
    pub folder: PathBuf,
}

/// What a run without a finding did.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// Sequences sent.
    pub sequences: usize,
    /// The most memory that a worker had over what it had at the start, in bytes.
    pub growth: u64,
    /// The player's longest time without video.
    pub gap: Duration,
}

/// What must not have happened, and what was sent before it did.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What happened.
    pub what: String,
    /// A file to replay.
    pub file: PathBuf,
    /// How many sequences are in it: one, where one alone does it.
    pub sequences: usize,
}

/// Sends sequences until the time is over or something happens.
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
            Err(narrow_down(options, what, recent))
        }
    }
}

/// Sends these sequences, one after the other, to a server of their own.
pub fn replay(server: Guarded, sequences: &[Sequence]) -> Result<(), String> {
    let server = Watched::start(server);
    for sequence in sequences {
        drive::send(server.port(), sequence);
        server.check()?;
    }
    server.settle()
}

/// How long to look for one sequence that does it alone.
const SEARCH: Duration = Duration::from_secs(60);

/// The last sequence that does it alone, or all of them.
fn narrow_down(options: &Options, what: String, recent: Vec<Sequence>) -> Finding {
    let begin = Instant::now();
    let mut tried = recent.iter().rev().take_while(|_| begin.elapsed() < SEARCH);
    let alone = tried.find(|&sequence| replay(options.server, std::slice::from_ref(sequence)).is_err());
    let kept = alone.map_or(recent.as_slice(), std::slice::from_ref);
    std::fs::create_dir_all(&options.folder).unwrap();
    let file = options.folder.join(format!("failed-{}.txt", options.seed));
    let text: String = kept.iter().map(Sequence::to_string).collect();
    std::fs::write(&file, text).unwrap();
    Finding { what, file, sequences: kept.len() }
}

/// The sequence with this number.
fn sequence(seed: u64, number: u64) -> Sequence {
    // Neighbouring numbers must not give neighbouring sequences.
    let begin = Random::new(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).next_u64();
    mutate::sequence(&mut Random::new(begin))
}
