//! The result of a benchmark: tables for people, and one verdict per target for the summary and for programs.

use std::fmt::{self, Write as _};

use super::table::Ratio;

/// One target, and whether it was met.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The judged arm or value.
    pub ours: String,
    /// The arm that it is compared with; `None` for an absolute value.
    pub peer: Option<String>,
    /// The median ratio to the peer, or the absolute value.
    pub measured: f64,
    /// The least and the greatest round, for a ratio.
    pub spread: Option<[f64; 2]>,
    /// The highest value that meets the target.
    pub most: f64,
    /// The unit of `measured` and `most`; empty for a ratio.
    pub unit: &'static str,
    /// Whether the target was met.
    pub met: bool,
}

impl Verdict {
    /// Compares two arms.
    pub(super) fn of_ratio(ours: &str, peer: &str, ratio: &Ratio, most: f64) -> Self {
        Self {
            ours: ours.to_owned(),
            peer: Some(peer.to_owned()),
            measured: ratio.median,
            spread: Some([ratio.least, ratio.greatest]),
            most,
            unit: "",
            met: ratio.median <= most,
        }
    }

    /// Judges an absolute value.
    pub(super) fn of_value(ours: &str, measured: f64, most: f64, unit: &'static str) -> Self {
        let met = measured <= most;
        Self { ours: ours.to_owned(), peer: None, measured, spread: None, most, unit, met }
    }

    fn word(&self) -> &'static str {
        if self.met { "PASS" } else { "MISS" }
    }

    /// Returns a number with its unit, with as many digits as it needs.
    fn number(&self, value: f64) -> String {
        let digits = match value.abs() {
            _ if self.unit.is_empty() && self.most >= 0.1 => 3,
            _ if self.unit.is_empty() => 4,
            value if value >= 100.0 => 0,
            _ => 1,
        };
        let space = if self.unit.is_empty() { "" } else { " " };
        format!("{value:.digits$}{space}{}", self.unit)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (measured, most) = (self.number(self.measured), self.number(self.most));
        write!(f, "{}: \"{}\"", self.word(), self.ours)?;
        if let Some(peer) = &self.peer {
            write!(f, " / \"{peer}\"")?;
        }
        write!(f, " is {measured}")?;
        if let Some([least, greatest]) = self.spread {
            write!(f, " ({} .. {})", self.number(least), self.number(greatest))?;
        }
        write!(f, ", target at most {most}")
    }
}

/// The result of one benchmark.
#[derive(Debug, Default)]
pub struct Report {
    /// Tables in Markdown, and a line for each verdict.
    pub text: String,
    /// One for each target.
    pub verdicts: Vec<Verdict>,
}

impl Report {
    /// Returns a report without verdicts.
    pub(super) fn of(text: String) -> Self {
        Self { text, verdicts: Vec::new() }
    }

    /// Adds a paragraph.
    pub(super) fn say(&mut self, text: &str) {
        self.text += text;
        self.text.push('\n');
    }

    /// Adds a verdict and its line.
    pub(super) fn judge(&mut self, verdict: Verdict) {
        self.say(&verdict.to_string());
        self.verdicts.push(verdict);
    }

    /// Adds another report after this one.
    pub(super) fn append(&mut self, other: Report) {
        self.say(&other.text);
        self.verdicts.extend(other.verdicts);
    }
}

/// Returns one table with all targets of a run.
pub fn summary(reports: &[(&str, Report)]) -> String {
    let mut text = String::from(
        "| benchmark | goal | peer | measured (least .. greatest round) | at most | verdict |\n|---|---|---|---|---|---|\n",
    );
    for (name, report) in reports {
        for verdict in &report.verdicts {
            let spread = verdict.spread.map(|[least, greatest]| {
                format!(" ({} .. {})", verdict.number(least), verdict.number(greatest))
            });
            // Writing to a String does not fail.
            let _ = writeln!(
                text,
                "| {name} | {} | {} | {}{} | {} | {} |",
                verdict.ours,
                verdict.peer.as_deref().unwrap_or_default(),
                verdict.number(verdict.measured),
                spread.unwrap_or_default(),
                verdict.number(verdict.most),
                verdict.word()
            );
        }
    }
    text
}

/// Returns all verdicts of a run as JSON: `{"machine": TEXT, "targets": [{"benchmark": NAME, "ours": TEXT, "peer": TEXT or null, ...}]}`.
pub fn json(machine: &str, reports: &[(&str, Report)]) -> serde_json::Value {
    let targets = reports.iter().flat_map(|(name, report)| {
        report.verdicts.iter().map(move |verdict| {
            let Verdict { ours, peer, measured, spread, most, unit, met } = verdict;
            serde_json::json!({
                "benchmark": name, "ours": ours, "peer": peer, "measured": measured, "spread": spread, "most": most,
                "unit": unit, "met": met,
            })
        })
    });
    serde_json::json!({ "machine": machine, "targets": targets.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_one_line_of_the_summary_and_one_object() {
        let ratio = Ratio { median: 0.488, least: 0.45, greatest: 0.516 };
        let mut report = Report::default();
        report.judge(Verdict::of_ratio("ours", "stock", &ratio, 0.65));
        report.judge(Verdict::of_value("first media", 21.25, 15.0, "ms"));
        assert_eq!(
            report.text,
            "PASS: \"ours\" / \"stock\" is 0.488 (0.450 .. 0.516), target at most 0.650\n\
             MISS: \"first media\" is 21.2 ms, target at most 15.0 ms\n"
        );
        let reports = [("players", report)];
        let lines: Vec<_> = summary(&reports).lines().skip(2).map(str::to_owned).collect();
        assert_eq!(lines[0], "| players | ours | stock | 0.488 (0.450 .. 0.516) | 0.650 | PASS |");
        assert_eq!(lines[1], "| players | first media |  | 21.2 ms | 15.0 ms | MISS |");
        let found = json("a machine", &reports);
        assert_eq!(found["targets"][1]["benchmark"], "players");
        assert_eq!(found["targets"][1]["met"], false);
    }
}
