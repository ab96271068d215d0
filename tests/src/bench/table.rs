//! Converts measured values to a table that a reader can judge: medians, ratios per round, and the noise.

use std::fmt::Write;

use super::report::{Report, Verdict};

/// One of the compared arms.
pub struct Arm {
    /// Its name in the table.
    pub name: &'static str,
    /// All values, in microseconds.
    pub all: Vec<f64>,
    /// The median of each round.
    pub rounds: Vec<f64>,
}

impl Arm {
    /// Returns an arm without values.
    pub fn new(name: &'static str) -> Self {
        Self { name, all: Vec::new(), rounds: Vec::new() }
    }
}

/// Measures all arms in each round, with another first arm each time. Each measurement yields one value per round.
pub fn take_turns<L>(rounds: usize, arms: &mut [Arm], loads: &mut [L], measure: impl Fn(&mut L) -> f64) {
    for round in 0..rounds {
        for step in 0..loads.len() {
            let at = (round + step) % loads.len();
            let cost = measure(&mut loads[at]);
            arms[at].all.push(cost);
            arms[at].rounds.push(cost);
        }
    }
}

/// The expected ratio of two arms. The numbers are positions in [`Table::arms`].
pub enum Target {
    /// Not measurably above: the median ratio is within the difference of the peer from itself.
    NotAbove {
        /// The judged arm.
        ours: usize,
        /// The reference arm.
        peer: usize,
        /// The second run of the reference arm.
        same: usize,
    },
    /// At most this ratio.
    AtMost {
        /// The judged arm.
        ours: usize,
        /// The reference arm.
        peer: usize,
        /// The highest ratio.
        ratio: f64,
    },
}

/// A row's values and targets.
pub struct Table {
    /// The compared arms. The first is the reference of the column of ratios.
    pub arms: Vec<Arm>,
    /// The expected ratios.
    pub targets: Vec<Target>,
}

/// Returns the median.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

/// The ratio of two arms: median, least and greatest of the rounds.
pub(super) struct Ratio {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) greatest: f64,
}

impl Ratio {
    pub(super) fn of(ours: &Arm, peer: &Arm) -> Self {
        let ratios: Vec<f64> = ours.rounds.iter().zip(&peer.rounds).map(|(ours, peer)| ours / peer).collect();
        Self {
            median: median(&ratios),
            least: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            greatest: ratios.iter().copied().fold(0.0, f64::max),
        }
    }

    pub(super) fn text(&self) -> String {
        let digits = if self.median < 0.1 { 4 } else { 3 };
        format!("{:.digits$} ({:.digits$} .. {:.digits$})", self.median, self.least, self.greatest)
    }

    /// Returns the largest distance from 1.
    pub(super) fn spread(&self) -> f64 {
        (self.greatest - 1.0).max(1.0 - self.least)
    }
}

/// Returns the table as Markdown, and a verdict for each target.
pub(super) fn report(table: &Table) -> Report {
    let mut text = String::from(
        "| | median | more than the first | 90 % are below | ratio to the first: median (least .. greatest round) |\n\
         |---|---|---|---|---|\n",
    );
    for (at, arm) in table.arms.iter().enumerate() {
        let ratio = if at == 0 { "1".to_owned() } else { Ratio::of(arm, &table.arms[0]).text() };
        let high = percentile(&arm.all, 90);
        let middle = median(&arm.all);
        let more = middle - median(&table.arms[0].all);
        writeln!(text, "| {} | {middle:.0} us | {more:+.0} us | {high:.0} us | {ratio} |", arm.name).unwrap();
    }
    let (rounds, each) = (table.arms[0].rounds.len(), table.arms[0].all.len() / table.arms[0].rounds.len());
    writeln!(text, "\n{rounds} rounds of {each} for each, taking turns.").unwrap();
    let mut report = Report::of(text);
    table.targets.iter().for_each(|target| report.judge(verdict(table, target)));
    report
}

/// Returns the value below which this part of the values is, in percent.
pub(super) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() - 1) * percent / 100]
}

fn verdict(table: &Table, target: &Target) -> Verdict {
    let (ours, peer, most) = match *target {
        Target::NotAbove { ours, peer, same } => {
            (ours, peer, 1.0 + Ratio::of(&table.arms[same], &table.arms[peer]).spread())
        }
        Target::AtMost { ours, peer, ratio } => (ours, peer, ratio),
    };
    let ratio = Ratio::of(&table.arms[ours], &table.arms[peer]);
    Verdict::of_ratio(table.arms[ours].name, table.arms[peer].name, &ratio, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(name: &'static str, rounds: &[f64]) -> Arm {
        Arm { name, all: rounds.to_vec(), rounds: rounds.to_vec() }
    }

    #[test]
    fn the_median_of_few() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn a_target_is_held_against_the_noise() {
        let arms = |ours: &[f64]| {
            vec![arm("a", &[100.0, 100.0, 100.0]), arm("a again", &[95.0, 100.0, 104.0]), arm("ours", ours)]
        };
        let target = || Target::NotAbove { ours: 2, peer: 0, same: 1 };
        let said =
            |ours: &[f64]| verdict(&Table { arms: arms(ours), targets: Vec::new() }, &target()).to_string();
        assert!(said(&[104.0, 120.0, 90.0]).starts_with("PASS"));
        assert!(said(&[106.0, 106.0, 90.0]).starts_with("MISS"));
        assert!(said(&[106.0, 106.0, 90.0]).contains("1.060 (0.900 .. 1.060), target at most 1.050"));
    }
}
