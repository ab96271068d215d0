//! Selects the addresses of a host that a stream may be pushed to.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
};

use ngx_rtmp::address;
use weir_model::{
    Presented, Server, arguments,
    push::{
        LastError, MAX_ADDRESSES,
        access::{self, Rule},
        looping::Own,
    },
    target::TargetUrl,
    verdict::{self, Policy, Presentation},
};

use crate::{process, runtime, session::Session, session::SessionExt as _};

/// Returns the addresses that `weir_push_deny` does not deny, and that do not lead the stream back to this server.
pub(super) fn of(
    session: &Session,
    name: &str,
    url: &TargetUrl,
    found: Vec<IpAddr>,
) -> Result<Vec<SocketAddr>, LastError> {
    if found.is_empty() {
        return Err(LastError::HostNotFound);
    }
    let none: &[Rule] = &[];
    let rules = session.settings().map_or(none, |settings| &settings.push_rules);
    let allowed: Vec<IpAddr> = found.into_iter().filter(|addr| access::allows(rules, *addr)).collect();
    if allowed.is_empty() {
        return Err(LastError::Denied);
    }
    let (runtime, interfaces) = (runtime::current(), address::interfaces());
    let servers = runtime.as_ref().map_or(&[][..], |runtime| &runtime.servers);
    let own = Own { servers, interfaces: &interfaces };
    let policy = session.settings().map(|settings| settings.publish());
    let called = called_here(session.server(), policy, url.app(), url.key_for(name).expose());
    let from = (session.server(), session.app(), name);
    let comes_back = |addr: &SocketAddr| own.loops(*addr, from, url.app(), &called);
    let addresses = alternating(&allowed).map(|addr| SocketAddr::new(addr, url.port()));
    let abroad: Vec<SocketAddr> = addresses.filter(|addr| !comes_back(addr)).take(MAX_ADDRESSES).collect();
    if abroad.is_empty() { Err(LastError::Loop) } else { Ok(abroad) }
}

/// Returns the public name that a publisher with this key would have here: a stream key, either as the name or in `name?key=KEY`, stands
/// for a public name.
fn called_here(server: &Server, policy: Option<Policy>, app: &str, key: &str) -> String {
    let presented = Presented::parse(key.as_bytes()).ok().filter(|_| policy == Some(Policy::Key));
    let digest = presented.as_ref().and_then(|presented| match verdict::credential_of(presented) {
        Presentation::Key(digest) => Some(digest),
        Presentation::Token(_) | Presentation::None => None,
    });
    let public = digest.zip(runtime::current()).and_then(|(digest, runtime)| {
        match runtime.file_key(server, app, &digest) {
            Some(key) => Some(key.stream.as_str().to_owned()),
            None => runtime.zone().lock(process::pid()).find_key(&digest).map(|key| key.stream),
        }
    });
    public.unwrap_or_else(|| arguments::name(key).to_owned())
}

/// Returns IPv4 and IPv6 addresses alternately, each family in its order. If one family has no route, the other is tried soon.
fn alternating(addresses: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    let family = |v4: bool| addresses.iter().copied().filter(move |addr| addr.is_ipv4() == v4);
    let (mut v4, mut v6) = (family(true).collect::<VecDeque<_>>(), family(false).collect::<VecDeque<_>>());
    let mut turn = false;
    std::iter::from_fn(move || {
        turn = !turn;
        let (first, second) = if turn { (&mut v4, &mut v6) } else { (&mut v6, &mut v4) };
        first.pop_front().or_else(|| second.pop_front())
    })
}
