//! Host names of servers. nginx refuses a whole file if one name in it does not resolve, and does not start with such a file.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::lookup_host;
use tokio::time::timeout;

/// Begin of the comment behind a server that has an address in place of its name: the name follows.
pub(super) const COMMENT: &str = " # ";
/// Time limit of a resolution.
const LIMIT: Duration = Duration::from_secs(2);

/// Result for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It has these addresses.
    Yes(Vec<IpAddr>),
    /// It has none, with the reason.
    No(String),
    /// The resolver has not answered in time.
    Late,
}

/// Reason why no server is left out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no name server answers for any name, not even for {0}, which resolved before: check the name servers of this machine"
)]
pub(super) struct Nothing(String);

/// Names that have resolved before, with their addresses; without addresses, if nginx resolved the name for an earlier daemon.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, Vec<IpAddr>>);

impl Names {
    /// Returns the names of the servers in a file of nginx.
    pub(super) fn of(text: &str) -> Self {
        let known = |line: &str| {
            let server = line.trim().strip_prefix("server ")?;
            let place = server.split(' ').next()?;
            let host = server.split_once(COMMENT).map_or(place, |(_, host)| host);
            Some((name(host)?.to_owned(), address(place).into_iter().collect()))
        };
        Self(text.lines().filter_map(known).collect())
    }

    /// Returns the addresses of `HOST[:PORT]` by its last resolution.
    pub(super) fn addresses(&self, host: &str) -> Vec<IpAddr> {
        match name(host) {
            Some(name) => self.0.get(name).cloned().unwrap_or_default(),
            None => address(host).into_iter().collect(),
        }
    }

    /// Resolves the names of these hosts, and returns the names that do not resolve, with the reasons.
    pub(super) async fn missing(
        &mut self,
        hosts: impl Iterator<Item = &str>,
    ) -> Result<Vec<(String, String)>, Nothing> {
        let names: BTreeSet<String> = hosts.filter_map(name).map(str::to_owned).collect();
        let found = join_all(names.into_iter().map(|name| async {
            let found = match timeout(LIMIT, lookup_host((name.as_str(), 0))).await {
                Ok(Ok(found)) => Found::Yes(found.map(|address| address.ip()).collect()),
                // EAI_AGAIN of getaddrinfo(3): no name server has answered.
                Ok(Err(error)) if error.to_string().contains("Temporary failure") => Found::Late,
                Ok(Err(error)) => Found::No(error.to_string()),
                Err(_) => Found::Late,
            };
            (name, found)
        }));
        self.judge(found.await)
    }

    /// Returns the names that nginx would refuse. A slow resolver is no reason to drop a name that has resolved before. If no name gets an
    /// answer, the resolver itself has failed, and nginx keeps the addresses that it has.
    fn judge(&mut self, found: Vec<(String, Found)>) -> Result<Vec<(String, String)>, Nothing> {
        let is_any = found.iter().any(|(_, found)| *found != Found::Late);
        if let Some((known, _)) = found.iter().find(|(name, _)| !is_any && self.0.contains_key(name)) {
            return Err(Nothing(known.clone()));
        }
        let mut missing = Vec::new();
        for (name, found) in found {
            match found {
                Found::Yes(addresses) => drop(self.0.insert(name, addresses)),
                Found::Late if self.0.contains_key(&name) => {}
                Found::Late => missing.push((name, "no answer within 2 s".to_owned())),
                Found::No(why) => missing.push((name, why)),
            }
        }
        Ok(missing)
    }
}

/// Returns the name in `HOST[:PORT]`, or `None` for an address.
pub(super) fn name(host: &str) -> Option<&str> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_address = host.starts_with('[') || name.parse::<Ipv4Addr>().is_ok();
    (!is_address).then_some(name)
}

/// Returns the port in `HOST[:PORT]`, with the colon.
pub(super) fn port(host: &str) -> &str {
    let end = host.rfind(']').map_or(0, |at| at + 1);
    host[end..].find(':').map_or("", |at| &host[end + at..])
}

/// Returns the address in `ADDRESS[:PORT]`.
fn address(host: &str) -> Option<IpAddr> {
    let bare = || host.trim_matches(['[', ']']).parse().ok();
    host.parse().map(|address: SocketAddr| address.ip()).ok().or_else(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_are_resolved() {
        for (host, expected) in [
            ("edge1.example.org:8080", Some("edge1.example.org")),
            ("edge1", Some("edge1")),
            ("192.0.2.1:8080", None),
            ("192.0.2.1", None),
            ("[2001:db8::1]:8080", None),
            ("[2001:db8::1]", None),
        ] {
            assert_eq!(name(host), expected, "{host}");
        }
        for (host, expected) in
            [("edge1:80", ":80"), ("edge1", ""), ("[2001:db8::1]", ""), ("[2001:db8::1]:81", ":81")]
        {
            assert_eq!(port(host), expected, "{host}");
        }
        let names = Names::default();
        for host in ["[2001:db8::1]:81", "[2001:db8::1]"] {
            assert_eq!(names.addresses(host), ["2001:db8::1".parse::<IpAddr>().unwrap()], "{host}");
        }
    }

    #[test]
    fn a_name_that_does_not_resolve_is_left_out_unless_all_fail() {
        let mut names = Names::default();
        let mut judge = |found: &[(&str, Found)]| {
            let found = found.iter().map(|(name, found)| ((*name).to_owned(), found.clone())).collect();
            names.judge(found).map(|missing| missing.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
        };
        let no = || Found::No("no".into());
        let yes = || Found::Yes(vec![[192, 0, 2, 7].into()]);
        assert_eq!(judge(&[]), Ok(vec![]));
        assert_eq!(judge(&[("a", no())]), Ok(vec!["a".to_owned()]), "it never resolved");
        assert_eq!(judge(&[("a", Found::Late), ("b", yes())]), Ok(vec!["a".to_owned()]));
        assert_eq!(judge(&[("a", yes()), ("b", Found::Late)]), Ok(vec![]), "b resolved before");
        assert_eq!(judge(&[("a", yes()), ("b", no())]), Ok(vec!["b".to_owned()]));
        assert_eq!(judge(&[("b", Found::Late), ("c", Found::Late)]), Err(Nothing("b".into())));
        assert_eq!(judge(&[("b", no())]), Ok(vec!["b".to_owned()]), "the resolver has answered");
        let mut after_a_restart =
            Names::of("upstream x {\n    server b:8080 weight=1;\n    server 192.0.2.1:80;\n}\n");
        assert_eq!(after_a_restart.judge(vec![("b".into(), Found::Late)]), Err(Nothing("b".into())));
        let rented = Names::of("    server 192.0.2.7:80 weight=1; # c:80\n");
        let known: Vec<IpAddr> = vec![[192, 0, 2, 7].into()];
        assert_eq!((rented.addresses("c:80"), names.addresses("b:1")), (known.clone(), known));
        assert!(after_a_restart.addresses("b:8080").is_empty(), "nginx resolved it");
    }
}
