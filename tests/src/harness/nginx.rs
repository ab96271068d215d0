//! A stock nginx in a temporary folder, with nginx-rtmp and (unless it is bare) Weir's module.
//!
//! When it is dropped it must leave no process, no alert or crash in its log, and no report of valgrind's; a test that provokes one
//! says so with [`Nginx::allow`].

pub mod config;
mod control;
mod verdict;

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::Signal;
use tempfile::TempDir;

pub use config::Config;

use super::process::Process;
use super::{Api, files, ports::Port, products, valgrind, wait};

/// A running nginx.
pub struct Nginx {
    config: Config,
    place: Place,
    child: Option<Child>,
    master: Process,
    /// Masters that were replaced by an upgrade of the binary.
    former: Vec<Process>,
    allowed: Vec<String>,
}

/// Folder and ports of one nginx.
pub struct Place {
    folder: TempDir,
    rtmp: Port,
    http: Port,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("weir-test-").tempdir().unwrap();
        // Workers may run as another user.
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        Self { folder, rtmp: Port::reserve(), http: Port::reserve() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, config: &Config) {
        std::fs::write(self.path("nginx.conf"), config.text(self)).unwrap();
        for (name, content) in &config.files {
            std::fs::write(self.path(name), content).unwrap();
        }
    }

    fn spawn(&self) -> Child {
        let output = File::options().create(true).append(true).open(self.path("stderr.log")).unwrap();
        self.command().stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap()
    }

    fn command(&self) -> Command {
        let mut command = valgrind::command(&products::nginx(), self.folder.path());
        command.arg("-p").arg(self.folder.path()).arg("-c").arg(self.path("nginx.conf"));
        command.arg("-e").arg(self.path("error.log")).stdin(Stdio::null());
        command
    }
}

impl Config {
    /// Starts nginx with this configuration, and waits until its workers serve.
    #[track_caller]
    pub fn start(self) -> Nginx {
        let place = Place::new();
        place.write(&self);
        let child = place.spawn();
        let master = Process(child.id() as i32);
        let mut nginx = Nginx {
            config: self,
            place,
            child: Some(child),
            master,
            former: Vec::new(),
            allowed: Vec::new(),
        };
        nginx.wait_started();
        nginx
    }

    /// Runs `nginx -t`, which must fail, and returns the first message without its place, with `@DIR@` for the folder.
    #[track_caller]
    pub fn rejected(self) -> String {
        self.rejected_in(&Place::new())
    }

    #[track_caller]
    fn rejected_in(self, place: &Place) -> String {
        place.write(&self);
        let output = place.command().arg("-t").output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "nginx accepts:\n{}", self.text(place));
        verdict::first_error(&text, place.folder.path())
            .unwrap_or_else(|| panic!("nginx fails without [emerg]:\n{text}"))
    }

    /// [`rejected`](Self::rejected), and asserts that the file `name` of the folder still has `content`.
    #[track_caller]
    pub fn rejected_leaving(self, name: &str, content: &[u8]) -> String {
        let place = Place::new();
        let message = self.rejected_in(&place);
        assert_eq!(std::fs::read(place.path(name)).unwrap(), content, "{name} was written");
        message
    }

    /// Runs `nginx -t`, which must succeed, and returns its output.
    #[track_caller]
    pub fn accepted(self) -> String {
        self.accepted_without(&[])
    }

    /// [`accepted`](Self::accepted), and asserts that nginx created none of `names` in the folder.
    #[track_caller]
    pub fn accepted_without(self, names: &[&str]) -> String {
        let place = Place::new();
        place.write(&self);
        let output = place.command().arg("-t").output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "nginx rejects it: {text}");
        let made: Vec<_> = names.iter().filter(|name| place.path(name).exists()).collect();
        assert!(made.is_empty(), "nginx -t made {made:?}");
        text
    }
}

impl Nginx {
    /// Returns the RTMP port.
    pub fn rtmp(&self) -> u16 {
        self.place.rtmp.number()
    }

    /// Returns the HTTP port.
    pub fn http(&self) -> u16 {
        self.place.http.number()
    }

    /// Returns the URL of `path`, which begins with a slash, on the HTTP port.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.http())
    }

    /// Returns the module's API, where [`Config::with_api`] configured it.
    pub fn api(&self) -> Api {
        Api::new(&self.url("/api"))
    }

    /// Returns a path in the folder that the configuration calls `@DIR@`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path(name)
    }

    /// Returns the folder that the configuration calls `@DIR@`.
    pub fn folder(&self) -> &Path {
        self.place.folder.path()
    }

    /// Returns the error log so far.
    pub fn log(&self) -> String {
        files::text(&self.path("error.log"))
    }

    /// Returns the lines of the error log that contain `part`.
    pub fn log_lines(&self, part: &str) -> Vec<String> {
        self.log().lines().filter(|line| line.contains(part)).map(str::to_owned).collect()
    }

    /// Waits for a line with `part` in the error log, and returns the first.
    #[track_caller]
    pub fn wait_log(&self, part: &str) -> String {
        self.wait_log_for(part, 10.0)
    }

    /// The same, with a limit in seconds.
    #[track_caller]
    pub fn wait_log_for(&self, part: &str, seconds: f64) -> String {
        wait::until(&format!("{part:?} in the error log"), seconds, || {
            self.log_lines(part).into_iter().next()
        })
    }

    /// Returns the lines of a log that no test may leave behind.
    pub fn complaints(log: &str) -> Vec<String> {
        verdict::complaints(log, "", &[])
    }

    /// Tolerates lines that contain `part`.
    pub fn allow(&mut self, part: &str) {
        self.allowed.push(part.to_owned());
    }

    #[track_caller]
    fn wait_started(&mut self) {
        let pid_file = self.path("nginx.pid");
        let daemon = self.config.daemon;
        wait::until("nginx starts", 15.0, || {
            let exited = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            if exited.is_some_and(|status| !daemon || !status.success()) {
                panic!("nginx did not start:\n{}{}", files::text(&self.path("stderr.log")), self.log());
            }
            let Ok(pid) = files::text(&pid_file).trim().parse() else { return false };
            self.master = Process(pid);
            !self.config.master || self.workers().len() == self.config.workers
        });
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let masters: Vec<_> = self.former.iter().copied().chain([self.master]).collect();
        let mut everyone = masters.clone();
        everyone.extend(masters.iter().flat_map(|master| master.children()));
        let told = self.log().len();
        for master in &masters {
            master.signal(Signal::SIGTERM);
        }
        let mut status = None;
        let mut gone = || {
            // Reaps it.
            status = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            everyone.iter().all(|process| !process.is_alive())
        };
        let ended = wait::until_ok(10.0, &mut gone).is_some();
        if !ended {
            for process in &everyone {
                process.signal(Signal::SIGKILL);
            }
            wait::until_ok(5.0, &mut gone);
        }
        let (log, output) = (self.log(), files::text(&self.path("stderr.log")));
        let (before, after) = log.split_at_checked(told).unwrap_or((&log, ""));
        let mut complaints = verdict::complaints(before, &output, &self.allowed);
        // The master kills a worker that takes more than a second to end, which valgrind's leak check does.
        let killed = valgrind::is_on().then(|| "exited on signal 9".to_owned());
        let allowed: Vec<_> = self.allowed.iter().cloned().chain(killed).collect();
        complaints.extend(verdict::complaints(after, "", &allowed));
        complaints.extend(valgrind::complaints(self.folder()));
        if std::thread::panicking() {
            eprintln!("{}", verdict::tail(&self.log(), 60));
            return;
        }
        assert!(complaints.is_empty(), "nginx complained:\n{}", complaints.join("\n"));
        let as_told =
            |status: ExitStatus| status.success() || status.signal() == Some(Signal::SIGKILL as i32);
        assert!(status.is_none_or(as_told), "nginx ended with {status:?}");
        assert!(ended, "nginx did not end on SIGTERM:\n{}", verdict::tail(&self.log(), 20));
    }
}
