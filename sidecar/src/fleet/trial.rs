//! Checks that an edge serves a stream: reads its HLS playlists, and loads a segment.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::Url;

use crate::config::fleet::Edge;
use crate::http::{self, BodyError, innermost};

/// Time limit of each answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Most steps: a master playlist, a media playlist and a segment.
const DEPTH: usize = 3;
/// Longest answer, in bytes. A segment of 10 seconds at 50 Mbit/s has about 60 MiB.
const MOST_BYTES: usize = 128 << 20;

/// Reason why an edge does not serve the stream yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("no answer: {0}")]
    Away(String),
    #[error("{path}: status {status}")]
    Status { path: String, status: u16 },
    #[error("{0}: no segment in it")]
    NoSegment(String),
    #[error("its address is no URL: {0}")]
    Address(String),
}

impl From<reqwest::Error> for Trouble {
    fn from(error: reqwest::Error) -> Self {
        Self::Away(innermost(&error))
    }
}

impl From<BodyError> for Trouble {
    fn from(error: BodyError) -> Self {
        Self::Away(error.to_string())
    }
}

/// Loads a segment of the test stream from an edge. DNS need not have the edge's name yet: `server` is its address.
pub(super) async fn segment(edge: &Edge, address: &str, server: Option<IpAddr>) -> Result<usize, Trouble> {
    let (app, name) = &edge.test_stream;
    let text = format!("{address}/stream/{app}/{name}/llhls/master.m3u8");
    let mut url = Url::parse(&text).map_err(|error| Trouble::Address(error.to_string()))?;
    let mut client = http::client().timeout(TIMEOUT);
    if let (Some(reqwest_host), Some(server)) = (url.domain(), server) {
        // Port 0 means the port of the URL.
        client = client.resolve(reqwest_host, SocketAddr::new(server, 0));
    }
    let client = client.build()?;
    for _ in 0..DEPTH {
        let response = client.get(url.clone()).send().await?;
        let status = response.status();
        if !status.is_success() {
            return Err(Trouble::Status { path: url.path().to_owned(), status: status.as_u16() });
        }
        let bytes = http::body(response, MOST_BYTES).await?;
        if !bytes.starts_with(b"#EXTM3U") {
            return match bytes.len() {
                0 => Err(Trouble::NoSegment(url.path().to_owned())),
                size => Ok(size),
            };
        }
        let text = String::from_utf8_lossy(&bytes);
        let next = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
        let next = next.and_then(|next| url.join(next).ok());
        url = next.ok_or_else(|| Trouble::NoSegment(url.path().to_owned()))?;
    }
    Err(Trouble::NoSegment(url.path().to_owned()))
}
