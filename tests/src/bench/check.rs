//! The duration of `weir check`, which keepalived runs each second.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::report::{Report, Verdict};
use super::table::{self, Arm, Table, median};
use crate::harness::nginx::Config;
use crate::harness::products;

const ROUNDS: usize = 9;
const EACH: usize = 50;
/// In microseconds.
const TARGET: f64 = 10_000.0;

struct Program {
    name: &'static str,
    path: PathBuf,
    arguments: Vec<String>,
}

impl Program {
    fn new(name: &'static str, path: PathBuf, arguments: &str) -> Self {
        let arguments = arguments.split_terminator(' ').map(str::to_owned).collect();
        Self { name, path, arguments }
    }

    /// Microseconds.
    fn run(&self) -> f64 {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::null());
        let begin = Instant::now();
        let status = command.status().unwrap();
        let took = begin.elapsed();
        assert!(status.success(), "{}: {status}", self.name);
        took.as_secs_f64() * 1e6
    }
}

/// Compares each check with a program that does nothing, and with one that sends the same HTTP request.
pub(super) fn check() -> Report {
    let nginx = Config::weir().with_api().app("live", "").http("location = /healthz { return 204; }").start();
    super::part([&nginx].into_iter());
    let url = nginx.url("/healthz");
    let (weir, tool) = (products::weir, |name: &str| products::tool(&format!("/usr/bin/{name}")));
    let programs = [
        Program::new("/usr/bin/true", tool("true"), ""),
        Program::new("the same once more", tool("true"), ""),
        Program::new("curl, HTTP", tool("curl"), &format!("--silent --output /dev/null {url}")),
        Program::new("weir check http", weir(), &format!("check http {url}")),
        Program::new(
            "weir check rtmp",
            weir(),
            &format!("check rtmp rtmp://127.0.0.1:{}/live", nginx.rtmp()),
        ),
        Program::new(
            "weir check node",
            weir(),
            &format!("check node --disk / --min-free 1m --api {}", nginx.url("/api")),
        ),
    ];
    let mut arms: Vec<Arm> = programs.iter().map(|program| Arm::new(program.name)).collect();
    for program in &programs {
        program.run();
    }
    for _ in 0..ROUNDS {
        let mut values = vec![Vec::new(); programs.len()];
        for nth in 0..EACH {
            for step in 0..programs.len() {
                let at = (nth + step) % programs.len();
                values[at].push(programs[at].run());
            }
        }
        for (arm, values) in arms.iter_mut().zip(values) {
            arm.rounds.push(median(&values));
            arm.all.extend(values);
        }
    }
    let table = Table { arms, targets: Vec::new() };
    let mut report = table::report(&table);
    for arm in table.arms.iter().filter(|arm| arm.name.starts_with("weir")) {
        report.judge(Verdict::of_value(arm.name, median(&arm.all), TARGET, "us"));
    }
    report
}
