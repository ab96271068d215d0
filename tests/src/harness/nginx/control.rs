//! Workers, reloads, upgrades.

use std::process::Child;

use nix::sys::signal::Signal;

use super::{Config, Nginx};
use crate::harness::files;
use crate::harness::process::Process;
use crate::harness::{valgrind, wait};

impl Nginx {
    /// Returns the master.
    pub fn master(&self) -> Process {
        self.master
    }

    /// Returns the workers that accept connections.
    pub fn workers(&self) -> Vec<Process> {
        self.children(false)
    }

    /// Returns the workers that only serve old connections to their end.
    pub fn draining(&self) -> Vec<Process> {
        self.children(true)
    }

    // nginx gives a worker its title after `init_process` of all modules.
    fn children(&self, draining: bool) -> Vec<Process> {
        let mut children = self.master.children();
        if valgrind::is_on() {
            // The title that the kernel shows is valgrind's. Who has a queue of events has started.
            let log = self.log();
            children.retain(|child| {
                let is_worker = log.contains(&format!(" start worker process {}\n", child.0));
                let drains = log.contains(&format!(" {0}#{0}: gracefully shutting down", child.0));
                is_worker
                    && drains == draining
                    && child.open_files().iter().any(|file| file.contains("eventpoll"))
            });
        } else {
            children.retain(|child| {
                let title = child.title();
                title.starts_with("nginx: worker process") && title.contains("shutting down") == draining
            });
        }
        children
    }

    /// Kills a worker (its death is then no failure of the test), and waits until the master has replaced it.
    #[track_caller]
    pub fn kill_worker(&mut self, worker: Process) {
        let count = self.workers().len();
        self.allow(&format!("worker process {} exited on signal 9", worker.0));
        // The master releases the locks of the dead worker.
        self.allow(&format!("was locked by {}", worker.0));
        worker.signal(Signal::SIGKILL);
        wait::until("the master replaces the worker", 10.0, || {
            let workers = self.workers();
            !workers.contains(&worker) && workers.len() == count
        });
    }

    /// Makes this worker accept each connection that `connect` opens: the other workers are stopped meanwhile.
    /// `connect` may wait only for an answer of this worker.
    #[track_caller]
    pub fn on_worker<T>(&self, worker: Process, connect: impl FnOnce() -> T) -> T {
        let workers = self.workers();
        assert!(workers.contains(&worker), "{worker:?} takes no connections, but {workers:?}");
        let others = Stopped(workers.into_iter().filter(|other| *other != worker).collect());
        for other in &others.0 {
            // A worker that is stopped while it holds the zone's lock would block this worker too.
            wait::until("another worker stops at its rest", 10.0, || {
                other.signal(Signal::SIGSTOP);
                wait::until("another worker stops", 20.0, || other.is_stopped());
                let rests = other.waits_for_events();
                if !rests {
                    other.signal(Signal::SIGCONT);
                }
                rests
            });
        }
        connect()
    }

    /// Changes the configuration file for the next [`reload`](Self::reload).
    pub fn edit(&mut self, change: impl FnOnce(Config) -> Config) {
        self.config = change(self.config.clone());
        self.place.write(&self.config);
    }

    /// Reloads, and waits until the new workers serve and the old ones accept no more connections.
    #[track_caller]
    pub fn reload(&self) {
        let old = self.workers();
        self.master.signal(Signal::SIGHUP);
        wait::until("new workers serve", 15.0, || {
            let workers = self.workers();
            workers.len() == self.config.workers && !workers.iter().any(|worker| old.contains(worker))
        });
    }

    /// Reloads a configuration that nginx must reject. Allows the message, and returns it.
    #[track_caller]
    pub fn reload_rejected(&mut self) -> String {
        let before = self.log_lines("[emerg]").len();
        let workers = self.workers();
        self.master.signal(Signal::SIGHUP);
        let line =
            wait::until("nginx rejects the reload", 15.0, || self.log_lines("[emerg]").get(before).cloned());
        assert_eq!(self.workers(), workers);
        let message = line.split_once(": ").map_or(line.as_str(), |(_, message)| message).to_owned();
        self.allow(&message);
        message
    }

    /// Runs `nginx -t` with the configuration and the folder of this nginx; it must fail. Returns its output.
    #[track_caller]
    pub fn test_rejected(&self) -> String {
        let output = self.place.command().arg("-t").output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "nginx accepts it: {text}");
        text
    }

    /// Stops nginx (SIGTERM), calls `meanwhile` to change the folder, and starts nginx again.
    #[track_caller]
    pub fn restart(&mut self, meanwhile: impl FnOnce(&Self)) {
        let everyone = self.everyone();
        self.master.signal(Signal::SIGTERM);
        self.wait_ended(&everyone);
        meanwhile(self);
        self.start_again();
    }

    /// Tells nginx to quit (SIGQUIT), does `meanwhile` while it quits, waits for its end, and starts it again.
    #[track_caller]
    pub fn quit_and_restart(&mut self, meanwhile: impl FnOnce(&Self)) {
        let everyone = self.everyone();
        self.master.signal(Signal::SIGQUIT);
        meanwhile(self);
        self.wait_ended(&everyone);
        self.start_again();
    }

    /// Kills nginx as a power failure does: master and workers at the same moment (SIGKILL). Then does `meanwhile`, and starts nginx again.
    #[track_caller]
    pub fn lose_power(&mut self, meanwhile: impl FnOnce(&Self)) {
        self.kill_all();
        meanwhile(self);
        self.start_again();
    }

    /// Kills nginx as a power failure does. [`start_again`](Self::start_again) starts it.
    #[track_caller]
    pub fn kill_all(&mut self) {
        let everyone = self.everyone();
        // The master is first, so that it does not replace a worker.
        everyone.iter().rev().for_each(|process| process.signal(Signal::SIGKILL));
        self.wait_ended(&everyone);
    }

    fn everyone(&self) -> Vec<Process> {
        let mut everyone = self.master.children();
        everyone.push(self.master);
        everyone
    }

    #[track_caller]
    fn wait_ended(&mut self, everyone: &[Process]) {
        wait::until("nginx ends", 10.0, || {
            let _ = self.child.as_mut().map(Child::try_wait);
            everyone.iter().all(|process| !process.is_alive())
        });
    }

    /// Starts it after [`kill_all`](Self::kill_all).
    #[track_caller]
    pub fn start_again(&mut self) {
        self.child = Some(self.place.spawn());
        self.wait_started();
    }

    /// Starts the new binary beside the old (SIGUSR2), and waits until its workers serve. Returns the old master, which
    /// continues to serve with its workers until it is told to quit.
    #[track_caller]
    pub fn upgrade(&mut self) -> Process {
        assert!(self.config.daemon, "nginx replaces its binary only when it is a daemon");
        let old = self.master;
        self.former.push(old);
        old.signal(Signal::SIGUSR2);
        self.master = wait::until("the new master is there", 15.0, || {
            let pid = files::text(&self.path("nginx.pid")).trim().parse().ok().map(Process)?;
            (pid != old).then_some(pid)
        });
        wait::until("the new workers serve", 15.0, || self.workers().len() == self.config.workers);
        old
    }
}

/// Stopped workers that continue when this is dropped.
struct Stopped(Vec<Process>);

impl Drop for Stopped {
    fn drop(&mut self) {
        for worker in &self.0 {
            worker.signal(Signal::SIGCONT);
        }
    }
}
