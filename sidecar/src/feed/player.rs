//! Plays a stream over RTMP, and writes its runs to the sockets from which ffmpeg reads them, one after the other.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, sleep_until};
use weir_media::run::cut::{Cut, Headers, Step, Wanted};
use weir_media::run::{flv, mp4};
use weir_model::Secret;
use weir_rtmp::client::ClientEvent;
use weir_rtmp::url::Url;

use super::container::Container;
use crate::config::RtmpServer;
use crate::publisher::link::Link;
use crate::streams::Live;
use crate::supervise::Shared;
use crate::supervise::output::Line;

/// Bytes that ffmpeg may be behind. Beyond this, the player stops reading, and nginx drops frames.
const MOST: usize = 16 << 20;
/// Time by which the daemon knows whether the stream belongs to another publisher.
const DOUBT: Duration = Duration::from_secs(2);

/// The kind of output that ffmpeg makes from the media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Product {
    /// Renditions of a ladder. Their times are those of the stream plus [`COMMON_ZERO`](weir_media::run::timeline::COMMON_ZERO).
    Renditions,
    /// A file. Media that may belong to another publisher is held back: a file must not have it, and no viewer waits.
    Recording,
}

/// The stream to play, and its container.
#[derive(Debug)]
pub(crate) struct Source {
    url: Url,
    container: Container,
    wanted: Wanted,
    product: Product,
}

impl Source {
    /// Returns the source of a stream at nginx.
    pub(crate) fn new(
        server: &RtmpServer,
        live: &Live,
        name: &Secret,
        container: Container,
        wanted: Wanted,
        product: Product,
    ) -> Self {
        let url = Url {
            tls: false,
            credentials: None,
            host: server.host.trim_matches(['[', ']']).to_owned(),
            port: server.port,
            app: live.app.to_string(),
            name: name.expose().to_owned(),
        };
        Self { url, container, wanted, product }
    }
}

/// Accepts one run of ffmpeg after another.
pub(crate) async fn serve(listener: UnixListener, source: Source, shared: Arc<Shared>) {
    let mut known: Option<Player> = None;
    loop {
        let accepted = match &mut known {
            None => listener.accept().await,
            // Media that arrives between two runs is for the next run.
            Some(player) => tokio::select! {
                accepted = listener.accept() => accepted,
                () = player.read_on() => {
                    known = None;
                    continue;
                }
            },
        };
        let Ok((socket, _)) = accepted else { return };
        let mut player = match known.take() {
            Some(player) => player,
            None => match Link::play(&source.url).await {
                Ok(link) => Player::new(link, &source),
                Err(error) => {
                    let text = format!("the stream is not played: {error}");
                    shared.output.push(Line { at: crate::clock::now(), level: "error", text });
                    continue;
                }
            },
        };
        if player.feed(socket, &shared).await == End::Another {
            known = Some(player);
        }
    }
}

/// End of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Another run follows from the same connection.
    Another,
    /// The stream, ffmpeg or the job has ended.
    Over,
}

/// Bytes of a frame, and the time until which they are held back.
#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    due: Instant,
}

/// Bytes for one run of ffmpeg.
#[derive(Debug, Default)]
struct Run {
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that are written.
    written: usize,
    /// No more bytes follow.
    ended: bool,
}

struct Player {
    link: Link,
    container: Container,
    cut: Cut,
    origin: Instant,
    begun: Option<Headers>,
    writer: mp4::Writer,
    runs: VecDeque<Run>,
    queued: usize,
    /// Media that may belong to another publisher is held back until that is known.
    holds: bool,
    /// Media that arrives now is held back until this time.
    due: Instant,
}

impl Player {
    fn new(link: Link, source: &Source) -> Self {
        let cut = Cut::new(source.wanted);
        Self {
            link,
            container: source.container,
            cut: match source.product {
                Product::Renditions => cut.with_common_times(),
                Product::Recording => cut,
            },
            origin: Instant::now(),
            begun: None,
            writer: mp4::Writer::default(),
            runs: VecDeque::from([Run::default()]),
            queued: 0,
            holds: source.product == Product::Recording,
            due: Instant::now(),
        }
    }

    /// Reads while no ffmpeg is connected. Returns when the stream is over.
    async fn read_on(&mut self) {
        while !self.is_over() {
            if self.queued >= MOST {
                return std::future::pending().await;
            }
            if self.link.turn().await.is_err() {
                return;
            }
        }
    }

    async fn feed(&mut self, mut socket: UnixStream, shared: &Shared) -> End {
        let mut closing = shared.closing();
        let mut over = false;
        loop {
            over |= self.is_over() || *closing.borrow();
            if over {
                self.end(shared.is_succeeded());
            }
            let due = self.runs.front().and_then(|run| run.chunks.front()).map(|chunk| chunk.due);
            let is_due = due.is_some_and(|due| over || due <= Instant::now());
            let ended = self.runs.front().is_none_or(|run| run.ended);
            if ended && due.is_none() {
                self.runs.pop_front();
                let another = !self.runs.is_empty() && !*closing.borrow();
                if another {
                    shared.renew();
                }
                // ffmpeg reads the end of its input.
                let _ = socket.shutdown().await;
                return if another { End::Another } else { End::Over };
            }
            let may_read = !over && self.queued < MOST;
            tokio::select! {
                turn = self.link.turn(), if may_read => over = turn.is_err(),
                () = sleep_until(due.unwrap_or(self.due)), if due.is_some() && !is_due => {}
                ready = socket.writable(), if is_due => {
                    if ready.is_err() || !self.write(&socket, over) {
                        return End::Over;
                    }
                }
                // ffmpeg never writes to this socket, so a readable socket means that ffmpeg has ended.
                ready = socket.readable() => {
                    let mut byte = [0];
                    let read = ready.and_then(|()| socket.try_read(&mut byte));
                    if !matches!(&read, Err(error) if error.kind() == ErrorKind::WouldBlock) {
                        return End::Over;
                    }
                }
                changed = closing.changed() => {
                    if changed.is_err() {
                        return End::Over;
                    }
                }
            }
        }
    }

    /// Ends the runs. If another publisher has taken the name, the held-back media is not of this stream and is dropped.
    fn end(&mut self, is_succeeded: bool) {
        let now = Instant::now();
        if is_succeeded {
            for run in &mut self.runs {
                run.chunks.retain(|chunk| chunk.due <= now);
            }
            self.runs.retain(|run| !run.chunks.is_empty());
        }
        if let Some(run) = self.runs.back_mut() {
            run.ended = true;
        }
    }

    /// Takes the media that has arrived. Returns true if no more media will arrive.
    fn is_over(&mut self) -> bool {
        while let Some(event) = self.link.client.next_event() {
            match event {
                ClientEvent::Media(tag) => {
                    for step in self.cut.take(tag, self.origin.elapsed()) {
                        self.take(step);
                    }
                }
                ClientEvent::Status(status) if status.level == "error" => return true,
                ClientEvent::Closed => return true,
                _ => {}
            }
        }
        false
    }

    fn take(&mut self, step: Step) {
        let mut bytes = Vec::new();
        match step {
            Step::Doubt => {
                if self.holds {
                    self.due = Instant::now() + DOUBT;
                }
                return;
            }
            Step::End => {
                if let Some(run) = self.runs.back_mut() {
                    run.ended = true;
                }
                self.runs.push_back(Run::default());
                return;
            }
            // The headers are written with the first frame, because they carry its time.
            Step::Begin(headers) => {
                self.begun = Some(headers);
                return;
            }
            Step::Frame(frame) => {
                if let Some(headers) = self.begun.take() {
                    match self.container {
                        Container::Flv => flv::begin(&headers, frame.time, &mut bytes),
                        Container::Mp4 => self.writer.begin(&fitting(headers), &mut bytes),
                    }
                }
                match self.container {
                    Container::Flv => flv::frame(&frame, &mut bytes),
                    Container::Mp4 => self.writer.frame(&frame, &mut bytes),
                }
            }
        }
        self.queued += bytes.len();
        if let Some(run) = self.runs.back_mut() {
            run.chunks.push_back(Chunk { bytes, due: self.due });
        }
    }

    /// Writes bytes to ffmpeg. Returns false if nobody reads any more.
    fn write(&mut self, socket: &UnixStream, over: bool) -> bool {
        let Some(run) = self.runs.front_mut() else { return true };
        let now = Instant::now();
        while let Some(Chunk { bytes, .. }) = run.chunks.front().filter(|chunk| over || chunk.due <= now) {
            match socket.try_write(&bytes[run.written..]) {
                Ok(n) => {
                    run.written += n;
                    self.queued -= n;
                    if run.written == bytes.len() {
                        run.chunks.pop_front();
                        run.written = 0;
                    }
                }
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
        true
    }
}

/// Removes the headers of codecs that MP4 cannot describe.
fn fitting(mut headers: Headers) -> Headers {
    headers.video = headers.video.filter(|header| mp4::has_video(header.codec));
    headers.audio = headers.audio.filter(|header| mp4::has_audio(header.codec));
    headers
}
