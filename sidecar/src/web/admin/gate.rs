//! Authentication of requests, and the check that a change comes from the dashboard itself. A handler takes the right that it needs
//! as an argument: [`Reader`], [`Moderator`] or [`Changer`].

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::response::Response;
use weir_model::Secret;

use super::cookie::Place;
use crate::admin::accounts::{Account, Role};
use crate::admin::name::Name;
use crate::clock;
use crate::web::answer;
use crate::web::asker::asker;
use crate::web::common::Web;
use crate::web::office::may;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const REMOTE_USER: HeaderName = HeaderName::from_static("remote-user");

/// A request that changes nothing, or a change that comes from the dashboard.
#[derive(Debug)]
pub(super) struct Own {
    /// Address of the browser.
    pub(super) client: IpAddr,
    pub(super) place: Place,
    /// URL under which the browser sees this server.
    pub(super) url: Option<String>,
    /// Value of the session's cookie.
    pub(super) cookie: Option<Secret>,
    /// User name that a trusted proxy reports.
    user: Option<String>,
}

/// A logged-in user.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) name: Name,
    pub(super) role: Role,
    pub(super) own: Own,
}

/// A user who may read.
#[derive(Debug)]
pub(super) struct Reader(pub(super) Caller);
/// A user who may drop streams.
#[derive(Debug)]
pub(super) struct Moderator(pub(super) Caller);
/// A user who may change everything.
#[derive(Debug)]
pub(super) struct Changer(pub(super) Caller);

/// Reason why a change from a page is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Foreign {
    #[error("Content-Type must be application/json")]
    Type,
    #[error("a page of another site may not do this")]
    Site,
    #[error("Origin differs from Host: let the proxy pass Host on, or set url of [web] in weir.toml")]
    Origin,
}

/// Refuses a change that a page of another site sends through an administrator's browser: a form cannot send JSON, and a browser
/// states the origin of a request. `url` is the server's URL in weir.toml.
fn check_origin(method: &Method, headers: &HeaderMap, url: Option<&str>) -> Result<(), Foreign> {
    if [Method::GET, Method::HEAD].contains(method) {
        return Ok(());
    }
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if text(FETCH_SITE).is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Err(Foreign::Site);
    }
    let authority = |url: &str| {
        url.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or_default().to_owned())
    };
    if let Some(origin) = text(header::ORIGIN) {
        let from = authority(origin);
        let is_own =
            from.is_some() && (from.as_deref() == text(header::HOST) || from == url.and_then(authority));
        if !is_own {
            return Err(Foreign::Origin);
        }
    }
    let kind = text(header::CONTENT_TYPE).unwrap_or_default();
    let is_json =
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    if is_json { Ok(()) } else { Err(Foreign::Type) }
}

/// Returns the answer to a refused change: 415 if only its `Content-Type` is wrong, as in the module's API; otherwise 403.
fn refused(why: Foreign) -> Response {
    let (status, code) = match why {
        Foreign::Type => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
        Foreign::Site | Foreign::Origin => (StatusCode::FORBIDDEN, "forbidden"),
    };
    answer::error(status, code, &why.to_string())
}

impl FromRequestParts<Arc<Web>> for Own {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, Response> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0);
        let Some(peer) = peer else { return Err(answer::nothing_here().await) };
        let settings = web.context.config();
        let settings = &settings.web;
        check_origin(&parts.method, &parts.headers, settings.url.as_deref()).map_err(refused)?;
        let asker = asker(peer, &parts.headers, &settings.trusted_proxies, &settings.base);
        let place = Place::of(asker.url.as_deref(), &settings.base);
        let is_trusted = settings.trusted_proxies.iter().any(|network| network.contains(peer.ip()));
        let mut users =
            parts.headers.get_all(REMOTE_USER).iter().filter(|_| settings.remote_user && is_trusted);
        let user = users.next();
        if users.next().is_some() {
            let message = "Remote-User: appears twice: let the proxy replace the header of the client";
            return Err(answer::error(StatusCode::BAD_REQUEST, "bad_request", message));
        }
        let user =
            user.and_then(|user| user.to_str().ok()).filter(|user| !user.is_empty()).map(str::to_owned);
        let mut cookies = place.get(&parts.headers);
        let accounts = if cookies.len() > 1 { web.office.accounts().await.ok() } else { None };
        let opens = accounts.and_then(|accounts| {
            let is_open =
                |cookie: &Secret| web.office.sessions.find(cookie, &accounts, clock::now()).is_some();
            cookies.iter().position(is_open)
        });
        let cookie = (!cookies.is_empty()).then(|| cookies.swap_remove(opens.unwrap_or(0)));
        Ok(Self { client: asker.client, place, url: asker.url, cookie, user })
    }
}

impl Own {
    /// Returns the account of the request, if any.
    pub(super) async fn account(&self, web: &Web) -> Result<Option<Account>, Response> {
        let accounts = web.office.accounts().await.map_err(|error| unusable(&error))?;
        Ok(match (&self.user, &self.cookie) {
            (Some(user), _) => accounts.find(user).cloned(),
            (None, Some(cookie)) => web.office.sessions.find(cookie, &accounts, clock::now()),
            (None, None) => None,
        })
    }

    /// Returns the answer to a request without an account; the answer says whether any account exists.
    pub(super) async fn refusal(&self, web: &Web) -> Response {
        match web.office.accounts().await {
            Err(error) => unusable(&error),
            Ok(accounts) if accounts.accounts.is_empty() => answer::error(
                StatusCode::UNAUTHORIZED,
                "no_administrator",
                "there is no administrator yet: run weir admin add NAME, or weir admin setup-link",
            ),
            Ok(_) if self.user.is_some() => answer::error(
                StatusCode::UNAUTHORIZED,
                "no_account",
                "the proxy has logged in somebody without an account here",
            ),
            Ok(_) => answer::error(StatusCode::UNAUTHORIZED, "unauthorized", "log in first"),
        }
    }
}

/// Returns the answer when the accounts cannot be read. The log names the path; the answer does not.
fn unusable(error: &crate::admin::accounts::Error) -> Response {
    tracing::error!("nobody can log in to the dashboard: {error}");
    let message = "the accounts cannot be read: the log of weir serve says why";
    answer::error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
}

async fn caller(parts: &mut Parts, web: &Arc<Web>, least: Role) -> Result<Caller, Response> {
    let own = Own::from_request_parts(parts, web).await?;
    let Some(account) = own.account(web).await? else { return Err(own.refusal(web).await) };
    if !may(account.role, least) {
        let message = format!("this needs the role {}: you are {}", least.word(), account.role.word());
        return Err(answer::error(StatusCode::FORBIDDEN, "forbidden", &message));
    }
    Ok(Caller { name: account.name, role: account.role, own })
}

impl FromRequestParts<Arc<Web>> for Reader {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, Response> {
        caller(parts, web, Role::Viewer).await.map(Self)
    }
}

impl FromRequestParts<Arc<Web>> for Moderator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, Response> {
        caller(parts, web, Role::Moderator).await.map(Self)
    }
}

impl FromRequestParts<Arc<Web>> for Changer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, Response> {
        caller(parts, web, Role::Admin).await.map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_dashboard_changes_something() {
        let check = |method: Method, lines: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.insert(*name, value.parse().unwrap());
            }
            check_origin(&method, &headers, Some("https://live.example.org/tv"))
        };
        let json = ("content-type", "application/json; charset=utf-8");
        let host = ("host", "h:8090");
        for (method, lines, expected) in [
            (Method::GET, &[][..], Ok(())),
            (Method::POST, &[json, host], Ok(())),
            (Method::POST, &[json, host, ("origin", "http://h:8090")], Ok(())),
            (Method::POST, &[json, host, ("origin", "https://live.example.org")], Ok(())),
            (
                Method::POST,
                &[json, host, ("origin", "http://h:8090"), ("sec-fetch-site", "same-origin")],
                Ok(()),
            ),
            (Method::POST, &[host], Err(Foreign::Type)),
            (Method::DELETE, &[host], Err(Foreign::Type)),
            (Method::POST, &[("content-type", "text/plain"), host], Err(Foreign::Type)),
            (Method::POST, &[json, host, ("sec-fetch-site", "cross-site")], Err(Foreign::Site)),
            (Method::POST, &[json, host, ("sec-fetch-site", "same-site")], Err(Foreign::Site)),
            (Method::POST, &[json, host, ("origin", "http://h:8091")], Err(Foreign::Origin)),
            (Method::POST, &[json, host, ("origin", "null")], Err(Foreign::Origin)),
            (Method::POST, &[host, ("origin", "null")], Err(Foreign::Origin)),
            (Method::POST, &[host, ("sec-fetch-site", "cross-site")], Err(Foreign::Site)),
            (
                Method::POST,
                &[json, host, ("origin", "https://live.example.org.evil.example")],
                Err(Foreign::Origin),
            ),
        ] {
            assert_eq!(check(method, lines), expected, "{lines:?}");
        }
    }
}
