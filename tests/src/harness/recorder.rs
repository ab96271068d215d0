//! A proxy that records the bytes of clients, so that a test can send them again.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::ports::Port;

/// How long a server may take to close a connection after the client's last byte.
const PATIENCE: Duration = Duration::from_secs(5);

/// The proxy; it serves until the test ends.
pub struct Recorder {
    port: Port,
    recorded: Arc<Mutex<Vec<u8>>>,
}

impl Recorder {
    /// Starts a proxy for a port of loopback. It appends the bytes of all clients.
    pub fn before(server: u16) -> Self {
        let port = Port::reserve();
        let listener = TcpListener::bind(("127.0.0.1", port.number())).unwrap();
        let recorded = Arc::new(Mutex::new(Vec::new()));
        let shared = recorded.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let kept = shared.clone();
                std::thread::spawn(move || copy(from, to, |bytes| kept.lock().unwrap().extend(bytes)));
                std::thread::spawn(move || copy(server, client, |_| {}));
            }
        });
        Self { port, recorded }
    }

    /// Returns the port for clients.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Returns the recorded bytes so far.
    pub fn recorded(&self) -> Vec<u8> {
        self.recorded.lock().unwrap().clone()
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, mut keep: impl FnMut(&[u8])) {
    let mut buffer = [0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        keep(&buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

/// Sends bytes to a port of loopback as fast as the server accepts them, ignores the answers, and waits until the
/// server has closed the connection. Returns false if the server does not.
pub fn replay(port: u16, bytes: &[u8]) -> bool {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut answers = socket.try_clone().unwrap();
    let reader = std::thread::spawn(move || {
        let mut buffer = [0; 65_536];
        loop {
            match answers.read(&mut buffer) {
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                // A reset counts as a close.
                Ok(0) | Err(_) => return true,
            }
        }
    });
    // The server may close at any byte.
    let _ = socket.write_all(bytes);
    let _ = socket.shutdown(Shutdown::Write);
    reader.join().unwrap()
}
