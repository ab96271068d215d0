use super::*;

fn block(addresses: &[&str]) -> ServerBlock {
    let server = Server::new(addresses.iter().map(|addr| addr.parse().unwrap()));
    ServerBlock { server, applications: Vec::new() }
}

#[test]
fn knows_its_own_listeners() {
    let interfaces: Vec<IpAddr> = ["192.0.2.1", "2001:db8::1"].map(|addr| addr.parse().unwrap()).to_vec();
    let own = |listeners: &[&str], to: &str| {
        Own { servers: &[block(listeners)], interfaces: &interfaces }
            .reached_by(to.parse().unwrap())
            .is_some()
    };
    for (listener, to, ours) in [
        ("0.0.0.0:1935", "127.0.0.1:1935", true),
        ("0.0.0.0:1935", "127.9.9.9:1935", true),
        ("0.0.0.0:1935", "192.0.2.1:1935", true),
        ("0.0.0.0:1935", "[::ffff:192.0.2.1]:1935", true),
        ("0.0.0.0:1935", "0.0.0.0:1935", true),
        ("0.0.0.0:1935", "192.0.2.1:1936", false),
        ("0.0.0.0:1935", "192.0.2.2:1935", false),
        ("0.0.0.0:1935", "[::1]:1935", false),
        ("0.0.0.0:1935", "[2001:db8::1]:1935", false),
        ("[::]:1935", "[2001:db8::1]:1935", true),
        ("[::]:1935", "[::1]:1935", true),
        ("[::]:1935", "192.0.2.1:1935", true),
        ("[::]:1935", "[2001:db8::2]:1935", false),
        ("127.0.0.1:1935", "127.0.0.1:1935", true),
        ("127.0.0.1:1935", "0.0.0.0:1935", true),
        ("127.0.0.1:1935", "127.0.0.2:1935", false),
        ("192.0.2.1:1935", "192.0.2.1:1935", true),
        ("192.0.2.1:1935", "127.0.0.1:1935", false),
        // The list of interfaces does not contain this address yet.
        ("198.51.100.7:1935", "198.51.100.7:1935", true),
    ] {
        assert_eq!(own(&[listener], to), ours, "{listener}, {to}");
        assert_eq!(own(&["127.0.0.1:9", listener], to), ours, "{listener}, {to}");
    }
    assert!(!own(&[], "127.0.0.1:1935"));
}

#[test]
fn only_the_same_stream_comes_back() {
    let servers = [block(&["1935"])];
    let own = Own { servers: &servers, interfaces: &[] };
    let (here, there) = ("127.0.0.1:1935".parse().unwrap(), "192.0.2.9:1935".parse().unwrap());
    let from = (&servers[0].server, "live", "show");
    assert!(own.loops(here, from, "live", "show"));
    assert!(own.loops(here, from, "live/?a=b", "show?x=y"));
    assert!(!own.loops(here, from, "record", "show"));
    assert!(!own.loops(here, from, "live", "copy"));
    assert!(!own.loops(there, from, "live", "show"));
}

#[test]
fn another_server_block_is_another_place() {
    let servers =
        [block(&["1935", "unix:/run/rtmp.sock"]), block(&["127.0.0.1:1936", "[::]:1936"]), block(&["1936"])];
    let own = Own { servers: &servers, interfaces: &[] };
    let reached = |to: &str| own.reached_by(to.parse().unwrap()).map(Server::name);
    assert_eq!(reached("127.0.0.1:1935"), Some("0.0.0.0:1935"));
    // Exactly this address first, then the wildcard of the same family.
    assert_eq!(reached("127.0.0.1:1936"), Some("127.0.0.1:1936"));
    assert_eq!(reached("127.0.0.2:1936"), Some("0.0.0.0:1936"));
    assert_eq!(reached("[::1]:1936"), Some("127.0.0.1:1936"));
    let loops = |from: usize, to: &str| {
        own.loops(to.parse().unwrap(), (&servers[from].server, "live", "show"), "live", "show")
    };
    assert!(loops(0, "127.0.0.1:1935") && !loops(0, "127.0.0.1:1936"));
    assert!(loops(1, "127.0.0.1:1936") && !loops(2, "127.0.0.1:1936") && loops(2, "127.0.0.9:1936"));
}
