//! A player: a thread with a connection that counts received messages.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use weir_rtmp::client::{Client, ClientEvent, Options, Status};
use weir_rtmp::flv::TagKind;
use weir_rtmp::url::Url;

use super::clients::{Connection, Way};
use super::{Netns, wait};

/// The facts about a player. nginx-rtmp also answers `play` for streams that do not exist, so media are the only proof.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Video messages, sequence headers included.
    pub video: usize,
    /// Audio messages, sequence headers included.
    pub audio: usize,
    /// The first two video messages.
    pub first_videos: Vec<Vec<u8>>,
    /// Timestamp of the first and of the last video message, in milliseconds.
    pub first_video: Option<u32>,
    #[allow(missing_docs)]
    pub last_video: Option<u32>,
    /// The arrival of the last video message.
    last_came: Option<Instant>,
    /// The longest wait between two video messages so far.
    pub longest_gap: Duration,
    /// The server's `onStatus` messages.
    pub statuses: Vec<Status>,
    /// Whether the server closed the connection.
    pub closed: bool,
}

/// A running player; when dropped, it closes its connection.
pub struct Player {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Player {
    /// Plays `path` (`app/name?args`) at a server's RTMP port.
    pub fn start(port: u16, path: &str) -> Self {
        Self::start_over(port, path, Way::Port(port, None))
    }

    /// The same, from an address of 127.0.0.0/8.
    pub fn start_from(source: &str, port: u16, path: &str) -> Self {
        Self::start_over(port, path, Way::Port(port, Some(source.parse().unwrap())))
    }

    /// The same, from address `nth` of another network.
    pub fn start_across(net: &Netns, nth: u8, port: u16, path: &str) -> Self {
        Self::start_over(port, path, Way::Across(net.clone(), nth, port))
    }

    /// The same, at an address of the caller's network namespace.
    pub fn start_at(address: SocketAddr, path: &str) -> Self {
        Self::start_over(address.port(), path, Way::To(address))
    }

    fn start_over(port: u16, path: &str, way: Way) -> Self {
        let url: Url = format!("rtmp://127.0.0.1:{port}/{path}").parse().unwrap();
        let client = Client::play(&url, Options::default());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped) = (seen.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut connection = Connection::open(client, &way).expect("player can connect");
            while !stopped.load(Ordering::Relaxed) && !shared.lock().unwrap().closed {
                for event in connection.turn() {
                    shared.lock().unwrap().take(event);
                }
            }
            connection.client.finish();
            let _ = connection.send();
        });
        Self { seen, stop, thread: Some(thread) }
    }

    /// Waits until the server has reported the start of playback, with or without media.
    #[track_caller]
    pub fn wait_playing(&self) {
        let playing = |status: &Status| status.code == "NetStream.Play.Start";
        wait::until("the answer to play", 10.0, || self.seen().statuses.iter().any(playing));
    }

    /// Waits until the server has closed the connection.
    #[track_caller]
    pub fn wait_closed(&self, seconds: f64) {
        wait::until("the server closes the player's connection", seconds, || self.seen().closed);
    }

    /// Returns the facts so far.
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until `count` more video messages have arrived.
    #[track_caller]
    pub fn wait_video(&self, count: usize) {
        let goal = self.seen().video + count;
        wait::until("video reaches the player", 10.0, || self.seen().video >= goal);
    }
}

impl Seen {
    /// Returns the longest time without video so far, from the first message until now.
    pub fn gap(&self) -> Duration {
        self.longest_gap.max(self.last_came.map_or(Duration::ZERO, |last| last.elapsed()))
    }

    fn take(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Media(tag) if tag.kind == TagKind::Video => {
                self.video += 1;
                if self.first_videos.len() < 2 {
                    self.first_videos.push(tag.payload);
                }
                self.longest_gap = self.gap();
                self.last_came = Some(Instant::now());
                self.first_video.get_or_insert(tag.timestamp);
                self.last_video = Some(tag.timestamp);
            }
            ClientEvent::Media(tag) if tag.kind == TagKind::Audio => self.audio += 1,
            ClientEvent::Status(status) => self.statuses.push(status),
            ClientEvent::Closed => self.closed = true,
            _ => {}
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
