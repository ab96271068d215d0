use super::*;
use proptest::prelude::*;

/// `allow NET` and `deny NET` lines.
fn rules(lines: &[&str]) -> Vec<Rule> {
    let rule = |line: &&str| {
        let (word, addresses) = line.split_once(' ').unwrap();
        Rule { allow: word == "allow", addresses: addresses.parse().unwrap() }
    };
    lines.iter().map(rule).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn the_first_rule_that_holds_decides() {
    let lines = rules(&["allow 10.1.0.0/16", "deny 10.0.0.0/8", "deny 127.0.0.0/8", "deny ::1"]);
    for (addr, allowed) in [
        ("10.1.2.3", true),
        ("10.2.0.1", false),
        ("::ffff:10.2.0.1", false),
        ("127.0.0.1", false),
        ("203.0.113.1", true),
        ("::1", false),
        ("2001:db8::1", true),
        // Linux connects the unspecified addresses to loopback.
        ("0.0.0.0", false),
        ("::", false),
        ("::ffff:0.0.0.0", false),
    ] {
        assert_eq!(allows(&lines, ip(addr)), allowed, "{addr}");
    }
}

#[test]
fn all_is_both_families() {
    let lines = rules(&["allow 192.0.2.0/24", "deny all"]);
    assert!(allows(&lines, ip("192.0.2.1")) && !allows(&lines, ip("192.0.3.1")));
    assert!(!allows(&lines, ip("2001:db8::1")) && !allows(&lines, ip("0.0.0.0")));
}

#[test]
fn messages_say_what_would_be_right() {
    for (text, message) in [
        ("any", "expected \"all\", an address or CIDR such as 192.0.2.0/24 or 2001:db8::/32"),
        ("10.1.0.0/8", "address bits set after the prefix, expected 10.0.0.0/8"),
        ("10.0.0.0/33", "bad prefix length, expected 0 to 32"),
    ] {
        assert_eq!(text.parse::<Addresses>().unwrap_err().to_string(), message);
    }
}

proptest! {
    #[test]
    fn without_rules_every_address_is_allowed(addr: IpAddr) {
        prop_assert!(allows(&[], addr));
        prop_assert!(allows(&rules(&["allow all", "deny all"]), addr));
        prop_assert!(!allows(&rules(&["deny all", "allow all"]), addr));
    }

    #[test]
    fn what_is_denied_alone_is_denied(addr: IpAddr) {
        let addresses = Addresses::Of(addr.to_string().parse().unwrap());
        let rule = Rule { allow: false, addresses };
        prop_assert!(!allows(&[rule], addr));
    }
}
