//! Stock `push` and `pull`, and what nginx-rtmp relays and takes.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Advice, Directive, Severity, reader::all};

/// RTMP servers that a worker can be reached on by the others (the zone has room for so many).
const MAX_SERVERS: usize = 9;
/// nginx-rtmp's own `max_message`, in bytes. Key frames of 4K are larger.
const DEFAULT_MAX_MESSAGE: u64 = 1 << 20;

pub(super) fn check(configuration: &[Directive], found: &mut Vec<Advice>) {
    let mut servers = 0;
    for rtmp in all(configuration, "rtmp") {
        found.extend(rtmp.all("max_message").filter_map(small_messages));
        for server in rtmp.all("server") {
            servers += 1;
            found.extend(server.all("max_message").filter_map(small_messages));
            for application in server.all("application") {
                found.extend(application.block.iter().filter_map(named_host));
            }
        }
    }
    let is_on = |directive: &&Directive| directive.argument(0) == Some("on");
    if servers > MAX_SERVERS {
        found.extend(all(configuration, "rtmp_auto_push").filter(is_on).map(|directive| {
            let problem = format!("reaches {MAX_SERVERS} RTMP servers, and there are {servers}");
            Advice::new(directive, Severity::Hint, problem, "have fewer \"server\" blocks in \"rtmp\"")
        }));
    }
}

/// A `push` or `pull` whose host is no address.
fn named_host(directive: &Directive) -> Option<Advice> {
    let remedy = match directive.name() {
        "push" => {
            "use \"weir_push_to\", or a target made with \"weir target add\", which ask for its address at each connect"
        }
        "pull" => "write its address",
        _ => return None,
    };
    let host = host(directive.argument(0)?)?;
    let problem = format!(
        "asks for the address of \"{}\" once, when nginx starts, which fails without an answer",
        host.escape_debug()
    );
    Some(Advice::new(directive, Severity::Hint, problem, remedy))
}

/// The host of `[rtmp://]HOST[:PORT][/APP...]` when it is a name; `localhost` is known without asking.
fn host(url: &str) -> Option<&str> {
    let scheme = url.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("rtmp://"));
    let rest = scheme.map_or(url, |scheme| &url[scheme.len()..]);
    if rest.starts_with("unix:") || rest.starts_with('[') {
        return None;
    }
    let authority = rest.split('/').next().unwrap_or_default();
    // Nobody's password becomes a part of the name.
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let host = authority.split(':').next().unwrap_or_default();
    let is_address = host.parse::<Ipv4Addr>().is_ok() || host.parse::<Ipv6Addr>().is_ok();
    (!host.is_empty() && !is_address && !host.eq_ignore_ascii_case("localhost")).then_some(host)
}

/// A `max_message` below nginx-rtmp's own.
fn small_messages(directive: &Directive) -> Option<Advice> {
    let bytes = size(directive.argument(0)?)?;
    let problem = format!("drops messages over {bytes} bytes, key frames of large pictures among them");
    let remedy = "leave it out for 1m, or say \"max_message 8m;\" for 4K";
    (bytes < DEFAULT_MAX_MESSAGE).then(|| Advice::new(directive, Severity::Hint, problem, remedy))
}

/// A size in bytes (ngx_parse_size).
fn size(text: &str) -> Option<u64> {
    let (digits, unit) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 1 << 10),
        b'm' | b'M' => (&text[..text.len() - 1], 1 << 20),
        _ => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lint, places};
    use super::*;

    #[test]
    fn hosts_that_are_names() {
        for (url, expected) in [
            ("rtmp://live.example.org/app/key", Some("live.example.org")),
            ("RTMP://live.example.org:1936", Some("live.example.org")),
            ("live.example.org/app", Some("live.example.org")),
            ("rtmp://user:secret@live.example.org/app", Some("live.example.org")),
            ("rtmp://192.0.2.1/app", None),
            ("192.0.2.1:1935", None),
            ("rtmp://[2001:db8::1]:1935/app", None),
            ("rtmp://localhost/app", None),
            ("unix:/run/x.sock", None),
            ("rtmp://unix:/run/x.sock", None),
            ("rtmp://", None),
            ("", None),
            ("rtmp:é//", Some("rtmp")),
        ] {
            assert_eq!(host(url), expected, "{url}");
        }
    }

    #[test]
    fn pushes_and_pulls_to_names() {
        let app = |text: &str| lint(&format!("rtmp {{ server {{ application live {{ {text} }} }} }}"));
        assert_eq!(
            app("push rtmp://a.example/live/secret name=show;"),
            [
                "/etc/nginx/nginx.conf:1: \"push\" asks for the address of \"a.example\" once, when nginx starts, which fails \
              without an answer: use \"weir_push_to\", or a target made with \"weir target add\", which ask for its address \
              at each connect"
            ]
        );
        assert!(app("pull a.example;")[0].contains("\"pull\" asks for"), "{:?}", app("pull a.example;"));
        assert_eq!(app("push rtmp://192.0.2.1/live; weir_push_to rtmp://a.example/live;"), [""; 0]);
        assert_eq!(places("rtmp { server { push a.example; } }"), [""; 0]);
    }

    #[test]
    fn more_servers_than_workers_tell_each_other_of() {
        let with = |servers: usize, auto_push: &str| {
            places(&format!("{auto_push} rtmp {{ {} }}", "server { } ".repeat(servers)))
        };
        assert_eq!(with(9, "rtmp_auto_push on;"), [""; 0]);
        assert_eq!(with(10, "rtmp_auto_push on;"), ["1 rtmp_auto_push"]);
        assert_eq!(with(10, "rtmp_auto_push off;"), [""; 0]);
        assert_eq!(with(10, ""), [""; 0]);
    }

    #[test]
    fn messages_smaller_than_stock() {
        for (value, found) in [
            ("512k", true),
            ("1000000", true),
            ("1m", false),
            ("1M", false),
            ("1048576", false),
            ("8m", false),
            ("x", false),
        ] {
            let text = format!("rtmp {{ max_message {value}; server {{ }} }}");
            assert_eq!(!places(&text).is_empty(), found, "{value}");
            let text = format!("rtmp {{ server {{ max_message {value}; }} }}");
            assert_eq!(!places(&text).is_empty(), found, "{value}");
        }
    }
}
