//! The open WebRTC sessions, their limits, and the session of each packet.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use data_encoding::HEXLOWER;
use str0m::net::Protocol;
use tokio::sync::{mpsc, watch};
use weir_model::network::attempt_bucket;

use super::sdp::MOST_CANDIDATES;
use crate::streams::StreamId;

/// Most packets that wait for one session. Further packets are dropped.
const WAITING: usize = 256;
/// Most addresses of one session.
const MOST_ADDRESSES: usize = 16;
/// Most sessions that are not connected yet: of all clients, where a new session replaces the oldest, and of one client.
const MOST_PENDING: usize = 200;
const MOST_PENDING_PER_CLIENT: usize = 16;

/// Limits of sessions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// Most sessions of all clients.
    pub all: usize,
    /// Most sessions of one client: an IPv4 address, or the /64 of an IPv6 address.
    pub per_client: usize,
}

/// Reason why no further session is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    /// The server has reached its limit.
    #[error("the server has no room for another WebRTC session")]
    Server,
    /// The client has reached its limit.
    #[error("this address has too many WebRTC sessions")]
    Client,
    /// The system has no random bytes.
    #[error("the server cannot make a session")]
    Random,
}

/// A packet for a session.
#[derive(Debug)]
pub(super) struct Datagram {
    pub protocol: Protocol,
    pub source: SocketAddr,
    /// The destination address of the packet, one of this machine's, if the system reports it.
    pub local: Option<IpAddr>,
    pub bytes: Vec<u8>,
}

/// Reason why a client's fragment is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// No session has this id.
    Unknown,
    /// The session has another entity tag.
    Etag,
    /// The fragment asks for an ICE restart.
    Restart,
    /// There are too many candidates.
    Candidates,
}

/// Sender of a packet: the protocol, and the address.
type From = (Protocol, SocketAddr);

/// All sessions.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// Sessions by their ids.
    sessions: HashMap<String, Session>,
    /// Number of sessions opened so far.
    opened: u64,
    /// Ids by the local ICE user name fragments.
    ufrags: HashMap<String, String>,
    /// Channels by the addresses that have proved to belong to the session.
    addresses: HashMap<From, mpsc::Sender<Datagram>>,
}

#[derive(Debug)]
struct Session {
    stream: StreamId,
    ufrag: String,
    remote_ufrag: String,
    client: [u8; 16],
    number: u64,
    is_connected: bool,
    candidates: usize,
    addresses: Vec<From>,
    packets: mpsc::Sender<Datagram>,
    stop: watch::Sender<bool>,
}

impl Table {
    fn check_room(&self, client: [u8; 16], limits: Limits) -> Result<(), Full> {
        let own = || self.sessions.values().filter(|session| session.client == client);
        if self.sessions.len() >= limits.all {
            return Err(Full::Server);
        }
        let own_pending = own().filter(|session| !session.is_connected).count();
        if own().count() >= limits.per_client || own_pending >= MOST_PENDING_PER_CLIENT {
            return Err(Full::Client);
        }
        Ok(())
    }

    /// Ends the oldest unconnected session, so that a client that only sends offers cannot lock out others.
    fn make_room(&self) {
        let waits = |session: &&Session| !session.is_connected && !*session.stop.borrow();
        let waiting = self.sessions.values().filter(waits);
        if waiting.clone().count() < MOST_PENDING {
            return;
        }
        if let Some(oldest) = waiting.min_by_key(|session| session.number) {
            oldest.stop.send_replace(true);
        }
    }
}

impl Sessions {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns an error if a client may not open another session now.
    pub(super) fn check_room(&self, client: IpAddr, limits: Limits) -> Result<(), Full> {
        self.table().check_room(attempt_bucket(client), limits)
    }

    /// Reserves a place for a session until the seat is dropped. Also returns the session's packets.
    pub(super) fn open(
        self: &Arc<Self>,
        client: IpAddr,
        stream: StreamId,
        remote_ufrag: String,
        limits: Limits,
    ) -> Result<(Seat, mpsc::Receiver<Datagram>), Full> {
        let mut random = [0; 48];
        getrandom::fill(&mut random).map_err(|_| Full::Random)?;
        let (id, ufrag) = (HEXLOWER.encode(&random[..16]), HEXLOWER.encode(&random[16..24]));
        let password = HEXLOWER.encode(&random[24..]);
        let mut table = self.table();
        let client = attempt_bucket(client);
        table.check_room(client, limits)?;
        table.make_room();
        table.opened += 1;
        let number = table.opened;
        let (packets, received) = mpsc::channel(WAITING);
        let (stop, stopped) = watch::channel(false);
        let session = Session {
            stream,
            ufrag: ufrag.clone(),
            remote_ufrag,
            client,
            number,
            is_connected: false,
            candidates: 0,
            addresses: Vec::new(),
            packets,
            stop,
        };
        table.ufrags.insert(ufrag.clone(), id.clone());
        table.sessions.insert(id.clone(), session);
        let etag = format!("\"{ufrag}\"");
        Ok((Seat { sessions: self.clone(), id, ufrag, password, etag, stopped }, received))
    }

    /// Delivers a packet to its session, which is found by the address or by the ICE name. Returns false if no session owns the packet.
    pub(super) fn carry(&self, datagram: Datagram) -> bool {
        let table = self.table();
        let packets = table.addresses.get(&(datagram.protocol, datagram.source)).or_else(|| {
            let id = table.ufrags.get(super::stun::local_ufrag(&datagram.bytes)?)?;
            table.sessions.get(id).map(|session| &session.packets)
        });
        // A slow session loses packets, as on any network.
        packets.map(|packets| packets.try_send(datagram)).is_some()
    }

    /// Ends a session of a stream. Returns false if the stream has no session with this id.
    pub(crate) fn stop(&self, stream: &StreamId, id: &str) -> bool {
        let table = self.table();
        let session = table.sessions.get(id).filter(|session| session.stream == *stream);
        session.map(|session| session.stop.send_replace(true)).is_some()
    }

    /// Takes further candidates of a client. They are counted and not used: packets show the client's address.
    pub(crate) fn trickle(
        &self,
        id: &str,
        etag: &str,
        ufrag: Option<&str>,
        candidates: usize,
    ) -> Result<(), Unfit> {
        let mut table = self.table();
        let session = table.sessions.get_mut(id).ok_or(Unfit::Unknown)?;
        if ufrag.is_some_and(|ufrag| ufrag != session.remote_ufrag) || etag == "*" {
            return Err(Unfit::Restart);
        }
        if etag.trim_matches('"') != session.ufrag {
            return Err(Unfit::Etag);
        }
        session.candidates += candidates;
        if session.candidates > MOST_CANDIDATES { Err(Unfit::Candidates) } else { Ok(()) }
    }

    /// Returns whether the stream has a session with this id.
    pub(crate) fn has(&self, stream: &StreamId, id: &str) -> bool {
        self.table().sessions.get(id).is_some_and(|session| session.stream == *stream)
    }
}

/// A session's place, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    sessions: Arc<Sessions>,
    pub id: String,
    pub ufrag: String,
    pub password: String,
    pub etag: String,
    stopped: watch::Receiver<bool>,
}

impl Seat {
    /// Binds an address to the session. The engine has answered to this address, so the client there knows the password.
    pub(super) fn bind(&self, address: (Protocol, SocketAddr)) {
        let mut table = self.sessions.table();
        let Some(session) = table.sessions.get_mut(&self.id) else { return };
        if session.addresses.contains(&address) {
            return;
        }
        let oldest = (session.addresses.len() >= MOST_ADDRESSES).then(|| session.addresses.remove(0));
        session.addresses.push(address);
        let packets = session.packets.clone();
        if let Some(oldest) = oldest {
            table.addresses.remove(&oldest);
        }
        table.addresses.insert(address, packets);
    }

    /// Marks the session as connected.
    pub(super) fn connected(&self) {
        if let Some(session) = self.sessions.table().sessions.get_mut(&self.id) {
            session.is_connected = true;
        }
    }

    /// Waits until the session is stopped. Never returns if nobody stops it.
    pub(super) async fn stopped(&mut self) {
        if self.stopped.wait_for(|stopped| *stopped).await.is_err() {
            std::future::pending().await
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = self.sessions.table();
        let Some(session) = table.sessions.remove(&self.id) else { return };
        table.ufrags.remove(&session.ufrag);
        for address in &session.addresses {
            // The address may belong to another session by now.
            if table.addresses.get(address).is_some_and(|packets| packets.same_channel(&session.packets)) {
                table.addresses.remove(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { all: 3, per_client: 2 };

    fn show() -> StreamId {
        ("live".parse().unwrap(), "show".parse().unwrap())
    }

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn there_are_so_many_and_no_more_and_an_end_makes_room() {
        let sessions = Arc::new(Sessions::default());
        let open = |client: &str| sessions.open(addr(client), show(), "them".into(), LIMITS);
        let one = open("192.0.2.1").unwrap();
        let _two = open("192.0.2.1").unwrap();
        assert_eq!(open("192.0.2.1").err(), Some(Full::Client));
        let _three = open("192.0.2.2").unwrap();
        assert_eq!(open("192.0.2.3").err(), Some(Full::Server));
        drop(one);
        assert!(open("192.0.2.3").is_ok());
    }

    #[test]
    fn a_network_of_ipv6_is_one_client_and_who_only_offers_keeps_nobody_out() {
        let sessions = Arc::new(Sessions::default());
        let limits = Limits { all: 1000, per_client: 50 };
        let open = |client: &str| sessions.open(addr(client), show(), "them".into(), limits);
        let own: Vec<_> = (0..16).map(|host| open(&format!("2001:db8::{host:x}")).unwrap()).collect();
        assert_eq!(open("2001:db8::ffff").err(), Some(Full::Client));
        let connected = own[0].0.id.clone();
        own[0].0.connected();
        let others: Vec<_> =
            (0..MOST_PENDING).map(|host| open(&format!("192.0.2.{}", host / 16)).unwrap()).collect();
        let stopped = |id: &str| *sessions.table().sessions[id].stop.borrow();
        assert!(!stopped(&connected) && stopped(&own[1].0.id) && stopped(&own[15].0.id));
        assert!(others.iter().all(|(seat, _)| !stopped(&seat.id)));
    }

    #[test]
    fn a_packet_is_of_who_has_its_address_until_the_session_ends() {
        let sessions = Arc::new(Sessions::default());
        let (seat, mut packets) = sessions.open(addr("192.0.2.1"), show(), "them".into(), LIMITS).unwrap();
        let source: SocketAddr = "192.0.2.1:9".parse().unwrap();
        let datagram = || Datagram { protocol: Protocol::Udp, source, local: None, bytes: vec![22, 1] };
        assert!(!sessions.carry(datagram()));
        seat.bind((Protocol::Udp, source));
        assert!(sessions.carry(datagram()));
        assert_eq!(packets.try_recv().unwrap().bytes, [22, 1]);
        drop(seat);
        assert!(!sessions.carry(datagram()));
        assert!(sessions.table().addresses.is_empty() && sessions.table().ufrags.is_empty());
    }

    #[test]
    fn only_the_offers_own_candidates_count_and_not_too_many() {
        let sessions = Arc::new(Sessions::default());
        let (seat, _packets) = sessions.open(addr("192.0.2.1"), show(), "them".into(), LIMITS).unwrap();
        let trickle = |etag: &str, ufrag, count| sessions.trickle(&seat.id, etag, ufrag, count);
        assert_eq!(trickle(&seat.etag, Some("them"), 10), Ok(()));
        assert_eq!(trickle("\"x\"", Some("them"), 1), Err(Unfit::Etag));
        assert_eq!(trickle("*", Some("them"), 1), Err(Unfit::Restart));
        assert_eq!(trickle(&seat.etag, Some("new"), 1), Err(Unfit::Restart));
        assert_eq!(trickle(&seat.etag, None, MOST_CANDIDATES), Err(Unfit::Candidates));
        assert_eq!(sessions.trickle("0", "", None, 1), Err(Unfit::Unknown));
    }
}
