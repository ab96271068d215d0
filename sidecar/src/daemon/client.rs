//! The command line's side of the daemon's socket.

use std::path::Path;
use std::time::Duration;

use reqwest::{Method, Url};
use serde::Deserialize;

use crate::http::{self, innermost};

/// The daemon answers from memory.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No daemon, or no permission.
    #[error("no answer from weir serve at {socket}: {why}: start it, or select its socket with --socket")]
    Unreachable {
        /// As given.
        socket: String,
        /// What the system says.
        why: String,
    },
    /// Something answered, but not the daemon.
    #[error("what answers at {socket} is not weir serve: select its socket with --socket")]
    NotTheDaemon {
        /// As given.
        socket: String,
    },
    /// The daemon's own words.
    #[error("{0}")]
    Refused(String),
}

/// Speaks with one daemon.
#[derive(Debug)]
pub struct Client {
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
    /// Connects when first asked for something.
    pub fn new(socket: &Path) -> Result<Self, Error> {
        let shown = socket.display().to_string();
        let builder = http::client().timeout(TIMEOUT).unix_socket(socket);
        match builder.build() {
            Ok(http) => Ok(Self { http, socket: shown }),
            Err(error) => Err(Error::Unreachable { socket: shown, why: error.to_string() }),
        }
    }

    /// What the daemon says is wrong; nothing when all is well.
    pub async fn health(&self) -> Result<Vec<String>, Error> {
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

    /// The answer's text; the parts of the path may hold slashes.
    pub async fn ask(&self, method: Method, path: &[&str]) -> Result<String, Error> {
        self.ask_for(method, path, &[]).await
    }

    /// The same with arguments.
    pub async fn ask_for(
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
