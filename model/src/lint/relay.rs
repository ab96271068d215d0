//! Finds host names that nginx-rtmp resolves only once (`push`, `pull`, `play`, `on_*`), and unusual limits of relays
//! and messages.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::advice::{Advice, Severity};
use super::{Directive, reader::all};

/// The most RTMP servers at which other workers can reach a worker (the zone holds no more).
const MAX_SERVERS: usize = 9;
/// nginx-rtmp's default of `max_message`, in bytes. Keyframes of 4K video are larger.
const DEFAULT_MAX_MESSAGE: u64 = 1 << 20;
/// A size that no keyframe reaches, in bytes.
const LARGE_MAX_MESSAGE: u64 = 64 << 20;

pub(super) fn check(configuration: &[Directive], found: &mut Vec<Advice>) {
    let mut servers = 0;
    for rtmp in all(configuration, "rtmp") {
        found.extend(rtmp.block.iter().filter_map(named_hook));
        found.extend(rtmp.all("max_message").filter_map(odd_messages));
        for server in rtmp.all("server") {
            servers += 1;
            found.extend(server.all("max_message").filter_map(odd_messages));
            for application in server.all("application") {
                found.extend(application.block.iter().filter_map(named_host));
                let recorders = application.all("recorder").flat_map(|recorder| &recorder.block);
                found.extend(recorders.filter_map(named_hook));
            }
            found.extend(server.block.iter().filter_map(named_hook));
        }
    }
    let is_on = |directive: &&Directive| directive.argument(0) == Some("on");
    if servers > MAX_SERVERS {
        found.extend(all(configuration, "rtmp_auto_push").filter(is_on).map(|directive| {
            let problem = format!("reaches only {MAX_SERVERS} RTMP servers, and there are {servers}");
            Advice::new(directive, Severity::Hint, problem, "use fewer \"server\" blocks in \"rtmp\"")
        }));
    }
}

/// Advises on a `push`, `pull`, `play` or `on_*` of an application whose host is not an address.
fn named_host(directive: &Directive) -> Option<Advice> {
    let remedy = match directive.name() {
        "push" => "use \"weir_push_to\" or \"weir target add\", which resolve the name at each connect",
        "pull" => "write its IP address",
        "play" if is_http(directive.argument(0)?) => "write its IP address, or the path of a local file",
        _ => return named_hook(directive),
    };
    Some(asked_once(directive, host(directive.argument(0)?)?, remedy))
}

/// Directives of nginx-rtmp that send a request to a server (ngx_rtmp_notify_commands).
const HOOKS: [&str; 9] = [
    "on_connect",
    "on_disconnect",
    "on_publish",
    "on_publish_done",
    "on_play",
    "on_play_done",
    "on_done",
    "on_update",
    "on_record_done",
];

/// Advises on an `on_*` whose host is not an address.
fn named_hook(directive: &Directive) -> Option<Advice> {
    if !HOOKS.contains(&directive.name()) {
        return None;
    }
    let host = host(directive.argument(0)?)?;
    Some(asked_once(directive, host, "write its IP address, or \"localhost\" and forward from there"))
}

fn is_http(url: &str) -> bool {
    url.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"))
}

/// Returns the advice on a name that nginx-rtmp resolves while it reads the configuration (ngx_parse_url).
fn asked_once(directive: &Directive, host: &str, remedy: &str) -> Advice {
    let problem = format!(
        "resolves \"{}\" only once, when nginx starts, and nginx does not start if that fails",
        host.escape_debug()
    );
    Advice::new(directive, Severity::Hint, problem, remedy)
}

/// Returns the host of `[rtmp://]HOST[:PORT][/APP...]`, or of `http://`, if it is a name. `localhost` needs no
/// resolver.
fn host(url: &str) -> Option<&str> {
    let is_scheme = |scheme: &&str| matches!(scheme.to_ascii_lowercase().as_str(), "rtmp://" | "http://");
    let scheme = url.get(..7).filter(is_scheme);
    let rest = scheme.map_or(url, |scheme| &url[scheme.len()..]);
    if rest.starts_with("unix:") || rest.starts_with('[') {
        return None;
    }
    let authority = rest.split('/').next().unwrap_or_default();
    // A user name and password are not part of the host.
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let host = authority.split(':').next().unwrap_or_default();
    let is_address = host.parse::<Ipv4Addr>().is_ok() || host.parse::<Ipv6Addr>().is_ok();
    (!host.is_empty() && !is_address && !host.eq_ignore_ascii_case("localhost")).then_some(host)
}

/// Advises on a `max_message` below nginx-rtmp's default, or far above the messages of any encoder.
fn odd_messages(directive: &Directive) -> Option<Advice> {
    let bytes = size(directive.argument(0)?)?;
    let (problem, remedy) = match bytes {
        ..DEFAULT_MAX_MESSAGE => (
            format!("drops messages over {bytes} bytes, for example large keyframes"),
            "remove it for the default of 1m, or use \"max_message 8m;\" for 4K",
        ),
        LARGE_MAX_MESSAGE.. => (
            format!("lets each connection use up to {} MB of memory for a message", bytes >> 20),
            "use \"max_message 8m;\", enough for a 4K keyframe",
        ),
        _ => return None,
    };
    Some(Advice::new(directive, Severity::Hint, problem, remedy))
}

/// Parses a size in bytes (ngx_parse_size).
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
                "/etc/nginx/nginx.conf:1: hint: \"push\" resolves \"a.example\" only once, when nginx starts, and nginx does not start if \
              that fails: use \"weir_push_to\" or \"weir target add\", which resolve the name at each connect"
            ]
        );
        assert!(app("pull a.example;")[0].contains("\"pull\" resolves"), "{:?}", app("pull a.example;"));
        assert_eq!(app("push rtmp://192.0.2.1/live; weir_push_to rtmp://a.example/live;"), [""; 0]);
        assert_eq!(places("rtmp { server { push a.example; } }"), [""; 0]);
    }

    #[test]
    fn hooks_and_plays_of_names() {
        let found = |text: &str| !places(text).is_empty();
        for hook in HOOKS {
            for (url, named) in [
                ("http://platform/a", true),
                ("http://hooks.example:8080/a", true),
                ("http://localhost/a", false),
                ("http://127.0.0.1:8091/a", false),
                ("http://[::1]/a", false),
            ] {
                let text = format!("rtmp {{ server {{ application live {{ {hook} {url}; }} }} }}");
                assert_eq!(found(&text), named, "{text}");
            }
        }
        assert!(found("rtmp { on_publish http://platform/; server { } }"));
        assert!(found("rtmp { server { on_connect http://platform/; } }"));
        assert!(found(
            "rtmp { server { application a { recorder r { on_record_done http://platform/; } } } }"
        ));
        assert!(found("rtmp { server { application a { play http://files.example/flv; } } }"));
        assert!(!found("rtmp { server { application a { play /srv/flv; play http://192.0.2.1/flv; } } }"));
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
            ("63m", false),
            ("64m", true),
            ("512M", true),
            ("x", false),
        ] {
            let text = format!("rtmp {{ max_message {value}; server {{ }} }}");
            assert_eq!(!places(&text).is_empty(), found, "{value}");
            let text = format!("rtmp {{ server {{ max_message {value}; }} }}");
            assert_eq!(!places(&text).is_empty(), found, "{value}");
        }
    }
}
