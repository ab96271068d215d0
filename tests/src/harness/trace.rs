//! Traces the system calls of a worker.

use std::fs::File;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use super::process::Process;
use super::{Nginx, files, products, until};

/// Returns the system calls `calls` of a worker and its threads during `work`, one per line, with the paths of open
/// files.
pub fn traced(nginx: &Nginx, worker: Process, calls: &str, work: impl FnOnce()) -> Vec<String> {
    let (output, said) = (nginx.path("trace"), nginx.path("strace.log"));
    let mut strace = Command::new(products::tool("/usr/bin/strace"))
        .args(["-f", "-y", "-s", "256", "-e", &format!("trace={calls}"), "-o"])
        .arg(&output)
        .args(["-p", &worker.0.to_string()])
        .stderr(File::create(&said).unwrap())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    until("strace is attached", 10.0, || {
        assert!(strace.try_wait().unwrap().is_none(), "strace ends: {}", files::text(&said));
        files::text(&said).contains("attached")
    });
    work();
    Process(strace.id() as i32).signal(Signal::SIGINT);
    strace.wait().unwrap();
    files::text(&output).lines().map(str::to_owned).collect()
}
