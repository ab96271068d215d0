//! Both ends of a connection, as the kernel knows them. A proxy's header does not change them.

use std::{mem, net::SocketAddr};

use super::{address, session::Session, types::Tables};

/// The addresses of a TCP connection. An IPv4 address that is mapped into IPv6 is a plain IPv4 address here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The address of this end.
    pub near: SocketAddr,
    /// The address of the other end.
    pub far: SocketAddr,
}

impl<M: Tables> Session<'_, M> {
    /// Returns the addresses of both ends; `None` for a unix socket and for a broken connection.
    #[must_use]
    pub fn ends(&self) -> Option<Ends> {
        let socket = self.connection().fd;
        Some(Ends { near: ask(socket, libc::getsockname)?, far: ask(socket, libc::getpeername)? })
    }
}

impl Ends {
    /// Returns whether both ends are on one machine.
    #[must_use]
    pub fn are_one_machine(&self) -> bool {
        self.near.ip() == self.far.ip() || self.near.ip().is_loopback() && self.far.ip().is_loopback()
    }

    /// Returns whether the connection leads from this machine to one of the addresses at which it listens.
    #[must_use]
    pub fn lead_to(&self, mut own: impl Iterator<Item = SocketAddr>) -> bool {
        // Another machine's address may look like one of `listen 0.0.0.0`.
        self.are_one_machine()
            && own.any(|at| {
                at.port() == self.far.port() && (at.ip().is_unspecified() || plain(at).ip() == self.far.ip())
            })
    }
}

type Ask = unsafe extern "C" fn(libc::c_int, *mut libc::sockaddr, *mut libc::socklen_t) -> libc::c_int;

/// Asks the kernel for one end of a socket.
fn ask(socket: libc::c_int, ask: Ask) -> Option<SocketAddr> {
    // SAFETY: zeroes are an address of no family; the kernel writes an address of the family that it says, for which there is room
    // (getsockname(2), getpeername(2)).
    unsafe {
        let mut storage: libc::sockaddr_storage = mem::zeroed();
        let mut length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        let address: *mut libc::sockaddr = (&raw mut storage).cast();
        let outcome = ask(socket, address, &raw mut length);
        (outcome == 0).then(|| address::read(address))?.map(plain)
    }
}

fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
