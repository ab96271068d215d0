//! Another client of a worker, which notes how long the worker does not answer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use weir_rtmp::client::{Client, ClientEvent, Options};
use weir_rtmp::message::{Message, user_control};
use weir_rtmp::url::Url;

use crate::harness::Nginx;

/// Chunk stream of control messages (specification, section 5.3).
const CONTROL: u32 = 2;

/// An RTMP client that sends pings.
pub(super) struct Pinger {
    client: Client,
    socket: TcpStream,
}

impl Pinger {
    pub(super) fn connect(nginx: &Nginx) -> Self {
        let url: Url = format!("rtmp://127.0.0.1:{}/live/ping", nginx.rtmp()).parse().unwrap();
        let mut client = Client::connect(&url, Options::default());
        let mut socket = TcpStream::connect(("127.0.0.1", nginx.rtmp())).unwrap();
        socket.set_nodelay(true).unwrap();
        let mut buffer = [0; 16_384];
        let mut connected = false;
        while !connected {
            socket.write_all(&client.take_output()).unwrap();
            let count = socket.read(&mut buffer).unwrap();
            client.receive(&buffer[..count]).unwrap();
            connected = std::iter::from_fn(|| client.next_event())
                .any(|event| matches!(event, ClientEvent::StreamCreated(_)));
        }
        Self { client, socket }
    }

    /// Pings once, and returns the round trip in microseconds.
    pub(super) fn ping(&mut self) -> f64 {
        let ping = Message::user_control(user_control::PING_REQUEST, &[0]);
        self.client.send_message(CONTROL, &ping);
        let asked = Instant::now();
        self.socket.write_all(&self.client.take_output()).unwrap();
        let count = self.socket.read(&mut [0; 1024]).unwrap();
        assert!(count > 0, "the server closed the connection that pings");
        micros(asked.elapsed())
    }

    /// Pings until `done`, and returns the longest round trip in microseconds.
    pub(super) fn longest(mut self, done: impl Fn() -> bool) -> f64 {
        let mut longest = self.ping();
        while !done() {
            longest = longest.max(self.ping());
        }
        longest
    }
}

pub(super) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
