//! The engine of one session, between the sockets and the media.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::media::{MediaTime, Mid, Pt};
use str0m::net::Receive;
use str0m::{Event, Input, Output, Rtc, RtcError};
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::endpoint::{Endpoint, Packet};
use super::sessions::{Datagram, Seat};

/// The packets that arrive for a session.
pub(super) type Packets = mpsc::Receiver<Datagram>;

/// Time within which a session must be connected.
const HANDSHAKE: Duration = Duration::from_secs(20);
/// Time after which a silent client counts as gone. A client reports every second, and checks the path every few seconds.
const SILENCE: Duration = Duration::from_secs(15);
/// Sender reports date media back by this time, or by more if media is further ahead.
const LEAD: Duration = Duration::from_secs(1);

/// The engine of one session.
pub(super) struct Peer {
    pub(super) rtc: Rtc,
    endpoint: Arc<Endpoint>,
    seat: Seat,
    packets: Packets,
    /// The address of this machine that the client sends to.
    route: Option<IpAddr>,
    began: Instant,
    heard: Instant,
    deadline: Instant,
    is_connected: bool,
    unsent: VecDeque<Packet>,
    /// See [`LEAD`].
    lead: Duration,
}

/// Next task of a session.
#[derive(Debug)]
pub(super) enum Next {
    /// Take this packet.
    Datagram(Datagram),
    /// Call `tick`.
    Tick,
    /// End the session.
    Stop,
}

/// Media of one track, ready to be sent.
pub(super) struct Media {
    pub(super) mid: Mid,
    pub(super) pt: Pt,
    pub(super) at: Instant,
    pub(super) time: MediaTime,
    pub(super) bytes: Vec<u8>,
}

impl Peer {
    /// Returns a peer that has received nothing yet.
    pub(super) fn new(rtc: Rtc, endpoint: Arc<Endpoint>, seat: Seat, packets: Packets) -> Self {
        let now = Instant::now();
        let (is_connected, unsent) = (false, VecDeque::new());
        let (began, heard, deadline) = (now, now, now);
        let (route, lead) = (None, LEAD);
        Self { rtc, endpoint, seat, packets, route, began, heard, deadline, is_connected, unsent, lead }
    }

    /// Returns a part of the session's id, for the log.
    pub(super) fn id(&self) -> &str {
        // A client that knows the whole id may end the session.
        self.seat.id.get(..8).unwrap_or_default()
    }

    /// Sends the packets of the engine, and returns its events.
    pub(super) async fn settle(&mut self) -> Result<Vec<Event>, RtcError> {
        let mut events = Vec::new();
        self.deadline = loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => break at,
                Output::Transmit(transmit) => {
                    let (protocol, to) = (transmit.proto, transmit.destination);
                    let bytes: Vec<u8> = transmit.contents.into();
                    // A STUN answer: its first byte is below 4 (RFC 7983). The client's address may have changed.
                    if bytes.first().is_some_and(|first| *first < 4) {
                        self.seat.bind((protocol, to));
                    }
                    self.unsent.push_back(Packet { protocol, to, from: self.route, bytes });
                }
                Output::Event(event) => {
                    if matches!(event, Event::Connected) {
                        self.is_connected = true;
                        self.seat.connected();
                    }
                    events.push(event);
                }
            }
        };
        self.endpoint.send(&mut self.unsent).await;
        Ok(events)
    }

    /// Waits for the next task. Cancel-safe.
    pub(super) async fn next(&mut self) -> Next {
        tokio::select! {
            datagram = self.packets.recv() => datagram.map_or(Next::Stop, Next::Datagram),
            () = self.seat.stopped() => Next::Stop,
            () = sleep_until(self.deadline.into()) => Next::Tick,
        }
    }

    /// Gives a received packet to the engine.
    pub(super) fn take(&mut self, datagram: &Datagram) -> Result<(), RtcError> {
        let now = Instant::now();
        let Datagram { protocol, source, local, bytes } = datagram;
        let (Ok(contents), Some(destination)) =
            (bytes.as_slice().try_into(), self.endpoint.candidate_at(*local, *source))
        else {
            // The packet is not one of WebRTC.
            return Ok(());
        };
        (self.heard, self.route) = (now, *local);
        let receive = Receive { proto: *protocol, source: *source, destination, contents };
        let input = Input::Receive(now, receive);
        if self.rtc.accepts(&input) { self.rtc.handle_input(input) } else { Ok(()) }
    }

    /// Tells the engine the time.
    pub(super) fn tick(&mut self) -> Result<(), RtcError> {
        self.rtc.handle_input(Input::Timeout(Instant::now()))
    }

    /// Returns the reason if the session is over.
    pub(super) fn is_over(&self) -> Option<&'static str> {
        if !self.rtc.is_alive() {
            return Some("the client has closed it");
        }
        if !self.is_connected && self.began.elapsed() > HANDSHAKE {
            return Some("it was not connected in time");
        }
        (self.heard.elapsed() > SILENCE).then_some("the client is gone")
    }

    /// Sends media. The engine must be settled after each piece.
    pub(super) fn write(&mut self, media: Media) -> Result<(), RtcError> {
        // A report about media that is still to be played would have the RTP time 0 (str0m, StreamTx::current_rtp_time), and players
        // would lose the sync of audio and video. All tracks move alike, so they stay in sync.
        let ahead = media.at.saturating_duration_since(Instant::now());
        if ahead >= self.lead {
            self.lead = ahead + LEAD;
        }
        let at = media.at.checked_sub(self.lead).unwrap_or(media.at);
        let Some(writer) = self.rtc.writer(media.mid) else { return Ok(()) };
        writer.write(media.pt, at, media.time, media.bytes)
    }

    /// Closes the session, and notifies the client if it is connected.
    pub(super) async fn close(mut self) {
        if self.is_connected && self.rtc.close().is_ok() {
            let _ = self.settle().await;
        }
    }
}
