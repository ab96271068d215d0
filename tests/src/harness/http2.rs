//! A client of HTTP/2 over plain TCP (RFC 9113), which reads only on request.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, connect, setsockopt, socket, sockopt};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;
/// The largest possible window, so that only the socket limits the server.
const WINDOW: u32 = (1 << 31) - 1;

/// A connection.
pub struct Http2 {
    socket: TcpStream,
    next: u32,
}

/// The received part of a stream.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Brought {
    /// The status, or 0 if none has arrived.
    pub status: u16,
    /// The received part of the body.
    pub body: Vec<u8>,
    /// Whether the server ended the stream in an orderly manner.
    pub is_ended: bool,
}

impl Http2 {
    /// Connects to a port of this machine. The kernel buffers `receive` bytes for a client that does not read.
    #[track_caller]
    pub fn connect(port: u16, receive: Option<usize>) -> Self {
        let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        if let Some(receive) = receive {
            setsockopt(&fd, sockopt::RcvBuf, &receive).unwrap();
        }
        let address = SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
        connect(fd.as_raw_fd(), &address).unwrap();
        let socket = TcpStream::from(fd);
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut client = Self { socket, next: 1 };
        client.socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        // SETTINGS_INITIAL_WINDOW_SIZE
        let window = [&4_u16.to_be_bytes()[..], &WINDOW.to_be_bytes()].concat();
        client.send(SETTINGS, 0, 0, &window);
        client.send(WINDOW_UPDATE, 0, 0, &(WINDOW - 65_535).to_be_bytes());
        client
    }

    /// Sends a request without a body. Returns its stream id.
    #[track_caller]
    pub fn request(&mut self, method: &str, authority: &str, path: &str, more: &[(&str, &str)]) -> u32 {
        let pseudo = [(":method", method), (":scheme", "http"), (":authority", authority), (":path", path)];
        let mut block = Vec::new();
        for (name, value) in pseudo.iter().chain(more).filter(|(_, value)| !value.is_empty()) {
            // Literal field without indexing, with a new name (RFC 7541, section 6.2.2).
            block.push(0);
            for text in [name, value] {
                block.push(u8::try_from(text.len()).ok().filter(|len| *len < 127).unwrap());
                block.extend_from_slice(text.as_bytes());
            }
        }
        let stream = self.next;
        self.next += 2;
        self.send(HEADERS, END_HEADERS | END_STREAM, stream, &block);
        stream
    }

    /// Cancels a stream.
    #[track_caller]
    pub fn reset(&mut self, stream: u32) {
        // CANCEL
        self.send(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
    }

    /// Reads a stream to its end, or until `enough` returns true. The end of the connection also ends the stream.
    #[track_caller]
    pub fn read(&mut self, stream: u32, mut enough: impl FnMut(&Brought) -> bool) -> Brought {
        let mut brought = Brought::default();
        while let Some((kind, flags, of, payload)) = self.frame() {
            if kind == SETTINGS && flags & ACK == 0 {
                self.send(SETTINGS, ACK, 0, &[]);
            }
            if of != stream {
                continue;
            }
            match kind {
                HEADERS => brought.status = status(&payload),
                DATA => brought.body.extend_from_slice(&payload),
                RST_STREAM => return brought,
                _ => {}
            }
            brought.is_ended = matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0;
            if brought.is_ended || enough(&brought) {
                return brought;
            }
        }
        brought
    }

    /// Sends a request and returns its whole answer.
    #[track_caller]
    pub fn ask(&mut self, method: &str, authority: &str, path: &str, more: &[(&str, &str)]) -> Brought {
        let stream = self.request(method, authority, path, more);
        self.read(stream, |_| false)
    }

    /// Returns `None` at the end of the connection.
    #[track_caller]
    fn frame(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        match self.socket.read_exact(&mut head) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("nothing comes any more"),
            Err(_) => return None,
            Ok(()) => {}
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & WINDOW;
        let mut payload = vec![0; length as usize];
        self.socket.read_exact(&mut payload).ok()?;
        Some((head[3], head[4], stream, payload))
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        frame.extend_from_slice(&[kind, flags]);
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        // The next read detects a closed connection.
        let _ = self.socket.write_all(&frame);
    }
}

/// Returns the status, which nginx sends first, after an update of the table's size.
fn status(block: &[u8]) -> u16 {
    let mut block = block.iter().copied().skip_while(|byte| byte & 0xe0 == 0x20);
    match block.next() {
        Some(byte @ 0x88..=0x8e) => [200, 204, 206, 304, 400, 404, 500][usize::from(byte - 0x88)],
        // A literal: its length, and three digits.
        Some(0x48) => block.skip(1).take(3).fold(0, |status, digit| status * 10 + u16::from(digit - b'0')),
        other => panic!("{other:?} is no status"),
    }
}
