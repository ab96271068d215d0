//! A publisher: a thread with a connection that sends the sample repeatedly.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use weir_rtmp::client::{Client, ClientEvent, Options, Status};
use weir_rtmp::flv::Tag;
use weir_rtmp::url::Url;

use super::clients::{Connection, Way};
use super::media::{Sample, sample};
use super::{Netns, wait};

/// The result of a publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// `NetStream.Publish.Start`.
    Started,
    /// The server refused the publish.
    Refused {
        /// A code such as `NetStream.Publish.BadName`.
        code: String,
        /// The reason, for people.
        description: String,
    },
    /// The connection ended without an answer.
    Closed,
}

/// An order to the publisher's thread.
enum Order {
    Stall,
    Resume,
    Close,
    Kill,
    Manual(Box<dyn FnOnce(&mut Connection) + Send>),
}

/// The state of the publisher's thread.
#[derive(Default)]
struct State {
    outcome: Option<Outcome>,
    closed: bool,
    handshaken: bool,
    stream_created: bool,
    /// Milliseconds of media sent.
    sent_ms: u32,
    statuses: Vec<Status>,
}

/// The settings of a publisher; [`start`](Self::start) starts it.
pub struct Builder {
    way: Way,
    url: Url,
    name: Option<Vec<u8>>,
    silent: bool,
    is_tolerant: bool,
    options: Options,
    role: fn(&Url, Options) -> Client,
    edit: Edit,
}

/// Returns the replacement of a tag.
type Edit = Box<dyn Fn(Tag) -> Option<Tag> + Send>;

impl Builder {
    /// Publishes another name, which may have any bytes.
    pub fn name(mut self, name: &[u8]) -> Self {
        self.name = Some(name.to_vec());
        self
    }

    /// Comes from this address of 127.0.0.0/8.
    pub fn from(mut self, source: &str) -> Self {
        self.way = Way::Port(self.url.port, Some(source.parse().unwrap()));
        self
    }

    /// Comes from address `nth` of another network.
    pub fn across(mut self, net: &Netns, nth: u8) -> Self {
        self.way = Way::Across(net.clone(), nth, self.url.port);
        self
    }

    /// Connects to this address of the network namespace in which [`start`](Self::start) is called.
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.way = Way::To(address);
        self
    }

    /// Comes over this unix socket.
    pub fn over(mut self, socket: &Path) -> Self {
        self.way = Way::Unix(socket.to_owned());
        self
    }

    /// Comes over the unix socket of this abstract name.
    pub fn over_abstract(mut self, name: &[u8]) -> Self {
        self.way = Way::Abstract(name.to_vec());
        self
    }

    /// Sends chunks of this size once connected.
    pub fn chunk_size(mut self, size: u32) -> Self {
        self.options.chunk_size = size;
        self
    }

    /// Connects and creates its stream; [`Publisher::manually`] does the rest.
    pub fn manual(mut self) -> Self {
        self.role = |url, options| Client::connect(url, options);
        self
    }

    /// Only completes the handshake.
    pub fn unconnected(mut self) -> Self {
        self.role = |url, options| Client::manual(url, options);
        self
    }

    /// Sends no media until [`Publisher::resume`].
    pub fn silent(mut self) -> Self {
        self.silent = true;
        self
    }

    /// Counts a server that cannot be reached as one that closes the connection.
    pub fn tolerant(mut self) -> Self {
        self.is_tolerant = true;
        self
    }

    /// Sends media immediately, without waiting for the answer to `publish`.
    pub fn hasty(mut self) -> Self {
        self.options.wait_for_start = false;
        self
    }

    /// Sends each tag of the sample as `edit` changes it, with the time at which it is sent; `None` is not sent.
    pub fn edited(mut self, edit: impl Fn(Tag) -> Option<Tag> + Send + 'static) -> Self {
        self.edit = Box::new(edit);
        self
    }

    /// Connects and publishes, in a thread.
    pub fn start(self) -> Publisher {
        let mut client = (self.role)(&self.url, self.options);
        if let Some(name) = &self.name {
            client.set_name(name);
        }
        let state = Arc::new(Mutex::new(State::default()));
        let (orders, received) = channel();
        let shared = state.clone();
        let (stalled, edit) = (self.silent, self.edit);
        let thread = std::thread::spawn(move || match Connection::open(client, &self.way) {
            Ok(connection) => {
                Session { connection, state: shared, orders: received, clock: None, stalled, edit }.run()
            }
            Err(_) if self.is_tolerant => {
                let mut state = shared.lock().unwrap();
                (state.outcome, state.closed) = (Some(Outcome::Closed), true);
            }
            Err(error) => panic!("publisher cannot connect: {error}"),
        });
        Publisher { state, orders, thread: Some(thread) }
    }
}

/// A running publisher. When dropped, it closes its connection without a command, like a crashed encoder.
pub struct Publisher {
    state: Arc<Mutex<State>>,
    orders: Sender<Order>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// One for `path` (`app/name?args`) at a server's RTMP port.
    pub fn to(port: u16, path: &str) -> Builder {
        Builder {
            way: Way::Port(port, None),
            url: format!("rtmp://127.0.0.1:{port}/{path}").parse().unwrap(),
            name: None,
            silent: false,
            is_tolerant: false,
            options: Options::default(),
            role: |url, options| Client::publish(url, options),
            edit: Box::new(Some),
        }
    }

    /// Waits for the result of the publish, and returns it.
    #[track_caller]
    pub fn outcome(&self) -> Outcome {
        wait::until("the server's answer to publish", 15.0, || self.state.lock().unwrap().outcome.clone())
    }

    /// Returns the result of the publish, if the server has answered.
    pub fn answer(&self) -> Option<Outcome> {
        self.state.lock().unwrap().outcome.clone()
    }

    /// Asserts that the publish was accepted.
    #[track_caller]
    pub fn started(self) -> Self {
        assert_eq!(self.outcome(), Outcome::Started);
        self
    }

    /// Asserts that the publish was refused with `code` and the connection then closed, and returns the description.
    #[track_caller]
    pub fn refused(self, code: &str) -> String {
        match self.outcome() {
            Outcome::Refused { code: said, description } if said == code => {
                self.wait_closed(5.0);
                description
            }
            other => panic!("expected a refusal with {code}, got {other:?}"),
        }
    }

    /// Asserts that the publish was refused with any code, and the connection then closed.
    #[track_caller]
    pub fn refused_somehow(self) {
        match self.outcome() {
            Outcome::Refused { .. } => self.wait_closed(5.0),
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    /// Waits until the server has created a stream.
    #[track_caller]
    pub fn wait_stream_created(&self) {
        wait::until("the stream is created", 10.0, || self.state.lock().unwrap().stream_created);
    }

    /// Waits until the handshake is complete.
    #[track_caller]
    pub fn wait_handshaken(&self) {
        wait::until("the handshake is done", 10.0, || self.state.lock().unwrap().handshaken);
    }

    /// Waits until the server has closed the connection.
    #[track_caller]
    pub fn wait_closed(&self, seconds: f64) {
        wait::until("the server closes the publisher's connection", seconds, || self.is_closed());
    }

    /// Returns whether the server has closed the connection.
    pub fn is_closed(&self) -> bool {
        self.state.lock().unwrap().closed
    }

    /// Milliseconds of media sent so far.
    pub fn sent_ms(&self) -> u32 {
        self.state.lock().unwrap().sent_ms
    }

    /// Waits until `ms` more milliseconds of media have been sent.
    #[track_caller]
    pub fn send_more(&self, ms: u32) {
        let goal = self.sent_ms() + ms;
        wait::until("media is sent", f64::from(ms) / 1000.0 + 10.0, || self.sent_ms() >= goal);
    }

    /// Returns the server's `onStatus` messages.
    pub fn statuses(&self) -> Vec<Status> {
        self.state.lock().unwrap().statuses.clone()
    }

    /// Stops sending media, but stays connected and answers pings.
    pub fn stall(&self) {
        self.order(Order::Stall);
    }

    /// Resumes media.
    pub fn resume(&self) {
        self.order(Order::Resume);
    }

    /// Runs a function on the connection, in the publisher's thread.
    pub fn manually(&self, act: impl FnOnce(&mut Connection) + Send + 'static) {
        self.order(Order::Manual(Box::new(act)));
    }

    /// Ends in an orderly manner: `FCUnpublish`, `deleteStream`, then close.
    pub fn close(mut self) {
        self.end(Order::Close);
    }

    /// Drops the connection.
    pub fn kill(mut self) {
        self.end(Order::Kill);
    }

    fn order(&self, order: Order) {
        // A thread whose connection has ended accepts no more orders.
        let _ = self.orders.send(order);
    }

    fn end(&mut self, order: Order) {
        self.order(order);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.order(Order::Kill);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The publisher's thread.
struct Session {
    connection: Connection,
    state: Arc<Mutex<State>>,
    orders: Receiver<Order>,
    clock: Option<Clock>,
    stalled: bool,
    edit: Edit,
}

/// The publisher's position in the endless stream.
struct Clock {
    /// The start of the stream, moved by the length of stalls.
    begin: Instant,
    next_frame: usize,
    /// The time of the next frame, in milliseconds of the stream.
    due: u32,
    stalled_since: Option<Instant>,
}

impl Session {
    fn run(mut self) {
        loop {
            match self.orders.try_recv() {
                Ok(Order::Stall) => self.stalled = true,
                Ok(Order::Resume) => self.stalled = false,
                Ok(Order::Manual(act)) => act(&mut self.connection),
                Ok(Order::Close) => {
                    self.connection.client.finish();
                    let _ = self.connection.send();
                    return;
                }
                Ok(Order::Kill) | Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {}
            }
            for event in self.connection.turn() {
                if self.closes(event) {
                    return;
                }
            }
            self.send_due();
        }
    }

    fn closes(&mut self, event: ClientEvent) -> bool {
        let mut state = self.state.lock().unwrap();
        match event {
            ClientEvent::Status(status) => {
                let outcome = match status.level.as_str() {
                    "error" => {
                        let Status { code, description, .. } = status.clone();
                        Some(Outcome::Refused { code, description })
                    }
                    _ => (status.code == "NetStream.Publish.Start").then_some(Outcome::Started),
                };
                state.outcome = state.outcome.take().or(outcome);
                state.statuses.push(status);
                false
            }
            ClientEvent::Closed => {
                state.outcome.get_or_insert(Outcome::Closed);
                state.closed = true;
                true
            }
            ClientEvent::Handshaken => {
                state.handshaken = true;
                false
            }
            ClientEvent::StreamCreated(_) => {
                state.stream_created = true;
                false
            }
            _ => false,
        }
    }

    fn send_due(&mut self) {
        if !self.connection.client.is_publishing() {
            return;
        }
        let sample: &Sample = sample();
        let now = Instant::now();
        let first = self.clock.is_none();
        let clock =
            self.clock.get_or_insert(Clock { begin: now, next_frame: 0, due: 0, stalled_since: None });
        if self.stalled {
            clock.stalled_since.get_or_insert(now);
            if first {
                self.clock = None;
            }
            return;
        }
        if let Some(since) = clock.stalled_since.take() {
            clock.begin += now - since;
        }
        let client = &mut self.connection.client;
        if first {
            for tag in &sample.headers {
                if let Some(tag) = (self.edit)(Tag { timestamp: 0, ..tag.clone() }) {
                    client.send_tag(tag.kind, tag.timestamp, &tag.payload).unwrap();
                }
            }
        }
        while clock.begin + Duration::from_millis(clock.due.into()) <= now {
            let tag = &sample.frames[clock.next_frame % sample.frames.len()];
            if let Some(tag) = (self.edit)(Tag { timestamp: clock.due, ..tag.clone() }) {
                client.send_tag(tag.kind, tag.timestamp, &tag.payload).unwrap();
            }
            clock.next_frame += 1;
            let round = (clock.next_frame / sample.frames.len()) as u32;
            clock.due =
                round * sample.duration + sample.frames[clock.next_frame % sample.frames.len()].timestamp;
        }
        self.state.lock().unwrap().sent_ms = clock.due;
    }
}
