//! Access of viewers: checks play tokens, if `play` of `[web]` or `weir_play` of nginx requires one.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use weir_model::playback::{Believed, By, Presented, Wanted, admit, presented};
use weir_model::token::chat::ChatClaims;
use weir_model::token::{CheckError, LEEWAY_S, RevokedTokens, Signer, TokenId};
use weir_model::{ClientAddr, Refusal, Secret, Timestamp};

use super::answer;
use crate::clock;
use crate::cluster::wire::Member;
use crate::config::Config;
use crate::config::web::Play;
use crate::streams::StreamId;

/// Access rules for viewers.
#[derive(Debug)]
pub(super) struct Doors {
    kind: Mutex<Kind>,
    /// Applications whose streams need a token, and whether nginx asks for one over RTMP; `None` until nginx has answered.
    protected: Mutex<Option<Arc<BTreeMap<String, bool>>>>,
    /// Tokens that nginx has revoked; `None` until nginx has answered.
    revoked: Mutex<Option<Arc<RevokedTokens>>>,
}

#[derive(Clone, Debug)]
struct Kind {
    play: Play,
    has_chat: bool,
    /// Verifies tokens; without it, no token can be checked.
    signer: Option<Arc<Signer>>,
}

/// A viewer who may watch.
#[derive(Debug)]
pub(super) struct Admitted {
    /// Token that came as `?token=`; links in the answer must carry it too.
    pub carried: Option<Secret>,
    /// Claims of the token; `None` if the stream needs no token.
    pub pass: Option<Pass>,
}

/// A token that was valid when its viewer arrived.
#[derive(Debug)]
pub(super) struct Pass {
    id: StreamId,
    lasts: Lasts,
    session: u64,
    token: Secret,
}

/// The claims that decide how long a token is valid.
#[derive(Debug)]
struct Lasts {
    exp: Timestamp,
    jti: Option<TokenId>,
    iat: Option<Timestamp>,
}

impl Pass {
    /// Returns a number that distinguishes the viewers of different links: a hash of the token's name, or of the token.
    pub(super) fn session(&self) -> u64 {
        self.session
    }

    /// Returns the token.
    pub(super) fn token(&self) -> &Secret {
        &self.token
    }
}

/// Reason why a viewer is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Denied {
    /// The token is missing or is refused.
    #[error("{0}")]
    Token(Refusal),
    /// The server has no secret; the viewer is not at fault.
    #[error("the server cannot check tokens")]
    NoSecret,
    /// nginx has not answered yet.
    #[error("the server does not know yet who may watch")]
    NotYet,
}

impl Denied {
    pub(super) fn answer(&self) -> Response {
        match self {
            Self::Token(_) => answer::error(StatusCode::FORBIDDEN, "forbidden", &self.to_string()),
            Self::NoSecret | Self::NotYet => {
                answer::error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &self.to_string())
            }
        }
    }
}

impl Doors {
    /// Creates the rules, as configured.
    pub(super) fn new(config: &Config) -> Self {
        Self { kind: Mutex::new(Kind::of(config)), protected: Mutex::default(), revoked: Mutex::default() }
    }

    /// Applies a changed configuration.
    pub(super) fn configure(&self, config: &Config) {
        *self.kind.lock().unwrap_or_else(PoisonError::into_inner) = Kind::of(config);
    }

    /// Sets the applications whose streams need a token; replaces the earlier set.
    pub(super) fn protect(&self, applications: BTreeMap<String, bool>) {
        let kind = self.kind.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Without a signer, `Kind::of` has reported the setting `play = "token"`.
        let has_signer = kind.signer.is_some() || kind.play == Play::Token;
        let mut protected = self.protected.lock().unwrap_or_else(PoisonError::into_inner);
        if protected.as_deref() == Some(&applications) {
            return;
        }
        if !applications.is_empty() && !has_signer {
            let names: Vec<&str> = applications.keys().map(String::as_str).collect();
            tracing::warn!(
                "nobody can watch here what weir_play protects in nginx.conf: set secret_file of [nginx] in weir.toml to a copy of \
                 the file of weir_secret, applications: {}",
                names.join(", ")
            );
        }
        *protected = Some(Arc::new(applications));
    }

    /// Returns the applications whose streams need a token, for edges; `None` until nginx has answered.
    pub(super) fn members(&self) -> Option<Vec<Member>> {
        if self.kind.lock().unwrap_or_else(PoisonError::into_inner).play == Play::Open {
            return Some(Vec::new());
        }
        let protected = self.protected.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(protected.iter().map(|(app, rtmp)| Member { app: app.clone(), rtmp: *rtmp }).collect())
    }

    /// Returns whether any stream needs a token.
    pub(super) fn ask_for_tokens(&self) -> bool {
        let kind = self.kind.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match kind.play {
            _ if kind.has_chat && kind.signer.is_some() => true,
            Play::Open => false,
            Play::Token => true,
            Play::AsNginx => {
                let protected = self.protected.lock().unwrap_or_else(PoisonError::into_inner);
                protected.as_ref().is_some_and(|protected| !protected.is_empty())
            }
        }
    }

    /// Returns whether viewers of a stream need a token.
    pub(super) fn needs_token(&self, id: &StreamId) -> Result<bool, Denied> {
        match self.kind.lock().unwrap_or_else(PoisonError::into_inner).play {
            Play::Open => Ok(false),
            Play::Token => Ok(true),
            Play::AsNginx => {
                let protected = self.protected.lock().unwrap_or_else(PoisonError::into_inner).clone();
                Ok(protected.ok_or(Denied::NotYet)?.contains_key(id.0.as_str()))
            }
        }
    }

    /// Returns whether a viewer with a token may stay: the token has neither expired nor been revoked.
    pub(super) fn still_opens(&self, pass: &Pass) -> bool {
        let Pass { id, lasts, .. } = pass;
        let revoked = self.revoked.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default();
        clock::now() < lasts.exp.plus_seconds(LEEWAY_S)
            && !revoked.holds(lasts.jti.as_ref(), lasts.iat, id.0.as_str(), id.1.as_str())
    }

    /// Returns the identity of a chat token's bearer in the chat of a stream; `None` if the token is of another kind.
    pub(super) fn person(
        &self,
        id: &StreamId,
        token: &str,
        client: IpAddr,
    ) -> Result<Option<(ChatClaims, Pass)>, Denied> {
        let kind = self.kind.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Without a secret there are no chat tokens.
        let Some(signer) = kind.signer else { return Ok(None) };
        let Ok(Some(claims)) = signer.verify_chat(token) else { return Ok(None) };
        let (app, stream) = (id.0.as_str(), id.1.as_str());
        let refused = |why: CheckError| Denied::Token(why.into());
        claims.check(app, stream, ClientAddr::Ip(client), clock::now()).map_err(refused)?;
        let revoked =
            self.revoked.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Denied::NotYet)?;
        if revoked.holds(claims.jti.as_ref(), claims.iat, app, stream) {
            return Err(refused(CheckError::Revoked));
        }
        let lasts = Lasts { exp: claims.exp, jti: claims.jti.clone(), iat: claims.iat };
        let pass = Pass { id: id.clone(), lasts, session: 0, token: Secret::new(token.to_owned()) };
        Ok(Some((claims, pass)))
    }

    /// Returns the same for the chat tokens that a request itself presents. A token that is not valid here counts as none.
    pub(super) fn person_of(
        &self,
        id: &StreamId,
        query: &str,
        headers: &HeaderMap,
        client: IpAddr,
    ) -> Option<(ChatClaims, Pass)> {
        tokens(query, headers).iter().find_map(|one| self.person(id, one.token, client).ok().flatten())
    }

    /// Sets the revoked tokens; replaces the earlier set.
    pub(super) fn revoke(&self, revoked: RevokedTokens) {
        *self.revoked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(revoked));
    }

    /// Checks whether a client with these headers and this query may watch a stream.
    pub(super) fn admit(
        &self,
        id: &StreamId,
        query: &str,
        headers: &HeaderMap,
        client: IpAddr,
    ) -> Result<Admitted, Denied> {
        if !self.needs_token(id)? {
            return Ok(Admitted { carried: None, pass: None });
        }
        let kind = self.kind.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let signer = kind.signer.ok_or(Denied::NoSecret)?;
        let presented = tokens(query, headers);
        let wanted = Wanted { app: id.0.as_str(), stream: id.1.as_str(), variant_of: None };
        let revoked =
            self.revoked.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Denied::NotYet)?;
        let believed = Believed { signer: &*signer, revoked: &revoked };
        let (one, claims) = admit(&presented, believed, &wanted, ClientAddr::Ip(client), clock::now())
            .map_err(Denied::Token)?;
        let carried = (one.by == By::Argument).then(|| Secret::new(one.token.to_owned()));
        let mut hasher = DefaultHasher::new();
        match &claims.jti {
            Some(jti) => jti.hash(&mut hasher),
            None => one.token.hash(&mut hasher),
        }
        let lasts = Lasts { exp: claims.exp, jti: claims.jti.clone(), iat: claims.iat };
        let token = Secret::new(one.token.to_owned());
        let pass = Pass { id: id.clone(), lasts, session: hasher.finish(), token };
        Ok(Admitted { carried, pass: Some(pass) })
    }
}

impl Kind {
    fn of(config: &Config) -> Self {
        let play = config.web.play;
        let has_chat = config.chat.enabled;
        let is_needed = play != Play::Open || has_chat;
        let Some(file) = config.nginx.secret_file.as_ref().filter(|_| is_needed) else {
            return Self { play, has_chat, signer: None };
        };
        let signer = std::fs::read_to_string(file)
            .map(Secret::new)
            .map_err(|error| error.to_string())
            .and_then(|secret| Signer::new(secret.expose().as_bytes()).map_err(|error| error.to_string()));
        let signer = signer.map(Arc::new).inspect_err(|why| {
            tracing::error!("no token can be checked: secret_file {}: {why}", file.display());
        });
        Self { play, has_chat, signer: signer.ok() }
    }
}

/// Returns the first token that a request presents, unchecked.
pub(super) fn first_token(query: &str, headers: &HeaderMap) -> Option<String> {
    tokens(query, headers).first().map(|one| one.token.to_owned())
}

/// Returns the tokens that a request presents.
fn tokens<'r>(query: &'r str, headers: &'r HeaderMap) -> Vec<Presented<'r>> {
    let authorization = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    // A page of another site plays with its own token. This browser's cookies for Weir do not count there.
    let cookies = headers.get_all(header::COOKIE).iter().filter(|_| is_own_page(headers));
    presented([query.as_bytes(), b""], authorization, cookies.map(|value| value.as_bytes()))
}

/// Returns whether a request comes from a page of this host, or from no page.
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
