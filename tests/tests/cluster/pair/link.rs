//! A link between two nodes that a test can cut: it forwards connections, and records everything that was sent.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

#[derive(Default)]
struct State {
    /// The port at the far end; `None` while nothing listens there.
    to: Option<u16>,
    is_cut: bool,
    open: Vec<TcpStream>,
    sent: Vec<Vec<u8>>,
}

/// One direction of the link.
pub(super) struct Link {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Link {
    pub(super) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<Mutex<State>>::default();
        let of = Arc::downgrade(&state);
        thread::spawn(move || {
            for near in listener.incoming() {
                let Some(state) = of.upgrade() else { return };
                forward(near.unwrap(), &state);
            }
        });
        Self { port, state }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Sets the port at the far end.
    pub(super) fn lead_to(&self, port: u16) {
        self.state.lock().unwrap().to = Some(port);
    }

    pub(super) fn cut(&self) {
        let mut state = self.state.lock().unwrap();
        state.is_cut = true;
        for stream in state.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub(super) fn heal(&self) {
        self.state.lock().unwrap().is_cut = false;
    }

    /// Returns the bytes that were sent over each connection so far.
    pub(super) fn sent(&self) -> Vec<Vec<u8>> {
        self.state.lock().unwrap().sent.clone()
    }
}

fn forward(near: TcpStream, state: &Arc<Mutex<State>>) {
    let (far, nth) = {
        let mut state = state.lock().unwrap();
        let Some(port) = state.to.filter(|_| !state.is_cut) else { return };
        let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { return };
        state.open.extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
        state.sent.push(Vec::new());
        (far, state.sent.len() - 1)
    };
    let (back, to) = ((far.try_clone().unwrap(), near.try_clone().unwrap()), (near, far));
    let of = state.clone();
    thread::spawn(move || copy(to, |bytes| of.lock().unwrap().sent[nth].extend(bytes)));
    thread::spawn(move || copy(back, |_| {}));
}

fn copy((mut from, mut to): (TcpStream, TcpStream), keep: impl Fn(&[u8])) {
    let mut bytes = [0; 65536];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        keep(&bytes[..count]);
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
