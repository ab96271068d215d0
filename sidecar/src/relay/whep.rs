//! Takes a stream of a WHEP server, which may be a Weir node, over WebRTC, and publishes it here. H.264 video is copied; an ffmpeg
//! converts the Opus audio to AAC.
//!
//! - `signal`: requests over HTTP; `answer`: checks of the answer
//! - `sockets`: UDP; `peer`: the engine between the sockets and the media
//!
//! ICE servers that the far end names are not used, because the far end itself has an address that this node can reach.

use std::time::{Duration, Instant};

use str0m::Event;
use str0m::media::MediaData;
use tokio::sync::watch;
use tokio::time::interval;
use weir_rtmp::flv::Tag;

use super::error::{Error, SILENCE};
use super::node::Relay;
use super::outgoing::{Outgoing, told, turn};
use super::paths::Entry;
use crate::intake::Intake;
use crate::intake::aac::Encoder;
use crate::publisher::token;
use crate::supervise::Shared;

mod answer;
mod peer;
pub(crate) mod signal;
mod sockets;
pub(crate) mod why;

use answer::Answer;
use peer::Peer;
use signal::Session;
use why::{HANDSHAKE, Why};

/// Longest time that audio waits for video.
const ALONE: Duration = Duration::from_secs(2);
/// Time in which a server may send a keyframe by itself. After it, this node asks for one.
const BEFORE_ASKING: Duration = Duration::from_millis(300);
/// Shortest time between two requests for a keyframe.
const BETWEEN: Duration = Duration::from_millis(500);

/// Relays until the far end ends the stream, an error occurs, or `shared` orders the end.
pub(super) async fn run(relay: &Relay, shared: &Shared, playable: &impl Fn()) -> Result<(), Error> {
    let mut closing = shared.closing();
    let token = relay.token()?;
    let begin = async {
        let (peer, offer) = Peer::offer(&relay.origin).await?;
        let asking = relay.paths.asking(&relay.id());
        let (session, answered) = Session::begin(&relay.origin, token.as_ref(), &asking, offer).await?;
        Ok::<_, Error>((peer, session, answered))
    };
    let (mut peer, session, answered) = tokio::select! {
        begun = begin => begun?,
        () = told(&mut closing) => return Ok(()),
    };
    let result = async {
        relay.paths.check(&answered.via)?;
        let host = || relay.origin.host();
        let answer = Answer::read(&answered.sdp).map_err(|why| Why::Answer { host: host(), why })?;
        peer.accept(&answer)?;
        let encoder = Encoder::start(relay.jobs.clone(), &relay.helpers, relay.id());
        let mut run = Run {
            relay,
            via: answered.via,
            intake: Intake::new(encoder),
            has_video: answer.has_video,
            has_pictures: false,
            // With this header, nginx knows about the audio from the beginning. For other streams, the header follows with the first audio.
            header: answered.has_audio.then(|| Encoder::header(0)),
            last: 0,
            out: None,
            connected: None,
            heard: Instant::now(),
            asked: None,
            lost: true,
        };
        let result = run.relay(&mut peer, &mut closing, shared, playable).await;
        if let Some((out, _)) = run.out.take() {
            out.finish().await;
        }
        result
    };
    let result = result.await;
    peer.close();
    session.end().await;
    result
}

struct Run<'r> {
    relay: &'r Relay,
    /// The nodes that the stream has passed, including the far end.
    via: Vec<String>,
    intake: Intake,
    has_video: bool,
    has_pictures: bool,
    /// The AAC configuration.
    header: Option<Tag>,
    /// Time of the last tag.
    last: u32,
    /// The publish, and the entry of the stream's path, which lasts as long as the publish.
    out: Option<(Outgoing, Entry)>,
    connected: Option<Instant>,
    heard: Instant,
    /// Time of the last request for a keyframe.
    asked: Option<Instant>,
    /// Video cannot be decoded until the next keyframe.
    lost: bool,
}

impl Run<'_> {
    async fn relay(
        &mut self,
        peer: &mut Peer,
        closing: &mut watch::Receiver<bool>,
        shared: &Shared,
        playable: &impl Fn(),
    ) -> Result<(), Error> {
        let mut look = interval(Duration::from_millis(100));
        loop {
            for event in peer.settle()? {
                match event {
                    Event::Connected => {
                        (self.connected, self.heard) = (Some(Instant::now()), Instant::now());
                    }
                    Event::MediaData(data) => {
                        self.heard = Instant::now();
                        shared.received(data.data.len());
                        self.take(&data, playable).await?;
                    }
                    _ => {}
                }
            }
            if peer.is_over() {
                return Ok(());
            }
            tokio::select! {
                datagram = peer.next() => match datagram {
                    Some(datagram) => peer.take(&datagram)?,
                    None => peer.tick()?,
                },
                tag = self.intake.sound() => self.sound(tag, playable).await?,
                turn = turn(&mut self.out) => turn?,
                _ = look.tick() => self.look(peer)?,
                () = told(closing) => return Ok(()),
            }
        }
    }

    /// Checks the time limits.
    fn look(&mut self, peer: &mut Peer) -> Result<(), Error> {
        let host = || self.relay.origin.host();
        let Some(connected) = self.connected else {
            let is_late = peer.began.elapsed() >= HANDSHAKE;
            return if is_late { Err(Why::NotConnected(host()).into()) } else { Ok(()) };
        };
        if self.heard.elapsed() >= SILENCE {
            return Err(Error::Silent(host()));
        }
        let is_due = self.asked.map_or(connected.elapsed() >= BEFORE_ASKING, |at| at.elapsed() >= BETWEEN);
        if self.lost && is_due {
            self.asked = Some(Instant::now());
            peer.ask_for_key();
        }
        Ok(())
    }

    async fn take(&mut self, data: &MediaData, playable: &impl Fn()) -> Result<(), Error> {
        let room = self.out.as_ref().is_none_or(|(out, _)| out.has_room());
        if self.header.is_none() && data.params.spec().codec.is_audio() {
            let header = Encoder::header(self.last);
            self.header = Some(header.clone());
            if self.out.is_some() {
                self.put(header).await?;
            }
        }
        self.lost |= !data.contiguous && data.params.spec().codec.is_video();
        for tag in self.intake.take(data, room) {
            let is_key = !tag.is_header() && tag.payload.first().is_some_and(|first| first >> 4 == 1);
            self.has_pictures = true;
            self.lost &= !is_key;
            self.put(tag).await?;
            if is_key {
                playable();
            }
        }
        Ok(())
    }

    async fn sound(&mut self, tag: Tag, playable: &impl Fn()) -> Result<(), Error> {
        let is_header = tag.is_header();
        if is_header {
            let is_known = self.header.as_ref().is_some_and(|known| known.payload == tag.payload);
            self.header = Some(tag.clone());
            if is_known && self.out.is_some() {
                return Ok(());
            }
        }
        let is_alone = self.connected.is_some_and(|connected| connected.elapsed() >= ALONE);
        // Video and audio begin together: to players, a stream that gets video later is a different stream.
        if self.out.is_none() && self.has_video && !is_alone {
            return Ok(());
        }
        if self.out.as_ref().is_none_or(|(out, _)| out.has_room()) {
            self.put(tag).await?;
        }
        if !self.has_pictures && !is_header {
            playable();
        }
        Ok(())
    }

    /// Sends a tag. The first tag begins the publish.
    async fn put(&mut self, tag: Tag) -> Result<(), Error> {
        if self.out.is_none() {
            let Relay { server, secret_file, app, name, paths, .. } = self.relay;
            let entry = paths.enter(self.relay.id(), self.via.clone());
            let recent = self.relay.recents.enter(self.relay.id());
            let url = token::url(server, secret_file.as_deref(), app, name, false)?;
            let mut out = Outgoing::publish(&url, recent).await?;
            if let Some(header) = self.header.clone().filter(|header| header.payload != tag.payload) {
                out.put(header.kind, tag.timestamp, &header.payload)?;
            }
            self.out = Some((out, entry));
        }
        self.last = tag.timestamp;
        match &mut self.out {
            Some((out, _)) => out.put(tag.kind, tag.timestamp, &tag.payload),
            None => Ok(()),
        }
    }
}
