//! Compares this module with that of an earlier commit in one run, to find what has become slower.

use std::env;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::publish::Plan;
use super::report::Report;
use super::servers::Server;
use super::table::{self, Arm, Ratio, median};
use super::{players, relay, stat};
use crate::harness::nginx::Config;

/// The environment variable with the earlier module.
const BASE: &str = "WEIR_BASE_MODULE";
/// A smaller difference does not count as a change, even on a quiet machine.
const LEAST: f64 = 0.03;

/// The compared arms, in order.
const ARMS: [&str; 3] = ["base", "base, once more", "this"];

/// One table: one line per measurement, in microseconds.
pub(super) fn quick() -> Report {
    let base = env::var_os(BASE).map(PathBuf::from);
    let base = base.unwrap_or_else(|| panic!("{BASE} is not set: run `make bench-quick BASE=COMMIT`"));
    let base = std::fs::canonicalize(&base).unwrap_or_else(|error| panic!("{}: {error}", base.display()));
    let mut text = String::from(
        "| | base | this | ratio: median (least .. greatest round) | the base against itself | verdict |\n|---|---|---|---|---|---|\n",
    );
    for (what, measure) in rows() {
        let arms = measure(&base);
        writeln!(text, "{}", line(what, &arms)).unwrap();
    }
    Report::of(text)
}

type Measure = fn(&Path) -> Vec<Arm>;

fn rows() -> [(&'static str, Measure); 7] {
    [
        ("publish to Start, a key of 10,000", |base| publish(base, 1)),
        ("the same, 50 in a row", |base| publish(base, 50)),
        ("relaying 50 streams, a second of them", relaying),
        ("400 players, a second", |base| playing(base, "off")),
        ("400 players with `weir_merge_write 0`, a second", |base| playing(base, "0")),
        ("`weir_stat xml full` of 100 streams", |base| stat::each(configs(base), "/full/xml")),
        ("`GET /v1/streams` of 100 streams", |base| stat::each(configs(base), "/api/v1/streams")),
    ]
}

/// Returns the same configuration with the module of the base.
fn with(base: &Path, mut config: Config) -> Config {
    config.modules.pop();
    config.modules.push(base.to_owned());
    config
}

/// Returns the configuration of each arm.
fn arms_of(base: &Path, config: &Config) -> [Config; 3] {
    [with(base, config.clone()), with(base, config.clone()), config.clone()]
}

fn configs(base: &Path) -> [(&'static str, Config); 3] {
    let mut names = ARMS.into_iter();
    arms_of(base, &stat::weir()).map(|config| (names.next().unwrap_or_default(), config))
}

fn publish(base: &Path, turn: usize) -> Vec<Arm> {
    let configs = arms_of(base, &Server::with_keys());
    let servers = ARMS.into_iter().zip(configs).map(|(name, config)| Server::of_keys(name, config)).collect();
    Plan::quick(turn).run(servers, |timing| timing.publish)
}

fn relaying(base: &Path) -> Vec<Arm> {
    let config = Config::weir()
        .main("weir_zone 4m;")
        .server("weir_idle_publisher 60s;")
        .app("live", "weir_publish open;");
    let mut loads: Vec<_> =
        arms_of(base, &config).map(|config| relay::Load::start(config.start())).into_iter().collect();
    super::part(loads.iter().map(|load| &load.nginx));
    turns(&mut loads, relay::Load::round)
}

fn playing(base: &Path, merge: &str) -> Vec<Arm> {
    players::more_files();
    let config = players::merged(merge).connections(1024);
    let mut loads: Vec<_> =
        arms_of(base, &config).map(|config| players::Load::start(config.start())).into_iter().collect();
    super::part(loads.iter().map(|load| &load.nginx));
    turns(&mut loads, players::Load::round)
}

/// Rounds in turn, after one warm-up round.
fn turns<L>(loads: &mut [L], round: fn(&mut L) -> f64) -> Vec<Arm> {
    const ROUNDS: usize = 5;
    let mut arms: Vec<Arm> = ARMS.into_iter().map(Arm::new).collect();
    loads.iter_mut().for_each(|load| _ = round(load));
    table::take_turns(ROUNDS, &mut arms, loads, round);
    arms
}

fn line(what: &str, arms: &[Arm]) -> String {
    let [base, again, this] = arms else { panic!("{what}: {} arms, expected {}", arms.len(), ARMS.len()) };
    let (ratio, noise) = (Ratio::of(this, base), Ratio::of(again, base));
    let times = [base, this].map(|arm| format!("{:.0} us", median(&arm.all)));
    format!(
        "| {what} | {} | {} | {} | {} | {} |",
        times[0],
        times[1],
        ratio.text(),
        noise.text(),
        verdict(&ratio, &noise)
    )
}

/// The median is significant if it is farther from 1 than any round in which the base is compared with itself.
fn verdict(ratio: &Ratio, noise: &Ratio) -> &'static str {
    let most = noise.spread().max(LEAST);
    if ratio.median > 1.0 + most {
        "SLOWER"
    } else if ratio.median < 1.0 - most {
        "faster"
    } else {
        "the same"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(again: [f64; 3], this: [f64; 3]) -> String {
        let arm = |name, rounds: [f64; 3]| Arm { name, all: rounds.to_vec(), rounds: rounds.to_vec() };
        line("x", &[arm("base", [100.0; 3]), arm("again", again), arm("this", this)])
    }

    #[test]
    fn a_change_is_one_beyond_the_noise() {
        assert!(said([100.0, 99.0, 101.0], [102.0; 3]).ends_with("the same |"));
        assert!(said([100.0, 99.0, 101.0], [104.0; 3]).ends_with("SLOWER |"));
        assert!(said([100.0, 99.0, 101.0], [96.0; 3]).ends_with("faster |"));
        assert!(said([100.0, 92.0, 101.0], [104.0; 3]).ends_with("the same |"));
    }
}
