//! A client's session: it reads received bytes, and returns bytes to send and [`ClientEvent`]s.
//!
//! It behaves like ffmpeg and OBS. A publisher sends `connect`, then `releaseStream`, `FCPublish`, `createStream`,
//! `publish`; a player sends `connect`, `createStream`, `play` and a buffer length. It answers pings and acknowledges
//! received bytes. The caller provides the socket, TLS and time:
//!
//! ```no_run
//! use std::io::{Read, Write};
//! use weir_rtmp::client::{Client, ClientEvent, Options};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let url: weir_rtmp::url::Url = "rtmp://127.0.0.1/live/show".parse()?;
//! let mut socket = std::net::TcpStream::connect((url.host.as_str(), url.port))?;
//! let mut client = Client::play(&url, Options::default());
//! let mut buffer = [0; 16384];
//! loop {
//!     socket.write_all(&client.take_output())?;
//!     match socket.read(&mut buffer)? {
//!         0 => client.end_of_input(),
//!         n => client.receive(&buffer[..n])?,
//!     }
//!     while let Some(event) = client.next_event() {
//!         match event {
//!             ClientEvent::Media(tag) => println!("{:?} at {} ms", tag.kind, tag.timestamp),
//!             ClientEvent::Closed => return Ok(()),
//!             _ => {}
//!         }
//!     }
//! }
//! # }
//! ```

mod replies;

use std::collections::VecDeque;
use std::fmt;

use crate::amf0::{self, Value};
use crate::chunk;
use crate::flv::{Tag, TagKind};
use crate::handshake::{self, Handshake};
use crate::message::{Message, MessageKind, user_control};
pub use crate::status::Status;
use crate::url::Url;

/// The largest message accepted from a server, in bytes.
const MAX_MESSAGE: usize = 16 << 20;

/// The commands that a client sends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// None: the caller sends all commands.
    Manual,
    /// `connect` and `createStream`; the caller sends the rest.
    Connect,
    Publish,
    Play,
}

/// The phase of the session.
#[derive(Debug)]
enum Phase {
    Handshake(Handshake),
    Open,
    Closed,
}

/// Chunk streams as encoders use them.
mod stream {
    pub(super) const CONTROL: u32 = 2;
    pub(super) const COMMAND: u32 = 3;
    pub(super) const AUDIO: u32 = 4;
    pub(super) const DATA: u32 = 5;
    pub(super) const VIDEO: u32 = 6;
    pub(super) const PUBLISH: u32 = 8;
}

/// The settings of a client.
#[derive(Debug, Clone)]
pub struct Options {
    /// Size of the chunks after the connect, in bytes.
    pub chunk_size: u32,
    /// The name and version of the client.
    pub flash_version: String,
    /// The bytes that fill the handshake.
    pub random: Vec<u8>,
    /// The buffer length that a player announces, in milliseconds.
    pub buffer_ms: u32,
    /// Whether to send no media before the server's `NetStream.Publish.Start`; some encoders do not wait for it.
    pub wait_for_start: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            chunk_size: 4096,
            flash_version: "FMLE/3.0 (compatible; Weir)".to_owned(),
            random: Vec::new(),
            buffer_ms: 1000,
            wait_for_start: true,
        }
    }
}

/// An event of the session.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The handshake is complete.
    Handshaken,
    /// The server accepted `connect`.
    Connected,
    /// The server created a message stream with this number.
    StreamCreated(u32),
    /// The server reported a status of the stream, or refused `connect`.
    Status(Status),
    /// Audio, video or metadata arrived.
    Media(Tag),
    /// The server closed the connection.
    Closed,
}

/// Why a session cannot continue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The peer is not an RTMP server.
    #[error("handshake failed: {0}")]
    Handshake(#[from] handshake::Error),
    /// The peer sent invalid chunks.
    #[error("chunks cannot be read: {0}")]
    Chunk(#[from] chunk::Error),
    /// The peer sent an unreadable command.
    #[error("command cannot be read: {0}")]
    Command(#[from] amf0::Error),
    /// The caller used [`Client::send_tag`] before the server's `NetStream.Publish.Start`.
    #[error("stream is not published")]
    NotPublishing,
}

/// One session of a publisher or a player.
pub struct Client {
    role: Role,
    url: Url,
    name: Vec<u8>,
    options: Options,
    phase: Phase,
    reader: chunk::Reader,
    writer: chunk::Writer,
    output: Vec<u8>,
    events: VecDeque<ClientEvent>,
    received: u32,
    acknowledged: u32,
    window: u32,
    transaction: f64,
    connecting: Option<f64>,
    creating: Option<f64>,
    stream_id: Option<u32>,
    publishing: bool,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The name may be a key, and the output contains it.
        f.debug_struct("Client").field("url", &self.url).field("role", &self.role).finish_non_exhaustive()
    }
}

impl Client {
    /// Returns a session that publishes `url`.
    pub fn publish(url: &Url, options: Options) -> Self {
        Self::new(Role::Publish, url, options)
    }

    /// Returns a session that plays `url`.
    pub fn play(url: &Url, options: Options) -> Self {
        Self::new(Role::Play, url, options)
    }

    /// Returns a session that connects and creates its stream. The caller publishes or plays on it.
    pub fn connect(url: &Url, options: Options) -> Self {
        Self::new(Role::Connect, url, options)
    }

    /// Returns a session that only completes the handshake and answers. The caller sends all commands, including
    /// `connect`.
    pub fn manual(url: &Url, options: Options) -> Self {
        Self::new(Role::Manual, url, options)
    }

    fn new(role: Role, url: &Url, options: Options) -> Self {
        let mut output = Vec::new();
        let handshake = Handshake::new(&options.random, &mut output);
        Self {
            role,
            url: url.clone(),
            name: url.name.clone().into_bytes(),
            options,
            phase: Phase::Handshake(handshake),
            reader: chunk::Reader::new(MAX_MESSAGE),
            writer: chunk::Writer::new(),
            output,
            events: VecDeque::new(),
            received: 0,
            acknowledged: 0,
            window: 0,
            transaction: 0.0,
            connecting: None,
            creating: None,
            stream_id: None,
            publishing: false,
        }
    }

    /// Sets another name than the URL's to publish or play: any bytes, UTF-8 or not.
    pub fn set_name(&mut self, name: &[u8]) {
        self.name = name.to_vec();
    }

    /// Processes bytes from the server.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.received = self.received.wrapping_add(bytes.len() as u32);
        match &mut self.phase {
            Phase::Handshake(handshake) => {
                if let Some(rest) = handshake.receive(bytes, &mut self.output)? {
                    self.phase = Phase::Open;
                    self.events.push_back(ClientEvent::Handshaken);
                    self.reader.feed(&rest);
                    if self.role != Role::Manual {
                        self.send_connect();
                    }
                }
            }
            Phase::Open => self.reader.feed(bytes),
            Phase::Closed => return Ok(()),
        }
        while let Some(message) = self.reader.next_message()? {
            self.on_message(message)?;
        }
        if self.window > 0 && self.received.wrapping_sub(self.acknowledged) >= self.window {
            self.acknowledged = self.received;
            self.send_message(stream::CONTROL, &Message::number(MessageKind::ACKNOWLEDGEMENT, self.received));
        }
        Ok(())
    }

    /// Records that the server closed the connection.
    pub fn end_of_input(&mut self) {
        if !matches!(self.phase, Phase::Closed) {
            self.phase = Phase::Closed;
            self.publishing = false;
            self.events.push_back(ClientEvent::Closed);
        }
    }

    /// Returns the next event.
    pub fn next_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// Returns the bytes to send; empty if there are none.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Returns whether the server has accepted the publish, so that [`send_tag`](Self::send_tag) may be called.
    pub fn is_publishing(&self) -> bool {
        self.publishing
    }

    /// Sends media with the payload of an FLV tag. Metadata is wrapped in `@setDataFrame`, as encoders do.
    pub fn send_tag(&mut self, kind: TagKind, timestamp: u32, payload: &[u8]) -> Result<(), Error> {
        let stream_id = self.stream_id.filter(|_| self.publishing).ok_or(Error::NotPublishing)?;
        let (chunk_stream, payload) = match kind {
            TagKind::Audio => (stream::AUDIO, payload.to_vec()),
            TagKind::Video => (stream::VIDEO, payload.to_vec()),
            TagKind::Script => {
                let mut writer = amf0::Writer::new();
                writer.string(b"@setDataFrame").raw(payload);
                (stream::DATA, writer.into_bytes())
            }
        };
        self.send_message(chunk_stream, &Message { kind: kind.into(), stream_id, timestamp, payload });
        Ok(())
    }

    /// Ends the session in an orderly manner: `FCUnpublish` for a publisher, then `deleteStream`. The caller sends the
    /// bytes of [`take_output`](Self::take_output) and closes the connection.
    pub fn finish(&mut self) {
        let Some(stream_id) = self.stream_id.take() else { return };
        if self.role == Role::Publish {
            let name = self.name.clone();
            self.command("FCUnpublish", |w| w.null().string(&name));
        }
        self.command("deleteStream", |w| w.null().number(f64::from(stream_id)));
        self.publishing = false;
    }

    /// Sends a command on the connection, and returns its transaction number. `arguments` begin with the command
    /// object.
    pub fn command(
        &mut self,
        name: &str,
        arguments: impl FnOnce(&mut amf0::Writer) -> &mut amf0::Writer,
    ) -> f64 {
        self.transaction += 1.0;
        let message = Message::command(0, name, self.transaction, arguments);
        self.send_message(stream::COMMAND, &message);
        self.transaction
    }

    /// Sends any message on any chunk stream.
    pub fn send_message(&mut self, chunk_stream: u32, message: &Message) {
        self.writer.write(chunk_stream, message, &mut self.output);
    }

    /// Sends `connect` with the URL's application, as the other roles do automatically.
    pub fn send_connect(&mut self) {
        let (app, tc_url, version) =
            (self.url.app.clone(), self.url.tc_url(), self.options.flash_version.clone());
        let role = self.role;
        let transaction = self.command("connect", |w| {
            w.begin_object();
            w.key("app").string(app.as_bytes());
            w.key("type").string(b"nonprivate");
            w.key("flashVer").string(version.as_bytes());
            w.key("tcUrl").string(tc_url.as_bytes());
            if role == Role::Play {
                w.key("fpad").boolean(false);
                w.key("capabilities").number(15.0);
                w.key("audioCodecs").number(4071.0);
                w.key("videoCodecs").number(252.0);
                w.key("videoFunction").number(1.0);
            }
            w.end()
        });
        self.connecting = Some(transaction);
    }

    fn on_message(&mut self, message: Message) -> Result<(), Error> {
        let number = message.payload.first_chunk().map(|word| u32::from_be_bytes(*word));
        match (message.kind, number) {
            (MessageKind::WINDOW_SIZE, Some(window)) => self.window = window,
            (MessageKind::USER_CONTROL, _) => self.on_user_control(&message.payload),
            (MessageKind::COMMAND, _) => self.on_command(&message)?,
            (kind, _) => {
                if let Some(kind) = TagKind::of(kind) {
                    let Message { timestamp, payload, .. } = message;
                    self.events.push_back(ClientEvent::Media(Tag { kind, timestamp, payload }));
                }
            }
        }
        Ok(())
    }

    fn on_user_control(&mut self, payload: &[u8]) {
        let Some((event, data)) = payload.split_first_chunk() else { return };
        if let (user_control::PING_REQUEST, Some(time)) = (u16::from_be_bytes(*event), data.first_chunk()) {
            let pong = Message::user_control(user_control::PING_RESPONSE, &[u32::from_be_bytes(*time)]);
            self.send_message(stream::CONTROL, &pong);
        }
    }

    fn on_connected(&mut self) {
        self.events.push_back(ClientEvent::Connected);
        self.writer.set_chunk_size(self.options.chunk_size, &mut self.output);
        let name = self.name.clone();
        match self.role {
            Role::Manual => return,
            Role::Connect => {}
            Role::Publish => {
                self.command("releaseStream", |w| w.null().string(&name));
                self.command("FCPublish", |w| w.null().string(&name));
            }
            Role::Play => {
                self.send_message(stream::CONTROL, &Message::number(MessageKind::WINDOW_SIZE, 2_500_000))
            }
        }
        self.send_create_stream();
    }

    /// Sends `createStream`; its answer becomes [`ClientEvent::StreamCreated`].
    pub fn send_create_stream(&mut self) {
        let transaction = self.command("createStream", |w| w.null());
        self.creating = Some(transaction);
    }

    fn on_stream_created(&mut self, stream_id: u32) {
        self.stream_id = Some(stream_id);
        self.events.push_back(ClientEvent::StreamCreated(stream_id));
        match self.role {
            Role::Manual | Role::Connect => {}
            Role::Publish => {
                self.send_publish();
                self.publishing = !self.options.wait_for_start;
            }
            Role::Play => {
                let name = self.name.clone();
                self.stream_command("play", |w| w.null().string(&name).value(Value::Number(-2000.0)));
                let buffer = [stream_id, self.options.buffer_ms];
                self.send_message(
                    stream::CONTROL,
                    &Message::user_control(user_control::SET_BUFFER_LENGTH, &buffer),
                );
            }
        }
    }

    /// Sends `publish` with the name, on the last created stream.
    pub fn send_publish(&mut self) {
        let name = self.name.clone();
        self.stream_command("publish", |w| w.null().string(&name).string(b"live"));
    }

    /// Sends `closeStream` for the last created stream, which stays usable.
    pub fn send_close_stream(&mut self) {
        self.stream_command("closeStream", |w| w.null());
        self.publishing = false;
    }

    fn stream_command(&mut self, name: &str, arguments: impl FnOnce(&mut amf0::Writer) -> &mut amf0::Writer) {
        self.transaction += 1.0;
        let message = Message::command(self.stream_id.unwrap_or_default(), name, self.transaction, arguments);
        self.send_message(stream::PUBLISH, &message);
    }
}
