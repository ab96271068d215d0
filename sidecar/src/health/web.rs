//! HTTP for the checks.

use std::cell::OnceCell;
use std::fmt;
use std::str::FromStr;

use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Client, Response, StatusCode, Url};
use weir_model::Secret;
use weir_model::client::TICKET_ARGUMENT;

use crate::http::{self, innermost};
use crate::values::ValueError;

/// A URL to check. Its `Display` leaves out query and password, which may contain tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WebUrl(Url);

impl WebUrl {
    /// Resolves a URI of a playlist.
    pub(crate) fn join(&self, uri: &str) -> Option<Self> {
        self.0.join(uri).ok().filter(is_web).map(Self)
    }

    /// Returns the host, with brackets for IPv6.
    pub(crate) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Returns scheme, host and port.
    fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Returns the last part of the path.
    pub(crate) fn file(&self) -> &str {
        self.0.path().rsplit('/').next().unwrap_or_default()
    }
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

impl FromStr for WebUrl {
    type Err = ValueError;
    fn from_str(s: &str) -> Result<Self, ValueError> {
        let url = Url::parse(s).ok().filter(is_web);
        url.map(Self).ok_or_else(|| ValueError::new("write it as http://HOST[:PORT]/PATH"))
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        shown.set_query(None);
        shown.set_fragment(None);
        // The calls fail only for a URL without a host.
        let _ = shown.set_password(None);
        let _ = shown.set_username("");
        f.write_str(shown.as_str())
    }
}

/// Reason why there is no content.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The HTTP client cannot be made.
    #[error("no HTTP client: {0}")]
    Client(String),
    /// There is no connection, or it broke.
    #[error("no answer: {0}")]
    NoAnswer(String),
    /// The status is not the expected one.
    #[error("answered {0}")]
    Answered(StatusCode),
    /// The connection broke during the response.
    #[error("incomplete response: {0}")]
    CutOff(String),
}

/// Secrets that a check sends to its own server, and to no other server.
#[derive(Debug, Default)]
pub(crate) struct Papers {
    /// Token for playing.
    pub token: Option<Secret>,
    /// Ticket of an nginx on this machine. A request with it does not count as a viewer.
    pub ticket: Option<Secret>,
}

impl Papers {
    fn headers(&self) -> HeaderMap {
        let value = |text: String| {
            let mut value = HeaderValue::from_str(&text).ok()?;
            value.set_sensitive(true);
            Some(value)
        };
        let token = self.token.as_ref().and_then(|token| value(format!("Bearer {}", token.expose())));
        let ticket =
            self.ticket.as_ref().and_then(|ticket| value(format!("{TICKET_ARGUMENT}={}", ticket.expose())));
        let both = [(header::AUTHORIZATION, token), (header::COOKIE, ticket)];
        both.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// Sends GET requests, without proxy and without redirects.
#[derive(Default)]
pub(super) struct Web {
    plain: OnceCell<Client>,
    tls: OnceCell<Client>,
    /// Headers for one server: its origin, and the headers.
    shown: Option<(String, HeaderMap)>,
}

impl Web {
    /// Returns a client that sends the papers to the server of `url`.
    pub(super) fn showing(url: &WebUrl, papers: &Papers) -> Self {
        Self { shown: Some((url.origin(), papers.headers())), ..Self::default() }
    }

    /// Returns the head of the answer, with any status. The body is not read yet.
    pub(super) async fn get(&self, url: &WebUrl) -> Result<Response, Error> {
        let client = self.client(url.0.scheme() == "https")?;
        let shown = self.shown.as_ref().filter(|(origin, _)| *origin == url.origin());
        let headers = shown.map(|(_, headers)| headers.clone()).unwrap_or_default();
        client.get(url.0.clone()).headers(headers).send().await.map_err(|e| Error::NoAnswer(innermost(&e)))
    }

    /// Like [`Self::get`], but any status except 2xx is an error.
    pub(super) async fn get_ok(&self, url: &WebUrl) -> Result<Response, Error> {
        let response = self.get(url).await?;
        match response.status() {
            status if status.is_success() => Ok(response),
            status => Err(Error::Answered(status)),
        }
    }

    fn client(&self, tls: bool) -> Result<&Client, Error> {
        let kept = if tls { &self.tls } else { &self.plain };
        if let Some(client) = kept.get() {
            return Ok(client);
        }
        let mut builder = http::client();
        if !tls {
            // Reading the system's certificates takes longer than the whole check.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|e| Error::Client(innermost(&e)))?;
        Ok(kept.get_or_init(|| client))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn papers_are_for_one_server() {
        let papers = Papers { token: Some(Secret::new("abc")), ticket: Some(Secret::new("def")) };
        let headers = papers.headers();
        assert_eq!(headers[header::AUTHORIZATION], "Bearer abc");
        assert_eq!(headers[header::COOKIE], "weir_ticket=def");
        assert!(Papers::default().headers().is_empty());
        let url: WebUrl = "http://h/hls/show.m3u8".parse().unwrap();
        let web = Web::showing(&url, &papers);
        let (origin, _) = web.shown.unwrap();
        assert_eq!(url.join("show-1.ts").unwrap().origin(), origin);
        for other in ["http://h:81/x", "https://h/x", "http://evil/x"] {
            assert_ne!(url.join(other).unwrap().origin(), origin, "{other}");
        }
    }

    #[test]
    fn what_is_secret_in_an_address_is_not_shown() {
        let url: WebUrl = "https://me:word@h/hls/show.m3u8?token=abc#x".parse().unwrap();
        assert_eq!(url.to_string(), "https://h/hls/show.m3u8");
        assert_eq!(url.file(), "show.m3u8");
        assert_eq!(url.join("show-1.ts").unwrap().to_string(), "https://h/hls/show-1.ts");
        assert!(url.join("file:///etc/passwd").is_none());
        for bad in ["ftp://h/", "h:8080/x", "", "http://"] {
            assert!(bad.parse::<WebUrl>().is_err(), "{bad}");
        }
    }
}
