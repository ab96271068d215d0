//! A client without a key, and a reader of events.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use weir_rtmp::chunk::Header;
use weir_rtmp::client::{Client, ClientEvent, Options, Status};
use weir_rtmp::message::Message;
use weir_tests::harness::clients::{Connection, Way};
use weir_tests::harness::{Nginx, until};

/// A client that sends whatever a test wants.
pub(crate) struct Stranger {
    connection: Connection,
    statuses: Vec<Status>,
    handshaken: bool,
    connected: bool,
    closed: bool,
}

impl Stranger {
    /// Does the handshake.
    #[track_caller]
    pub(crate) fn arrives(nginx: &Nginx) -> Self {
        Self::over(Way::Port(nginx.rtmp(), None))
    }

    /// Does the handshake over `way`.
    #[track_caller]
    pub(crate) fn over(way: Way) -> Self {
        Self::over_to(way, "live")
    }

    #[track_caller]
    fn over_to(way: Way, app: &str) -> Self {
        let url = format!("rtmp://127.0.0.1/{app}/x").parse().unwrap();
        let connection = Connection::open(Client::manual(&url, Options::default()), &way).unwrap();
        let mut stranger =
            Self { connection, statuses: Vec::new(), handshaken: false, connected: false, closed: false };
        stranger.listen_until("the handshake", |stranger| stranger.handshaken);
        stranger
    }

    /// Does the handshake, and connects to `live`.
    #[track_caller]
    pub(crate) fn connects(nginx: &Nginx) -> Self {
        Self::connects_to(nginx, "live")
    }

    /// Does the handshake, and connects to an application.
    #[track_caller]
    pub(crate) fn connects_to(nginx: &Nginx, app: &str) -> Self {
        Self::over_to(Way::Port(nginx.rtmp(), None), app).connect()
    }

    /// Sends `connect` after the handshake.
    #[track_caller]
    pub(crate) fn connect(mut self) -> Self {
        self.connection.client.send_connect();
        self.listen_until("the answer to connect", |stranger| stranger.connected || stranger.closed);
        self
    }

    /// Does the handshake, connects to `live` and publishes there.
    #[track_caller]
    pub(crate) fn publishing(nginx: &Nginx) -> Self {
        let mut stranger = Self::connects(nginx).publishes(b"stranger");
        stranger.wait_status("NetStream.Publish.Start");
        stranger
    }

    /// Plays `name`, and does not wait for the answer.
    pub(crate) fn plays(self, name: &str) -> Self {
        let play = Message::command(1, "play", 4.0, |w| w.null().string(name.as_bytes()).number(-2000.0));
        self.says(8, &play)
    }

    /// Waits for an `onStatus` with this code.
    #[track_caller]
    pub(crate) fn wait_status(&mut self, code: &str) {
        self.listen_until(code, |stranger| stranger.statuses.iter().any(|status| status.code == code));
    }

    /// Publishes `name` without waiting for the answer.
    pub(crate) fn publishes(mut self, name: &[u8]) -> Self {
        self.connection.client.set_name(name);
        self.connection.client.send_publish();
        self
    }

    /// Sends a message on a chunk stream.
    pub(crate) fn says(mut self, chunk_stream: u32, message: &Message) -> Self {
        self.connection.client.send_message(chunk_stream, message);
        self.listen();
        self
    }

    /// Sends a message once more; the server may have closed the connection already.
    pub(crate) fn send(&mut self, chunk_stream: u32, message: &Message) {
        self.connection.client.send_message(chunk_stream, message);
        self.listen();
    }

    /// Sends a chunk: a header and its payload.
    pub(crate) fn sends_chunk(mut self, header: &Header, bytes: &[u8]) -> Self {
        let mut chunk = Vec::new();
        header.encode(&mut chunk);
        chunk.extend(bytes);
        // The server may have closed the connection already.
        let _ = self.connection.send_raw(&chunk);
        self
    }

    /// Returns the statuses that came by `onStatus` so far.
    pub(crate) fn statuses(&mut self) -> &[Status] {
        self.listen();
        &self.statuses
    }

    /// Returns whether the server has closed the connection.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.listen();
        self.closed
    }

    /// Waits until the server closes the connection.
    #[track_caller]
    pub(crate) fn wait_sent_away(mut self) {
        self.listen_until("the server ends the connection", |stranger| stranger.closed);
    }

    #[track_caller]
    fn listen_until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        until(what, 10.0, || {
            self.listen();
            condition(self)
        });
    }

    fn listen(&mut self) {
        if self.closed {
            return;
        }
        for event in self.connection.turn() {
            match event {
                ClientEvent::Handshaken => self.handshaken = true,
                ClientEvent::Connected => self.connected = true,
                ClientEvent::Status(status) => self.statuses.push(status),
                ClientEvent::Closed => self.closed = true,
                _ => {}
            }
        }
    }
}

/// A reader of new events of `GET /v1/events`.
pub(crate) struct Events(BufReader<TcpStream>);

impl Events {
    /// Connects, and returns when nginx has begun to answer.
    #[track_caller]
    pub(crate) fn open(nginx: &Nginx) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", nginx.http())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET /api/v1/events HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        let mut events = Self(BufReader::new(stream));
        while events.line() != ": events of weir" {}
        events
    }

    /// Returns the data of the next event of this kind.
    #[track_caller]
    pub(crate) fn next_of(&mut self, kind: &str) -> Value {
        while self.line() != format!("event: {kind}") {}
        loop {
            if let Some(data) = self.line().strip_prefix("data: ") {
                return serde_json::from_str(data).unwrap();
            }
        }
    }

    #[track_caller]
    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).unwrap() > 0, "the events ended");
        line.trim_end().to_owned()
    }
}
