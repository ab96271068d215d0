//! Commands get the event on standard input and in the environment, without a shell. A command that hangs is killed, with all processes
//! that it has started, and a failed command disturbs nothing else.

use serde_json::Value;
use weir_tests::harness::process::Process;
use weir_tests::harness::{Sidecar, files as disk, until};

use super::{Files, open, publish};

#[test]
fn a_command_gets_the_event() {
    let (nginx, files) = (open().start(), Files::new());
    let out = files.path("out");
    let script = files.path("on event");
    let text = format!(
        "#!/bin/sh\n{{ echo \"$1|$WEIR_EVENT|$WEIR_APP|$WEIR_STREAM\"; cat; }} >{}.new && mv {}.new {}\n",
        out.display(),
        out.display(),
        out.display()
    );
    std::fs::write(&script, text).unwrap();
    let config = files.hooks()
        + &format!(
            "[hooks.command.tell]\nrun = [\"/bin/sh\", {script:?}, \"$HOME; id\"]\nevents = [\"stream.started\"]\n"
        );
    let _sidecar = Sidecar::start(&nginx, &config);
    let publisher = publish(&nginx, "show");
    until("the command has written", 15.0, || out.exists());
    let written = disk::text(&out);
    let (first, body) = written.split_once('\n').unwrap();
    assert_eq!(first, "$HOME; id|stream.started|live|show");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["data"]["name"], "show");
    publisher.close();
}

#[test]
fn a_command_that_hangs_is_killed_with_its_children() {
    let (nginx, files) = (open().start(), Files::new());
    let pids = files.path("pids");
    let script = format!("sleep 300 & echo $! $$ >{}; wait", pids.display());
    let config = files.hooks()
        + &format!(
            "[hooks.command.hang]\nrun = [\"/bin/sh\", \"-c\", {script:?}]\nevents = [\"stream.started\"]\ntimeout = \"1s\"\n"
        )
        + "[hooks.command.fail]\nrun = [\"/bin/false\"]\nevents = [\"stream.started\"]\n"
        + "[hooks.command.missing]\nrun = [\"/nonexistent/program\"]\nevents = [\"stream.started\"]\n";
    let sidecar = Sidecar::start(&nginx, &config);
    let publisher = publish(&nginx, "show");
    sidecar.wait_log("command killed: it took more than 1 s, command: \"hang\"");
    let written = disk::text(&pids);
    let processes: Vec<Process> =
        written.split_whitespace().map(|pid| Process(pid.parse().unwrap())).collect();
    assert_eq!(processes.len(), 2, "{written}");
    until("both are gone", 5.0, || processes.iter().all(|process| !process.is_alive()));
    sidecar.wait_log("command failed: exit status: 1, command: \"fail\"");
    sidecar.wait_log("command: \"missing\"");
    publisher.close();
}

#[test]
fn a_command_is_over_when_it_ends_and_not_when_what_it_started_does() {
    let (nginx, files) = (open().start(), Files::new());
    let pid = files.path("pid");
    // The process that is left behind keeps the command's standard error open.
    let script =
        format!("sleep 300 & echo $! >{0}.new; mv {0}.new {0}; echo done >&2; exit 3", pid.display());
    let config = files.hooks()
        + &format!(
            "[hooks.command.leave]\nrun = [\"/bin/sh\", \"-c\", {script:?}]\nevents = [\"stream.started\"]\ntimeout = \"1h\"\n"
        );
    let sidecar = Sidecar::start(&nginx, &config);
    let publisher = publish(&nginx, "show");
    sidecar.wait_log("command failed: exit status: 3, command: \"leave\"");
    sidecar.wait_log("done, command: \"leave\"");
    let left = Process(disk::text(&pid).trim().parse().unwrap());
    assert!(left.is_alive());
    left.signal(nix::sys::signal::Signal::SIGKILL);
    publisher.close();
}
