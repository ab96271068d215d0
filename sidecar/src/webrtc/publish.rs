//! A publisher: H.264 as it is and Opus as AAC, published into nginx as any encoder's stream.

use std::time::{Duration, Instant};

use str0m::format::Codec;
use str0m::media::{KeyframeRequestKind, MediaData, MediaKind, Mid};
use str0m::{Event, RtcError};
use tokio::time::{interval, timeout};
use weir_media::live::annexb::{self, Picture};
use weir_rtmp::client;
use weir_rtmp::flv::TagKind;
use weir_rtmp::url::Url;

use super::aac::Encoder;
use super::peer::{Next, Peer};
use crate::context::Context;
use crate::publisher::link::Link;
use crate::publisher::{self, accepted, words};
use crate::streams::StreamId;

/// nginx answers within this time.
const PATIENCE: Duration = Duration::from_secs(8);
/// Between key frames.
const KEY_FRAMES: Duration = Duration::from_secs(2);
/// FLV: a key frame and another one of H.264, and AAC of 44.1 kHz or what its configuration says.
const KEY: u8 = 0x17;
const OTHER: u8 = 0x27;

/// Why nginx does not take a stream.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It says no, or cannot be reached.
    #[error("{}", told(.0))]
    Publisher(#[from] publisher::Error),
    /// It says nothing.
    #[error("nginx does not answer to the publish")]
    Silent,
}

/// nginx's words without its address, which is nobody's concern here.
fn told(error: &publisher::Error) -> String {
    match error {
        publisher::Error::Refused { why, .. } => why.clone(),
        publisher::Error::NoApplication { .. } => "there is no such application".into(),
        _ => "nginx cannot be reached".into(),
    }
}

/// Begins to publish.
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
    let about = |reason: Option<&str>| serde_json::json!({ "app": app, "stream": name, "reason": reason });
    tracing::info!(stream, session = peer.id(), "a publisher over WebRTC begins");
    context.bus.tell("whip.started", serde_json::json!({ "app": app, "stream": name }));
    let mut publish =
        Publish::new(Encoder::start(context.config().jobs.clone(), &context.helpers, id.clone()));
    let why = match publish.work(&mut peer, &mut link).await {
        Ok(why) => why,
        Err(error) => error.to_string(),
    };
    tracing::info!(stream, session = peer.id(), "a publisher over WebRTC ends: {why}");
    context.bus.tell("whip.ended", about(Some(&why)));
    // Nobody is left to be told where nginx has closed it.
    if !publish.is_closed {
        link.finish().await;
    }
    peer.close().await;
}

struct Publish {
    encoder: Encoder,
    video: Option<Mid>,
    /// When media of the first kind came: the stream begins then.
    began: Option<Instant>,
    pictures: Line,
    sound: Line,
    /// The configuration that nginx has.
    record: Vec<u8>,
    sets: (Vec<u8>, Vec<u8>),
    /// A key frame came at this time.
    key: Option<Instant>,
    is_connected: bool,
    /// nginx has closed the publish.
    is_closed: bool,
    /// nginx took too little, and goes on with the next key frame.
    skips: bool,
}

/// From RTP times of one track to milliseconds of the stream.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// Milliseconds in RTP, and in the stream.
    first: Option<(i64, i64)>,
    last: i64,
}

impl Line {
    /// Where media with a time in RTP, in milliseconds, belongs that came `arrived` milliseconds after the beginning. Times only grow.
    fn place(&mut self, rtp: i64, arrived: i64) -> i64 {
        let (from, to) = *self.first.get_or_insert((rtp, arrived));
        self.last = (rtp - from + to).max(self.last);
        self.last
    }
}

impl Publish {
    fn new(encoder: Encoder) -> Self {
        Self {
            encoder,
            video: None,
            began: None,
            pictures: Line::default(),
            sound: Line::default(),
            record: Vec::new(),
            sets: Default::default(),
            key: None,
            is_connected: false,
            is_closed: false,
            skips: false,
        }
    }

    /// Why it ends, in words.
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
                    }
                    _ => {}
                }
            }
            if let Some(why) = peer.is_over() {
                return Ok(why.into());
            }
            while let Some(event) = link.client.next_event() {
                match event {
                    client::Event::Status(status) if status.level == "error" => return Ok(words(&status)),
                    client::Event::Closed => {
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
                tag = self.encoder.next() => {
                    if link.has_room() && link.client.send_tag(tag.kind, tag.timestamp, &tag.payload).is_err() {
                        return Ok("the connection to nginx is lost".into());
                    }
                }
                _ = look.tick() => self.ask_for_key(peer)?,
            }
        }
    }

    /// Players can begin each two seconds.
    fn ask_for_key(&mut self, peer: &mut Peer) -> Result<(), RtcError> {
        let is_due = self.key.is_none_or(|key| key.elapsed() >= KEY_FRAMES);
        if !self.is_connected || !is_due {
            return Ok(());
        }
        let Some(mut writer) = self.video.and_then(|mid| peer.rtc.writer(mid)) else { return Ok(()) };
        if writer.is_request_keyframe_possible(KeyframeRequestKind::Pli) {
            writer.request_keyframe(None, KeyframeRequestKind::Pli)?;
        }
        Ok(())
    }

    fn take(&mut self, link: &mut Link, data: &MediaData) -> Result<(), client::Error> {
        let began = *self.began.get_or_insert(data.network_time);
        let arrived = data.network_time.saturating_duration_since(began).as_millis();
        let arrived = i64::try_from(arrived).unwrap_or(i64::MAX / 2);
        let rtp = i64::try_from(data.time.as_micros() / 1000).unwrap_or(i64::MAX / 2);
        match data.params.spec().codec {
            Codec::H264 => {
                let at = self.pictures.place(rtp, arrived);
                self.picture(link, &data.data, at)
            }
            Codec::Opus => {
                let at = self.sound.place(rtp, arrived);
                self.encoder.put(at, &data.data);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn picture(&mut self, link: &mut Link, stream: &[u8], at: i64) -> Result<(), client::Error> {
        let picture = Picture::read(stream);
        let at = at as u32;
        if let Some(sequence) = picture.sequence {
            self.sets.0 = sequence;
        }
        if let Some(parameters) = picture.picture {
            self.sets.1 = parameters;
        }
        if picture.is_key
            && let Some(record) = annexb::record(&self.sets.0, &self.sets.1)
            && record != self.record
        {
            link.client.send_tag(TagKind::Video, at, &[&[KEY, 0, 0, 0, 0][..], &record].concat())?;
            self.record = record;
        }
        // Before the first key frame, nothing can be decoded.
        if self.record.is_empty() || picture.data.is_empty() {
            return Ok(());
        }
        if picture.is_key {
            self.key = Some(Instant::now());
        }
        self.skips = !link.has_room() || (self.skips && !picture.is_key);
        if self.skips {
            return Ok(());
        }
        let first = if picture.is_key { KEY } else { OTHER };
        link.client.send_tag(TagKind::Video, at, &[&[first, 1, 0, 0, 0][..], &picture.data].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks_begin_when_they_come_and_times_only_grow() {
        let (mut pictures, mut sound) = (Line::default(), Line::default());
        assert_eq!(pictures.place(700_000, 0), 0);
        assert_eq!(sound.place(90, 130), 130);
        assert_eq!(pictures.place(700_040, 55), 40);
        assert_eq!(sound.place(110, 131), 150);
        assert_eq!(sound.place(100, 160), 150);
    }
}
