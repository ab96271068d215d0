use super::*;

fn sockets(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn knows_its_own_listeners() {
    let interfaces: Vec<IpAddr> = ["192.0.2.1", "2001:db8::1"].map(|addr| addr.parse().unwrap()).to_vec();
    let own = |listeners: &[&str], to: &str| {
        Own { listeners: &sockets(listeners), interfaces: &interfaces }.is_reached_by(to.parse().unwrap())
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
        // An address that the list of interfaces does not know yet.
        ("198.51.100.7:1935", "198.51.100.7:1935", true),
    ] {
        assert_eq!(own(&[listener], to), ours, "{listener}, {to}");
        assert_eq!(own(&["127.0.0.1:9", listener], to), ours, "{listener}, {to}");
    }
    assert!(!own(&[], "127.0.0.1:1935"));
}

#[test]
fn only_the_same_stream_comes_back() {
    let listeners = sockets(&["0.0.0.0:1935"]);
    let own = Own { listeners: &listeners, interfaces: &[] };
    let (here, there) = ("127.0.0.1:1935".parse().unwrap(), "192.0.2.9:1935".parse().unwrap());
    let from = ("live", "show");
    assert!(own.loops(here, from, "live", "show"));
    assert!(own.loops(here, from, "live/?a=b", "show?x=y"));
    assert!(!own.loops(here, from, "record", "show"));
    assert!(!own.loops(here, from, "live", "copy"));
    assert!(!own.loops(there, from, "live", "show"));
}
