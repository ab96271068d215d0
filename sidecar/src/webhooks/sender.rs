//! Sends one signed request to one endpoint. It follows no redirect, and reads no body of an answer.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{StatusCode, Url};
use weir_model::Timestamp;

use super::signature::{Secret, SecretError, signatures};
use crate::clock;
use crate::config::hooks::Endpoint;
use crate::http::public::PublicOnly;
use crate::http::{self, innermost};

/// Reason why no request can be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    /// A secret is missing or invalid.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The HTTP client cannot be created.
    #[error("{0}")]
    Client(String),
}

/// Reason why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SendError {
    /// The endpoint answered with another status than 2xx.
    #[error("status {status}")]
    Status {
        /// HTTP status.
        status: StatusCode,
        /// Wait that the endpoint asks for.
        retry_after: Option<Duration>,
    },
    /// There is no answer.
    #[error("{0}")]
    Unreachable(String),
}

impl SendError {
    /// Returns whether the endpoint wants no more events (410).
    pub(crate) fn is_permanent(&self) -> bool {
        matches!(self, Self::Status { status, .. } if *status == StatusCode::GONE)
    }

    /// Returns whether the answer is a refusal, and not a temporary fault.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Status { status, .. } => {
                status.is_client_error()
                    && *status != StatusCode::REQUEST_TIMEOUT
                    && *status != StatusCode::TOO_MANY_REQUESTS
            }
            Self::Unreachable(_) => false,
        }
    }

    /// Returns the wait that the endpoint asks for.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Unreachable(_) => None,
        }
    }
}

/// Client of one endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    client: reqwest::Client,
    url: Url,
    secrets: Vec<Secret>,
}

impl Sender {
    /// Reads the secrets. The connection is made at the first request.
    pub(crate) fn new(endpoint: &Endpoint) -> Result<Self, SetupError> {
        let secrets = secrets(endpoint)?;
        let mut builder = http::client().timeout(endpoint.timeout);
        if !endpoint.allow_private {
            builder = builder.https_only(true).dns_resolver(PublicOnly);
        }
        let client = builder.build().map_err(|error| SetupError::Client(innermost(&error)))?;
        Ok(Self { client, url: endpoint.url.clone(), secrets })
    }

    /// Sends one request, signed with the current time.
    pub(crate) async fn send(&self, id: &str, body: &str) -> Result<(), SendError> {
        let seconds = clock::now().as_seconds();
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", signatures(&self.secrets, id, seconds, body))
            .body(body.to_owned());
        let answer = request.send().await.map_err(|error| SendError::Unreachable(innermost(&error)))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let asked = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = asked.and_then(|text| retry_after(text, clock::now()));
        Err(SendError::Status { status, retry_after })
    }
}

/// Parses `Retry-After`: seconds, or a time (RFC 9110, section 10.2.3).
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    match text.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(Duration::from_millis(clock::http_date(text.trim())?.millis_since(now))),
    }
}

/// Reads the secrets of an endpoint.
pub(crate) fn secrets(endpoint: &Endpoint) -> Result<Vec<Secret>, SecretError> {
    endpoint.secret_files.iter().map(|file| Secret::read(file)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_asked_for_in_seconds_or_until_a_time() {
        let now = "2026-11-20T18:00:00Z".parse().unwrap();
        for (text, seconds) in [
            ("0", Some(0)),
            (" 120", Some(120)),
            ("Fri, 20 Nov 2026 18:01:30 GMT", Some(90)),
            ("Fri, 20 Nov 2026 17:00:00 GMT", Some(0)),
            ("soon", None),
            ("-5", None),
            ("", None),
        ] {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
