//! A stream of another node, taken over its WebSocket or over WebRTC and published here. Pictures are not decoded; of sound, Opus that
//! comes over WebRTC is made AAC.
//!
//! - [`Relay`] is one of them, and [`Relay::run`] one attempt: who wants it kept running tries again
//! - [`socket`]: the WebSocket of a Weir node; [`whep`]: WebRTC with any server; `said`: what their web servers say
//! - `outgoing`: the publish at the nginx of this machine
//! - [`recent`]: the newest media, for who plays it here; [`trust`]: who gets a token that is minted here
//! - [`paths`]: over which nodes streams came, so that none comes back to where it was
//!
//! The far end is a stranger: its messages are bounded in size and number, and its silence in time.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use weir_media::live::unpack::Unpacker;

use crate::config::origin::Kind;
use crate::publisher::token;
use crate::supervise::Shared;

mod error;
mod node;
mod outgoing;
pub mod paths;
pub mod recent;
mod said;
mod socket;
pub mod trust;
pub mod whep;

pub use error::Error;
use error::SILENCE;
pub use node::Relay;
use outgoing::{Outgoing, told, turn};
use paths::Entry;
use socket::{Message, Socket};

/// The far end says this long after its publisher is gone that nobody returns, and closes.
const ABSENCE: Duration = Duration::from_secs(90);

impl Relay {
    /// Relays until the far end ends the stream, something fails, or `shared` says that it is to end. `playable` is called for each
    /// frame with which a player can begin.
    pub async fn run(&self, shared: &Shared, playable: impl Fn()) -> Result<(), Error> {
        match self.origin.kind {
            Kind::Ws => self.over_websocket(shared, playable).await,
            Kind::Whep => whep::run(self, shared, &playable).await,
        }
    }

    async fn over_websocket(&self, shared: &Shared, playable: impl Fn()) -> Result<(), Error> {
        let mut closing = shared.closing();
        let token = self.token()?;
        let mut socket = tokio::select! {
            socket = Socket::connect(&self.origin, token.as_ref()) => socket?,
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
    /// The nodes over which the stream came to the far end, and that one.
    path: Vec<String>,
    /// The publish, and the stream's path for as long as it lasts.
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
            // While nginx takes nothing, nothing is read: the far end leaves pictures out.
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

    /// The publisher at the far end is gone, or another one is there: so it is here.
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
            let url = token::url(server, secret_file, app, name, false)?;
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
