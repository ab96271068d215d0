//! A TCP connection with an RTMP client on it.

use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use weir_rtmp::client::{Client, Options};
use weir_rtmp::url::Url;

use super::error::Error;

/// Time limit of the connection, and of the server's answer to the publish.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Time after which a server that accepts no data counts as gone.
const STALL: Duration = Duration::from_secs(15);
/// Unsent bytes beyond which no more tags are created.
const MAX_BACKLOG: usize = 4 << 20;

/// A connection with an RTMP client.
pub(crate) struct Link {
    /// The session's state; its output is sent by [`Link::turn`].
    pub client: Client,
    stream: TcpStream,
    /// URL without the stream's name.
    url: String,
    unsent: Vec<u8>,
    /// Time at which bytes were last sent, or nothing was waiting.
    moved: Instant,
    /// The server has closed the connection.
    ended: bool,
}

impl Link {
    /// Connects, and begins the handshake of a publisher.
    pub(crate) async fn connect(url: &Url) -> Result<Self, Error> {
        Self::open(url, Client::publish).await
    }

    /// Connects, and begins the handshake of a player.
    pub(crate) async fn play(url: &Url) -> Result<Self, Error> {
        Self::open(url, Client::play).await
    }

    async fn open(url: &Url, client: fn(&Url, Options) -> Client) -> Result<Self, Error> {
        let failed = |why: String| Error::Connect { url: url.to_string(), why };
        let stream = timeout(PATIENCE, TcpStream::connect((url.host.as_str(), url.port)))
            .await
            .map_err(|_| failed("timed out".into()))?
            .map_err(|e| failed(e.to_string()))?;
        // A frame must not wait for the next one.
        let _ = stream.set_nodelay(true);
        let mut random = vec![0; 1528];
        getrandom::fill(&mut random).map_err(Error::Random)?;
        let client = client(url, Options { random, ..Options::default() });
        Ok(Self {
            client,
            stream,
            url: url.to_string(),
            unsent: Vec::new(),
            moved: Instant::now(),
            ended: false,
        })
    }

    /// Reads or writes once. Cancel-safe.
    pub(crate) async fn turn(&mut self) -> Result<(), Error> {
        let waiting = !self.unsent.is_empty();
        self.unsent.append(&mut self.client.take_output());
        if !waiting {
            self.moved = Instant::now();
        }
        let ready = if self.unsent.is_empty() {
            self.stream.ready(Interest::READABLE).await
        } else {
            let both = self.stream.ready(Interest::READABLE | Interest::WRITABLE);
            match tokio::time::timeout_at(self.moved + STALL, both).await {
                Ok(ready) => ready,
                Err(_) => return Err(self.lost(format!("it took no data for {} s", STALL.as_secs()))),
            }
        };
        let ready = ready.map_err(|e| self.lost(e.to_string()))?;
        if ready.is_readable() {
            self.read()?;
        }
        if ready.is_writable() && !self.unsent.is_empty() {
            self.write()?;
        }
        Ok(())
    }

    /// Returns whether the server accepts data fast enough.
    pub(crate) fn has_room(&self) -> bool {
        self.unsent.len() < MAX_BACKLOG
    }

    /// Ends the stream, and waits briefly for the server to close the connection: then the server has read everything.
    pub(crate) async fn finish(&mut self) {
        self.client.finish();
        let goodbye = async {
            self.unsent.append(&mut self.client.take_output());
            while !self.unsent.is_empty() && self.turn().await.is_ok() {}
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut self.stream).await;
            // If the server closed first, each read returns the end again.
            while !self.ended
                && self.client.next_event() != Some(weir_rtmp::client::ClientEvent::Closed)
                && self.turn().await.is_ok()
            {}
        };
        let _ = timeout(Duration::from_secs(1), goodbye).await;
    }

    /// Returns the error of a lost connection.
    pub(crate) fn lost(&self, why: impl Into<String>) -> Error {
        Error::Lost { url: self.url.clone(), why: why.into() }
    }

    fn read(&mut self) -> Result<(), Error> {
        let mut buffer = [0; 8192];
        match would_block_is_none(self.stream.try_read(&mut buffer)) {
            Ok(None) => {}
            Ok(Some(0)) => self.end(),
            Ok(Some(n)) => self.client.receive(&buffer[..n]).map_err(|e| self.lost(e.to_string()))?,
            // Events before the reset must still be handled.
            Err(e) if e.kind() == ErrorKind::ConnectionReset => self.end(),
            Err(e) => return Err(self.lost(e.to_string())),
        }
        Ok(())
    }

    fn end(&mut self) {
        self.ended = true;
        self.client.end_of_input();
    }

    fn write(&mut self) -> Result<(), Error> {
        match would_block_is_none(self.stream.try_write(&self.unsent)) {
            Ok(None) => {}
            Ok(Some(n)) => {
                self.unsent.drain(..n);
                self.moved = Instant::now();
            }
            Err(e) => return Err(self.lost(e.to_string())),
        }
        Ok(())
    }
}

/// Converts `WouldBlock` to `None`: readiness may be outdated, which is no error.
fn would_block_is_none(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(n) => Ok(Some(n)),
        Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(e) => Err(e),
    }
}
