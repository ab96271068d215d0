//! `[webrtc]`: viewers and publishers over WebRTC. All of them share one UDP port and one TCP port, on a thread of their own.
//!
//! The engine (`str0m`) knows neither sockets nor clocks. The daemon is ICE-lite: it sends nothing to an address that has not proved that
//! it knows the session's password.
//!
//! - [`sdp`]: reads and checks offers; `stun`: finds the session of a packet
//! - [`sessions`]: the open sessions, and their limits
//! - `endpoint`: the sockets; `peer`: the engine of one session, between the sockets and the media
//! - `watch`: sends a stream to a viewer, timed by the viewer's `clock`; `sound`: AAC to Opus, once per stream;
//!   `transcode`: encodes streams that WebRTC cannot carry
//! - `carry`: decides whether a viewer's network carries a stream; `bandwidth`: chooses a smaller rendition if it does not
//! - [`publish`]: sends the media of a publisher to nginx, over RTMP
//! - `unfit`: reports streams that WebRTC cannot carry

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{io, thread};

use str0m::change::SdpOffer;
use str0m::config::DtlsCert;
use str0m::rtp::{Extension, ExtensionMap};
use str0m::{IceCreds, Rtc, RtcConfig};
use tokio::runtime::{Builder, Handle};
use weir_rtmp::url::Url;

use crate::config::Config;
use crate::config::webrtc::WebRtc;
use crate::context::Context;
use crate::live::hub::Hub;
use crate::live::ring::Start;
use crate::live::station::Viewer;
use crate::streams::StreamId;

mod bandwidth;
mod carry;
mod clock;
mod endpoint;
mod interfaces;
mod peer;
pub(crate) mod publish;
pub(crate) mod sdp;
pub(crate) mod sessions;
mod sound;
mod stun;
mod transcode;
mod unfit;
mod watch;

use bandwidth::{Bandwidth, Renditions};
use endpoint::Endpoint;
use peer::Peer;
use sessions::{Limits, Seat, Sessions};
use sound::Sounds;
use transcode::Transcodes;
use unfit::Unfit;
pub(crate) use watch::MayStay;

/// Number of the RTP header extension that names the track (RFC 8843, section 15), where the client does not choose it.
const MID: u8 = 4;

/// Interval between the reports of viewers about their networks.
const REPORTS: Duration = Duration::from_secs(1);

/// The ports of `[webrtc]` cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("[webrtc] listen {address}: {why}")]
pub(crate) struct Error {
    address: SocketAddr,
    why: io::Error,
}

/// Reason why a session is not opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// The offer is malformed, or asks for something that is not supported.
    #[error(transparent)]
    Offer(#[from] sdp::Error),
    /// The engine (`str0m`) does not accept an offer that is well-formed.
    #[error("the offer is not accepted: {0}")]
    Engine(String),
    /// The limit of sessions is reached.
    #[error(transparent)]
    Full(#[from] sessions::Full),
    /// WebRTC does not carry the stream.
    #[error("{0}")]
    Stream(&'static str),
    /// nginx does not accept the stream.
    #[error(transparent)]
    Publish(#[from] publish::Error),
}

/// A session that was opened.
#[derive(Debug)]
pub(crate) struct Opened {
    /// 128 random bits, as 32 hex digits. A client that knows the id may end the session.
    pub id: String,
    /// Entity tag, with its quotes.
    pub etag: String,
    /// The answer to the offer.
    pub sdp: String,
}

/// The open ports, and their settings.
#[derive(Debug)]
pub(crate) struct Ports {
    udp: UdpSocket,
    tcp: TcpListener,
    settings: WebRtc,
}

/// Opens the ports. Returns `None` if `[webrtc]` is off.
pub(crate) fn listen(config: &Config) -> Result<Option<Ports>, Error> {
    let Some(settings) = config.webrtc.clone() else { return Ok(None) };
    let address = settings.listen;
    let ports = UdpSocket::bind(address).and_then(|udp| {
        udp.set_nonblocking(true)?;
        let tcp = TcpListener::bind(udp.local_addr()?)?;
        tcp.set_nonblocking(true)?;
        Ok(Ports { udp, tcp, settings })
    });
    ports.map(Some).map_err(|why| Error { address, why })
}

/// All WebRTC sessions, and the runtime that serves them.
#[derive(Debug)]
pub(crate) struct Engine {
    runtime: Handle,
    endpoint: Arc<Endpoint>,
    /// The open sessions.
    pub sessions: Arc<Sessions>,
    sounds: Arc<Sounds>,
    unfit: Arc<Unfit>,
    transcodes: Transcodes,
    renditions: Arc<Renditions>,
    context: Arc<Context>,
    identity: DtlsCert,
}

impl Engine {
    /// Starts the thread that serves all sessions until the process ends.
    pub(crate) fn start(ports: Ports, context: &Arc<Context>, hub: &Arc<Hub>) -> Result<Arc<Self>, Error> {
        let address = ports.settings.listen;
        let failed = |why| Error { address, why };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let sessions = Arc::new(Sessions::default());
        let endpoint = {
            let _entered = runtime.enter();
            let Ports { udp, tcp, settings } = ports;
            let endpoint = Endpoint::new((udp, tcp), &settings.addresses, sessions.clone());
            endpoint.map(Arc::new).map_err(failed)?
        };
        let crypto = str0m::crypto::from_feature_flags();
        let identity = crypto.dtls_provider.generate_certificate();
        crypto.install_process_default();
        let identity = identity.ok_or_else(|| failed(io::Error::other("no certificate can be made")))?;
        let shown: Vec<String> = endpoint.addresses.iter().map(ToString::to_string).collect();
        tracing::info!("WebRTC: UDP and TCP on {address}, addresses: {}", shown.join(" "));
        let engine = Arc::new(Self {
            runtime: runtime.handle().clone(),
            endpoint: endpoint.clone(),
            sessions,
            sounds: Arc::new(Sounds::new(context.clone(), hub.clone())),
            unfit: Arc::new(Unfit::new(context.bus.clone(), hub.board().clone())),
            transcodes: Transcodes::new(context.clone(), hub.clone()),
            renditions: Arc::new(Renditions::new(context.clone(), hub.clone())),
            context: context.clone(),
            identity,
        });
        thread::Builder::new()
            .name("weir-webrtc".into())
            .spawn(move || runtime.block_on(endpoint.run()))
            .map_err(failed)?;
        Ok(engine)
    }

    /// Returns an error if a client may not open another session now.
    pub(crate) fn check_room(&self, client: IpAddr) -> Result<(), Refused> {
        Ok(self.sessions.check_room(client, self.limits())?)
    }

    /// Returns the reason why viewers could not watch a live stream over WebRTC; `None` if none was refused, or if it is encoded for them.
    pub(crate) fn unfit(&self, id: &StreamId) -> Option<&'static str> {
        let transcodes = self.context.config().webrtc.as_ref().is_some_and(|settings| settings.transcode);
        self.unfit.reason(id).filter(|_| !transcodes)
    }

    fn limits(&self) -> Limits {
        self.context.config().webrtc.as_ref().map_or(Limits::default(), |settings| Limits {
            all: settings.max_sessions,
            per_client: settings.max_sessions_per_address,
        })
    }

    /// Opens a session in which a client watches the stream of `viewer` for as long as `may_stay` allows. `start` is the beginning of the
    /// stream.
    pub(crate) fn watch(
        &self,
        offer: &str,
        (viewer, start): (Viewer, &Start),
        client: IpAddr,
        may_stay: Option<MayStay>,
    ) -> Result<Opened, Refused> {
        let id = viewer.station().id.clone();
        let is_h264 = start.about.video.as_ref().is_none_or(|header| header.codec.is_avc());
        let unfit = if is_h264 { watch::B_FRAMES } else { watch::NOT_H264 };
        let is_unfit = !is_h264 || viewer.station().has_b_frames();
        let transcodes = self.context.config().webrtc.as_ref().is_some_and(|settings| settings.transcode);
        if is_unfit && !transcodes {
            self.unfit.tell(&id, unfit);
            return Err(Refused::Stream(unfit));
        }
        let offer = sdp::Offer::read(offer)?;
        offer.check_player()?;
        // Loss and delay come from receiver reports (RFC 3550, section 6.4.1); feedback about each packet is of no use here.
        let mut extensions = ExtensionMap::empty();
        extensions.set(MID, Extension::RtpMid);
        let (mut rtc, seat, packets) = self.seat(id.clone(), client, &offer, extensions)?;
        let sdp = answer(&mut rtc, &offer)?;
        let opened = Opened { id: seat.id.clone(), etag: seat.etag.clone(), sdp };
        let peer = Peer::new(rtc, self.endpoint.clone(), seat, packets);
        let (sounds, unfit) = (self.sounds.clone(), self.unfit.clone());
        // The client watches the encoded stream, but the stream itself counts the viewer.
        let (encoded, viewer, counted) = match is_unfit.then(|| self.transcodes.begin(&self.runtime, &id)) {
            Some(encoded) => (Some(encoded.clone()), encoded.watch(), Some(viewer)),
            None => (None, viewer, None),
        };
        let bandwidth = Bandwidth::new(self.renditions.clone(), id, !is_unfit);
        self.runtime.spawn(async move {
            watch::run(peer, (viewer, counted), (&sounds, &unfit), bandwidth, may_stay).await;
            drop(encoded);
        });
        Ok(opened)
    }

    /// Opens a session in which a client publishes to `url` at nginx. nginx decides whether the client may publish. `id` is the stream.
    pub(crate) async fn publish(
        &self,
        offer: &str,
        url: Url,
        client: IpAddr,
        id: StreamId,
    ) -> Result<Opened, Refused> {
        let offer = sdp::Offer::read(offer)?;
        offer.check_publisher()?;
        let (mut rtc, seat, packets) = self.seat(id.clone(), client, &offer, ExtensionMap::standard())?;
        let sdp = answer(&mut rtc, &offer)?;
        let opened = Opened { id: seat.id.clone(), etag: seat.etag.clone(), sdp };
        // The RTMP connection must belong to the same runtime as the session.
        let begun = self.runtime.spawn(async move { publish::begin(&url).await });
        let link = begun.await.map_err(|_| publish::Error::Silent)??;
        let peer = Peer::new(rtc, self.endpoint.clone(), seat, packets);
        let context = self.context.clone();
        self.runtime.spawn(async move { publish::run(peer, link, &context, id).await });
        Ok(opened)
    }

    fn seat(
        &self,
        stream: StreamId,
        client: IpAddr,
        offer: &sdp::Offer,
        extensions: ExtensionMap,
    ) -> Result<(Rtc, Seat, peer::Packets), Refused> {
        let (seat, packets) = self.sessions.open(client, stream, offer.ufrag.clone(), self.limits())?;
        let creds = IceCreds { ufrag: seat.ufrag.clone(), pass: seat.password.clone() };
        let mut rtc = RtcConfig::new()
            .set_ice_lite(true)
            .set_local_ice_credentials(creds)
            .set_dtls_cert(self.identity.clone())
            .clear_codecs()
            .enable_h264(true)
            .enable_opus(true, false)
            .set_extension_map(extensions)
            .set_stats_interval(Some(REPORTS))
            .build(Instant::now());
        for candidate in self.endpoint.candidates() {
            rtc.add_local_candidate(candidate);
        }
        Ok((rtc, seat, packets))
    }
}

fn answer(rtc: &mut Rtc, offer: &sdp::Offer) -> Result<String, Refused> {
    let parsed =
        SdpOffer::from_sdp_string(&offer.text).map_err(|error| Refused::Engine(error.to_string()))?;
    let answer = rtc.sdp_api().accept_offer(parsed).map_err(|error| Refused::Engine(error.to_string()))?;
    Ok(answer.to_sdp_string())
}
