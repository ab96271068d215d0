//! The client of the daemon's socket, for the command line.

use std::path::Path;
use std::time::Duration;

use reqwest::{Method, Url};
use serde::Deserialize;

use crate::http::{self, innermost};

/// Time limit of a request; the daemon answers from memory.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Error of a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No daemon runs, or access is denied.
    #[error("no answer from weir serve at {socket}: {why}: start it, or select its socket with --socket")]
    Unreachable {
        /// Path, as given.
        socket: String,
        /// Message of the operating system.
        why: String,
    },
    /// Another program answered.
    #[error("what answers at {socket} is not weir serve: select its socket with --socket")]
    NotTheDaemon {
        /// Path, as given.
        socket: String,
    },
    /// The daemon refused the request, with this message.
    #[error("{0}")]
    Refused(String),
}

/// A client of one daemon.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    socket: String,
}

#[derive(Deserialize)]
struct Refusal {
    error: Message,
}

#[derive(Deserialize)]
struct Message {
    message: String,
}

impl Client {
    /// Creates a client; it connects at its first request.
    pub(crate) fn new(socket: &Path) -> Result<Self, Error> {
        let shown = socket.display().to_string();
        let builder = http::client().timeout(TIMEOUT).unix_socket(socket);
        match builder.build() {
            Ok(http) => Ok(Self { http, socket: shown }),
            Err(error) => Err(Error::Unreachable { socket: shown, why: error.to_string() }),
        }
    }

    /// Returns the problems that the daemon reports; empty if there are none.
    pub(crate) async fn health(&self) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct Health {
            reasons: Vec<String>,
        }
        let unreachable = |error: reqwest::Error| Error::Unreachable {
            socket: self.socket.clone(),
            why: innermost(&error),
        };
        let response = self.http.get("http://localhost/healthz").send().await.map_err(unreachable)?;
        let text = response.text().await.map_err(unreachable)?;
        let health: Health =
            serde_json::from_str(&text).map_err(|_| Error::NotTheDaemon { socket: self.socket.clone() })?;
        Ok(health.reasons)
    }

    /// Sends a request and returns the text of the answer. The parts of the path may contain slashes.
    pub(crate) async fn ask(&self, method: Method, path: &[&str]) -> Result<String, Error> {
        self.ask_for(method, path, &[]).await
    }

    /// Sends a request with arguments and returns the text of the answer.
    pub(crate) async fn ask_for(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<String, Error> {
        let unreachable = |why: String| Error::Unreachable { socket: self.socket.clone(), why };
        let mut url = Url::parse("http://localhost/").map_err(|error| unreachable(error.to_string()))?;
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let broken = |error: reqwest::Error| unreachable(innermost(&error));
        let response = self.http.request(method, url).send().await.map_err(broken)?;
        let done = response.status().is_success();
        let text = response.text().await.map_err(broken)?;
        if done {
            return Ok(text);
        }
        Err(match serde_json::from_str::<Refusal>(&text) {
            Ok(refusal) => Error::Refused(refusal.error.message),
            Err(_) => Error::NotTheDaemon { socket: self.socket.clone() },
        })
    }
}
