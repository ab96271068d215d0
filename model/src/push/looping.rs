//! Whether a target is this very server.

use std::net::{IpAddr, SocketAddr};

use super::access::reached_by;

/// Where this server is to be reached.
#[derive(Clone, Copy, Debug, Default)]
pub struct Own<'a> {
    /// What its RTMP servers listen on; wildcard addresses too.
    pub listeners: &'a [SocketAddr],
    /// The addresses of its network interfaces; loopback need not be among them.
    pub interfaces: &'a [IpAddr],
}

impl Own<'_> {
    /// Whether a connect to this address comes to one of its own RTMP servers.
    pub fn is_reached_by(&self, to: SocketAddr) -> bool {
        let addr = reached_by(to.ip()).unwrap_or(to.ip()).to_canonical();
        let is_here = addr.is_loopback() || self.interfaces.iter().any(|own| own.to_canonical() == addr);
        self.listeners.iter().filter(|listener| listener.port() == to.port()).any(|listener| {
            match listener.ip().to_canonical() {
                own if own == addr => true,
                // An IPv6 wildcard takes IPv4 connections too, unless the listener is `ipv6only=on`, which
                // is not known here.
                IpAddr::V6(own) => own.is_unspecified() && is_here,
                IpAddr::V4(own) => own.is_unspecified() && is_here && addr.is_ipv4(),
            }
        })
    }

    /// Whether the stream would come back as itself: to another application or under another name of this
    /// server it may be pushed. `app` and `stream` are what the target would make of it: the public name where
    /// the URL has a key of this server.
    pub fn loops(&self, to: SocketAddr, from: (&str, &str), app: &str, stream: &str) -> bool {
        let bare = |text: &str| text.split('?').next().unwrap_or_default().trim_end_matches('/').to_owned();
        self.is_reached_by(to) && (bare(app), bare(stream)) == (from.0.to_owned(), from.1.to_owned())
    }
}

#[cfg(test)]
mod tests;
