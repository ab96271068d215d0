//! Decides which far ends get a token that this node mints. Pure.

use std::net::IpAddr;

use reqwest::Url;

use crate::config::Config;

/// Returns whether the server of a URL gets a minted token: over TLS, on this machine, on a private network, or if the configuration
/// names the server as part of the cluster. Elsewhere, others on the network path could read the token.
pub(crate) fn may_have_token(url: &Url, config: &Config) -> bool {
    let named = config.edge.iter().flat_map(|edge| &edge.origins);
    let named = named.chain(config.cluster.edges.iter().map(|edge| &edge.address));
    let is_named = |base: &weir_model::link::Base| {
        Url::parse(base.as_str()).is_ok_and(|base| base.origin() == url.origin())
    };
    url.scheme() == "https" || is_near(url.host_str().unwrap_or_default()) || named.into_iter().any(is_named)
}

/// Returns whether a host is an address of this machine or of a private network. Names do not count, because a name may lead anywhere.
fn is_near(host: &str) -> bool {
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => match address.to_canonical() {
            IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
        },
        Err(_) => host == "localhost",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse;

    #[test]
    fn a_token_goes_where_nobody_else_reads_it() {
        let text = "[cluster]\nsecret_file = \"/s\"\n[[cluster.edge]]\naddress = \"http://edge.example.org:81\"\nbandwidth = \"1g\"\n\
                    [edge]\norigin = \"http://origin.example.org\"\naddress = \"http://h\"\nbandwidth = \"1g\"\n";
        let config = parse(Path::new("weir.toml"), text).unwrap();
        let may = |url: &str| may_have_token(&Url::parse(url).unwrap(), &config);
        for url in [
            "https://anybody.example.org/",
            "http://127.0.0.1:8090/",
            "http://[::1]/",
            "http://localhost:1/",
            "http://10.0.0.7/",
            "http://[fd00::1]/",
            "http://origin.example.org/stream/live/show/ws",
            "http://edge.example.org:81/",
        ] {
            assert!(may(url), "{url}");
        }
        for url in [
            "http://anybody.example.org/",
            "http://203.0.113.5/",
            "http://[2001:db8::1]/",
            "http://edge.example.org/",
            "http://localhost.example.org/",
            "http://origin.example.org:8080/",
        ] {
            assert!(!may(url), "{url}");
        }
    }
}
