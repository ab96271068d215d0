//! The only client of the module's API.
//!
//! An answer keeps its text, so that `--json` can print it unchanged.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{self, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use weir_model::event::By;
use weir_model::key::{KeyId, NewKey, RotateKey};
use weir_model::target::PatchTarget;
use weir_model::token::Revocation;
use weir_model::viewers::Report;
use weir_model::{AppName, Secret, StreamName};

use crate::http::{self, innermost};

mod applications;
mod drops;
mod events;
mod forward;
mod keys;
mod replica;
pub(crate) mod targets;
mod wire;

pub(crate) use applications::Application;
pub(crate) use events::ApiEvent;
pub(crate) use replica::{Replica, ReplicaState};
pub(crate) use wire::{
    Dropped, FreshKey, Health, Keys, LinkRequest, Links, Minted, Revocations, RevokeTokens, Revoked,
    SavedState, Streams, Target, Targets, TokenRequest, Watched,
};

/// Longest answer, in bytes. 4,000 keys are about 1 MB.
const MAX_ANSWER: usize = 64 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(30);

/// URL of the API: `http://HOST[:PORT]/PATH`, `https://...` or `unix:SOCKET:/PATH`.
///
/// Its `Display` hides a password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ApiUrl {
    /// The URL without a slash at the end.
    base: Url,
    socket: Option<PathBuf>,
}

/// Reason why a text is no URL of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write it as http://127.0.0.1:8080/api or unix:/run/nginx-api.sock:/api")]
pub(crate) struct ApiUrlError;

impl ApiUrl {
    /// Returns the host for messages: the URL's host, or the loopback address for a unix socket.
    pub(crate) fn host(&self) -> &str {
        self.base.host_str().unwrap_or("127.0.0.1")
    }
}

impl FromStr for ApiUrl {
    type Err = ApiUrlError;

    fn from_str(text: &str) -> Result<Self, ApiUrlError> {
        let (text, socket) = match text.strip_prefix("unix:") {
            Some(rest) => {
                let (socket, path) = rest.split_once(":/").unwrap_or((rest, ""));
                if !socket.starts_with('/') {
                    return Err(ApiUrlError);
                }
                (format!("http://127.0.0.1/{path}"), Some(PathBuf::from(socket)))
            }
            None => (text.to_owned(), None),
        };
        let base = Url::parse(text.trim_end_matches('/')).map_err(|_| ApiUrlError)?;
        let http = matches!(base.scheme(), "http" | "https") && base.has_host();
        if !http || base.query().is_some() || base.fragment().is_some() {
            return Err(ApiUrlError);
        }
        Ok(Self { base, socket })
    }
}

impl fmt::Display for ApiUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(socket) = &self.socket {
            return write!(f, "unix:{}:{}", socket.display(), self.base.path());
        }
        let mut shown = self.base.clone();
        if shown.password().is_some() {
            // Fails only for a URL without a host.
            let _ = shown.set_password(Some("***"));
        }
        f.write_str(shown.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for ApiUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiUrl({self})")
    }
}

/// Source of the API's URL. Errors name it, so that the reader knows what to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetBy {
    /// The options of a command, or the environment.
    CommandLine,
    /// weir.toml.
    Configuration,
}

impl SetBy {
    fn api(self) -> &'static str {
        match self {
            Self::CommandLine => "--api or WEIR_API",
            Self::Configuration => "api of [nginx] in weir.toml",
        }
    }

    fn token(self) -> &'static str {
        match self {
            Self::CommandLine => "--api-token-file or WEIR_API_TOKEN_FILE",
            Self::Configuration => "api_token_file of [nginx] in weir.toml",
        }
    }
}

/// Reason why there is no usable answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file with the API's token cannot be used.
    #[error("API token file {}: {why} ({} names it)", path.display(), by.token())]
    TokenFile {
        /// Source of the path.
        by: SetBy,
        /// The path as given.
        path: PathBuf,
        /// The error of the file.
        why: String,
    },
    /// The HTTP client cannot be made.
    #[error("no HTTP client: {0}")]
    Client(String),
    /// There is no connection, or it broke.
    #[error("no answer from the API at {api}: {why}: start nginx, or set the URL of the API with {}", by.api())]
    Unreachable {
        /// Source of the URL.
        by: SetBy,
        /// The URL.
        api: String,
        /// The innermost cause.
        why: String,
    },
    /// Another program than Weir answered.
    #[error("{api} answered {status} without Weir's JSON: {} must lead to a location with weir_api", by.api())]
    NotTheApi {
        /// Source of the URL.
        by: SetBy,
        /// The URL.
        api: String,
        /// HTTP status.
        status: StatusCode,
    },
    /// The API refused the request.
    #[error("{message}")]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// Code for programs.
        code: String,
        /// Sentence for people, on one line.
        message: String,
    },
}

/// An answer and its value. It may hold a key, so it has no `Debug`.
pub(crate) struct Answer<T> {
    /// The JSON text as received.
    pub text: String,
    /// The parsed value.
    pub value: T,
}

/// A client of one API.
pub(crate) struct Nginx {
    by: SetBy,
    http: reqwest::Client,
    api: ApiUrl,
    bearer: Option<HeaderValue>,
    /// The program that makes changes, for the events of the module.
    program: By,
    warnings: Mutex<Vec<String>>,
}

impl fmt::Debug for Nginx {
    /// Leaves out the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nginx({})", self.api)
    }
}

impl Nginx {
    /// Returns a client for a command. It connects at the first request. `token_file` holds the bearer token; white space around the
    /// token is ignored.
    pub(crate) fn new(api: ApiUrl, token_file: Option<&Path>) -> Result<Self, Error> {
        Self::set_by(SetBy::CommandLine, api, token_file)
    }

    /// Returns a client for the daemon, with the settings of its configuration.
    pub(crate) fn of_configuration(api: ApiUrl, token_file: Option<&Path>) -> Result<Self, Error> {
        Self::set_by(SetBy::Configuration, api, token_file)
    }

    fn set_by(by: SetBy, api: ApiUrl, token_file: Option<&Path>) -> Result<Self, Error> {
        let bearer = token_file.map(|file| read_bearer(by, file)).transpose()?;
        let mut http = http::client().connect_timeout(CONNECT_TIMEOUT).timeout(TIMEOUT);
        if api.base.scheme() == "http" {
            // Reading the system's certificates would take longer than the request.
            http = http.tls_certs_only([]);
        }
        if let Some(socket) = &api.socket {
            http = http.unix_socket(socket.clone());
        }
        let http = http.build().map_err(|e| Error::Client(innermost(&e)))?;
        let program = match by {
            SetBy::CommandLine => By::Weir,
            SetBy::Configuration => By::Serve,
        };
        Ok(Self { by, http, api, bearer, program, warnings: Mutex::default() })
    }

    /// Creates a key.
    pub(crate) async fn create_key(&self, key: &NewKey) -> Result<Answer<FreshKey>, Error> {
        self.ask(Method::POST, "v1/keys", Some(key)).await
    }

    /// Revokes a key.
    pub(crate) async fn revoke_key(&self, id: KeyId) -> Result<Answer<Revoked>, Error> {
        self.ask(Method::DELETE, &format!("v1/keys/{id}"), None::<&()>).await
    }

    /// Gives a key a new secret. The old secret stays valid for `overlap_s` seconds.
    pub(crate) async fn rotate_key(&self, id: KeyId, overlap_s: u64) -> Result<Answer<FreshKey>, Error> {
        let body = RotateKey { overlap_s };
        self.ask(Method::POST, &format!("v1/keys/{id}/rotate"), Some(&body)).await
    }

    /// Returns all live streams.
    pub(crate) async fn streams(&self) -> Result<Answer<Streams>, Error> {
        self.ask(Method::GET, "v1/streams", None::<&()>).await
    }

    /// Returns the state of the workers and of the zone, and their problems.
    pub(crate) async fn health(&self) -> Result<Answer<Health>, Error> {
        self.ask(Method::GET, "v1/health", None::<&()>).await
    }

    /// Returns all push targets.
    pub(crate) async fn targets(&self) -> Result<Answer<Targets>, Error> {
        self.ask(Method::GET, "v1/targets", None::<&()>).await
    }

    /// Enables or disables a target.
    pub(crate) async fn enable_target(&self, id: &str, enabled: bool) -> Result<Answer<Target>, Error> {
        let body = PatchTarget { enabled: Some(enabled), ..PatchTarget::default() };
        self.ask(Method::PATCH, &format!("v1/targets/{id}"), Some(&body)).await
    }

    /// Writes the state file from the keys and targets in memory.
    pub(crate) async fn save_state(&self) -> Result<Answer<SavedState>, Error> {
        self.ask(Method::POST, "v1/state/save", None::<&()>).await
    }

    /// Mints a token with the module's own secret.
    pub(crate) async fn mint_token(&self, token: &TokenRequest<'_>) -> Result<Answer<Minted>, Error> {
        self.ask(Method::POST, "v1/tokens", Some(token)).await
    }

    /// Creates links to a stream.
    pub(crate) async fn make_links(&self, link: &LinkRequest<'_>) -> Result<Answer<Links>, Error> {
        self.ask(Method::POST, "v1/links", Some(link)).await
    }

    /// Revokes one token, or all tokens of some streams that were minted so far.
    pub(crate) async fn revoke_tokens(&self, wanted: &RevokeTokens<'_>) -> Result<Answer<Revocation>, Error> {
        self.ask(Method::POST, "v1/tokens/revoke", Some(wanted)).await
    }

    /// Returns the revoked tokens.
    pub(crate) async fn revocations(&self) -> Result<Answer<Revocations>, Error> {
        self.ask(Method::GET, "v1/tokens/revocations", None::<&()>).await
    }

    /// Returns the streams that have viewers, live here or not. Streams whose names Weir does not allow are left out.
    pub(crate) async fn watched(&self) -> Result<Vec<(AppName, StreamName)>, Error> {
        let answer: Answer<Watched> = self.ask(Method::GET, "v1/viewers", None::<&()>).await?;
        let streams = answer.value.streams.into_iter().filter(|stream| stream.viewers.total() > 0);
        Ok(streams.filter_map(|stream| Some((stream.app.parse().ok()?, stream.name.parse().ok()?))).collect())
    }

    /// Returns the number of viewers at nginx and at the daemon, of streams that are live here or not.
    pub(crate) async fn count_viewers(&self) -> Result<u64, Error> {
        let answer: Answer<Watched> = self.ask(Method::GET, "v1/viewers", None::<&()>).await?;
        Ok(answer.value.streams.iter().map(|stream| stream.viewers.total()).sum())
    }

    /// Reports the daemon's viewers per stream. A module without this route knows only its own viewers.
    pub(crate) async fn report_viewers(&self, report: &Report) -> Result<(), Error> {
        match self.ask::<serde_json::Value>(Method::PUT, "v1/viewers", Some(report)).await {
            Ok(_) => Ok(()),
            // The module accepted the report and sends no body.
            Err(Error::NotTheApi { status: StatusCode::NO_CONTENT, .. }) => Ok(()),
            Err(Error::Refused {
                status: StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, ..
            }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Returns a request whose answer is not JSON.
    fn get(&self, path: &str) -> reqwest::RequestBuilder {
        let mut url = self.api.base.clone();
        url.set_path(&format!("{}/{path}", self.api.base.path().trim_end_matches('/')));
        let request = self.http.get(url);
        match &self.bearer {
            Some(bearer) => request.header(header::AUTHORIZATION, bearer.clone()),
            None => request,
        }
    }

    /// Sends a request and reads the JSON answer. `path` may end with a query: no name or id contains a `?`.
    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Answer<T>, Error> {
        let mut url = self.api.base.clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_query(query);
        url.set_path(&format!("{}/{path}", self.api.base.path().trim_end_matches('/')));
        let changes = method != Method::GET;
        let mut request = self.http.request(method, url).header(header::ACCEPT, "application/json");
        if let Some(bearer) = &self.bearer {
            request = request.header(header::AUTHORIZATION, bearer.clone());
        }
        if changes {
            request = request.header(By::HEADER, self.program.as_str());
        }
        if let Some(body) = body {
            request = request.json(body);
        } else if changes {
            // The module requires this type for every change, so that no form of another site can make one.
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let again = request.try_clone().filter(|_| !changes);
        // nginx closes idle connections when it has too few free ones (ngx_drain_connections), even if a request is on its way.
        let response = match (request.send().await, again) {
            (Err(error), Some(again)) if !error.is_timeout() && !error.is_connect() => again.send().await,
            (response, _) => response,
        };
        let response = response.map_err(|e| self.unreachable(&e))?;
        let status = response.status();
        let text = self.body(response).await?;
        if !status.is_success() {
            return Err(self.refusal(status, &text));
        }
        if changes {
            self.note_warning(&text);
        }
        match serde_json::from_str(&text) {
            Ok(value) => Ok(Answer { text, value }),
            Err(_) => Err(Error::NotTheApi { by: self.by, api: self.api.to_string(), status }),
        }
    }

    /// Stores the warning of a change that was made.
    fn note_warning(&self, text: &str) {
        #[derive(Deserialize)]
        struct Wire {
            warning: String,
        }
        if let Ok(Wire { warning }) = serde_json::from_str(text) {
            let warning = weir_model::text::clean(&warning).into_owned();
            self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(warning);
        }
    }

    /// Returns the API's warnings since the last call.
    pub(crate) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn body(&self, mut response: reqwest::Response) -> Result<String, Error> {
        let status = response.status();
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|e| self.unreachable(&e))? {
            body.extend_from_slice(&piece);
            if body.len() > MAX_ANSWER {
                return Err(Error::NotTheApi { by: self.by, api: self.api.to_string(), status });
            }
        }
        String::from_utf8(body).map_err(|_| Error::NotTheApi {
            by: self.by,
            api: self.api.to_string(),
            status,
        })
    }

    fn refusal(&self, status: StatusCode, text: &str) -> Error {
        #[derive(Deserialize)]
        struct Wire {
            error: Inner,
        }
        #[derive(Deserialize)]
        struct Inner {
            code: String,
            message: String,
        }
        match serde_json::from_str(text) {
            Ok(Wire { error: Inner { code, message } }) => {
                let mut message = weir_model::text::clean(&message).into_owned();
                if status == StatusCode::UNAUTHORIZED {
                    message.push_str(&format!(" ({} gives the token)", self.by.token()));
                }
                Error::Refused { status, code, message }
            }
            Err(_) => Error::NotTheApi { by: self.by, api: self.api.to_string(), status },
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Error {
        let why = if error.is_timeout() { "timed out".into() } else { innermost(error) };
        Error::Unreachable { by: self.by, api: self.api.to_string(), why }
    }
}

/// Encodes a text as a part of a path or as the value of an argument (RFC 3986, section 2.1).
fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn read_bearer(by: SetBy, path: &Path) -> Result<HeaderValue, Error> {
    let wrong = |why: String| Error::TokenFile { by, path: path.into(), why };
    let text = std::fs::read_to_string(path).map(Secret::new).map_err(|e| wrong(e.to_string()))?;
    let token = text.expose().trim();
    if token.is_empty() {
        return Err(wrong("is empty".into()));
    }
    let mut bearer = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| wrong("must hold one line of printable characters".into()))?;
    bearer.set_sensitive(true);
    Ok(bearer)
}

#[cfg(test)]
mod tests;
