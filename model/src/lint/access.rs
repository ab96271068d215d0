//! `rtmp_control` and `rtmp_stat` that anybody may ask.

use super::{Advice, Directive, Severity, reader::all};

/// Directives that ask who the client is; `off` takes back what an outer block says.
const AUTHENTICATION: [&str; 7] =
    ["auth_basic", "auth_request", "auth_jwt", "auth_pam", "auth_digest", "auth_ldap", "auth_gss"];
/// Blocks of http that hold what a request meets.
const BLOCKS: [&str; 3] = ["server", "location", "if"];
/// Blocks in blocks that are looked into; nginx's own end earlier.
const MAX_DEPTH: usize = 64;

const CONTROL: &str = "add \"allow 127.0.0.1; deny all;\" to its location, or use \"weir_api\" in its place";
const STAT: &str = "add \"allow 127.0.0.1; deny all;\" to its location, or use \"weir_stat\" in its place";

/// What a block says on access, and what it takes from the outer one where it says nothing.
#[derive(Clone, Copy, Default)]
struct Access {
    /// The list of allow and deny ends in `deny all`.
    listed: bool,
    /// Somebody asks for a password, a certificate or the like.
    authenticated: bool,
    /// Only nginx itself gets there.
    internal: bool,
}

impl Access {
    /// What holds in a block.
    fn within(self, block: &Directive) -> Self {
        let mut lists = block.block.iter().filter(|d| matches!(d.name(), "allow" | "deny")).peekable();
        // A block with a list of its own takes none from outside (ngx_http_access_merge_loc_conf).
        let listed = if lists.peek().is_none() { self.listed } else { ends_in_deny(lists) };
        let says = |directive: &Directive| match directive.name() {
            name if AUTHENTICATION.contains(&name) => Some(directive.argument(0) != Some("off")),
            "ssl_verify_client" => Some(directive.argument(0) == Some("on")),
            name if name.starts_with("access_by_lua") => Some(true),
            _ => None,
        };
        let authenticated = block.block.iter().filter_map(says).reduce(|a, b| a || b);
        Self {
            listed,
            authenticated: authenticated.unwrap_or(self.authenticated),
            internal: block.all("internal").next().is_some(),
        }
    }

    fn is_open(self) -> bool {
        !(self.listed || self.authenticated || self.internal)
    }
}

/// Whether the first entry that fits everybody is a `deny`: nginx lets in who is on no line.
fn ends_in_deny<'d>(mut list: impl Iterator<Item = &'d Directive>) -> bool {
    let fits_all = |d: &&Directive| matches!(d.argument(0), Some("all" | "0.0.0.0/0" | "::/0"));
    list.find(fits_all).is_some_and(|directive| directive.name() == "deny")
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
            (Severity::Danger, "lets everybody drop and redirect who publishes and plays", CONTROL)
        }
        "rtmp_stat" => {
            (Severity::Hint, "shows everybody the streams' names and the clients' addresses", STAT)
        }
        _ => return None,
    };
    Some(Advice::new(directive, severity, problem.to_owned(), remedy))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lint, places};

    /// Whether a `rtmp_control` of a location is found, with something more in http, in the server and in the location.
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
        ] {
            assert!(!is_found("", "", closed), "{closed}");
            assert!(closed == "internal;" || !is_found("", closed, ""), "{closed}");
            assert!(closed == "internal;" || !is_found(closed, "", ""), "{closed}");
        }
        assert!(!is_found("", "ssl_verify_client on;", ""));
        assert!(is_found("", "ssl_verify_client optional;", ""));
    }

    #[test]
    fn the_inner_block_wins() {
        assert!(is_found("deny all;", "allow all;", ""));
        assert!(is_found("", "deny all;", "allow all;"));
        assert!(is_found("", "deny all;", "allow 127.0.0.1;"));
        assert!(is_found("auth_basic Admins;", "", "auth_basic off;"));
        assert!(!is_found("allow all;", "", "deny all;"));
        // One of the two is enough to ask for.
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
                "/etc/nginx/nginx.conf:2: \"rtmp_stat\" shows everybody the streams' names and the clients' addresses: add \
                 \"allow 127.0.0.1; deny all;\" to its location, or use \"weir_stat\" in its place",
                "/etc/nginx/nginx.conf:2: \"rtmp_control\" lets everybody drop and redirect who publishes and plays: add \
                 \"allow 127.0.0.1; deny all;\" to its location, or use \"weir_api\" in its place",
            ]
        );
    }
}
