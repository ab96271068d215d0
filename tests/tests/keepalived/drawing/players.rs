//! Light players that retry as hls.js does: one second after an error, they ask again. They measure how long errors last.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use weir_tests::harness::clients::connect_within;

/// Pause after an error, and time limit of an answer: those of hls.js.
const RETRY: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);
/// Time without media after which a page asks for another edge.
const SILENCE: Duration = Duration::from_secs(3);
/// Interval at which a playlist is requested.
const POLL: Duration = Duration::from_secs(1);

/// Where a player is, what it plays, and which server it asks first.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    /// The address of the player.
    pub(super) from: IpAddr,
    pub(super) stream: String,
    /// For HLS the load balancers, for WebSocket the pages of the origin.
    pub(super) server: SocketAddr,
}

/// The facts about one player.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Segments or fragments.
    pub(super) media: u64,
    /// Start of the errors that have not ended.
    failing: Option<Instant>,
    last_media: Option<Instant>,
    /// Longest time from an error to the next success, and longest time without media, since the last look.
    pub(super) longest_error: Duration,
    pub(super) longest_gap: Duration,
    pub(super) error: String,
    /// Address of the edge that serves the player.
    pub(super) edge: String,
}

impl Seen {
    fn good(&mut self) {
        if let Some(since) = self.failing.take() {
            self.longest_error = self.longest_error.max(since.elapsed());
        }
    }

    fn got_media(&mut self) {
        self.good();
        self.media += 1;
        if let Some(last) = self.last_media.replace(Instant::now()) {
            self.longest_gap = self.longest_gap.max(last.elapsed());
        }
    }

    fn failed(&mut self, why: &Error) {
        self.failing.get_or_insert_with(Instant::now);
        self.error = why.to_string();
    }
}

/// Running players. When dropped, they stop.
pub(super) struct Players {
    stop: Arc<AtomicBool>,
    all: Vec<(Arc<Mutex<Seen>>, JoinHandle<()>)>,
}

impl Players {
    pub(super) fn new() -> Self {
        Self { stop: Arc::default(), all: Vec::new() }
    }

    /// Adds a player of HLS at the load balancers. Call it in the namespace of the players.
    pub(super) fn add_hls(&mut self, seat: Seat) {
        self.add(move |seen, stop| play_hls(&seat, seen, stop));
    }

    /// Adds a page: it asks the origin for an edge, and plays from there over WebSocket.
    pub(super) fn add_page(&mut self, seat: Seat) {
        self.add(move |seen, stop| play_page(&seat, seen, stop));
    }

    fn add(&mut self, play: impl FnOnce(&Mutex<Seen>, &AtomicBool) + Send + 'static) {
        let (seen, stop) = (Arc::<Mutex<Seen>>::default(), self.stop.clone());
        let of = seen.clone();
        self.all.push((seen, thread::spawn(move || play(&of, &stop))));
    }

    /// Returns the facts, and resets the longest times to zero. Errors and gaps that have not ended count up to now.
    pub(super) fn look(&self) -> Vec<Seen> {
        self.all
            .iter()
            .map(|(seen, _)| {
                let mut seen = lock(seen);
                let mut copy = seen.clone();
                let so_far = |since: Option<Instant>| since.map_or(Duration::ZERO, |since| since.elapsed());
                copy.longest_error = copy.longest_error.max(so_far(seen.failing));
                copy.longest_gap = copy.longest_gap.max(so_far(seen.last_media));
                (seen.longest_error, seen.longest_gap) = (Duration::ZERO, Duration::ZERO);
                copy
            })
            .collect()
    }

    /// Returns how much media each player has got.
    pub(super) fn media(&self) -> Vec<u64> {
        self.all.iter().map(|(seen, _)| lock(seen).media).collect()
    }

    /// Returns the addresses of the edges that the pages use.
    pub(super) fn edges(&self) -> Vec<String> {
        self.all.iter().map(|(seen, _)| lock(seen).edge.clone()).filter(|edge| !edge.is_empty()).collect()
    }

    /// Ends all players.
    pub(super) fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for (_, thread) in self.all {
            thread.join().unwrap();
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn play_hls(seat: &Seat, seen: &Mutex<Seen>, stop: &AtomicBool) {
    let (mut variant, mut newest) = (None, String::new());
    while !stop.load(Ordering::Relaxed) {
        match next_segment(seat, &mut variant, &newest) {
            Ok(Some(segment)) => {
                newest = segment;
                lock(seen).got_media();
            }
            Ok(None) => lock(seen).good(),
            Err(error) => {
                lock(seen).failed(&error);
                thread::sleep(RETRY);
                continue;
            }
        }
        thread::sleep(POLL);
    }
}

/// Loads the playlist, and the newest segment unless the player has it. Returns the segment. `variant` is the path of the playlist, which
/// a player looks up once.
fn next_segment(seat: &Seat, variant: &mut Option<String>, newest: &str) -> Result<Option<String>> {
    let playlist = match variant {
        Some(path) => path.clone(),
        None => {
            let (path, text) = get(seat, &format!("/hls/{}.m3u8", seat.stream))?;
            let name = uris(&text).last().cloned().ok_or_else(|| refused("no variant"))?;
            variant.insert(beside(&path, &name)).clone()
        }
    };
    let (path, text) = get(seat, &playlist)?;
    let Some(segment) = uris(&text).last().cloned().filter(|segment| segment != newest) else {
        return Ok(None);
    };
    get(seat, &beside(&path, &segment))?;
    Ok(Some(segment))
}

fn uris(playlist: &str) -> Vec<String> {
    playlist.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// Returns the path of a file that a playlist names.
fn beside(playlist: &str, name: &str) -> String {
    match name.starts_with('/') {
        true => name.to_owned(),
        false => format!("{}/{name}", playlist.split('?').next().unwrap().rsplit_once('/').unwrap().0),
    }
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::InvalidData, why)
}

/// Follows redirects on the same server. Returns the last path and the body.
fn get(seat: &Seat, path: &str) -> Result<(String, String)> {
    let mut path = path.to_owned();
    for _ in 0..4 {
        let (head, body) = request(seat.server, seat.from, &path, PATIENCE)?;
        match status(&head)? {
            200 => return Ok((path, String::from_utf8_lossy(&body).into_owned())),
            302 => {
                let to = header(&head, "location").ok_or_else(|| refused("no location"))?;
                path = match to.split_once("://") {
                    Some((_, rest)) => rest[rest.find('/').unwrap_or(0)..].to_owned(),
                    None => to,
                };
            }
            other => return Err(refused(&format!("status {other} for {path}"))),
        }
    }
    Err(refused("too many redirects"))
}

fn status(head: &str) -> Result<u16> {
    head.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or_else(|| refused("no status"))
}

fn header(head: &str, name: &str) -> Option<String> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

/// Sends one request over a new connection. Returns head and body.
fn request(to: SocketAddr, from: IpAddr, path: &str, patience: Duration) -> Result<(String, Vec<u8>)> {
    let mut socket = connect_within(to, from, patience)?;
    write!(socket, "GET {path} HTTP/1.0\r\nHost: {to}\r\nUser-Agent: player {from}\r\n\r\n")?;
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes)?;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(|| refused("no answer"))?;
    let body = bytes.split_off(end + 4);
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let length = header(&head, "content-length").and_then(|length| length.parse::<usize>().ok());
    if length.is_some_and(|length| length != body.len()) {
        return Err(refused("the answer is not complete"));
    }
    Ok((head, body))
}

fn play_page(seat: &Seat, seen: &Mutex<Seen>, stop: &AtomicBool) {
    let mut not = String::new();
    while !stop.load(Ordering::Relaxed) {
        let error = match watch(seat, &not, seen, stop) {
            Ok(()) => return,
            Err((edge, error)) => {
                not = edge;
                error
            }
        };
        lock(seen).failed(&error);
        thread::sleep(RETRY / 4);
    }
}

/// Asks for an edge other than `not`, and plays from it until it fails. Returns the edge that failed.
fn watch(
    seat: &Seat,
    not: &str,
    seen: &Mutex<Seen>,
    stop: &AtomicBool,
) -> std::result::Result<(), (String, Error)> {
    let none = |error| (String::new(), error);
    let other = if not.is_empty() { String::new() } else { format!("&not={not}") };
    let path = format!("/tv/edge?stream=live/{}{other}", seat.stream);
    let (head, body) = request(seat.server, seat.from, &path, PATIENCE).map_err(none)?;
    if status(&head).map_err(none)? != 200 {
        return Err(none(refused(&format!("/edge: {}", String::from_utf8_lossy(&body)))));
    }
    let answer: Value = serde_json::from_slice(&body).map_err(|error| none(error.into()))?;
    let (id, address) = (text(&answer["edge"]), text(&answer["address"]));
    lock(seen).edge.clone_from(&id);
    let to = address.trim_start_matches("http://").parse();
    let to = to.map_err(|_| none(refused(&format!("address {address:?}"))))?;
    let failed = |error| (id.clone(), error);
    let mut socket = connect_within(to, seat.from, SILENCE).map_err(failed)?;
    let (path, host) = (format!("/stream/live/{}/ws", seat.stream), to);
    write!(
        socket,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .map_err(failed)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).map_err(failed)?;
        head.push(byte[0]);
    }
    match status(&String::from_utf8_lossy(&head)).map_err(failed)? {
        101 => {}
        other => return Err(failed(refused(&format!("status {other} for {path} at {host}")))),
    }
    let mut since = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        match frame(&mut socket) {
            // 2 is a binary message, 8 the end (RFC 6455, 11.8).
            Ok(2) => {
                since = Instant::now();
                lock(seen).got_media();
            }
            Ok(8) => return Err(failed(refused("the edge ends the WebSocket"))),
            Ok(_) if since.elapsed() < SILENCE => {}
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(failed(error)),
            // A page leaves a silent edge only if it does not answer.
            _ => {
                request(to, seat.from, "/v1/live", SILENCE).map_err(failed)?;
                since = Instant::now();
            }
        }
    }
    Ok(())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Reads one frame of a server, and returns its opcode.
fn frame(socket: &mut TcpStream) -> Result<u8> {
    let mut head = [0; 2];
    socket.read_exact(&mut head)?;
    let mut long = [0; 8];
    let length = match head[1] {
        126 => {
            socket.read_exact(&mut long[6..])?;
            u64::from_be_bytes(long)
        }
        127 => {
            socket.read_exact(&mut long)?;
            u64::from_be_bytes(long)
        }
        short => short.into(),
    };
    std::io::copy(&mut socket.take(length), &mut std::io::sink())?;
    Ok(head[0] & 0xf)
}
