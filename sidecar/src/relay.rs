//! Takes a stream of another node over its WebSocket or over WebRTC, and publishes it here. Video is not decoded. Opus audio over WebRTC
//! is converted to AAC.
//!
//! - [`Relay`] describes one relayed stream, and [`Relay::run`] makes one attempt; the caller retries
//! - [`socket`]: the WebSocket of a Weir node; [`whep`]: WebRTC with any server; `said`: error answers of their web servers
//! - `outgoing`: the publish at the nginx of this machine
//! - [`recent`]: the newest media, for players of this node; [`trust`]: the servers that get a token of this node
//! - [`paths`]: the nodes that a stream has passed, so that no stream returns to a node
//!
//! The far end is not trusted: the size and number of its messages, and its silence, are limited.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use weir_media::live::unpack::Unpacker;

use crate::config::origin::OriginProtocol;
use crate::publisher::token;
use crate::supervise::Shared;

mod error;
mod node;
mod outgoing;
pub(crate) mod paths;
pub(crate) mod recent;
pub(crate) mod said;
pub(crate) mod socket;
pub(crate) mod trust;
pub(crate) mod whep;

pub(crate) use error::Error;
use error::SILENCE;
pub(crate) use node::Relay;
use outgoing::{Outgoing, told, turn};
use paths::Entry;
use socket::{Message, Socket};

/// Silence limit after the far end's publisher is gone. The far end reports within this time that nobody has returned, and closes.
const ABSENCE: Duration = Duration::from_secs(90);

impl Relay {
    /// Relays until the far end ends the stream, an error occurs, or `shared` orders the end. Calls `playable` for each frame with which
    /// a player can begin.
    pub(crate) async fn run(&self, shared: &Shared, playable: impl Fn()) -> Result<(), Error> {
        match self.origin.kind {
            OriginProtocol::Ws => self.over_websocket(shared, playable).await,
            OriginProtocol::Whep => whep::run(self, shared, &playable).await,
        }
    }

    async fn over_websocket(&self, shared: &Shared, playable: impl Fn()) -> Result<(), Error> {
        let mut closing = shared.closing();
        let token = self.token()?;
        let asking = self.paths.asking(&self.id());
        let mut socket = tokio::select! {
            socket = Socket::connect(&self.origin, token.as_ref(), &asking) => socket?,
            () = told(&mut closing) => return Ok(()),
        };
        let mut run = Run { relay: self, unpacker: None, path: Vec::new(), out: None };
        let result = run.relay(&mut socket, &mut closing, shared, &playable).await;
        if let Some((out, _)) = run.out.take() {
            out.finish().await;
        }
        socket.close().await;
        result
    }
}

struct Run<'r> {
    relay: &'r Relay,
    unpacker: Option<Unpacker>,
    /// The nodes that the stream has passed, including the far end.
    path: Vec<String>,
    /// The publish, and the entry of the stream's path, which lasts as long as the publish.
    out: Option<(Outgoing, Entry)>,
}

impl Run<'_> {
    async fn relay(
        &mut self,
        socket: &mut Socket,
        closing: &mut watch::Receiver<bool>,
        shared: &Shared,
        playable: &impl Fn(),
    ) -> Result<(), Error> {
        let mut heard = Instant::now();
        loop {
            let patience = if self.out.is_some() || self.unpacker.is_none() { SILENCE } else { ABSENCE };
            // If nginx accepts no data, nothing is read from the far end, which then drops frames.
            let may_read = self.out.as_ref().is_none_or(|(out, _)| out.has_room());
            tokio::select! {
                message = socket.next(), if may_read => match message? {
                    None => return Ok(()),
                    Some(Message::Init { via, breaks }) => {
                        self.relay.paths.check(&via)?;
                        if breaks || via != self.path {
                            self.end().await;
                        }
                        (self.path, self.unpacker) = (via, None);
                    }
                    Some(Message::Media(bytes)) => {
                        heard = Instant::now();
                        shared.received(bytes.len());
                        self.take(&bytes, playable).await?;
                    }
                    Some(Message::Ended) => self.end().await,
                },
                turn = turn(&mut self.out) => turn?,
                () = sleep_until(heard + patience), if may_read => {
                    return Err(Error::Silent(self.relay.origin.host()));
                }
                () = told(closing) => return Ok(()),
            }
        }
    }

    /// Ends the publish here, because the publisher at the far end is gone or replaced.
    async fn end(&mut self) {
        if let Some((out, _)) = self.out.take() {
            out.finish().await;
        }
    }

    async fn take(&mut self, bytes: &[u8], playable: &impl Fn()) -> Result<(), Error> {
        let host = || self.relay.origin.host();
        let media = |why| Error::Media { host: host(), why };
        let Some(unpacker) = &self.unpacker else {
            if !is_init(bytes) {
                return Err(Error::NoInit(host()));
            }
            let unpacker = Unpacker::of_init(bytes).map_err(media)?;
            if let Some((out, _)) = &mut self.out {
                out.begin(&unpacker)?;
            }
            self.unpacker = Some(unpacker);
            return Ok(());
        };
        let frames = unpacker.fragment(bytes).map_err(media)?;
        if self.out.is_none() {
            let entry = self.relay.paths.enter(self.relay.id(), self.path.clone());
            let Relay { server, secret_file, app, name, .. } = self.relay;
            let recent = self.relay.recents.enter(self.relay.id());
            let url = token::url(server, secret_file.as_deref(), app, name, false)?;
            let mut out = Outgoing::publish(&url, recent).await?;
            out.begin(unpacker)?;
            self.out = Some((out, entry));
        }
        if let Some((out, _)) = &mut self.out
            && out.send(frames, unpacker.has_video())?
        {
            playable();
        }
        Ok(())
    }
}

fn is_init(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(b"ftyp")
}
