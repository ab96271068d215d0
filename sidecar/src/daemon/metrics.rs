//! `/metrics`, in the text format of Prometheus.

use std::fmt::Write;

use super::state::Health;
use crate::cluster::pair;
use crate::jobs::View;
use crate::supervise::job::State;

/// Returns the whole page.
pub(crate) fn page(jobs: &[View], health: &Health, pair: Option<&pair::View>) -> String {
    let mut text = String::new();
    let count = |wanted: State| jobs.iter().filter(|job| job.status.state == wanted).count();
    family(&mut text, "weir_daemon_nginx_up", "gauge", "Whether the module's API answers.");
    let _ = writeln!(text, "weir_daemon_nginx_up {}", u8::from(health.nginx.is_none()));
    family(&mut text, "weir_daemon_streams", "gauge", "Live streams that the daemon knows.");
    let _ = writeln!(text, "weir_daemon_streams {}", health.streams);
    family(&mut text, "weir_daemon_reloads", "counter", "Reloads of the configuration, by result.");
    let _ = writeln!(text, "weir_daemon_reloads_total{{result=\"done\"}} {}", health.reloads.0);
    let _ = writeln!(text, "weir_daemon_reloads_total{{result=\"refused\"}} {}", health.reloads.1);
    family(&mut text, "weir_jobs", "gauge", "Jobs, by state.");
    for state in [State::Starting, State::Running, State::Waiting, State::Stopping] {
        let _ = writeln!(text, "weir_jobs{{state=\"{state}\"}} {}", count(state));
    }
    family(&mut text, "weir_job_restarts", "counter", "How often a job was started again.");
    for job in jobs {
        let _ = writeln!(text, "weir_job_restarts_total{{{}}} {}", labels(job), job.status.restarts);
    }
    family(&mut text, "weir_job_speed", "gauge", "Seconds of media that a job makes in a second.");
    for job in jobs {
        if let Some(speed) = job.status.progress.speed {
            let _ = writeln!(text, "weir_job_speed{{{}}} {speed}", labels(job));
        }
    }
    if let Some(pair) = pair {
        of_pair(&mut text, pair);
    }
    text
}

fn of_pair(text: &mut String, pair: &pair::View) {
    family(text, "weir_pair_up", "gauge", "Whether the other node of the pair answers.");
    let _ = writeln!(text, "weir_pair_up {}", u8::from(pair.state != "away"));
    family(text, "weir_pair_waiting", "gauge", "Changes that are not in force, by what they wait for.");
    for (place, count) in [("telling", pair.to_send), ("here", pair.to_apply), ("there", pair.to_apply_there)]
    {
        let _ = writeln!(text, "weir_pair_waiting{{place=\"{place}\"}} {count}");
    }
    if let Some(held) = pair.held {
        family(text, "weir_pair_held", "gauge", "Whether this node is the standby, and pushes nothing.");
        let _ = writeln!(text, "weir_pair_held {}", u8::from(held));
    }
}

fn family(text: &mut String, name: &str, kind: &str, help: &str) {
    // In this version of the format, the family of a counter has the name of its samples.
    let name = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Returns the labels of a job. Names of applications and streams contain no characters that need a backslash.
fn labels(job: &View) -> String {
    format!("app=\"{}\",stream=\"{}\",job=\"{}\"", job.app, job.stream, job.id)
}
