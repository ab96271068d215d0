//! Conversion between the system's addresses and Rust's.

use std::{
    net::{IpAddr, SocketAddr},
    ptr,
};

/// An address in the system's form.
pub(super) struct System {
    storage: libc::sockaddr_storage,
    pub(super) length: nginx_sys::socklen_t,
}

impl System {
    pub(super) fn of(addr: SocketAddr) -> System {
        // SAFETY: zeroes are a valid address of no family, and there is room for those of both families (sockaddr_storage).
        unsafe {
            let mut storage: libc::sockaddr_storage = std::mem::zeroed();
            let length = match addr.ip() {
                IpAddr::V4(ip) => {
                    let v4 = &mut *(&raw mut storage).cast::<libc::sockaddr_in>();
                    v4.sin_family = libc::AF_INET as libc::sa_family_t;
                    v4.sin_port = addr.port().to_be();
                    v4.sin_addr.s_addr = u32::from(ip).to_be();
                    size_of::<libc::sockaddr_in>()
                }
                IpAddr::V6(ip) => {
                    let v6 = &mut *(&raw mut storage).cast::<libc::sockaddr_in6>();
                    v6.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                    v6.sin6_port = addr.port().to_be();
                    v6.sin6_addr.s6_addr = ip.octets();
                    size_of::<libc::sockaddr_in6>()
                }
            };
            System { storage, length: length as nginx_sys::socklen_t }
        }
    }

    pub(super) fn pointer(&mut self) -> *mut nginx_sys::sockaddr {
        (&raw mut self.storage).cast()
    }
}

/// Returns the addresses of this machine's interfaces.
#[must_use]
pub fn interfaces() -> Vec<IpAddr> {
    let mut found = Vec::new();
    // SAFETY: a list that the system makes and takes back; an interface may have no address (getifaddrs(3)).
    unsafe {
        let mut list: *mut libc::ifaddrs = ptr::null_mut();
        if libc::getifaddrs(&raw mut list) != 0 {
            return found;
        }
        let mut next = list;
        while let Some(interface) = next.as_ref() {
            found.extend(read(interface.ifa_addr).map(|addr| addr.ip()));
            next = interface.ifa_next;
        }
        libc::freeifaddrs(list);
    }
    found
}

/// # Safety
///
/// `address` is null, or of the family that it says.
pub(super) unsafe fn read(address: *const libc::sockaddr) -> Option<SocketAddr> {
    // SAFETY: by contract.
    unsafe {
        match i32::from(address.as_ref()?.sa_family) {
            libc::AF_INET => {
                let v4 = &*address.cast::<libc::sockaddr_in>();
                let ip = IpAddr::from(u32::from_be(v4.sin_addr.s_addr).to_be_bytes());
                Some(SocketAddr::new(ip, u16::from_be(v4.sin_port)))
            }
            libc::AF_INET6 => {
                let v6 = &*address.cast::<libc::sockaddr_in6>();
                Some(SocketAddr::new(IpAddr::from(v6.sin6_addr.s6_addr), u16::from_be(v6.sin6_port)))
            }
            _ => None,
        }
    }
}

/// Returns the address of the other end of an accepted connection; `None` for a unix socket.
pub(super) fn of_connection(connection: &nginx_sys::ngx_connection_t) -> Option<IpAddr> {
    // SAFETY: null, or the address of an accepted connection, of the family that it says (ngx_event_accept).
    unsafe { read(connection.sockaddr.cast()) }.map(|addr| addr.ip())
}
