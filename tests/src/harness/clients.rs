//! The common part of publishers and players: a socket, and the client without I/O.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{self as unix_net, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrStorage};
use weir_rtmp::client::{Client, ClientEvent};

use super::Netns;

/// One connection. Its methods do not wait longer than a few milliseconds.
pub struct Connection {
    /// The session. The next [`turn`](Self::turn) sends its output.
    pub client: Client,
    socket: Box<dyn Socket>,
}

/// The destination of a connection.
#[derive(Debug, Clone)]
pub enum Way {
    /// A port of loopback, optionally from another address of 127.0.0.0/8.
    Port(u16, Option<IpAddr>),
    /// A port of this machine, from address `nth` of another network.
    Across(Netns, u8, u16),
    /// This address in the network namespace of the current thread.
    To(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
    /// A unix socket with an abstract name, in no folder.
    Abstract(Vec<u8>),
}

trait Socket: Read + Write + Send {}

impl<T: Read + Write + Send> Socket for T {}

const READ_TIMEOUT: Option<Duration> = Some(Duration::from_millis(5));
const WRITE_TIMEOUT: Option<Duration> = Some(Duration::from_secs(5));

impl Connection {
    /// Connects.
    pub fn open(client: Client, way: &Way) -> std::io::Result<Self> {
        let socket: Box<dyn Socket> = match way {
            Way::Port(port, source) => {
                Box::new(tcp(connect(SocketAddr::from(([127, 0, 0, 1], *port)), *source)?)?)
            }
            Way::Across(net, nth, port) => Box::new(tcp(net.connect(*nth, *port)?)?),
            Way::To(address) => Box::new(tcp(connect(*address, None)?)?),
            Way::Unix(path) => Box::new(unix(UnixStream::connect(path)?)?),
            Way::Abstract(name) => {
                let address = unix_net::SocketAddr::from_abstract_name(name)?;
                Box::new(unix(UnixStream::connect_addr(&address)?)?)
            }
        };
        Ok(Self { client, socket })
    }

    /// Sends the output, processes received bytes, and returns the events. A broken connection yields
    /// [`ClientEvent::Closed`].
    pub fn turn(&mut self) -> Vec<ClientEvent> {
        let mut buffer = [0; 65_536];
        let mut broken = self.send().is_err();
        match self.socket.read(&mut buffer) {
            Ok(0) => broken = true,
            Ok(count) => broken |= self.client.receive(&buffer[..count]).is_err() | self.send().is_err(),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => broken = true,
        }
        if broken {
            // Bytes that arrived before the end are still processed.
            while let Ok(count @ 1..) = self.socket.read(&mut buffer) {
                let _ = self.client.receive(&buffer[..count]);
            }
            self.client.end_of_input();
        }
        std::iter::from_fn(|| self.client.next_event()).collect()
    }

    /// Sends the output.
    pub fn send(&mut self) -> std::io::Result<()> {
        let output = self.client.take_output();
        self.socket.write_all(&output)
    }

    /// Sends arbitrary bytes that bypass the session.
    pub fn send_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.socket.write_all(bytes)
    }
}

fn tcp(socket: TcpStream) -> std::io::Result<TcpStream> {
    socket.set_read_timeout(READ_TIMEOUT)?;
    socket.set_write_timeout(WRITE_TIMEOUT)?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

fn unix(socket: UnixStream) -> std::io::Result<UnixStream> {
    socket.set_read_timeout(READ_TIMEOUT)?;
    socket.set_write_timeout(WRITE_TIMEOUT)?;
    Ok(socket)
}

/// Connects, optionally from another address.
pub fn connect(to: SocketAddr, source: Option<IpAddr>) -> std::io::Result<TcpStream> {
    let Some(source) = source else { return TcpStream::connect(to) };
    let fd = socket::socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(source, 0)))?;
    socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(to))?;
    Ok(TcpStream::from(fd))
}

/// Connects from another address within this time, which is also the limit of each later read and write.
pub fn connect_within(to: SocketAddr, source: IpAddr, patience: Duration) -> std::io::Result<TcpStream> {
    let fd = socket::socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let socket = TcpStream::from(fd);
    // The limit of a write is also that of connect (socket(7), SO_SNDTIMEO).
    socket.set_write_timeout(Some(patience))?;
    socket.set_read_timeout(Some(patience))?;
    socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(source, 0)))?;
    socket::connect(socket.as_raw_fd(), &SockaddrStorage::from(to))?;
    Ok(socket)
}
