//! An offer and its answer over HTTP, and the end of a session (RFC 9725, and the draft of WHEP, which has the same requests).

use std::time::Duration;

use axum::http::{StatusCode, header};
use reqwest::{Client, Url};
use tokio::time::timeout;
use weir_model::Secret;

use super::answer::MOST_BYTES;
use crate::config::origin::Origin;
use crate::http;
use crate::relay::said::{body, explain};
use crate::relay::socket::Error;

/// Type of an offer and an answer.
const SDP: &str = "application/sdp";
/// Over which nodes a stream came: a header of an answer.
pub const VIA: &str = "weir-via";
/// For the connection.
const CONNECT: Duration = Duration::from_secs(10);
/// For the whole answer: the far end may have to fetch the stream itself first.
const ANSWER: Duration = Duration::from_secs(20);
/// For a goodbye.
const GOODBYE: Duration = Duration::from_secs(1);
/// The path of a stream has no more nodes, and none of them a longer name.
const MOST_VIA: usize = 64;
const MOST_NAME: usize = 64;

/// What the far end keeps for us.
pub(super) struct Session {
    client: Client,
    /// None where it is at another host, which gets no request of ours.
    place: Option<Url>,
    token: Option<Secret>,
}

/// What the far end has answered.
pub(super) struct Answered {
    pub(super) sdp: String,
    /// Over which nodes the stream came, the far end first; empty where that is no Weir node.
    pub(super) via: Vec<String>,
}

impl Session {
    /// Sends an offer.
    pub(super) async fn begin(
        origin: &Origin,
        token: Option<&Secret>,
        offer: String,
    ) -> Result<(Self, Answered), Error> {
        let failed = |why: String| Error::Connect { host: origin.host(), why };
        let client = http::client()
            .connect_timeout(CONNECT)
            .build()
            .map_err(|error| failed(http::innermost(&error)))?;
        let exchanged = timeout(ANSWER, exchange(&client, origin, token, offer)).await;
        let (place, answered) =
            exchanged.map_err(|_| failed(format!("no answer for {} s", ANSWER.as_secs())))??;
        Ok((Self { client, place, token: token.cloned() }, answered))
    }

    /// Says goodbye, for a moment.
    pub(super) async fn end(self) {
        let Some(place) = self.place else { return };
        let mut request = self.client.delete(place);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        let _ = timeout(GOODBYE, request.send()).await;
    }
}

async fn exchange(
    client: &Client,
    origin: &Origin,
    token: Option<&Secret>,
    offer: String,
) -> Result<(Option<Url>, Answered), Error> {
    let host = || origin.host();
    let failed = |error: reqwest::Error| Error::Connect { host: host(), why: http::innermost(&error) };
    let mut request = client
        .post(origin.url.clone())
        .header(header::CONTENT_TYPE, SDP)
        .header(header::ACCEPT, SDP)
        .body(offer);
    if let Some(token) = token {
        // Not in the URL, which the far end's web server logs.
        request = request.bearer_auth(token.expose());
    }
    let mut response = request.send().await.map_err(failed)?;
    let status = response.status();
    if status != StatusCode::CREATED {
        let why = match status {
            StatusCode::OK | StatusCode::METHOD_NOT_ALLOWED => "it does not speak WHEP: check url".into(),
            _ => explain(status, body(response).await, token.is_some()),
        };
        return Err(Error::Answer { status: status.as_u16(), host: host(), why });
    }
    let said = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let place = said("location").and_then(|location| origin.url.join(location).ok());
    let via = said(VIA).unwrap_or_default().split(',').map(str::trim);
    let via = via.filter(|node| !node.is_empty() && node.len() <= MOST_NAME).take(MOST_VIA);
    let via = via.map(str::to_owned).collect();
    // The token is for this server alone.
    let place = place.filter(|place| place.origin() == origin.url.origin());
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MOST_BYTES {
            break;
        }
    }
    Ok((place, Answered { sdp: String::from_utf8_lossy(&bytes).into_owned(), via }))
}
