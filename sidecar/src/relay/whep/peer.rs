//! The engine of one session, between the sockets and the media.

use std::sync::Arc;
use std::time::Instant;

use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, KeyframeRequestKind, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};
use tokio::time::sleep_until;

use super::answer::Answer;
use super::sockets::{Datagram, Sockets};
use super::why::Why;
use crate::config::origin::Origin;

/// The engine of one session.
pub(super) struct Peer {
    rtc: Rtc,
    host: String,
    sockets: Sockets,
    pub(super) began: Instant,
    deadline: Instant,
    pending: Option<SdpPendingOffer>,
    video: Mid,
    is_connected: bool,
}

impl Peer {
    /// Makes an offer to receive video and audio. The offer names the address of this machine from which the server is reached.
    pub(super) async fn offer(origin: &Origin) -> Result<(Self, String), Why> {
        let host = origin.host();
        let now = Instant::now();
        let engine = |why: String| Why::Engine { host: host.clone(), why };
        let mut rtc = RtcConfig::new()
            .set_crypto_provider(Arc::new(str0m::crypto::from_feature_flags()))
            .clear_codecs()
            .enable_h264(true)
            .enable_opus(true, false)
            .build(now);
        let mut sockets = Sockets::new();
        let at = (origin.url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned(), 9);
        // Without a name service, the candidates of the answer give the addresses.
        if let Some(remote) = tokio::net::lookup_host(at).await.ok().and_then(|mut found| found.next()) {
            open(&mut rtc, &mut sockets, remote).map_err(|why| Why::Socket { host: host.clone(), why })?;
        }
        let mut changes = rtc.sdp_api();
        let video = changes.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        changes.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        let (offer, pending) = changes.apply().ok_or_else(|| engine("no offer can be made".into()))?;
        let offer = offer.to_sdp_string();
        let pending = Some(pending);
        Ok((
            Self { rtc, host, sockets, began: now, deadline: now, pending, video, is_connected: false },
            offer,
        ))
    }

    /// Takes the answer, and begins the connectivity checks.
    pub(super) fn accept(&mut self, answer: &Answer) -> Result<(), Why> {
        let host = self.host.clone();
        let engine = |why: String| Why::Engine { host: host.clone(), why };
        let parsed = SdpAnswer::from_sdp_string(&answer.text).map_err(|error| engine(error.to_string()))?;
        let Some(pending) = self.pending.take() else { return Ok(()) };
        self.rtc.sdp_api().accept_answer(pending, parsed).map_err(|error| engine(error.to_string()))?;
        for (at, line) in &answer.candidates {
            // A candidate that this machine has no route to is skipped.
            if open(&mut self.rtc, &mut self.sockets, *at).is_ok()
                && let Ok(candidate) = Candidate::from_sdp_string(line)
            {
                self.rtc.add_remote_candidate(candidate);
            }
        }
        self.began = Instant::now();
        Ok(())
    }

    /// Sends the packets of the engine, and returns its events.
    pub(super) fn settle(&mut self) -> Result<Vec<Event>, Why> {
        let mut events = Vec::new();
        loop {
            match self.rtc.poll_output().map_err(|error| self.failed(&error))? {
                Output::Timeout(at) => {
                    self.deadline = at;
                    return Ok(events);
                }
                Output::Transmit(transmit) => {
                    self.sockets.send(transmit.source, transmit.destination, &transmit.contents);
                }
                Output::Event(event) => {
                    self.is_connected |= matches!(event, Event::Connected);
                    events.push(event);
                }
            }
        }
    }

    fn failed(&self, error: &str0m::RtcError) -> Why {
        Why::Engine { host: self.host.clone(), why: weir_model::text::clean(&error.to_string()).into_owned() }
    }

    /// Returns the next packet, or `None` when `tick` is due. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Datagram> {
        tokio::select! {
            datagram = self.sockets.next() => Some(datagram),
            () = sleep_until(self.deadline.into()) => None,
        }
    }

    /// Tells the engine the time.
    pub(super) fn tick(&mut self) -> Result<(), Why> {
        self.rtc.handle_input(Input::Timeout(Instant::now())).map_err(|error| self.failed(&error))
    }

    /// Gives a received packet to the engine.
    pub(super) fn take(&mut self, datagram: &Datagram) -> Result<(), Why> {
        let Datagram { source, local, bytes } = datagram;
        // Packets that do not belong to WebRTC are ignored.
        let Ok(contents) = bytes.as_slice().try_into() else { return Ok(()) };
        let receive = Receive { proto: Protocol::Udp, source: *source, destination: *local, contents };
        let input = Input::Receive(Instant::now(), receive);
        if !self.rtc.accepts(&input) {
            return Ok(());
        }
        self.rtc.handle_input(input).map_err(|error| self.failed(&error))
    }

    /// Asks for a keyframe, if the far end supports the request.
    pub(super) fn ask_for_key(&mut self) {
        let Some(mut writer) = self.rtc.writer(self.video) else { return };
        let kinds = [KeyframeRequestKind::Pli, KeyframeRequestKind::Fir];
        if let Some(kind) = kinds.into_iter().find(|kind| writer.is_request_keyframe_possible(*kind)) {
            // An error means that no packet has arrived yet, so the sender is not known.
            let _ = writer.request_keyframe(None, kind);
        }
    }

    /// Returns whether the far end has closed the session.
    pub(super) fn is_over(&self) -> bool {
        !self.rtc.is_alive()
    }

    /// Closes the session, and notifies the far end if it is connected.
    pub(super) fn close(&mut self) {
        if self.is_connected && self.rtc.close().is_ok() {
            let _ = self.settle();
        }
    }
}

/// Opens a socket towards an address, and adds it to the engine's candidates.
fn open(rtc: &mut Rtc, sockets: &mut Sockets, remote: std::net::SocketAddr) -> std::io::Result<()> {
    if let Some(own) = sockets.towards(remote)?
        && let Ok(candidate) = Candidate::builder().udp().host(own).build()
    {
        rtc.add_local_candidate(candidate);
    }
    Ok(())
}
