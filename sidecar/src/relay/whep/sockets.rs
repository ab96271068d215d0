//! UDP sockets of one session: one for each address of this machine from which the far end is reached.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket as Plain};
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Most packets that wait. Further packets are dropped, as on any network.
const WAITING: usize = 512;
/// Longest packet that is read, in bytes.
const MOST_READ: usize = 2048;
/// Receive buffer in bytes, for a keyframe that arrives in one burst. The system may allow less.
const BUFFER: usize = 4 << 20;
/// Most sockets: more than a machine has networks towards one server.
const MOST_SOCKETS: usize = 4;

/// A received packet.
pub(super) struct Datagram {
    pub(super) source: SocketAddr,
    /// The local address that received the packet.
    pub(super) local: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

/// The sockets.
pub(super) struct Sockets {
    all: Vec<(SocketAddr, Arc<UdpSocket>)>,
    to: mpsc::Sender<Datagram>,
    received: mpsc::Receiver<Datagram>,
    /// The tasks are aborted when this is dropped.
    readers: JoinSet<()>,
}

impl Sockets {
    /// Returns an empty set of sockets.
    pub(super) fn new() -> Self {
        let (to, received) = mpsc::channel(WAITING);
        Self { all: Vec::new(), to, received, readers: JoinSet::new() }
    }

    /// Opens a socket from which `remote` is reached. Returns `None` if one is open already.
    pub(super) fn towards(&mut self, remote: SocketAddr) -> io::Result<Option<SocketAddr>> {
        let own = source(remote)?;
        if self.all.iter().any(|(at, _)| at.ip() == own) || self.all.len() >= MOST_SOCKETS {
            return Ok(None);
        }
        let plain = Plain::bind((own, 0))?;
        plain.set_nonblocking(true)?;
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&plain, BUFFER);
        let (at, socket) = (plain.local_addr()?, Arc::new(UdpSocket::from_std(plain)?));
        self.all.push((at, socket.clone()));
        self.readers.spawn(read(socket, at, self.to.clone()));
        Ok(Some(at))
    }

    /// Sends a packet. A packet that cannot be sent is lost.
    pub(super) fn send(&self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        if let Some((_, socket)) = self.all.iter().find(|(at, _)| *at == from) {
            let _ = socket.try_send_to(bytes, to);
        }
    }

    /// Returns the next packet. Cancel-safe.
    pub(super) async fn next(&mut self) -> Datagram {
        match self.received.recv().await {
            Some(datagram) => datagram,
            None => std::future::pending().await,
        }
    }
}

async fn read(socket: Arc<UdpSocket>, local: SocketAddr, to: mpsc::Sender<Datagram>) {
    let mut buffer = vec![0; MOST_READ];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, source)) => {
                let _ = to.try_send(Datagram { source, local, bytes: buffer[..length].to_vec() });
            }
            // The system reports an ICMP answer to an earlier packet as an error of this read.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
        }
    }
}

/// Returns the address of this machine from which `remote` is reached.
fn source(remote: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if remote.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = Plain::bind((any, 0))?;
    socket.connect(remote)?;
    Ok(socket.local_addr()?.ip())
}
