//! etcd's JSON gateway (`/v3/...` of etcd 3.4): keys and values in base64, numbers as strings.

use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use weir_model::Secret;

use crate::config::cluster::Etcd;
use crate::http::{self, innermost};

/// Time after which a silent member counts as away.
const TIMEOUT: Duration = Duration::from_millis(1500);
/// Longest answer, in bytes: the table of 1000 edges with 100 streams each has about 20 MiB.
const MOST_BYTES: usize = 64 << 20;
/// Longest answer of an error, in bytes.
const MOST_OF_ERROR: usize = 64 << 10;
/// gRPC status of a token that is not valid, or no longer valid.
const UNAUTHENTICATED: i64 = 16;
/// Message of etcd 3.4 for a token that it does not know.
const UNKNOWN_TOKEN: &str = "invalid auth token";

/// Reason why a request to etcd failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// No member answers.
    #[error("etcd does not answer: {0}")]
    Unreachable(String),
    /// etcd refused, with its reason.
    #[error("etcd refuses: {message}")]
    Refused {
        /// gRPC status of the error.
        code: i64,
        /// Message on one line.
        message: String,
    },
    /// A file of the configuration cannot be used.
    #[error("[cluster]: {0}")]
    File(String),
}

/// Client of one member, and of the next member if the first does not answer.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    endpoints: Vec<String>,
    /// The member that answered last.
    at: AtomicUsize,
    user: Option<(String, Secret)>,
    token: Mutex<Option<String>>,
}

impl Client {
    pub(super) fn new(etcd: &Etcd) -> Result<Self, Error> {
        let failed = |path: &Path, why: String| Error::File(format!("{}: {why}", path.display()));
        let builder = match &etcd.ca_file {
            None => http::client(),
            Some(file) => {
                let found = http::certificates(file).map_err(|error| failed(file, error.to_string()))?;
                http::bare().tls_certs_only(found)
            }
        };
        let builder = builder.connect_timeout(TIMEOUT);
        let user = match &etcd.user {
            None => None,
            Some((name, file)) => {
                let text = std::fs::read_to_string(file).map_err(|error| failed(file, error.to_string()))?;
                Some((name.clone(), Secret::new(text.trim())))
            }
        };
        let http = builder.build().map_err(|error| Error::File(innermost(&error)))?;
        let endpoints = etcd.endpoints.clone();
        Ok(Self { http, endpoints, at: AtomicUsize::new(0), user, token: Mutex::default() })
    }

    /// Sends a request, and returns its one answer.
    pub(super) async fn ask(&self, path: &str, body: &Value) -> Result<Value, Error> {
        let asked = async {
            let response = self.send(path, body).await?;
            json_of(response).await
        };
        match tokio::time::timeout(TIMEOUT, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.elsewhere(error)),
            Err(_) => Err(self.elsewhere(Error::Unreachable("no answer in time".into()))),
        }
    }

    /// Sends a request whose answer has no end.
    pub(super) async fn follow(&self, path: &str, body: &Value) -> Result<reqwest::Response, Error> {
        match tokio::time::timeout(TIMEOUT, self.send(path, body)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.elsewhere(error)),
            Err(_) => Err(self.elsewhere(Error::Unreachable("no answer in time".into()))),
        }
    }

    /// Uses the next member for the next request, unless this member has answered.
    fn elsewhere(&self, error: Error) -> Error {
        if matches!(error, Error::Unreachable(_)) {
            self.at.fetch_add(1, Ordering::Relaxed);
        }
        error
    }

    async fn send(&self, path: &str, body: &Value) -> Result<reqwest::Response, Error> {
        if self.user.is_some() && self.token().is_none() {
            self.log_in().await?;
        }
        match self.post(path, body).await {
            Err(Error::Refused { code, message })
                if self.user.is_some() && (code == UNAUTHENTICATED || message.contains(UNKNOWN_TOKEN)) =>
            {
                self.log_in().await?;
                self.post(path, body).await
            }
            other => other,
        }
    }

    async fn log_in(&self) -> Result<(), Error> {
        let Some((name, password)) = &self.user else { return Ok(()) };
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let body = json!({ "name": name, "password": password.expose() });
        let answer = self.post("auth/authenticate", &body).await?;
        let answer = json_of(answer).await?;
        let token = answer["token"].as_str().map(str::to_owned);
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
        Ok(())
    }

    fn token(&self) -> Option<String> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn post(&self, path: &str, body: &Value) -> Result<reqwest::Response, Error> {
        let at = self.at.load(Ordering::Relaxed) % self.endpoints.len().max(1);
        let endpoint = self.endpoints.get(at).map(String::as_str).unwrap_or_default();
        let mut request = self.http.post(format!("{endpoint}/v3/{path}")).json(body);
        if let Some(token) = self.token() {
            request = request.header("authorization", token);
        }
        let response = request
            .send()
            .await
            .map_err(|error| Error::Unreachable(format!("{endpoint}: {}", innermost(&error))))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = http::body(response, MOST_OF_ERROR).await.unwrap_or_default();
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        let message = answer["message"].as_str().or(answer["error"].as_str());
        match (status.as_u16(), message) {
            // etcd reports this for a member without a leader, for example. The next member may have one.
            (503 | 504, message) => {
                Err(Error::Unreachable(format!("{endpoint}: {}", message.unwrap_or("is unavailable"))))
            }
            (_, Some(message)) => Err(Error::Refused {
                code: answer["code"].as_i64().unwrap_or_default(),
                message: weir_model::text::clean(message).into_owned(),
            }),
            (code, None) => {
                Err(Error::Unreachable(format!("{endpoint}: status {code}, which is not etcd's")))
            }
        }
    }
}

/// Reads the answer to a request.
async fn json_of(response: reqwest::Response) -> Result<Value, Error> {
    let body =
        http::body(response, MOST_BYTES).await.map_err(|error| Error::Unreachable(error.to_string()))?;
    serde_json::from_slice(&body).map_err(|error| Error::Unreachable(error.to_string()))
}

/// Encodes a key or value for the gateway.
pub(super) fn encode(text: &str) -> String {
    STANDARD.encode(text)
}

/// Decodes a key or value. Returns `None` if it is not text.
pub(super) fn decode(value: &Value) -> Option<String> {
    String::from_utf8(STANDARD.decode(value.as_str()?).ok()?).ok()
}

/// Reads a number, which the gateway writes as a text, and leaves out if it is 0.
pub(super) fn number(value: &Value) -> i64 {
    value.as_str().and_then(|text| text.parse().ok()).or(value.as_i64()).unwrap_or_default()
}
