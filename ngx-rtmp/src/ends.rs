//! Both ends of a connection, as the kernel knows them. A proxy's header does not change them.

use std::{mem, net::SocketAddr};

use nginx_sys::ngx_listening_t;

use super::{address, collections, session::Session, types::Tables};

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
    /// Returns whether the connection leads to a socket at which this nginx listens.
    #[must_use]
    pub fn lead_here(&self) -> bool {
        let far = self.far;
        // The address of another machine may match `listen 0.0.0.0`.
        if far.ip() != self.near.ip() && !far.ip().is_loopback() {
            return false;
        }
        // SAFETY: nginx sets ngx_cycle before any callback of ours; the array has listening sockets, each with an address of the family
        // that it says (ngx_create_listening).
        let listening = unsafe {
            let Some(cycle) = nginx_sys::ngx_cycle.as_ref() else { return false };
            collections::array::<ngx_listening_t>(&cycle.listening)
        };
        listening.iter().filter(|socket| socket.type_ == libc::SOCK_STREAM).any(|socket| {
            // SAFETY: as above.
            let address = unsafe { address::read(socket.sockaddr.cast()) }.map(plain);
            address.is_some_and(|at| {
                at.port() == far.port() && (at.ip().is_unspecified() || at.ip() == far.ip())
            })
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
