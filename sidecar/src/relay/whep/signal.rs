//! Exchanges the offer and the answer over HTTP, and ends a session (RFC 9725, and the draft of WHEP, which has the same requests).

use std::time::Duration;

use axum::http::{StatusCode, header};
use reqwest::{Client, Url};
use tokio::time::timeout;
use weir_model::Secret;

use super::answer::MOST_BYTES;
use crate::config::origin::Origin;
use crate::http;
use crate::relay::paths::{self, VIA};
use crate::relay::said::{body, explain};
use crate::relay::socket::Error;

/// Content type of an offer and an answer.
const SDP: &str = "application/sdp";
/// Time limit of the connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Time limit of the whole answer: the far end may have to fetch the stream itself first.
const ANSWER: Duration = Duration::from_secs(20);
/// Time limit of the request that ends the session.
const GOODBYE: Duration = Duration::from_secs(1);
/// Header of an answer with the kinds of media of the stream, such as `video,audio`.
pub(crate) const MEDIA: &str = "weir-media";

/// A session at the far end.
pub(super) struct Session {
    client: Client,
    /// URL of the session. `None` if it is at another host, which gets no request from this node.
    place: Option<Url>,
    token: Option<Secret>,
}

/// The answer of the far end.
pub(super) struct Answered {
    pub(super) sdp: String,
    /// The nodes that the stream has passed, the far end first. Empty if the far end is not a Weir node.
    pub(super) via: Vec<String>,
    /// The stream has audio. False if the far end does not say so.
    pub(super) has_audio: bool,
}

impl Session {
    /// Sends an offer, and reads the answer. `asking` names the nodes that the request comes from.
    pub(super) async fn begin(
        origin: &Origin,
        token: Option<&Secret>,
        asking: &[String],
        offer: String,
    ) -> Result<(Self, Answered), Error> {
        let failed = |why: String| Error::Connect { host: origin.host(), why };
        let client = http::client()
            .connect_timeout(CONNECT)
            .build()
            .map_err(|error| failed(http::innermost(&error)))?;
        let exchanged = timeout(ANSWER, exchange(&client, origin, token, asking, offer)).await;
        let (place, answered) =
            exchanged.map_err(|_| failed(format!("no answer for {} s", ANSWER.as_secs())))??;
        Ok((Self { client, place, token: token.cloned() }, answered))
    }

    /// Ends the session at the far end, within a short time limit.
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
    asking: &[String],
    offer: String,
) -> Result<(Option<Url>, Answered), Error> {
    let host = || origin.host();
    let failed = |error: reqwest::Error| Error::Connect { host: host(), why: http::innermost(&error) };
    let mut request = client
        .post(origin.url.clone())
        .header(header::CONTENT_TYPE, SDP)
        .header(header::ACCEPT, SDP)
        .header(VIA, asking.join(","))
        .body(offer);
    if let Some(token) = token {
        // The token is not in the URL, which the far end's web server logs.
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
    let via = paths::via(response.headers());
    let has_audio = said(MEDIA).unwrap_or_default().split(',').any(|kind| kind.trim() == "audio");
    // The token is for this server alone, so a session at another origin is not used.
    let place = place.filter(|place| place.origin() == origin.url.origin());
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MOST_BYTES {
            break;
        }
    }
    Ok((place, Answered { sdp: String::from_utf8_lossy(&bytes).into_owned(), via, has_audio }))
}
