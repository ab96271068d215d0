//! A WebRTC viewer: it gets H.264 as it is, and Opus.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::format::Codec;
use str0m::media::{Frequency, MediaKind, MediaTime, Mid, Pt};
use str0m::{Event, RtcError};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{interval, sleep_until};
use weir_media::live::annexb::Avc;
use weir_media::live::ogg;
use weir_rtmp::media::Codec as Sent;

use super::bandwidth::{Bandwidth, Step};
use super::clock::Clock;
use super::peer::{Media, Next, Peer};
use super::sound::{Packet, Sounds, Subscription};
use super::unfit::Unfit;
use crate::live::ring::{Item, Piece, Start};
use crate::live::station::{Viewer, ViewerKind};

/// Returns whether the token of a viewer is still valid.
pub(crate) type MayStay = Box<dyn Fn() -> bool + Send + Sync>;

/// Interval at which the token of a viewer is checked.
const CHECK: Duration = Duration::from_secs(1);
/// Shortest time between two repeated keyframes for a viewer that cannot decode.
const REPLAY: Duration = Duration::from_secs(1);
/// Time without media after which the publisher is away. Browsers ask for a keyframe later than this.
const PAUSE: Duration = Duration::from_secs(2);
/// Time for which sent video is kept for a viewer who asks for lost packets, and most packets. A later one would come too late.
const KEPT: Duration = Duration::from_millis(500);
const MOST_KEPT: usize = 1000;
/// Packets are not sent again while they are more than this part of all.
const MOST_REPEATED: f32 = 0.15;
/// Bytes per millisecond to a viewer that has just joined: 50 Mbit/s.
const RATE: u64 = 6250;

/// Reason why WebRTC cannot carry a stream.
pub(super) const B_FRAMES: &str =
    "the stream has B-frames, which WebRTC cannot play: set the encoder to 0 B-frames (tune zerolatency)";
/// Another reason.
pub(super) const NOT_H264: &str = "the video of the stream is not H.264, which is what WebRTC plays here";

/// State of the tracks that a viewer gets.
struct Tracks {
    video: Option<Mid>,
    audio: Option<Mid>,
    avc: Option<(Avc, Pt)>,
    clock: Option<Clock>,
    sound: Option<Subscription>,
    opus: Option<Pt>,
    /// The stream's own audio is Opus.
    has_opus: bool,
    queue: VecDeque<Item>,
    /// Time at which the next piece is sent.
    due: Instant,
    /// Time at which the newest keyframe was repeated because the viewer could not decode.
    replayed: Option<Instant>,
    /// RTP time of the last frame, in milliseconds.
    shown: u64,
    /// Time when the last piece was sent.
    fed: Instant,
}

/// Serves a viewer as long as it may stay: without limit if it came without a token. `counted` is the stream that counts the viewer, if
/// it watches another one.
pub(super) async fn run(
    mut peer: Peer,
    (mut viewer, mut counted): (Viewer, Option<Viewer>),
    (sounds, unfit): (&Sounds, &Unfit),
    bandwidth: Bandwidth,
    may_stay: Option<MayStay>,
) {
    let stream = format!("{}/{}", viewer.station().id.0, viewer.station().id.1);
    let why = match serve(&mut peer, (&mut viewer, &mut counted), sounds, bandwidth, may_stay).await {
        Ok(why) => {
            if why == B_FRAMES || why == NOT_H264 {
                unfit.tell(&viewer.station().id, why);
            }
            why.to_owned()
        }
        Err(error) => error.to_string(),
    };
    tracing::debug!(stream, session = peer.id(), "a viewer over WebRTC leaves: {why}");
    peer.close().await;
}

async fn serve(
    peer: &mut Peer,
    (viewer, counted): (&mut Viewer, &mut Option<Viewer>),
    sounds: &Sounds,
    mut bandwidth: Bandwidth,
    may_stay: Option<MayStay>,
) -> Result<&'static str, RtcError> {
    let mut tracks = Tracks::new(early_sound(viewer, sounds));
    let mut check = interval(CHECK);
    loop {
        for event in peer.settle().await? {
            bandwidth.note(&event, tracks.video);
            match event {
                Event::MediaAdded(media) if media.kind == MediaKind::Video => {
                    keep_few(peer, media.mid);
                    tracks.video = Some(media.mid);
                }
                Event::MediaAdded(media) => tracks.audio = Some(media.mid),
                Event::Connected => {
                    tracks.begin(viewer);
                    counted.as_mut().map(|counted| counted.rejoin(ViewerKind::WebRtc));
                }
                Event::KeyframeRequest(_) => tracks.replay(viewer),
                _ => {}
            }
        }
        if let Some(why) = peer.is_over() {
            return Ok(why);
        }
        let is_on = tracks.clock.is_some();
        if is_on && tracks.queue.is_empty() {
            tracks.queue.extend(viewer.read().items);
        }
        let has_more = !tracks.queue.is_empty();
        tokio::select! {
            next = peer.next() => match next {
                Next::Datagram(datagram) => peer.take(&datagram)?,
                Next::Tick => peer.tick()?,
                Next::Stop => return Ok("it was ended"),
            },
            () = sleep_until(tracks.due.into()), if has_more => {
                if let Some(why) = tracks.send(peer, viewer, sounds).await? {
                    return Ok(why);
                }
            }
            more = viewer.more(), if is_on && !has_more => {
                if !more {
                    // A rendition may end before the stream that was asked for.
                    let Some(asked) = counted.take().filter(|_| bandwidth.lost()) else {
                        return Ok("the stream has ended");
                    };
                    *viewer = asked;
                    tracks.restart(viewer);
                }
            }
            packet = next_sound(&mut tracks.sound) => tracks.sound(peer, packet).await?,
            _ = check.tick() => {
                if may_stay.as_ref().is_some_and(|may_stay| !may_stay()) {
                    return Ok("the token has expired or was revoked");
                }
                if tracks.video.is_some() && viewer.station().has_b_frames() {
                    return Ok(B_FRAMES);
                }
                match bandwidth.look() {
                    Step::Stay => {}
                    Step::To(next) => {
                        let last = std::mem::replace(viewer, next);
                        // The stream that the viewer asked for keeps counting it.
                        counted.get_or_insert(last);
                        tracks.restart(viewer);
                    }
                    Step::Back => if let Some(asked) = counted.take() {
                        *viewer = asked;
                        tracks.restart(viewer);
                    },
                }
            }
        }
    }
}

/// Subscribes to the audio before the viewer is connected, because the encoder needs time to start.
fn early_sound(viewer: &Viewer, sounds: &Sounds) -> Option<Subscription> {
    let start = viewer.station().start()?;
    let needs_encoder = start.about.has_audio && !is_opus(&start);
    needs_encoder.then(|| sounds.subscribe(&viewer.station().id))
}

fn is_opus(start: &Start) -> bool {
    start.about.audio.as_ref().is_some_and(|header| header.codec == Sent::FourCc(*b"Opus"))
}

async fn next_sound(sound: &mut Option<Subscription>) -> Arc<Packet> {
    let Some(sound) = sound else { return std::future::pending().await };
    loop {
        match sound.packets.recv().await {
            Ok(packet) => return packet,
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}

impl Tracks {
    fn new(sound: Option<Subscription>) -> Self {
        Self {
            video: None,
            audio: None,
            avc: None,
            clock: None,
            sound,
            opus: None,
            has_opus: false,
            queue: VecDeque::new(),
            due: Instant::now(),
            replayed: None,
            shown: 0,
            fed: Instant::now(),
        }
    }

    /// Starts the clock when the viewer is connected.
    fn begin(&mut self, viewer: &mut Viewer) {
        let edge = viewer.rejoin(ViewerKind::WebRtc).unwrap_or_default();
        self.clock = Some(Clock::new(edge, Instant::now()));
    }

    /// Continues at the newest keyframe, which is sent again, because the viewer has lost a frame. A browser also asks for a keyframe if
    /// the publisher is away: then it would show the last pictures once more.
    fn replay(&mut self, viewer: &mut Viewer) {
        let now = Instant::now();
        let is_soon = self.replayed.is_some_and(|last| now.duration_since(last) < REPLAY);
        let is_pause = self.queue.is_empty() && now.duration_since(self.fed) > PAUSE;
        if self.clock.is_some() && !is_soon && !is_pause {
            self.rejoin(viewer, now);
        }
    }

    /// Continues with another stream.
    fn restart(&mut self, viewer: &mut Viewer) {
        self.sound = None;
        self.rejoin(viewer, Instant::now());
    }

    fn rejoin(&mut self, viewer: &mut Viewer, now: Instant) {
        self.replayed = Some(now);
        let edge = viewer.rejoin(viewer.kind());
        self.queue = viewer.read().items.into();
        let key = self.queue.iter().find_map(|item| match item {
            Item::Fragment(piece) => Some(piece.start),
            _ => None,
        });
        if let (Some(clock), Some(key), Some(edge)) = (&mut self.clock, key, edge) {
            clock.replay((key, edge), now, self.shown);
        }
    }

    /// Sends the next piece. Returns the reason if the viewer cannot stay.
    async fn send(
        &mut self,
        peer: &mut Peer,
        viewer: &Viewer,
        sounds: &Sounds,
    ) -> Result<Option<&'static str>, RtcError> {
        match self.queue.pop_front() {
            Some(Item::Init(start)) => return Ok(self.prepare(peer, viewer, sounds, &start)),
            Some(Item::Fragment(piece)) => {
                let bytes = piece.bytes.len() as u64;
                let now = Instant::now();
                self.fed = now;
                self.due = self.due.max(now) + Duration::from_micros(bytes * 1000 / RATE);
                self.pictures(peer, &piece).await?;
                self.own_sound(peer, &piece).await?;
            }
            Some(Item::Ended) | None => {}
        }
        Ok(None)
    }

    fn prepare(
        &mut self,
        peer: &mut Peer,
        viewer: &Viewer,
        sounds: &Sounds,
        start: &Start,
    ) -> Option<&'static str> {
        let about = &start.about;
        let avc = about.video.as_ref().filter(|header| header.codec.is_avc());
        let avc = avc.and_then(|header| Avc::read(&header.data));
        if about.has_video && avc.is_none() {
            return Some(NOT_H264);
        }
        let payload = |peer: &mut Peer, avc: &Avc| video_payload(peer, self.video?, avc.profile);
        self.avc = avc.and_then(|avc| payload(peer, &avc).map(|pt| (avc, pt)));
        self.opus = self.audio.and_then(|mid| opus_payload(peer, mid));
        self.has_opus = is_opus(start);
        let needs_encoder = about.has_audio && !self.has_opus && self.opus.is_some();
        match needs_encoder {
            true if self.sound.is_none() => self.sound = Some(sounds.subscribe(&viewer.station().id)),
            true => {}
            false => self.sound = None,
        }
        if about.breaks {
            // The clock continues from the first piece after the gap.
            self.clock = self.clock.map(|clock| clock.paused());
        }
        None
    }

    fn place(&mut self, time: i64) -> Option<(u64, Instant)> {
        let clock = self.clock.as_mut()?;
        clock.resume(time, Instant::now());
        Some(clock.place(time))
    }

    async fn pictures(&mut self, peer: &mut Peer, piece: &Piece) -> Result<(), RtcError> {
        let Some((millis, at)) = self.place(piece.start) else { return Ok(()) };
        let (Some(mid), Some((avc, pt))) = (self.video, &self.avc) else { return Ok(()) };
        let Some(picture) = piece.layout.picture.clone().and_then(|range| piece.bytes.get(range)) else {
            return Ok(());
        };
        self.shown = self.shown.max(millis);
        let bytes = avc.byte_stream(picture, piece.is_key);
        let time = MediaTime::new(millis * 90, Frequency::NINETY_KHZ);
        peer.write(Media { mid, pt: *pt, at, time, bytes })?;
        peer.settle().await.map(|_| ())
    }

    /// Sends audio that is Opus already.
    async fn own_sound(&mut self, peer: &mut Peer, piece: &Piece) -> Result<(), RtcError> {
        if !self.has_opus {
            return Ok(());
        }
        let mut samples = u64::try_from(piece.layout.sound_start).unwrap_or_default() * 48;
        for range in &piece.layout.sound {
            let Some(bytes) = piece.bytes.get(range.clone()) else { continue };
            self.put_sound(peer, samples, bytes).await?;
            samples += u64::from(ogg::samples(bytes).unwrap_or(960));
        }
        Ok(())
    }

    async fn sound(&mut self, peer: &mut Peer, packet: Arc<Packet>) -> Result<(), RtcError> {
        self.put_sound(peer, packet.start, &packet.bytes).await
    }

    /// Sends Opus audio. `samples` is its start at 48 kHz.
    async fn put_sound(&mut self, peer: &mut Peer, samples: u64, bytes: &[u8]) -> Result<(), RtcError> {
        let (Some(mid), Some(pt), Some(clock)) = (self.audio, self.opus, self.clock) else { return Ok(()) };
        let millis = i64::try_from(samples / 48).unwrap_or(i64::MAX);
        if clock.is_past(millis) {
            return Ok(());
        }
        let (placed, at) = clock.place(millis);
        let time = MediaTime::new(placed * 48 + samples % 48, Frequency::FORTY_EIGHT_KHZ);
        peer.write(Media { mid, pt, at, time, bytes: bytes.to_vec() })?;
        peer.settle().await.map(|_| ())
    }
}

/// Keeps less of the sent video than str0m does by itself, which is 3 seconds: about 1 MB per viewer.
fn keep_few(peer: &mut Peer, video: Mid) {
    if let Some(stream) = peer.rtc.direct_api().stream_tx_by_mid(video, None) {
        stream.set_rtx_cache(MOST_KEPT, KEPT, Some(MOST_REPEATED));
    }
}

/// Returns the payload type of H.264 that fits best: it allows packets of any size, and has the stream's profile.
fn video_payload(peer: &mut Peer, mid: Mid, profile: u32) -> Option<Pt> {
    let writer = peer.rtc.writer(mid)?;
    let fits = |params: &&str0m::format::PayloadParams| params.spec().codec == Codec::H264;
    let rank = |params: &&str0m::format::PayloadParams| {
        let format = params.spec().format;
        (
            format.packetization_mode == Some(1),
            format.profile_level_id.map(|offered| offered >> 16) == Some(profile >> 16),
        )
    };
    writer.payload_params().filter(fits).max_by_key(rank).map(|params| params.pt())
}

fn opus_payload(peer: &mut Peer, mid: Mid) -> Option<Pt> {
    let writer = peer.rtc.writer(mid)?;
    writer.payload_params().find(|params| params.spec().codec == Codec::Opus).map(|params| params.pt())
}
