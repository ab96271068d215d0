//! The whole product, started by `make run`.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::ports::Port;
use super::process::Process;
use super::{Api, files, products, wait};

/// A running `scripts/run.sh` in a temporary folder; stopped when dropped.
pub struct Run {
    script: Script,
    place: Place,
}

/// The running script, stopped when dropped.
struct Script(Child);

impl Script {
    fn process(&self) -> Process {
        Process(self.0.id() as i32)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            self.process().signal(Signal::SIGTERM);
            let _ = self.0.wait();
        }
    }
}

/// The folder and the ports of a run. They survive the run, so that another one may follow in the same place.
pub struct Place {
    folder: TempDir,
    rtmp: Port,
    http: Port,
    web: Port,
}

impl Place {
    /// A new one.
    pub fn reserve() -> Self {
        let folder = tempfile::Builder::new().prefix("weir-run-").tempdir().unwrap();
        Self { folder, rtmp: Port::reserve(), http: Port::reserve(), web: Port::reserve() }
    }

    /// Returns the command that runs the product here.
    pub fn command(&self) -> Command {
        // A shell that starts the tests in the background may ignore Ctrl-C, which children inherit.
        let mut command = Command::new("env");
        command
            .arg("--default-signal=INT")
            .arg(products::workspace().join("scripts/run.sh"))
            .env("PREFIX", self.prefix())
            .env("RTMP_PORT", self.rtmp.number().to_string())
            .env("HTTP_PORT", self.http.number().to_string())
            .env("WEB_PORT", self.web.number().to_string())
            .env("TEST_STREAM", "0")
            .stdin(Stdio::null());
        command
    }

    /// Runs the product here, without a test stream.
    #[track_caller]
    pub fn start(self) -> Run {
        let command = self.command();
        Run::of(self, command)
    }

    /// The folder that it works in.
    pub fn prefix(&self) -> PathBuf {
        self.folder.path().join("prefix")
    }

    /// The RTMP port.
    pub fn rtmp_port(&self) -> u16 {
        self.rtmp.number()
    }

    /// The HTTP port.
    pub fn http_port(&self) -> u16 {
        self.http.number()
    }
}

impl Run {
    /// Starts it in a new place, without a test stream, and waits until it has printed its addresses.
    #[track_caller]
    pub fn start() -> Self {
        Place::reserve().start()
    }

    /// The same, with a test stream.
    #[track_caller]
    pub fn start_with_test_stream() -> Self {
        let place = Place::reserve();
        let mut command = place.command();
        command.env("TEST_STREAM", "1");
        Self::of(place, command)
    }

    #[track_caller]
    fn of(place: Place, mut command: Command) -> Self {
        let output = File::create(place.folder.path().join("output")).unwrap();
        let child = command.stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap();
        let mut run = Self { script: Script(child), place };
        wait::until("run.sh says that it is ready", 30.0, || {
            let output = run.output();
            let ended = run.script.0.try_wait().unwrap();
            assert!(ended.is_none(), "run.sh has ended:\n{output}");
            output.contains("Ctrl-C")
        });
        run
    }

    /// Returns its output so far.
    pub fn output(&self) -> String {
        files::text(&self.place.folder.path().join("output"))
    }

    /// Returns the word after `label` in its output.
    #[track_caller]
    pub fn printed(&self, label: &str) -> String {
        let output = self.output();
        let value = output.lines().find_map(|line| line.trim().strip_prefix(label));
        value.unwrap_or_else(|| panic!("no {label} in:\n{output}")).trim().to_owned()
    }

    /// The page's address for a stream.
    pub fn page(&self, stream: &str) -> String {
        format!("http://127.0.0.1:{}/?stream={stream}", self.place.http_port())
    }

    /// The RTMP port.
    pub fn rtmp_port(&self) -> u16 {
        self.place.rtmp_port()
    }

    /// The module's API.
    pub fn api(&self) -> Api {
        Api::new(&format!("http://127.0.0.1:{}/api", self.place.http_port()))
    }

    /// The folder that it works in.
    pub fn prefix(&self) -> PathBuf {
        self.place.prefix()
    }

    /// The script and all that it has started.
    pub fn processes(&self) -> Vec<Process> {
        let script = self.script.process();
        let mut processes = script.descendants();
        processes.push(script);
        processes
    }

    /// Sends Ctrl-C and waits for the end.
    #[track_caller]
    pub fn interrupt(&mut self) -> ExitStatus {
        self.script.process().signal(Signal::SIGINT);
        self.wait_ended()
    }

    /// Sends Ctrl-C, waits for the end of everything, and returns the place.
    #[track_caller]
    pub fn leave(mut self) -> Place {
        self.interrupt();
        self.place
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait_ended(&mut self) -> ExitStatus {
        wait::until("run.sh ends", 30.0, || self.script.0.try_wait().unwrap())
    }
}
