//! Host names of servers. nginx refuses a whole file if one name in it does not resolve, and does not start with such a file.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::lookup_host;
use tokio::time::timeout;

/// Time limit of a resolution.
const LIMIT: Duration = Duration::from_secs(2);

/// Result for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It has an address.
    Yes,
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

/// Names that have resolved before.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// Returns the names of the servers in a file of nginx.
    pub(super) fn of(text: &str) -> Self {
        let host = |line: &str| {
            line.trim().strip_prefix("server ")?.split(' ').next().and_then(name).map(str::to_owned)
        };
        Self(text.lines().filter_map(host).collect())
    }

    /// Resolves the names of these hosts, and returns the names that do not resolve, with the reasons.
    pub(super) async fn missing(
        &mut self,
        hosts: impl Iterator<Item = &str>,
    ) -> Result<Vec<(String, String)>, Nothing> {
        let names: BTreeSet<String> = hosts.filter_map(name).map(str::to_owned).collect();
        let found = join_all(names.into_iter().map(|name| async {
            let found = match timeout(LIMIT, lookup_host((name.as_str(), 0))).await {
                Ok(Ok(_)) => Found::Yes,
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
        if let Some((known, _)) = found.iter().find(|(name, _)| !is_any && self.0.contains(name)) {
            return Err(Nothing(known.clone()));
        }
        let mut missing = Vec::new();
        for (name, found) in found {
            match found {
                Found::Yes => drop(self.0.insert(name)),
                Found::Late if self.0.contains(&name) => {}
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
    }

    #[test]
    fn a_name_that_does_not_resolve_is_left_out_unless_all_fail() {
        let mut names = Names::default();
        let mut judge = |found: &[(&str, Found)]| {
            let found = found.iter().map(|(name, found)| ((*name).to_owned(), found.clone())).collect();
            names.judge(found).map(|missing| missing.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
        };
        let no = || Found::No("no".into());
        assert_eq!(judge(&[]), Ok(vec![]));
        assert_eq!(judge(&[("a", no())]), Ok(vec!["a".to_owned()]), "it never resolved");
        assert_eq!(judge(&[("a", Found::Late), ("b", Found::Yes)]), Ok(vec!["a".to_owned()]));
        assert_eq!(judge(&[("a", Found::Yes), ("b", Found::Late)]), Ok(vec![]), "b resolved before");
        assert_eq!(judge(&[("a", Found::Yes), ("b", no())]), Ok(vec!["b".to_owned()]));
        assert_eq!(judge(&[("b", Found::Late), ("c", Found::Late)]), Err(Nothing("b".into())));
        assert_eq!(judge(&[("b", no())]), Ok(vec!["b".to_owned()]), "the resolver has answered");
        let mut after_a_restart =
            Names::of("upstream x {\n    server b:8080 weight=1;\n    server 192.0.2.1:80;\n}\n");
        assert_eq!(after_a_restart.judge(vec![("b".into(), Found::Late)]), Err(Nothing("b".into())));
    }
}
