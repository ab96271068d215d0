//! A name server with a few names, which a test can change.

use std::collections::HashMap;
use std::net::{IpAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::ports::Port;

/// Types of records (RFC 1035, section 3.2.2; RFC 3596).
const A: u16 = 1;
const AAAA: u16 = 28;

/// The server; it serves until it is dropped.
pub struct Dns {
    port: Port,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    silent: AtomicBool,
    asked: AtomicUsize,
    names: Mutex<HashMap<String, Vec<IpAddr>>>,
}

impl Dns {
    /// Serves on a port of 127.0.0.1, without any name.
    pub fn start() -> Self {
        let port = Port::reserve();
        let socket = UdpSocket::bind(("127.0.0.1", port.number())).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let shared = Arc::new(Shared::default());
        let server = shared.clone();
        let thread = std::thread::spawn(move || server.serve(&socket));
        Self { port, shared, thread: Some(thread) }
    }

    /// Returns its address in the form of `weir_resolver`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port.number())
    }

    /// Sets the addresses of a name.
    pub fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.shared.names.lock().unwrap().insert(name.to_owned(), addresses);
    }

    /// Stops answering, or starts again.
    pub fn silence(&self, silent: bool) {
        self.shared.silent.store(silent, Ordering::Relaxed);
    }

    /// Returns the number of received questions.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn serve(&self, socket: &UdpSocket) {
        let mut buffer = [0; 1500];
        while !self.stop.load(Ordering::Relaxed) {
            let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.silent.load(Ordering::Relaxed) {
                continue;
            }
            if let Some(answer) = self.answer(&buffer[..length]) {
                let _ = socket.send_to(&answer, from);
            }
        }
    }

    /// RFC 1035, section 4.1.
    fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        let (name, end) = name_at(question, 12)?;
        let kind = u16::from_be_bytes(question.get(end..end + 2)?.try_into().ok()?);
        let names = self.names.lock().unwrap();
        let known = names.get(&name);
        let records: Vec<Vec<u8>> = known
            .into_iter()
            .flatten()
            .filter_map(|address| match address {
                IpAddr::V4(v4) if kind == A => Some(v4.octets().to_vec()),
                IpAddr::V6(v6) if kind == AAAA => Some(v6.octets().to_vec()),
                _ => None,
            })
            .collect();
        // An answer with recursion available; the code says whether the name exists.
        let flags: u16 = if known.is_some() { 0x8180 } else { 0x8183 };
        let mut answer = question[..2].to_vec();
        for word in [flags, 1, records.len() as u16, 0, 0] {
            answer.extend(word.to_be_bytes());
        }
        answer.extend_from_slice(question.get(12..end + 4)?);
        for record in records {
            // The name of the question, class IN, a time to live of one second.
            answer.extend([0xc0, 12]);
            answer.extend(kind.to_be_bytes());
            answer.extend([0, 1, 0, 0, 0, 1]);
            answer.extend((record.len() as u16).to_be_bytes());
            answer.extend(record);
        }
        Some(answer)
    }
}

/// Reads a name in labels, and returns its end too.
fn name_at(bytes: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    loop {
        match usize::from(*bytes.get(at)?) {
            0 => return Some((labels.join("."), at + 1)),
            length => {
                labels
                    .push(String::from_utf8_lossy(bytes.get(at + 1..at + 1 + length)?).to_ascii_lowercase());
                at += 1 + length;
            }
        }
    }
}
