//! Sends what no encoder would to a server with Weir's guard: `make fuzz T=600 SEED=7`.
//!
//! `fuzz [SECONDS] [--seed N] [--without-guard]`, or `fuzz --replay FILE [--without-guard]`. Without a seed the time gives one.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use weir_tests::fuzz::{self, Guarded, Options, Sequence};
use weir_tests::harness::products;

fn main() -> ExitCode {
    let mut options = Options {
        seed: SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs()),
        time: Duration::from_secs(60),
        server: Guarded::On,
        folder: products::workspace().join("build/fuzz"),
    };
    let mut file = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let understood = match argument.as_str() {
            "--without-guard" => {
                options.server = Guarded::Off;
                true
            }
            "--seed" => {
                arguments.next().and_then(|seed| seed.parse().ok()).map(|seed| options.seed = seed).is_some()
            }
            "--replay" => {
                file = arguments.next().map(PathBuf::from);
                file.is_some()
            }
            seconds => seconds.parse().map(|seconds| options.time = Duration::from_secs(seconds)).is_ok(),
        };
        if !understood {
            eprintln!(
                "usage: fuzz [SECONDS] [--seed N] [--without-guard], or fuzz --replay FILE [--without-guard]"
            );
            return ExitCode::from(2);
        }
    }
    match file {
        Some(file) => replay(options.server, &file),
        None => run(&options),
    }
}

fn run(options: &Options) -> ExitCode {
    println!("seed {}, {} s", options.seed, options.time.as_secs());
    match fuzz::run(options) {
        Ok(report) => {
            println!(
                "{} sequences, no worker lost, {} kB more in a worker at most, longest gap {} ms",
                report.sequences,
                report.growth >> 10,
                report.gap.as_millis()
            );
            ExitCode::SUCCESS
        }
        Err(finding) => {
            eprintln!("{}", finding.what);
            eprintln!("after one of {} sequences in {}", finding.sequences, finding.file.display());
            ExitCode::FAILURE
        }
    }
}

fn replay(server: Guarded, file: &std::path::Path) -> ExitCode {
    let replay = || -> Result<(), Box<dyn Error>> {
        let sequences = Sequence::read_all(&std::fs::read_to_string(file)?)?;
        Ok(fuzz::replay(server, &sequences)?)
    };
    match replay() {
        Ok(()) => {
            println!("nothing happened");
            ExitCode::SUCCESS
        }
        Err(what) => {
            eprintln!("{what}");
            ExitCode::FAILURE
        }
    }
}
