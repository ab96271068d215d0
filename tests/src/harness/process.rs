//! Processes by their id: who is whose child, what they say they are, and their ends.

use std::fs;
use std::time::Duration;

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::wait;

/// A process of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Process(pub i32);

impl Process {
    /// Its command line, as `ps` shows it; empty when it is gone.
    pub fn title(self) -> String {
        let bytes = fs::read(format!("/proc/{}/cmdline", self.0)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\0', " ").trim_end().to_owned()
    }

    /// Whether it runs; one that only waits to be reaped does not.
    pub fn is_alive(self) -> bool {
        self.stat().is_some_and(|(state, _)| state != 'Z' && state != 'X')
    }

    /// The processes that it started and that still run.
    pub fn children(self) -> Vec<Self> {
        let mut children: Vec<_> = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().map(Self))
            .filter(|process| {
                process.stat().is_some_and(|(state, parent)| parent == self.0 && !matches!(state, 'Z' | 'X'))
            })
            .collect();
        children.sort();
        children
    }

    /// The processes that it started, that these started, and so on.
    pub fn descendants(self) -> Vec<Self> {
        let children = self.children();
        children.into_iter().flat_map(|child| [vec![child], child.descendants()].concat()).collect()
    }

    /// Sends a signal; one to a process that is gone is lost.
    pub fn signal(self, signal: Signal) {
        assert!(self.0 > 1, "not a process to signal: {}", self.0);
        let _ = kill(Pid::from_raw(self.0), signal);
    }

    /// Whether it was stopped (SIGSTOP).
    pub fn is_stopped(self) -> bool {
        self.stat().is_some_and(|(state, _)| state == 'T')
    }

    /// The processor's time that it has used; waits until it sleeps, because the kernel counts when it stops.
    #[track_caller]
    pub fn time_used(self) -> Duration {
        wait::until("the process sleeps", 5.0, || self.stat().is_some_and(|(state, _)| state == 'S'));
        // The first field is in nanoseconds; /proc/PID/stat has hundredths of a second.
        let times = fs::read_to_string(format!("/proc/{}/schedstat", self.0)).unwrap();
        Duration::from_nanos(times.split(' ').next().unwrap().parse().unwrap())
    }

    /// The processor's time that all of its threads have used.
    pub fn time_used_by_all(self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0)).into_iter().flatten().flatten();
        let times = tasks.filter_map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
        });
        times.sum()
    }

    /// Memory of its own that it has in use, in bytes (`VmRSS` without what is shared).
    #[track_caller]
    pub fn memory(self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Whether it is, or was when it was stopped, in `epoll_wait`.
    pub fn waits_for_events(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        const CALLS: [libc::c_long; 2] = [libc::SYS_epoll_wait, libc::SYS_epoll_pwait];
        #[cfg(not(target_arch = "x86_64"))]
        const CALLS: [libc::c_long; 1] = [libc::SYS_epoll_pwait];
        let call = fs::read_to_string(format!("/proc/{}/syscall", self.0)).unwrap_or_default();
        call.split(' ')
            .next()
            .and_then(|number| number.parse().ok())
            .is_some_and(|call| CALLS.contains(&call))
    }

    /// What its open files and sockets are, as the links in `/proc/PID/fd` tell: a path, or `socket:[INODE]`.
    pub fn open_files(self) -> Vec<String> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.0)).into_iter().flatten().flatten();
        let links = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
        links.map(|link| link.to_string_lossy().into_owned()).collect()
    }

    /// State and parent, out of `/proc/PID/stat`; the name in it may hold blanks and parentheses.
    fn stat(self) -> Option<(char, i32)> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()?;
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
    }
}
