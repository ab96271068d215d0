//! A WebSocket client (RFC 6455) that reads messages, and can pause reading.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

/// A message of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A text message: JSON here.
    Text(String),
    /// A binary message: media here.
    Binary(Vec<u8>),
    /// The answer to a ping.
    Pong(Vec<u8>),
    /// The close, with its code and reason.
    Close(u16, String),
}

/// A connection.
pub struct WebSocket {
    socket: TcpStream,
    unread: Vec<u8>,
}

impl WebSocket {
    /// Connects to a path with additional headers. Returns status and body if the server does not switch protocols.
    pub fn connect(port: u16, path: &str, headers: &[&str]) -> Result<Self, (u16, String)> {
        Self::over(TcpStream::connect(("127.0.0.1", port)).unwrap(), path, headers)
    }

    /// The same with a small receive buffer.
    pub fn connect_narrow(port: u16, path: &str) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        setsockopt(&socket, sockopt::RcvBuf, &65_536).unwrap();
        Self::over(socket, path, &[]).unwrap()
    }

    fn over(mut socket: TcpStream, path: &str, headers: &[&str]) -> Result<Self, (u16, String)> {
        socket.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        let more: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: live.example.org\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        if status == 101 {
            return Ok(Self { socket, unread: Vec::new() });
        }
        let length = head
            .to_ascii_lowercase()
            .split("content-length: ")
            .nth(1)
            .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
        let mut body = vec![0; length];
        socket.read_exact(&mut body).unwrap();
        Err((status, String::from_utf8(body).unwrap()))
    }

    /// The connection itself.
    pub fn stream(&self) -> &TcpStream {
        &self.socket
    }

    /// Sends a text.
    pub fn send(&mut self, text: &str) -> std::io::Result<()> {
        self.socket.write_all(&masked(0x81, text.as_bytes()))
    }

    /// Returns the next message, and answers pings. Returns `None` after the connection has ended.
    pub fn receive(&mut self) -> Option<Message> {
        loop {
            if let Some((opcode, payload)) = self.frame() {
                match opcode {
                    1 => return Some(Message::Text(String::from_utf8(payload).unwrap())),
                    2 => return Some(Message::Binary(payload)),
                    8 => {
                        let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                        let reason = payload.get(2..).unwrap_or_default();
                        return Some(Message::Close(code, String::from_utf8_lossy(reason).into_owned()));
                    }
                    9 => {
                        let mut pong = vec![0x8a, 0x80 | payload.len() as u8, 0, 0, 0, 0];
                        pong.extend(payload);
                        let _ = self.socket.write_all(&pong);
                    }
                    10 => return Some(Message::Pong(payload)),
                    other => panic!("opcode {other}"),
                }
                continue;
            }
            let mut buffer = [0; 65_536];
            match self.socket.read(&mut buffer) {
                Ok(0) => return None,
                Ok(n) => self.unread.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Returns the messages of the next this many seconds.
    pub fn during(&mut self, seconds: f64) -> Vec<Message> {
        let deadline = Instant::now() + Duration::from_secs_f64(seconds);
        let mut messages = Vec::new();
        while Instant::now() < deadline {
            match self.receive() {
                Some(message) => messages.push(message),
                None => break,
            }
        }
        messages
    }

    /// Returns the first complete received frame.
    fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let &[first, second, ref rest @ ..] = self.unread.as_slice() else { return None };
        assert_eq!((first & 0x80, second & 0x80), (0x80, 0), "a fragment or a mask");
        let (head, length) = match second {
            126 => (4, usize::from(u16::from_be_bytes(*rest.first_chunk()?))),
            127 => (10, u64::from_be_bytes(*rest.first_chunk()?) as usize),
            short => (2, usize::from(short)),
        };
        let payload = self.unread.get(head..head + length)?.to_vec();
        self.unread.drain(..head + length);
        Some((first & 0xf, payload))
    }
}

/// Returns a frame of a client. `first` is its first byte: FIN, reserved bits and opcode (RFC 6455, 5.2).
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = match payload.len() {
        short @ ..126 => vec![first, 0x80 | short as u8],
        long @ ..0x1_0000 => [&[first, 0xfe][..], &(long as u16).to_be_bytes()].concat(),
        longer => [&[first, 0xff][..], &(longer as u64).to_be_bytes()].concat(),
    };
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}
