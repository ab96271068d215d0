//! The cookie of a session: its name and path follow from how the browser calls this server.

use axum::http::{HeaderMap, header};
use weir_model::Secret;

/// Cookies of one name that are looked at.
const MOST: usize = 8;

/// How the browser calls `/admin/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The path before `/admin/`, without a `/` at its end.
    pub(super) prefix: String,
    /// Over TLS, as far as a trusted proxy says.
    pub(super) is_secure: bool,
}

impl Place {
    /// Out of the URL under which a browser sees this server.
    pub(super) fn of(url: Option<&str>, base: &str) -> Self {
        let (scheme, rest) = url.and_then(|url| url.split_once("://")).unwrap_or(("http", ""));
        let prefix = rest.split_once('/').map(|(_, path)| format!("/{path}"));
        let prefix = if url.is_some() { prefix.unwrap_or_default() } else { base.to_owned() };
        Self { prefix: prefix.trim_end_matches('/').to_owned(), is_secure: scheme == "https" }
    }

    /// With a prefix that makes browsers refuse it from others (RFC 6265bis, section 4.1.3). Browsers take the prefixes over TLS alone.
    fn name(&self) -> &'static str {
        match (self.is_secure, self.prefix.is_empty()) {
            (true, true) => "__Host-weir-admin",
            (true, false) => "__Secure-weir-admin",
            (false, _) => "weir-admin",
        }
    }

    /// All of this server: `/v1/history` is beside `/admin/`.
    fn path(&self) -> String {
        format!("{}/", self.prefix)
    }

    /// The header that opens a session. Browsers take `Secure` over plain HTTP from their own machine alone.
    pub(super) fn set(&self, secret: &Secret) -> String {
        format!(
            "{}={}; Path={}; Secure; HttpOnly; SameSite=Strict",
            self.name(),
            secret.expose(),
            self.path()
        )
    }

    /// The header that ends one.
    pub(super) fn unset(&self) -> String {
        format!("{}=; Path={}; Max-Age=0; Secure; HttpOnly; SameSite=Strict", self.name(), self.path())
    }

    /// What may be the session of a request. A page of a sibling host can put a cookie of the same name before ours.
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
