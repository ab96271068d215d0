//! Detects targets that are this server itself.

use std::net::{IpAddr, SocketAddr};

use super::access::reached_by;
use crate::arguments;
use crate::server::{Server, ServerAddr, ServerBlock};

/// The addresses of this nginx.
#[derive(Clone, Copy, Debug, Default)]
pub struct Own<'a> {
    /// The `server` blocks; they may listen on wildcard addresses.
    pub servers: &'a [ServerBlock],
    /// The addresses of the network interfaces; loopback addresses are optional.
    pub interfaces: &'a [IpAddr],
}

/// The stream that is pushed: its `server` block, application and public name.
pub type From<'a> = (&'a Server, &'a str, &'a str);

impl Own<'_> {
    /// Returns the `server` block that a connect to this address reaches. Like nginx, prefers a block with exactly this
    /// address to a block with a wildcard.
    pub fn reached_by(&self, to: SocketAddr) -> Option<&Server> {
        let addr = reached_by(to.ip()).unwrap_or(to.ip()).to_canonical();
        let is_here = addr.is_loopback() || self.interfaces.iter().any(|own| own.to_canonical() == addr);
        let fit = |listener: SocketAddr| match listener.ip().to_canonical() {
            _ if listener.port() != to.port() => 0,
            own if own == addr => 3,
            own if !own.is_unspecified() || !is_here => 0,
            own if own.is_ipv4() == addr.is_ipv4() => 2,
            // An IPv6 wildcard accepts IPv4 connections too, unless the listener has `ipv6only=on`, which this code
            // does not know.
            IpAddr::V6(_) => 1,
            IpAddr::V4(_) => 0,
        };
        let fits = self.servers.iter().map(|block| {
            let sockets = block.server.addresses().iter().filter_map(ServerAddr::socket);
            (sockets.map(fit).max().unwrap_or(0), &block.server)
        });
        fits.filter(|(fit, _)| *fit > 0).max_by_key(|(fit, _)| *fit).map(|(_, server)| server)
    }

    /// Returns whether the stream would return as itself. A push to another `server` block or application of this
    /// nginx, or under another name, is allowed. `app` and `stream` are the names at the target: the public name, if
    /// the URL contains a key of this nginx.
    pub fn loops(&self, to: SocketAddr, from: From<'_>, app: &str, stream: &str) -> bool {
        let bare = |text: &str| arguments::name(text).trim_end_matches('/').to_owned();
        let (server, own_app, own_name) = from;
        (bare(app), bare(stream)) == (own_app.to_owned(), own_name.to_owned())
            && self.reached_by(to).is_some_and(|reached| reached.is_same(server))
    }
}

#[cfg(test)]
mod tests;
