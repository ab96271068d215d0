//! A client that guesses stream keys, as fast as one core allows.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::libc;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::Pid;
use weir_rtmp::amf0::Value;
use weir_rtmp::chunk::Writer;
use weir_rtmp::message::Message;

use super::clients;

/// Number of simultaneous connections, which share a core.
const AT_ONCE: usize = 64;
/// The usual chunk stream of commands.
const COMMANDS: u32 = 3;
/// The text of a refusal.
const REFUSED: &[u8] = b"NetStream.Publish.BadName";
/// Longer than a server needs to close a connection.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));

/// The flood; it ends when dropped.
pub struct Flood {
    stop: Arc<AtomicBool>,
    connected: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

impl Flood {
    /// Begins, from an address of this machine. For an address of another network, call this inside that network.
    pub fn start(from: IpAddr, to: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let [connected, refused] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        let start = |_| {
            let (stop, connected, refused) = (stop.clone(), connected.clone(), refused.clone());
            std::thread::spawn(move || {
                keep_to_one_core();
                while !stop.load(Relaxed) {
                    // Other checks notice a server that accepts no more connections.
                    let Ok(socket) = clients::connect(to, Some(from)) else { continue };
                    let number = connected.fetch_add(1, Relaxed);
                    refused.fetch_add(usize::from(attempt(socket, number)), Relaxed);
                }
            })
        };
        let threads = (0..AT_ONCE).map(start).collect();
        Self { stop, connected, refused, threads }
    }

    /// Returns the number of connections so far.
    pub fn connected(&self) -> usize {
        self.connected.load(Relaxed)
    }

    /// Returns the number of refused keys so far.
    pub fn refused(&self) -> usize {
        self.refused.load(Relaxed)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Sends the whole session in one write, waits until the key is refused, and closes. Returns false if the connection
/// ends before.
fn attempt(mut socket: TcpStream, number: usize) -> bool {
    let _ = socket.set_read_timeout(PATIENCE);
    // Close with a reset, because an orderly end would keep the port for a minute.
    let _ = setsockopt(&socket, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 });
    let mut told: Vec<u8> = Vec::new();
    let mut answer = [0; 8192];
    let sent = socket.write_all(&session(&format!("wk_guess{number}")));
    while let (Ok(()), Ok(count @ 1..)) = (&sent, socket.read(&mut answer)) {
        told.extend(&answer[..count]);
        if told.windows(REFUSED.len()).any(|part| part == REFUSED) {
            return true;
        }
    }
    false
}

/// A whole session up to the publish, which does not depend on the server's answers.
fn session(name: &str) -> Vec<u8> {
    const C0_C1_C2: usize = 1 + 1536 + 1536;
    let mut bytes = vec![0; C0_C1_C2];
    bytes[0] = 3;
    let app = [("app", Value::String(b"live"))];
    let commands = [
        Message::command(0, "connect", 1.0, |values| values.object(&app)),
        Message::command(0, "createStream", 2.0, |values| values.null()),
        Message::command(1, "publish", 3.0, |values| values.null().string(name.as_bytes()).string(b"live")),
    ];
    let mut writer = Writer::new();
    for command in &commands {
        writer.write(COMMANDS, command, &mut bytes);
    }
    bytes
}

/// Returns the last core that this process may use.
fn keep_to_one_core() {
    let this = Pid::from_raw(0);
    let own = sched_getaffinity(this).unwrap();
    let last = (0..CpuSet::count()).rfind(|core| own.is_set(*core).unwrap_or(false)).unwrap();
    let mut set = CpuSet::new();
    set.set(last).unwrap();
    sched_setaffinity(this, &set).unwrap();
}
