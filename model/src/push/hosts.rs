//! Reads the host's own name configuration: its hosts file (hosts(5)) and its name servers (resolv.conf(5)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns the addresses of a name in a hosts file, in its order. `localhost` always has addresses.
pub fn lookup(hosts: &str, name: &str) -> Vec<IpAddr> {
    let name = name.trim_end_matches('.');
    let mut found = Vec::new();
    for line in hosts.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let Some(Ok(addr)) = words.next().map(str::parse::<IpAddr>) else { continue };
        if words.any(|word| word.eq_ignore_ascii_case(name)) && !found.contains(&addr) {
            found.push(addr);
        }
    }
    if found.is_empty() && name.eq_ignore_ascii_case("localhost") {
        found.extend([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
    }
    found
}

/// Returns the name servers of a resolv.conf, except servers with a scope (`fe80::1%eth0`).
pub fn name_servers(resolv_conf: &str) -> Vec<IpAddr> {
    let servers = resolv_conf.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next())?
    });
    servers.filter_map(|server| server.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_beside_comments() {
        let hosts =
            "# 192.0.2.1 no\n192.0.2.7\tstudio Studio.example # desk\n2001:db8::7 studio\nbad studio\n";
        let addrs = |name| lookup(hosts, name).iter().map(IpAddr::to_string).collect::<Vec<_>>();
        assert_eq!(addrs("STUDIO"), ["192.0.2.7", "2001:db8::7"]);
        assert_eq!(addrs("studio.example."), ["192.0.2.7"]);
        assert_eq!(addrs("desk"), Vec::<String>::new());
        assert_eq!(addrs("no"), Vec::<String>::new());
    }

    #[test]
    fn localhost_is_known_without_a_file() {
        assert_eq!(lookup("", "localhost").len(), 2);
        assert_eq!(lookup("127.0.0.9 localhost", "localhost").len(), 1);
    }

    #[test]
    fn name_servers_are_those_that_can_be_asked() {
        let file =
            "search example\nnameserver 192.0.2.53\n nameserver 2001:db8::53 \nnameserver fe80::1%eth0\n";
        let servers: Vec<String> = name_servers(file).iter().map(IpAddr::to_string).collect();
        assert_eq!(servers, ["192.0.2.53", "2001:db8::53"]);
    }
}
