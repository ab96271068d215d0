//! The cookie of a session: its name and path depend on the URL under which the browser sees this server.

use axum::http::{HeaderMap, header};
use weir_model::Secret;

/// Maximum number of cookies with one name that are checked.
const MOST: usize = 8;

/// The URL of `/admin/`, as the browser sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Path before `/admin/`, without a `/` at its end.
    pub(super) prefix: String,
    /// Whether the browser uses TLS, as a trusted proxy reports.
    pub(super) is_secure: bool,
}

impl Place {
    /// Derives the place from the URL under which a browser sees this server.
    pub(super) fn of(url: Option<&str>, base: &str) -> Self {
        let (scheme, rest) = url.and_then(|url| url.split_once("://")).unwrap_or(("http", ""));
        let prefix = rest.split_once('/').map(|(_, path)| format!("/{path}"));
        let prefix = if url.is_some() { prefix.unwrap_or_default() } else { base.to_owned() };
        Self { prefix: prefix.trim_end_matches('/').to_owned(), is_secure: scheme == "https" }
    }

    /// Returns the cookie's name, with a prefix that makes browsers refuse such a cookie from other origins (RFC 6265bis, section
    /// 4.1.3). Browsers accept the prefixes only over TLS.
    fn name(&self) -> &'static str {
        match (self.is_secure, self.prefix.is_empty()) {
            (true, true) => "__Host-weir-admin",
            (true, false) => "__Secure-weir-admin",
            (false, _) => "weir-admin",
        }
    }

    /// Returns the cookie's path: the whole server, because `/v1/history` is beside `/admin/`.
    fn path(&self) -> String {
        format!("{}/", self.prefix)
    }

    /// Returns the header that sets a session's cookie. Over plain HTTP, browsers accept `Secure` only from their own machine.
    pub(super) fn set(&self, secret: &Secret) -> String {
        format!(
            "{}={}; Path={}; Secure; HttpOnly; SameSite=Strict",
            self.name(),
            secret.expose(),
            self.path()
        )
    }

    /// Returns the header that removes a session's cookie.
    pub(super) fn unset(&self) -> String {
        format!("{}=; Path={}; Max-Age=0; Secure; HttpOnly; SameSite=Strict", self.name(), self.path())
    }

    /// Returns all values that may be the session of a request: a page of a sibling host can set a cookie of the same name, which
    /// browsers send first.
    pub(super) fn get(&self, headers: &HeaderMap) -> Vec<Secret> {
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let ours = pairs.filter(|(name, _)| *name == self.name()).take(MOST);
        ours.map(|(_, value)| Secret::new(value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_path_follow_from_how_the_server_is_called() {
        let secret = Secret::new("s");
        for (url, base, expected) in [
            (Some("https://h"), "/", "__Host-weir-admin=s; Path=/;"),
            (Some("https://h/tv"), "/", "__Secure-weir-admin=s; Path=/tv/;"),
            (Some("http://127.0.0.1:8090"), "/", "weir-admin=s; Path=/;"),
            (Some("http://h/a/b"), "/", "weir-admin=s; Path=/a/b/;"),
            (None, "/tv/", "weir-admin=s; Path=/tv/;"),
        ] {
            let place = Place::of(url, base);
            let set = place.set(&secret);
            assert!(set.starts_with(expected) && set.ends_with("Secure; HttpOnly; SameSite=Strict"), "{set}");
            let mut headers = HeaderMap::new();
            let other = if url == Some("https://h") { "weir-admin" } else { "__Host-weir-admin" };
            headers.insert(
                header::COOKIE,
                format!("a=b; {other}=x; {}", &set[..set.find(';').unwrap()]).parse().unwrap(),
            );
            let found = place.get(&headers);
            assert_eq!(found.iter().map(Secret::expose).collect::<Vec<_>>(), ["s"]);
        }
    }
}
