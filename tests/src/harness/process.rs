//! Processes by their id: children, command lines, states and signals.

use std::fs;
use std::time::Duration;

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::time::ClockId;
use nix::unistd::Pid;

use super::wait;

/// A process of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Process(pub i32);

impl Process {
    /// Returns its command line, as `ps` shows it; empty after its end.
    pub fn title(self) -> String {
        let bytes = fs::read(format!("/proc/{}/cmdline", self.0)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\0', " ").trim_end().to_owned()
    }

    /// Returns whether it runs; a zombie does not.
    pub fn is_alive(self) -> bool {
        self.stat().is_some_and(|(state, _)| state != 'Z' && state != 'X')
    }

    /// Returns its running children.
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

    /// Returns its children, their children, and so on.
    pub fn descendants(self) -> Vec<Self> {
        let children = self.children();
        children.into_iter().flat_map(|child| [vec![child], child.descendants()].concat()).collect()
    }

    /// Sends a signal; a signal to an ended process is lost.
    pub fn signal(self, signal: Signal) {
        assert!(self.0 > 1, "not a process to signal: {}", self.0);
        let _ = kill(Pid::from_raw(self.0), signal);
    }

    /// Returns whether it was stopped (SIGSTOP).
    pub fn is_stopped(self) -> bool {
        self.stat().is_some_and(|(state, _)| state == 'T')
    }

    /// Returns whether another process traces it.
    pub fn is_traced(self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap_or_default();
        status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|pid| pid.trim() != "0"))
    }

    /// Returns the processor time of its first thread. Waits until the process sleeps, because the kernel updates the time then.
    #[track_caller]
    pub fn time_used(self) -> Duration {
        wait::until("the process sleeps", 5.0, || self.stat().is_some_and(|(state, _)| state == 'S'));
        // The first field is in nanoseconds; /proc/PID/stat has hundredths of a second.
        let times = fs::read_to_string(format!("/proc/{}/schedstat", self.0)).unwrap();
        Duration::from_nanos(times.split(' ').next().unwrap().parse().unwrap())
    }

    /// Returns the processor time of all of its threads.
    pub fn time_used_by_all(self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0)).into_iter().flatten().flatten();
        let times = tasks.filter_map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
        });
        times.sum()
    }

    /// Returns the processor time of all threads that it has and had (clock_getcpuclockid(3)).
    pub fn time_of_group(self) -> Duration {
        ClockId::pid_cpu_clock_id(Pid::from_raw(self.0)).and_then(ClockId::now).unwrap().into()
    }

    /// Returns its private memory in use, in bytes (`VmRSS` without shared memory).
    #[track_caller]
    pub fn memory(self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Returns whether it is, or was when it was stopped, in `epoll_wait`.
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

    /// Returns its open files and sockets, as the links in `/proc/PID/fd` name them: a path, or `socket:[INODE]`.
    pub fn open_files(self) -> Vec<String> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.0)).into_iter().flatten().flatten();
        let links = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
        links.map(|link| link.to_string_lossy().into_owned()).collect()
    }

    /// Reads state and parent from `/proc/PID/stat`; the name in it may contain blanks and parentheses.
    fn stat(self) -> Option<(char, i32)> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()?;
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
    }
}
