//! The publish of a relayed stream at the nginx of this machine.

use tokio::sync::watch;
use tokio::time::timeout;
use weir_media::live::unpack::Unpacker;
use weir_media::run::cut::Frame;
use weir_rtmp::client::ClientEvent;
use weir_rtmp::flv::TagKind;
use weir_rtmp::url::Url;

use super::error::Error;
use super::paths::Entry;
use super::recent;
use crate::publisher::link::{Link, PATIENCE};
use crate::publisher::{self, accepted, words};

/// One publish at nginx.
pub(super) struct Outgoing {
    link: Link,
    /// URL without the token, for messages.
    url: String,
    recent: recent::Entry,
    /// Time of the first frame, in milliseconds.
    origin: Option<i64>,
    last: u32,
    /// Frames are being dropped until the next keyframe.
    skips: bool,
}

impl Outgoing {
    /// Connects, and waits until nginx accepts the stream.
    pub(super) async fn publish(url: &Url, recent: recent::Entry) -> Result<Self, Error> {
        let mut link = Link::connect(url).await?;
        match timeout(PATIENCE, accepted(&mut link, url)).await {
            Ok(result) => result.map_err(publisher::Error::of_minted)?,
            Err(_) => return Err(Error::NoAnswer),
        }
        Ok(Self { link, url: url.to_string(), recent, origin: None, last: 0, skips: false })
    }

    /// Sends the decoder configurations.
    pub(super) fn begin(&mut self, unpacker: &Unpacker) -> Result<(), Error> {
        for tag in unpacker.headers(self.last) {
            self.put(tag.kind, tag.timestamp, &tag.payload)?;
        }
        Ok(())
    }

    /// Sends frames. Returns true if a player can begin with one of them.
    pub(super) fn send(&mut self, frames: Vec<Frame>, has_video: bool) -> Result<bool, Error> {
        let mut is_playable = false;
        for frame in frames {
            let opens = frame.is_key && (frame.kind == TagKind::Video || !has_video);
            self.skips = !self.has_room() || (self.skips && !opens);
            if self.skips {
                continue;
            }
            let time = frame.time - *self.origin.get_or_insert(frame.time);
            // The timestamp wraps after 49 days, as for every publisher.
            self.last = time.max(0) as u32;
            self.put(frame.kind, self.last, &frame.payload)?;
            is_playable |= opens;
        }
        Ok(is_playable)
    }

    /// Sends one tag.
    pub(super) fn put(&mut self, kind: TagKind, timestamp: u32, payload: &[u8]) -> Result<(), Error> {
        self.recent.put(kind, timestamp, payload);
        let sent = self.link.client.send_tag(kind, timestamp, payload);
        sent.map_err(|error| self.link.lost(error.to_string()).into())
    }

    pub(super) fn has_room(&self) -> bool {
        self.link.has_room()
    }

    /// Sends and receives bytes. Cancel-safe.
    pub(super) async fn turn(&mut self) -> Result<(), Error> {
        self.link.turn().await?;
        while let Some(event) = self.link.client.next_event() {
            let why = match event {
                ClientEvent::Status(status) if status.level == "error" => words(&status),
                ClientEvent::Closed => "it closed the publish".into(),
                _ => continue,
            };
            return Err(publisher::Error::Refused { url: self.url.clone(), why }.into());
        }
        Ok(())
    }

    /// Ends the stream at nginx.
    pub(super) async fn finish(mut self) {
        self.link.finish().await;
    }
}

/// Sends and receives bytes of a publish. Never returns while there is no publish.
pub(super) async fn turn(out: &mut Option<(Outgoing, Entry)>) -> Result<(), Error> {
    match out {
        Some((out, _)) => out.turn().await,
        None => std::future::pending().await,
    }
}

/// Waits for the order to end.
pub(super) async fn told(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}
