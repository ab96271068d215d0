//! Many publishers in one thread: each is a socket and a client without I/O, and sends a small message from time to
//! time.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use weir_rtmp::client::{Client, ClientEvent, Options};

use super::media::sample;
use super::publisher::Outcome;
use super::wait;

/// The number of simultaneous connects, because the server's backlog is limited.
const AT_ONCE: usize = 64;
/// Time between two messages of a publisher.
const PERIOD: Duration = Duration::from_secs(2);

/// Running publishers. When dropped, they close their connections without a command.
pub struct Crowd {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    silent: AtomicBool,
    fates: Mutex<Vec<Fate>>,
}

#[derive(Default, Clone)]
struct Fate {
    outcome: Option<Outcome>,
    /// How often it has sent media.
    sent: usize,
    closed: bool,
}

impl Crowd {
    /// One publisher for each of `paths` (`app/name?args`) at a server's RTMP port.
    pub fn start(port: u16, paths: impl IntoIterator<Item = String>) -> Self {
        // A socket for each publisher exceeds the default limit.
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
        let clients: Vec<_> = paths
            .into_iter()
            .map(|path| {
                let url = format!("rtmp://127.0.0.1:{port}/{path}").parse().unwrap();
                Client::publish(&url, Options::default())
            })
            .collect();
        let shared = Arc::new(Shared::default());
        *shared.fates.lock().unwrap() = vec![Fate::default(); clients.len()];
        let mut work = Work { port, waiting: clients, members: Vec::new(), shared: shared.clone() };
        work.waiting.reverse();
        Self { shared, thread: Some(std::thread::spawn(move || work.run())) }
    }

    /// Waits for the result of each publish, and returns them in order.
    #[track_caller]
    pub fn outcomes(&self) -> Vec<Outcome> {
        wait::until("the answers to all publishes", 30.0, || {
            self.shared
                .fates
                .lock()
                .unwrap()
                .iter()
                .map(|fate| fate.outcome.clone())
                .collect::<Option<Vec<_>>>()
        })
    }

    /// Asserts that all publishes were accepted.
    #[track_caller]
    pub fn started(self) -> Self {
        for (nth, outcome) in self.outcomes().into_iter().enumerate() {
            assert_eq!(outcome, Outcome::Started, "publisher {nth}");
        }
        self
    }

    /// Returns how many accepted publishers the server has disconnected since.
    pub fn broken(&self) -> usize {
        let fates = self.shared.fates.lock().unwrap();
        fates.iter().filter(|fate| fate.closed && fate.outcome == Some(Outcome::Started)).count()
    }

    /// Returns the smallest number of times that any live publisher has sent media so far.
    pub fn sent(&self) -> usize {
        let fates = self.shared.fates.lock().unwrap();
        let live = fates.iter().filter(|fate| !fate.closed && fate.outcome == Some(Outcome::Started));
        live.map(|fate| fate.sent).min().unwrap_or_default()
    }

    /// Pauses or resumes the media.
    pub fn silence(&self, silent: bool) {
        self.shared.silent.store(silent, Relaxed);
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread of the crowd.
struct Work {
    port: u16,
    /// Publishers that have not connected yet, in reverse order.
    waiting: Vec<Client>,
    members: Vec<Member>,
    shared: Arc<Shared>,
}

struct Member {
    client: Client,
    /// `None` after it was closed.
    socket: Option<TcpStream>,
    /// Whether it has received the result of its publish.
    settled: bool,
    due: Instant,
    sent: usize,
}

impl Work {
    fn run(mut self) {
        while !self.shared.stop.load(Relaxed) {
            self.admit();
            for nth in self.readable() {
                let events = self.members[nth].receive();
                let mut fates = self.shared.fates.lock().unwrap();
                for event in events {
                    self.members[nth].settled |= fates[nth].take(event);
                }
            }
            if !self.shared.silent.load(Relaxed) {
                self.members.iter_mut().for_each(Member::send_due);
                let mut fates = self.shared.fates.lock().unwrap();
                fates.iter_mut().zip(&self.members).for_each(|(fate, member)| fate.sent = member.sent);
            }
        }
    }

    fn admit(&mut self) {
        let mut busy = self.members.iter().filter(|member| !member.settled).count();
        while busy < AT_ONCE
            && let Some(client) = self.waiting.pop()
        {
            let socket = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
            socket.set_nodelay(true).unwrap();
            socket.set_nonblocking(true).unwrap();
            let mut member =
                Member { client, socket: Some(socket), settled: false, due: Instant::now(), sent: 0 };
            member.send();
            self.members.push(member);
            busy += 1;
        }
    }

    /// Returns the publishers with received data, after a short wait for the first.
    fn readable(&self) -> Vec<usize> {
        let open = self.members.iter().enumerate().filter_map(|(nth, member)| {
            let socket = member.socket.as_ref()?;
            Some((nth, PollFd::new(socket.as_fd(), PollFlags::POLLIN)))
        });
        let (numbers, mut sockets): (Vec<_>, Vec<_>) = open.unzip();
        nix::poll::poll(&mut sockets, PollTimeout::from(50u8)).unwrap();
        let ready = numbers.into_iter().zip(&sockets).filter(|(_, socket)| socket.any() == Some(true));
        ready.map(|(nth, _)| nth).collect()
    }
}

impl Fate {
    /// Records an event. Returns true if it is the result of the publish.
    fn take(&mut self, event: ClientEvent) -> bool {
        let outcome = match event {
            ClientEvent::Status(status) if status.level == "error" => {
                Outcome::Refused { code: status.code, description: status.description }
            }
            ClientEvent::Status(status) if status.code == "NetStream.Publish.Start" => Outcome::Started,
            ClientEvent::Closed => {
                self.closed = true;
                Outcome::Closed
            }
            _ => return false,
        };
        self.outcome.get_or_insert(outcome);
        true
    }
}

impl Member {
    fn receive(&mut self) -> Vec<ClientEvent> {
        let mut buffer = [0; 16_384];
        match self.socket.as_mut().map(|socket| socket.read(&mut buffer)) {
            Some(Ok(count @ 1..)) if self.client.receive(&buffer[..count]).is_ok() => self.send(),
            Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => {}
            _ => self.close(),
        }
        std::iter::from_fn(|| self.client.next_event()).collect()
    }

    /// Sends the headers and a keyframe first, then one frame per period.
    fn send_due(&mut self) {
        let now = Instant::now();
        if self.due > now || self.socket.is_none() || !self.client.is_publishing() {
            return;
        }
        let headers: &[_] = if self.sent == 0 { &sample().headers } else { &[] };
        let frame = &sample().frames[self.sent % sample().frames.len()];
        let timestamp = PERIOD.as_millis() as u32 * self.sent as u32;
        for tag in headers.iter().chain([frame]) {
            self.client.send_tag(tag.kind, timestamp, &tag.payload).unwrap();
        }
        self.sent += 1;
        self.due = now + PERIOD;
        self.send();
    }

    /// The output is small, so it fits into the socket unless the server has stopped reading.
    fn send(&mut self) {
        let output = self.client.take_output();
        if self.socket.as_mut().is_some_and(|socket| socket.write_all(&output).is_err()) {
            self.close();
        }
    }

    fn close(&mut self) {
        self.socket = None;
        self.client.end_of_input();
    }
}
