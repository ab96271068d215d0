//! The target of a push: an RTMP server that accepts streams or fails in a selected manner, and records every command.
//!
//! It is written with `weir-rtmp`, and shares no other code with the pushing module.

mod account;
mod session;
mod unbroken;

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout};
use weir_rtmp::flv::TagKind;
use weir_rtmp::message::Message;

pub use account::{Account, Method};
pub use unbroken::assert_unbroken;

use super::{ports::Port, wait};

/// How it treats clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manners {
    /// Accepts every stream.
    Takes,
    /// Accepts the connection, and sends nothing.
    Silent,
    /// Completes the handshake, and sends nothing more.
    Mute,
    /// Refuses `publish` with this code and description.
    Rejects(String, String),
    /// Accepts the stream, and reads nothing more.
    Deaf,
    /// Resets the connection when the first bytes arrive.
    Resets,
    /// Accepts the stream, and closes the connection at its first media.
    HangsUp,
    /// Asks for a user and a password.
    Asks(Account),
    /// Accepts every stream, and answers `publish` with this message, or with none.
    Answers(Option<Message>),
    /// Accepts every stream, or plays it, and then sends this message.
    Says(Vec<Message>),
    /// Accepts every stream, and then sends these arbitrary bytes.
    Sends(Vec<u8>),
    /// Accepts every stream, and announces chunks of this size.
    Chunks(u32),
}

/// One connection to a peer, from its first byte on.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// `app` of each `connect`.
    pub app: String,
    /// `tcUrl` likewise.
    pub tc_url: String,
    /// The published name.
    pub name: String,
    /// The names of all commands, in their order.
    pub commands: Vec<String>,
    /// Media without its headers.
    pub frames: Vec<Frame>,
    /// The arrival of the first media, including headers.
    pub first_media: Option<Instant>,
    /// The time when the other end closed it.
    pub closed: Option<Instant>,
}

/// One message of media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Audio or video.
    pub kind: TagKind,
    /// In milliseconds.
    pub timestamp: u32,
    /// Of its bytes.
    pub hash: u64,
}

/// The server. When dropped, it closes everything.
pub struct Peer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    _port: Option<Port>,
}

struct Shared {
    stop: AtomicBool,
    manners: Mutex<Manners>,
    calls: Mutex<Vec<Arc<Mutex<Call>>>>,
}

impl Peer {
    /// One on a port of 127.0.0.1.
    pub fn start(manners: Manners) -> Self {
        Self::at("127.0.0.1", manners)
    }

    /// One that takes every stream.
    pub fn takes() -> Self {
        Self::start(Manners::Takes)
    }

    /// Starts a server at this address of the caller's network namespace.
    pub fn at(address: &str, manners: Manners) -> Self {
        let port = Port::reserve();
        let address = SocketAddr::new(address.parse::<IpAddr>().unwrap(), port.number());
        let mut peer = Self::on(TcpListener::bind(address).unwrap(), manners);
        peer._port = Some(port);
        peer
    }

    /// One that serves this listener.
    pub fn on(listener: TcpListener, manners: Manners) -> Self {
        let address = listener.local_addr().unwrap();
        let (stop, calls) = (AtomicBool::new(false), Mutex::new(Vec::new()));
        let shared = Arc::new(Shared { stop, manners: Mutex::new(manners), calls });
        let server = shared.clone();
        let thread = std::thread::spawn(move || server.serve(&listener));
        Self { address, shared, thread: Some(thread), _port: None }
    }

    /// Returns its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The URL of this path there.
    pub fn url(&self, path: &str) -> String {
        format!("rtmp://{}/{path}", self.address)
    }

    /// Changes the treatment of new connections.
    pub fn becomes(&self, manners: Manners) {
        *self.shared.manners.lock().unwrap() = manners;
    }

    /// All connections so far, the oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().unwrap().iter().map(|call| call.lock().unwrap().clone()).collect()
    }

    /// The connections on which this name was published and that are open.
    pub fn open(&self, name: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.name == name && call.closed.is_none()).collect()
    }

    /// How many connections have media on them and are open.
    pub fn playing(&self) -> usize {
        let calls = self.shared.calls.lock().unwrap();
        let plays = |call: &Call| call.first_media.is_some() && call.closed.is_none();
        calls.iter().filter(|call| plays(&call.lock().unwrap())).count()
    }

    /// Returns how many frames have arrived over all connections.
    pub fn frames(&self) -> usize {
        let calls = self.shared.calls.lock().unwrap();
        calls.iter().map(|call| call.lock().unwrap().frames.len()).sum()
    }

    /// Waits for media of this name, and returns its connection.
    #[track_caller]
    pub fn wait_media(&self, name: &str) -> Call {
        wait::until("media at the target", 15.0, || {
            self.open(name).into_iter().find(|call| !call.frames.is_empty())
        })
    }

    /// Waits until this many more frames of this name have arrived over the open connection.
    #[track_caller]
    pub fn wait_frames(&self, name: &str, count: usize) -> Call {
        let frames = |call: &Call| call.frames.len();
        let goal = self.open(name).last().map_or(0, frames) + count;
        wait::until("frames at the target", 15.0, || {
            self.open(name).pop().filter(|call| frames(call) >= goal)
        })
    }

    /// Waits until the last connection of this name is closed, and returns it.
    #[track_caller]
    pub fn wait_closed(&self, name: &str) -> Call {
        wait::until("the target's connection is closed", 10.0, || {
            self.calls().into_iter().rev().find(|call| call.name == name).filter(|call| call.closed.is_some())
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn serve(self: Arc<Self>, listener: &TcpListener) {
        listener.set_nonblocking(true).unwrap();
        let mut sessions = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            wait_readable(listener);
            match listener.accept() {
                Ok((socket, _)) => sessions.push(self.clone().take(socket)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("a peer cannot accept: {error}"),
            }
        }
        for session in sessions {
            let _ = session.join();
        }
    }

    fn take(self: Arc<Self>, socket: TcpStream) -> JoinHandle<()> {
        let call = Arc::new(Mutex::new(Call::default()));
        self.calls.lock().unwrap().push(call.clone());
        let manners = self.manners.lock().unwrap().clone();
        std::thread::spawn(move || {
            session::run(socket, &manners, &call, &self.stop);
            call.lock().unwrap().closed.get_or_insert_with(Instant::now);
        })
    }
}

fn wait_readable(socket: &impl std::os::fd::AsFd) {
    let mut sockets = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    nix::poll::poll(&mut sockets, PollTimeout::from(20_u8)).unwrap();
}

/// Time limit of a read, after which the peer checks whether it must end.
const READ_TIMEOUT: Duration = Duration::from_millis(20);
