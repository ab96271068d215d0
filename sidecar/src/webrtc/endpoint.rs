//! The sockets of all sessions: one for UDP, and one for TCP with a frame around each packet (RFC 4571, RFC 6544).

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSliceMut};
use std::net::{self, IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use str0m::Candidate;
use str0m::net::{Protocol, TcpType};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use weir_model::network::attempt_bucket;

use super::interfaces;
use super::sessions::{Datagram, Sessions};

/// Most bytes of one read. The kernel may join several packets of one sender.
const MOST_READ: usize = 64 << 10;
/// Buffer size of the UDP socket in each direction, in bytes. The system may allow less.
const SOCKET_BUFFER: usize = 4 << 20;
/// Most bytes of packets that are sent in one call.
const MOST_SENT: usize = 60_000;
/// TCP connections of all clients, and of one client.
const MOST_CONNECTIONS: usize = 1000;
const MOST_CONNECTIONS_PER_CLIENT: usize = 64;
/// Longest frame that is read from a TCP connection, in bytes.
const MOST_FRAME: usize = 4096;
/// Most frames that wait for a TCP connection.
const WAITING: usize = 512;
/// Time after which a silent TCP connection is closed.
const SILENCE: Duration = Duration::from_secs(20);

/// The sockets, and their addresses as clients see them.
#[derive(Debug)]
pub(super) struct Endpoint {
    udp: UdpSocket,
    state: UdpSocketState,
    tcp: TcpListener,
    connections: Mutex<HashMap<SocketAddr, mpsc::Sender<Vec<u8>>>>,
    /// The addresses that browsers send to.
    pub addresses: Vec<SocketAddr>,
    sessions: Arc<Sessions>,
}

/// A packet to be sent.
#[derive(Debug)]
pub(super) struct Packet {
    pub protocol: Protocol,
    pub to: SocketAddr,
    /// Source address, one of this machine's.
    pub from: Option<IpAddr>,
    pub bytes: Vec<u8>,
}

impl Endpoint {
    /// Opens the sockets inside a runtime. `said` are the addresses of the configuration.
    pub(super) fn new(
        (udp, tcp): (net::UdpSocket, net::TcpListener),
        said: &[IpAddr],
        sessions: Arc<Sessions>,
    ) -> io::Result<Self> {
        let udp = UdpSocket::from_std(udp)?;
        let state = UdpSocketState::new(UdpSockRef::from(&udp))?;
        let _ = state.set_send_buffer_size(UdpSockRef::from(&udp), SOCKET_BUFFER);
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&udp), SOCKET_BUFFER);
        let local = udp.local_addr()?;
        let addresses = match said {
            [_, ..] => said.to_vec(),
            _ if !local.ip().is_unspecified() => vec![local.ip()],
            _ => {
                let fits = |address: &IpAddr| local.is_ipv6() || address.is_ipv4();
                interfaces::addresses().into_iter().filter(fits).collect()
            }
        };
        let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, local.port())).collect();
        let tcp = TcpListener::from_std(tcp)?;
        Ok(Self { udp, state, tcp, connections: Mutex::default(), addresses, sessions })
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<SocketAddr, mpsc::Sender<Vec<u8>>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the candidates of an answer.
    pub(super) fn candidates(&self) -> impl Iterator<Item = Candidate> {
        let udp = self.addresses.iter().map(|at| Candidate::builder().udp().host(*at).build());
        let tcp = self
            .addresses
            .iter()
            .map(|at| Candidate::builder().tcp().host(*at).tcptype(TcpType::Passive).build());
        udp.chain(tcp).flatten()
    }

    /// Returns the candidate at which a packet arrived. `local` is the system's address of it, which differs behind NAT.
    pub(super) fn candidate_at(&self, local: Option<IpAddr>, source: SocketAddr) -> Option<SocketAddr> {
        let is_at = |address: &&SocketAddr| Some(address.ip()) == local;
        let is_alike = |address: &&SocketAddr| address.is_ipv4() == source.is_ipv4();
        let all = || self.addresses.iter();
        all().find(is_at).or_else(|| all().find(is_alike)).or_else(|| all().next()).copied()
    }

    /// Receives packets for all sessions. Never returns.
    pub(super) async fn run(self: Arc<Self>) {
        let accepting = self.clone();
        tokio::spawn(async move { accepting.accept().await });
        let mut buffers = vec![vec![0; MOST_READ]; BATCH_SIZE.min(4)];
        loop {
            let mut metas = [RecvMeta::default(); BATCH_SIZE];
            let read = {
                let mut slices: Vec<IoSliceMut<'_>> =
                    buffers.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
                let receive = || self.state.recv(UdpSockRef::from(&self.udp), &mut slices, &mut metas);
                self.udp.async_io(Interest::READABLE, receive).await
            };
            match read {
                Ok(count) => {
                    for (meta, buffer) in metas.iter().zip(&buffers).take(count) {
                        self.carry(meta, buffer.get(..meta.len).unwrap_or_default());
                    }
                }
                // The system reports an ICMP answer to an earlier packet as an error of this read.
                Err(error) => {
                    tracing::debug!("WebRTC cannot read packets: {error}");
                    sleep(Duration::from_millis(1)).await;
                }
            }
        }
    }

    fn carry(&self, meta: &RecvMeta, bytes: &[u8]) {
        let source = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
        let local = meta.dst_ip.map(|address| address.to_canonical());
        for packet in bytes.chunks(meta.stride.max(1)) {
            let bytes = packet.to_vec();
            self.sessions.carry(Datagram { protocol: Protocol::Udp, source, local, bytes });
        }
    }

    /// Sends packets in order. Consecutive packets to one address that have the same size, except the last, are sent in one call to the
    /// system.
    pub(super) async fn send(&self, packets: &mut VecDeque<Packet>) {
        let mut joined = Vec::new();
        while let Some(first) = packets.pop_front() {
            if first.protocol != Protocol::Udp {
                let connection = self.connections().get(&first.to).cloned();
                // A slow connection loses packets, as on any network.
                let _ = connection.map(|connection| connection.try_send(first.bytes));
                continue;
            }
            let size = first.bytes.len();
            let most = self.state.max_gso_segments().min(MOST_SENT / size.max(1));
            joined.clear();
            joined.extend(&first.bytes);
            let (mut count, mut last) = (1, size);
            while count < most
                && last == size
                && let Some(next) = packets.front()
                && (next.protocol, next.to, next.from) == (first.protocol, first.to, first.from)
                && next.bytes.len() <= size
            {
                last = next.bytes.len();
                joined.extend(&next.bytes);
                packets.pop_front();
                count += 1;
            }
            let transmit = Transmit {
                destination: self.reachable(first.to),
                ecn: None,
                contents: &joined,
                segment_size: (count > 1).then_some(size),
                src_ip: first.from,
            };
            let send = || self.state.send(UdpSockRef::from(&self.udp), &transmit);
            if let Err(error) = self.udp.async_io(Interest::WRITABLE, send).await {
                tracing::debug!("WebRTC packet not sent: {error}");
            }
        }
    }

    /// Converts an address to the family of the socket.
    fn reachable(&self, to: SocketAddr) -> SocketAddr {
        match (self.udp.local_addr(), to.ip()) {
            (Ok(SocketAddr::V6(_)), IpAddr::V4(v4)) => SocketAddr::new(v4.to_ipv6_mapped().into(), to.port()),
            _ => to,
        }
    }

    fn has_room(&self, client: IpAddr) -> bool {
        let connections = self.connections();
        let bucket = attempt_bucket(client);
        let own = connections.keys().filter(|peer| attempt_bucket(peer.ip()) == bucket).count();
        connections.len() < MOST_CONNECTIONS && own < MOST_CONNECTIONS_PER_CLIENT
    }

    async fn accept(self: Arc<Self>) {
        loop {
            match self.tcp.accept().await {
                Ok((stream, peer)) if self.has_room(peer.ip()) => {
                    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                    let (sender, frames) = mpsc::channel(WAITING);
                    self.connections().insert(peer, sender);
                    let endpoint = self.clone();
                    tokio::spawn(async move {
                        let _ = endpoint.converse(stream, peer, frames).await;
                        endpoint.connections().remove(&peer);
                    });
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!("WebRTC cannot accept TCP connections: {error}");
                    sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn converse(
        &self,
        mut stream: TcpStream,
        peer: SocketAddr,
        mut frames: mpsc::Receiver<Vec<u8>>,
    ) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let local = Some(stream.local_addr()?.ip().to_canonical());
        let (mut reader, mut writer) = stream.split();
        let read = async {
            loop {
                let length = timeout(SILENCE, reader.read_u16()).await??.into();
                if length > MOST_FRAME {
                    return Err(io::Error::from(io::ErrorKind::InvalidData));
                }
                let mut bytes = vec![0; length];
                timeout(SILENCE, reader.read_exact(&mut bytes)).await??;
                let datagram = Datagram { protocol: Protocol::Tcp, source: peer, local, bytes };
                if !self.sessions.carry(datagram) {
                    return Ok(());
                }
            }
        };
        let write = async {
            while let Some(frame) = frames.recv().await {
                let Ok(length) = u16::try_from(frame.len()) else { continue };
                let both = [&length.to_be_bytes()[..], &frame].concat();
                timeout(SILENCE, writer.write_all(&both)).await??;
            }
            Ok(())
        };
        tokio::select! { end = read => end, end = write => end }
    }
}
