//! A stock keepalived in a separate network, in the foreground.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

use super::process::Process;
use super::{Space, files, products, wait};

/// A running keepalived. When dropped, it must end on SIGTERM.
pub struct Keepalived {
    child: Child,
    folder: PathBuf,
}

impl Keepalived {
    /// Runs `keepalived -t` as the machine `id`. Returns its status and output.
    pub fn test(config: &Path, id: &str) -> (Option<i32>, String) {
        let output = command(config, id).args(["-t", "-l"]).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    /// Starts it as the machine `id` with this configuration; its files are in `folder`, which is created.
    #[track_caller]
    pub fn start(space: &Space, folder: &Path, id: &str, config: &str) -> Self {
        fs::create_dir_all(folder).unwrap();
        let path = folder.join("keepalived.conf");
        fs::write(&path, config).unwrap();
        let log = File::create(folder.join("log")).unwrap();
        let mut command = command(&path, id);
        // Only VRRP, in the foreground, with each change on standard error.
        command.args(["-n", "-l", "-D", "-P"]);
        command.arg("-p").arg(folder.join("pid")).arg("-r").arg(folder.join("vrrp.pid"));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let keepalived = Self { child: space.inside(|| command.spawn().unwrap()), folder: folder.to_owned() };
        keepalived.wait_log("Entering BACKUP STATE", 1);
        keepalived
    }

    /// Returns its output so far.
    pub fn log(&self) -> String {
        files::text(&self.folder.join("log"))
    }

    /// Returns how often its output contains `part`.
    pub fn count(&self, part: &str) -> usize {
        self.log().lines().filter(|line| line.contains(part)).count()
    }

    /// Waits until its output contains `part` this many times.
    #[track_caller]
    pub fn wait_log(&self, part: &str, times: usize) {
        if wait::until_ok(15.0, || self.count(part) >= times).is_none() {
            panic!("keepalived has not said {part:?} {times} times:\n{}", self.log());
        }
    }

    /// Stops it like a service manager.
    pub fn stop(&self) {
        Process(self.child.id() as i32).signal(Signal::SIGTERM);
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        let master = Process(self.child.id() as i32);
        let mut everyone = master.descendants();
        everyone.push(master);
        self.stop();
        let mut gone = || {
            // Reaps it.
            let _ = self.child.try_wait();
            everyone.iter().all(|process| !process.is_alive())
        };
        let ended = wait::until_ok(10.0, &mut gone).is_some();
        if !ended {
            everyone.iter().for_each(|process| process.signal(Signal::SIGKILL));
            wait::until_ok(5.0, &mut gone);
        }
        if std::thread::panicking() {
            eprintln!("{}:\n{}", self.folder.display(), self.log());
            return;
        }
        assert!(ended, "keepalived did not end on SIGTERM:\n{}", self.log());
    }
}

fn command(config: &Path, id: &str) -> Command {
    let mut command = Command::new(products::tool("/usr/sbin/keepalived"));
    command.arg("-f").arg(config).args(["-i", id]);
    command
}
