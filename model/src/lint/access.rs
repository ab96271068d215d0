//! Finds `rtmp_control` and `rtmp_stat` locations that anyone may request.

use std::net::IpAddr;

use super::advice::{Advice, Severity};
use super::{Directive, reader::all};

/// Directives that authenticate the client; `off` cancels the setting of an outer block.
const AUTHENTICATION: [&str; 7] =
    ["auth_basic", "auth_request", "auth_jwt", "auth_pam", "auth_digest", "auth_ldap", "auth_gss"];
/// Blocks of `http` that a request can match.
const BLOCKS: [&str; 3] = ["server", "location", "if"];
/// Maximum depth of nested blocks that Weir examines; nginx allows fewer.
const MAX_DEPTH: usize = 64;

const CONTROL: &str = "add \"allow 127.0.0.1; deny all;\" to its location, or use \"weir_api\" in its place";
const STAT: &str = "add \"allow 127.0.0.1; deny all;\" to its location, or use \"weir_stat\" in its place";

/// The effect of the `allow` and `deny` lines of a block.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum List {
    /// The lines admit or exclude some clients. nginx admits clients that match no line.
    #[default]
    Partial,
    /// A line admits every client that no earlier line matches.
    AllowsAll,
    /// A line excludes every client that no earlier line matches.
    DeniesAll,
}

/// The access rules of a block, its own or inherited.
#[derive(Clone, Copy, Default)]
pub(super) struct Access {
    list: List,
    /// Whether a password, a certificate or a similar credential is required.
    authenticated: bool,
    /// `satisfy any`: either the list or the authentication is enough.
    any: bool,
    /// Whether `return` answers for the whole server.
    server_returns: bool,
    /// Whether only nginx itself can reach the block, or `return` answers first. A nested location does not inherit
    /// this.
    unreachable: bool,
    /// Whether the server listens only on loopback addresses and unix sockets.
    local: bool,
}

impl Access {
    /// Returns the access rules inside a block.
    pub(super) fn within(self, block: &Directive) -> Self {
        let mut lists = block.block.iter().filter(|d| matches!(d.name(), "allow" | "deny")).peekable();
        // A block with its own list inherits none (ngx_http_access_merge_loc_conf).
        let list = if lists.peek().is_none() { self.list } else { of_lines(lists) };
        let says = |directive: &Directive| match directive.name() {
            name if AUTHENTICATION.contains(&name) => Some(directive.argument(0) != Some("off")),
            "ssl_verify_client" => Some(directive.argument(0) == Some("on")),
            name if name.starts_with("access_by_lua") => Some(true),
            _ => None,
        };
        let authenticated = block.block.iter().filter_map(says).reduce(|a, b| a || b);
        let satisfy = block.all("satisfy").last().map(|satisfy| satisfy.argument(0) == Some("any"));
        let (is_server, returns) = (block.name() == "server", block.all("return").next().is_some());
        let server_returns = if is_server { returns } else { self.server_returns };
        Self {
            list,
            authenticated: authenticated.unwrap_or(self.authenticated),
            any: satisfy.unwrap_or(self.any),
            server_returns,
            unreachable: server_returns || returns || block.all("internal").next().is_some(),
            local: if is_server { listens_locally(block) } else { self.local },
        }
    }

    pub(super) fn is_open(self) -> bool {
        if self.unreachable || self.local {
            return false;
        }
        match (self.any, self.list) {
            (true, List::AllowsAll) => true,
            (_, List::DeniesAll) => false,
            (_, List::Partial | List::AllowsAll) => !self.authenticated,
        }
    }
}

/// Returns the effect of the first line that matches every client.
fn of_lines<'d>(mut list: impl Iterator<Item = &'d Directive>) -> List {
    let fits_all = |d: &&Directive| matches!(d.argument(0), Some("all" | "0.0.0.0/0" | "::/0"));
    match list.find(fits_all).map(Directive::name) {
        Some("deny") => List::DeniesAll,
        Some(_) => List::AllowsAll,
        None => List::Partial,
    }
}

/// Returns whether each `listen` accepts only clients on this machine. A server without `listen` listens on all
/// addresses.
fn listens_locally(server: &Directive) -> bool {
    let is_local = |listen: &Directive| {
        let address = listen.argument(0).unwrap_or_default();
        let host = match address.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => address.split(':').next().unwrap_or_default(),
        };
        // A number alone is a port, not an address.
        let addr: Option<IpAddr> = host.parse().ok();
        host == "unix"
            || host.eq_ignore_ascii_case("localhost")
            || addr.is_some_and(|addr| addr.to_canonical().is_loopback())
    };
    let mut listens = server.all("listen").peekable();
    listens.peek().is_some() && listens.all(is_local)
}

pub(super) fn check(configuration: &[Directive], found: &mut Vec<Advice>) {
    let mut blocks: Vec<_> =
        all(configuration, "http").map(|http| (http, Access::default().within(http), 0)).collect();
    while let Some((block, access, depth)) = blocks.pop() {
        if access.is_open() {
            found.extend(block.block.iter().filter_map(advice));
        }
        let inner = block.block.iter().filter(|directive| BLOCKS.contains(&directive.name()));
        if depth < MAX_DEPTH {
            blocks.extend(inner.map(|inner| (inner, access.within(inner), depth + 1)));
        }
    }
}

fn advice(directive: &Directive) -> Option<Advice> {
    let (severity, problem, remedy) = match directive.name() {
        "rtmp_control" => {
            (Severity::Danger, "lets anyone disconnect or redirect publishers and players", CONTROL)
        }
        "rtmp_stat" => (Severity::Hint, "shows stream names and client addresses to anyone", STAT),
        _ => return None,
    };
    Some(Advice::new(directive, severity, problem.to_owned(), remedy))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lint, places};

    /// Returns whether the lint finds an `rtmp_control` in a location, with additional lines in `http`, in the server
    /// and in the location.
    fn is_found(http: &str, server: &str, location: &str) -> bool {
        let text =
            format!("http {{ {http} server {{ {server} location /c {{ rtmp_control all; {location} }} }} }}");
        match &places(&text)[..] {
            [] => false,
            [one] => one == "1 rtmp_control",
            more => panic!("{text}: {more:?}"),
        }
    }

    #[test]
    fn a_location_open_to_all_is_found() {
        for open in [
            "",
            "allow 127.0.0.1;",
            "deny 192.0.2.1;",
            "allow all; deny all;",
            "allow 127.0.0.1; allow all;",
            "auth_basic off; auth_basic_user_file users;",
            "auth_request off;",
            "limit_except GET { deny all; }",
            "satisfy any;",
            "if ($a) { deny all; }",
            "if ($a) { return 403; }",
            "satisfy any; allow all; auth_basic Admins;",
        ] {
            assert!(is_found("", "", open), "{open}");
        }
    }

    #[test]
    fn a_closed_location_is_not() {
        for closed in [
            "deny all;",
            "allow 127.0.0.1; allow ::1; deny all;",
            "allow 10.0.0.0/8; deny 0.0.0.0/0;",
            "auth_basic Admins; auth_basic_user_file users;",
            "auth_request /auth;",
            "satisfy any; allow 127.0.0.1; deny all; auth_basic Admins;",
            "auth_pam \"Admins\";",
            "internal;",
            "access_by_lua_block { return ngx.exit(403) }",
            "satisfy any; allow 127.0.0.1; auth_basic Admins;",
        ] {
            assert!(!is_found("", "", closed), "{closed}");
            assert!(closed == "internal;" || !is_found("", closed, ""), "{closed}");
            assert!(closed == "internal;" || !is_found(closed, "", ""), "{closed}");
        }
        assert!(!is_found("", "", "return 403;") && !is_found("", "return 404;", ""));
        assert!(!is_found("", "ssl_verify_client on;", ""));
        assert!(is_found("", "ssl_verify_client optional;", ""));
    }

    #[test]
    fn a_server_for_this_machine_is_closed() {
        for (listen, open) in [
            ("", true),
            ("listen 80;", true),
            ("listen *:80;", true),
            ("listen [::]:80;", true),
            ("listen 192.0.2.1:80;", true),
            ("listen 127.0.0.1:80; listen 80;", true),
            ("listen 127.0.0.1;", false),
            ("listen 127.0.0.1:80 default_server;", false),
            ("listen localhost:80; listen [::1]:80;", false),
            ("listen unix:/run/c.sock;", false),
        ] {
            assert_eq!(is_found("", listen, ""), open, "{listen}");
        }
    }

    #[test]
    fn the_inner_block_wins() {
        assert!(is_found("deny all;", "allow all;", ""));
        assert!(is_found("", "deny all;", "allow all;"));
        assert!(is_found("", "deny all;", "allow 127.0.0.1;"));
        assert!(is_found("auth_basic Admins;", "", "auth_basic off;"));
        assert!(!is_found("allow all;", "", "deny all;"));
        // With `satisfy any`, one of the two conditions is enough.
        assert!(!is_found("deny all;", "", "auth_basic off;"));
    }

    #[test]
    fn each_place_that_may_hold_it_is_looked_at() {
        assert_eq!(
            places("http { rtmp_stat all;\nserver { rtmp_control all; } }"),
            ["1 rtmp_stat", "2 rtmp_control"]
        );
        let nested = "http { server { location / { deny all; location /a { rtmp_control all; } } location /b {\n location /c { \
                      rtmp_control all; } } } }";
        assert_eq!(places(nested), ["2 rtmp_control"]);
    }

    #[test]
    fn what_is_said() {
        assert_eq!(
            lint(
                "http { server { location /s {\n rtmp_stat all; rtmp_stat_stylesheet s; rtmp_control all; } } }"
            ),
            [
                "/etc/nginx/nginx.conf:2: hint: \"rtmp_stat\" shows stream names and client addresses to anyone: add \
                 \"allow 127.0.0.1; deny all;\" to its location, or use \"weir_stat\" in its place",
                "/etc/nginx/nginx.conf:2: danger: \"rtmp_control\" lets anyone disconnect or redirect publishers and players: add \
                 \"allow 127.0.0.1; deny all;\" to its location, or use \"weir_api\" in its place",
            ]
        );
    }
}
