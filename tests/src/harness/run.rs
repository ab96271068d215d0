//! The whole product as `make run` starts it.

use std::fs::File;
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::ports::Port;
use super::process::Process;
use super::{Api, files, products, wait};

/// `scripts/run.sh` at work, out of a temporary folder; stopped when dropped.
pub struct Run {
    child: Child,
    folder: TempDir,
    rtmp: Port,
    http: Port,
}

impl Run {
    /// Starts it, and waits until it has said where everything is.
    #[track_caller]
    pub fn start(test_stream: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("weir-run-").tempdir().unwrap();
        let (rtmp, http) = (Port::reserve(), Port::reserve());
        let output = File::create(folder.path().join("output")).unwrap();
        // Who starts the tests in the background may have left Ctrl-C ignored, which is inherited.
        let child = Command::new("env")
            .arg("--default-signal=INT")
            .arg(products::workspace().join("scripts/run.sh"))
            .env("PREFIX", folder.path().join("prefix"))
            .env("RTMP_PORT", rtmp.number().to_string())
            .env("HTTP_PORT", http.number().to_string())
            .env("TEST_STREAM", if test_stream { "1" } else { "0" })
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut run = Self { child, folder, rtmp, http };
        wait::until("run.sh says that it is ready", 30.0, || {
            let output = run.output();
            let ended = run.child.try_wait().unwrap();
            assert!(ended.is_none(), "run.sh has ended:\n{output}");
            output.contains("Ctrl-C")
        });
        run
    }

    /// What it has printed so far.
    pub fn output(&self) -> String {
        files::text(&self.folder.path().join("output"))
    }

    /// The word after `label` in what it has printed.
    #[track_caller]
    pub fn printed(&self, label: &str) -> String {
        let output = self.output();
        let value = output.lines().find_map(|line| line.trim().strip_prefix(label));
        value.unwrap_or_else(|| panic!("no {label} in:\n{output}")).trim().to_owned()
    }

    /// The page's address for a stream.
    pub fn page(&self, stream: &str) -> String {
        format!("http://127.0.0.1:{}/?stream={stream}", self.http.number())
    }

    /// The RTMP port.
    pub fn rtmp_port(&self) -> u16 {
        self.rtmp.number()
    }

    /// The module's API.
    pub fn api(&self) -> Api {
        Api::new(&format!("http://127.0.0.1:{}/api", self.http.number()))
    }

    /// The folder that it works in.
    pub fn prefix(&self) -> std::path::PathBuf {
        self.folder.path().join("prefix")
    }

    /// The script and all that it has started.
    pub fn processes(&self) -> Vec<Process> {
        let script = Process(self.child.id() as i32);
        let mut processes = script.descendants();
        processes.push(script);
        processes
    }

    /// Ctrl-C, and its end.
    #[track_caller]
    pub fn interrupt(&mut self) -> ExitStatus {
        Process(self.child.id() as i32).signal(Signal::SIGINT);
        self.wait_ended()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait_ended(&mut self) -> ExitStatus {
        wait::until("run.sh ends", 30.0, || self.child.try_wait().unwrap())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            Process(self.child.id() as i32).signal(Signal::SIGTERM);
            let _ = self.child.wait();
        }
    }
}
