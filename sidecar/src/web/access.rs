//! Who may watch: bearers of a play token, where `[web] play = "token"`.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use weir_model::playback::{Believed, By, Wanted, admit, presented};
use weir_model::token::{RevokedTokens, Signer};
use weir_model::{ClientAddr, Refusal, Secret};

use super::answer;
use crate::clock;
use crate::config::Config;
use crate::streams::StreamId;

/// What opens.
#[derive(Debug)]
pub(super) struct Doors {
    kind: Mutex<Kind>,
    /// The tokens that nginx has revoked.
    revoked: Mutex<Arc<RevokedTokens>>,
}

#[derive(Clone, Debug)]
enum Kind {
    Open,
    Token(Arc<Signer>),
    /// Tokens are asked for, and nobody can tell which is good.
    Closed,
}

/// Somebody who may watch.
#[derive(Debug)]
pub(super) struct Admitted {
    /// The token that came as `?token=`: what is answered must carry it on.
    pub carried: Option<Secret>,
}

/// Why somebody may not.
#[derive(Debug, thiserror::Error)]
pub(super) enum Denied {
    /// The token, or that there is none.
    #[error("{0}")]
    Token(Refusal),
    /// No fault of the viewer.
    #[error("the server cannot check tokens")]
    NoSecret,
}

impl Denied {
    pub(super) fn answer(&self) -> Response {
        match self {
            Self::Token(_) => answer::error(StatusCode::FORBIDDEN, "forbidden", &self.to_string()),
            Self::NoSecret => {
                answer::error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &self.to_string())
            }
        }
    }
}

impl Doors {
    /// As configured.
    pub(super) fn new(config: &Config) -> Self {
        Self { kind: Mutex::new(Kind::of(config)), revoked: Mutex::default() }
    }

    /// Likewise, from now on.
    pub(super) fn configure(&self, config: &Config) {
        *self.kind.lock().unwrap_or_else(PoisonError::into_inner) = Kind::of(config);
    }

    /// These tokens open nothing from now on.
    pub(super) fn revoke(&self, revoked: RevokedTokens) {
        *self.revoked.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(revoked);
    }

    /// Whether the bearer of these headers and this query may watch a stream.
    pub(super) fn admit(
        &self,
        id: &StreamId,
        query: &str,
        headers: &HeaderMap,
        client: IpAddr,
    ) -> Result<Admitted, Denied> {
        let kind = self.kind.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let signer = match kind {
            Kind::Open => return Ok(Admitted { carried: None }),
            Kind::Closed => return Err(Denied::NoSecret),
            Kind::Token(signer) => signer,
        };
        let authorization = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
        // A page of another site plays with a token of its own, not with what this viewer's browser keeps for us.
        let cookies = headers.get_all(header::COOKIE).iter().filter(|_| is_own_page(headers));
        let cookies = cookies.map(|value| value.as_bytes());
        let presented = presented([query.as_bytes(), b""], authorization, cookies);
        let wanted = Wanted { app: id.0.as_str(), stream: id.1.as_str(), variant_of: None };
        let revoked = Arc::clone(&self.revoked.lock().unwrap_or_else(PoisonError::into_inner));
        let believed = Believed { signer: &signer, revoked: &revoked };
        let (one, _) = admit(&presented, believed, &wanted, ClientAddr::Ip(client), clock::now())
            .map_err(Denied::Token)?;
        let carried = (one.by == By::Argument).then(|| Secret::new(one.token.to_owned()));
        Ok(Admitted { carried })
    }
}

impl Kind {
    fn of(config: &Config) -> Self {
        if !config.web.needs_token {
            return Self::Open;
        }
        let Some(file) = &config.nginx.secret_file else { return Self::Closed };
        let signer = std::fs::read_to_string(file)
            .map(Secret::new)
            .map_err(|error| error.to_string())
            .and_then(|secret| Signer::new(secret.expose().as_bytes()).map_err(|error| error.to_string()));
        match signer {
            Ok(signer) => Self::Token(Arc::new(signer)),
            Err(why) => {
                tracing::error!("no viewer is admitted: secret_file {}: {why}", file.display());
                Self::Closed
            }
        }
    }
}

/// Whether a request is of no page, or of one of this host.
fn is_own_page(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let of = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    of.is_some() && of == host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_count_for_pages_of_this_host() {
        let is_own = |origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "live.example.org:8080".parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            is_own_page(&headers)
        };
        assert!(is_own(None) && is_own(Some("http://live.example.org:8080")));
        for other in
            ["null", "https://evil.example", "http://live.example.org", "http://live.example.org:8080.evil"]
        {
            assert!(!is_own(Some(other)), "{other}");
        }
    }
}
