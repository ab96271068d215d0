//! Threads that each run many connections, and remember what they sent recently.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Instant;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{setsockopt, sockopt};

use super::sequence::{Sequence, Step};
use crate::harness::clients;

const THREADS: usize = 2;
/// Simultaneous connections per thread.
const AT_ONCE: usize = 48;
/// The most new connections per second and thread, because the player needs processor time too.
const RATE: f64 = 400.0;
/// The number of ended sequences that a thread remembers.
const MEMORY: usize = 150;

/// The threads.
pub struct Drivers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Driver>>,
}

impl Drivers {
    /// Starts the threads.
    pub fn start(port: u16, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let start = |thread| {
            let stop = stop.clone();
            let numbers = (thread as u64..).step_by(THREADS);
            std::thread::spawn(move || Driver::default().run(port, seed, numbers, &stop))
        };
        let threads = (0..THREADS).map(start).collect();
        Self { stop, threads }
    }

    /// Ends all connections. Returns the number of sequences, and the last of them, in order.
    pub fn stop(self) -> (usize, Vec<Sequence>) {
        self.stop.store(true, Relaxed);
        let drivers: Vec<_> = self.threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let count = drivers.iter().map(|driver| driver.count).sum();
        (count, drivers.into_iter().flat_map(Driver::recent).collect())
    }
}

/// Sends one sequence to its end.
pub(super) fn send(port: u16, sequence: &Sequence) {
    let mut sessions: Vec<_> = Session::open(port, sequence.clone()).into_iter().collect();
    while sessions.iter_mut().any(|session| !session.turn()) {
        wait_readable(&sessions);
    }
}

/// The loop of one thread.
#[derive(Default)]
struct Driver {
    count: usize,
    sessions: Vec<Session>,
    over: VecDeque<Sequence>,
}

impl Driver {
    fn run(
        mut self,
        port: u16,
        seed: u64,
        mut numbers: impl Iterator<Item = u64>,
        stop: &AtomicBool,
    ) -> Self {
        let begin = Instant::now();
        while !stop.load(Relaxed) {
            let due = (begin.elapsed().as_secs_f64() * RATE) as usize;
            while self.count < due
                && self.sessions.len() < AT_ONCE
                && let Some(number) = numbers.next()
            {
                self.count += 1;
                self.sessions.extend(Session::open(port, super::sequence(seed, number)));
            }
            for session in self.sessions.extract_if(.., |session| session.turn()) {
                self.over.push_back(session.sequence);
                if self.over.len() > MEMORY {
                    self.over.pop_front();
                }
            }
            wait_readable(&self.sessions);
        }
        self
    }

    fn recent(self) -> impl Iterator<Item = Sequence> {
        self.over.into_iter().chain(self.sessions.into_iter().map(|session| session.sequence))
    }
}

/// A connection that is executing a sequence.
struct Session {
    socket: TcpStream,
    sequence: Sequence,
    /// The current step.
    step: usize,
    /// Bytes of that step that were sent.
    sent: usize,
    /// The start of the step, if it waits.
    since: Option<Instant>,
    /// Whether data arrived since the last step that sent.
    heard: bool,
    /// Whether the server has closed its half.
    ended: bool,
}

impl Session {
    /// Returns `None` if the server accepts no connection, which other checks report.
    fn open(port: u16, sequence: Sequence) -> Option<Self> {
        let to = SocketAddr::from(([127, 0, 0, 1], port));
        let socket = clients::connect(to, Some(IpAddr::V4(sequence.from))).ok()?;
        socket.set_nonblocking(true).ok()?;
        socket.set_nodelay(true).ok()?;
        Some(Self { socket, sequence, step: 0, sent: 0, since: None, heard: false, ended: false })
    }

    /// Continues as far as possible without waiting. Returns true at the end.
    fn turn(&mut self) -> bool {
        self.read();
        while let Some(done) = self.try_step() {
            if !done {
                return false;
            }
            (self.step, self.sent, self.since) = (self.step + 1, 0, None);
        }
        true
    }

    /// Returns whether the step is complete, or `None` after the last step.
    fn try_step(&mut self) -> Option<bool> {
        let elapsed = |since: &mut Option<Instant>| since.get_or_insert_with(Instant::now).elapsed();
        Some(match self.sequence.steps.get(self.step)? {
            Step::Send(bytes) => match self.socket.write(&bytes[self.sent..]) {
                Ok(count) => {
                    self.sent += count;
                    self.heard = false;
                    self.sent >= bytes.len()
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => false,
                Err(_) => return None,
            },
            Step::Await(time) => self.heard || self.ended || elapsed(&mut self.since) >= *time,
            Step::Pause(time) => self.ended || elapsed(&mut self.since) >= *time,
            Step::HalfClose => {
                let _ = self.socket.shutdown(Shutdown::Write);
                true
            }
            Step::Reset => {
                let _ = setsockopt(&self.socket, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 });
                return None;
            }
        })
    }

    fn read(&mut self) {
        let mut buffer = [0; 16_384];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(1..) => self.heard = true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                _ => {
                    self.ended = true;
                    return;
                }
            }
        }
    }
}

/// Waits a moment, or until data arrives.
fn wait_readable(sessions: &[Session]) {
    let open = sessions.iter().filter(|session| !session.ended);
    let mut sockets: Vec<_> =
        open.map(|session| PollFd::new(session.socket.as_fd(), PollFlags::POLLIN)).collect();
    let _ = nix::poll::poll(&mut sockets, PollTimeout::from(2u8));
}
