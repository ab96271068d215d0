//! A publisher: its H.264 is copied and its Opus becomes AAC; nginx receives both as an ordinary encoder's stream.

use std::time::{Duration, Instant};

use str0m::media::{KeyframeRequestKind, MediaData, MediaKind, Mid};
use str0m::{Event, RtcError};
use tokio::time::{interval, timeout};
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::fields::{WhipEnded, WhipStarted};
use weir_rtmp::client;
use weir_rtmp::url::Url;

use super::peer::{Next, Peer};
use crate::context::Context;
use crate::intake::Intake;
use crate::intake::aac::Encoder;
use crate::publisher::link::Link;
use crate::publisher::{self, accepted, words};
use crate::streams::StreamId;

/// Time within which nginx must answer.
const PATIENCE: Duration = Duration::from_secs(8);
/// Interval of keyframes.
const KEY_FRAMES: Duration = Duration::from_secs(2);
/// Shortest time between two requests for a keyframe.
const BETWEEN: Duration = Duration::from_millis(500);

/// Reason why nginx does not accept a stream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// nginx refuses the stream or cannot be reached.
    #[error("{}", told(.0))]
    Publisher(#[from] publisher::Error),
    /// nginx does not answer.
    #[error("nginx does not answer to the publish")]
    Silent,
}

/// Returns nginx's reason without its address, which clients must not see.
fn told(error: &publisher::Error) -> String {
    match error {
        publisher::Error::Refused { why, .. } => why.clone(),
        publisher::Error::NoApplication { .. } => "there is no such application".into(),
        _ => "nginx cannot be reached".into(),
    }
}

/// Connects to nginx and starts the publish.
pub(super) async fn begin(url: &Url) -> Result<Link, Error> {
    let begun = timeout(PATIENCE, async {
        let mut link = Link::connect(url).await?;
        accepted(&mut link, url).await?;
        Ok::<_, publisher::Error>(link)
    });
    begun.await.map_err(|_| Error::Silent)?.map_err(Error::from)
}

/// Publishes until the client or nginx ends it.
pub(super) async fn run(mut peer: Peer, mut link: Link, context: &Context, id: StreamId) {
    let (app, name) = (&id.0, &id.1);
    let stream = format!("{app}/{name}");
    tracing::info!(stream, session = peer.id(), "a publisher over WebRTC begins");
    let started = WhipStarted { app: app.to_string(), stream: name.to_string() };
    context.bus.tell(&DaemonEvent::WhipStarted(started));
    let mut publish =
        Publish::new(Encoder::start(context.config().jobs.clone(), &context.helpers, id.clone()));
    let why = match publish.work(&mut peer, &mut link).await {
        Ok(why) => why,
        Err(error) => error.to_string(),
    };
    tracing::info!(stream, session = peer.id(), "a publisher over WebRTC ends: {why}");
    let ended = WhipEnded { app: app.to_string(), reason: why, stream: name.to_string() };
    context.bus.tell(&DaemonEvent::WhipEnded(ended));
    // If nginx has closed the publish, nobody can be notified.
    if !publish.is_closed {
        link.finish().await;
    }
    peer.close().await;
}

struct Publish {
    intake: Intake,
    video: Option<Mid>,
    /// Time of the last request for a keyframe.
    asked: Option<Instant>,
    is_connected: bool,
    /// nginx has closed the publish.
    is_closed: bool,
}

impl Publish {
    fn new(encoder: Encoder) -> Self {
        Self { intake: Intake::new(encoder), video: None, asked: None, is_connected: false, is_closed: false }
    }

    /// Publishes until the end, and returns its reason in words.
    async fn work(&mut self, peer: &mut Peer, link: &mut Link) -> Result<String, RtcError> {
        let mut look = interval(Duration::from_millis(250));
        loop {
            for event in peer.settle().await? {
                match event {
                    Event::MediaAdded(media) if media.kind == MediaKind::Video => {
                        self.video = Some(media.mid)
                    }
                    Event::Connected => self.is_connected = true,
                    Event::MediaData(data) => {
                        if let Err(error) = self.take(link, &data) {
                            return Ok(error.to_string());
                        }
                        self.ask_for_key(peer)?;
                    }
                    _ => {}
                }
            }
            if let Some(why) = peer.is_over() {
                return Ok(why.into());
            }
            while let Some(event) = link.client.next_event() {
                match event {
                    client::ClientEvent::Status(status) if status.level == "error" => {
                        return Ok(words(&status));
                    }
                    client::ClientEvent::Closed => {
                        self.is_closed = true;
                        return Ok("nginx has closed the publish".into());
                    }
                    _ => {}
                }
            }
            tokio::select! {
                next = peer.next() => match next {
                    Next::Datagram(datagram) => peer.take(&datagram)?,
                    Next::Tick => peer.tick()?,
                    Next::Stop => return Ok("it was ended".into()),
                },
                turn = link.turn() => {
                    if turn.is_err() {
                        return Ok("the connection to nginx is lost".into());
                    }
                }
                tag = self.intake.sound() => {
                    if link.has_room() && link.client.send_tag(tag.kind, tag.timestamp, &tag.payload).is_err() {
                        return Ok("the connection to nginx is lost".into());
                    }
                }
                _ = look.tick() => self.ask_for_key(peer)?,
            }
        }
    }

    /// Asks for a keyframe every two seconds, so that players can begin there; and immediately if video was lost.
    fn ask_for_key(&mut self, peer: &mut Peer) -> Result<(), RtcError> {
        let age = |at: Option<Instant>| at.map(|at| at.elapsed());
        if !self.is_connected || !is_due(self.intake.needs_key(), age(self.intake.key()), age(self.asked)) {
            return Ok(());
        }
        let Some(mut writer) = self.video.and_then(|mid| peer.rtc.writer(mid)) else { return Ok(()) };
        if writer.is_request_keyframe_possible(KeyframeRequestKind::Pli) {
            writer.request_keyframe(None, KeyframeRequestKind::Pli)?;
            self.asked = Some(Instant::now());
        }
        Ok(())
    }

    fn take(&mut self, link: &mut Link, data: &MediaData) -> Result<(), client::Error> {
        for tag in self.intake.take(data, link.has_room()) {
            link.client.send_tag(tag.kind, tag.timestamp, &tag.payload)?;
        }
        Ok(())
    }
}

/// Returns whether to ask for a keyframe, given the times since the last keyframe and since the last request for one.
fn is_due(is_lost: bool, key: Option<Duration>, asked: Option<Duration>) -> bool {
    let is_wanted = is_lost || key.is_none_or(|since| since >= KEY_FRAMES);
    is_wanted && asked.is_none_or(|since| since >= BETWEEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyframe_is_asked_for_in_time_and_not_too_often() {
        let ms = |ms| Some(Duration::from_millis(ms));
        for (is_lost, key, asked, expected) in [
            (false, None, None, true),
            (false, ms(1999), None, false),
            (false, ms(2000), ms(1990), true),
            (false, ms(2100), ms(100), false),
            (true, ms(10), ms(1990), true),
            (true, ms(10), None, true),
            (true, ms(700), ms(499), false),
            (true, ms(700), ms(500), true),
        ] {
            assert_eq!(is_due(is_lost, key, asked), expected, "{is_lost} {key:?} {asked:?}");
        }
    }
}
