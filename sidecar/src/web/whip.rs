//! `/stream/APP/NAME/whip`: publishing over WebRTC (RFC 9725). The bearer token is a stream key or a publish token; nginx checks it
//! as it checks any encoder's.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use weir_model::Secret;
use weir_rtmp::url::Url;

use super::answer;
use super::asker::asker;
use super::offers::{Request, SDP, check_accepted, check_type, created, off, refusal, retry, text};
use crate::streams::StreamId;

/// Maximum length of a key or token, in bytes.
const MOST_BYTES: usize = 4096;

/// Starts a session.
pub(super) async fn begin(request: Request<'_>, id: &StreamId) -> Result<Response, Box<Response>> {
    let Request { web, peer, headers, body, .. } = request;
    let engine = web.webrtc.as_ref().ok_or_else(off)?;
    let config = web.context.config();
    let client = asker(peer, &headers, &config.web.trusted_proxies, &config.web.base).client;
    if web.guesses.are_too_many(client) {
        let message = "too many publishes of this address were refused: wait a minute";
        let refused = answer::error(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message);
        return Err(retry(refused).into());
    }
    check_type(&headers, SDP)?;
    check_accepted(&headers)?;
    let credential = bearer(&headers)?;
    let offer = text(body).await?;
    let server = &config.nginx.rtmp;
    let url = Url {
        tls: false,
        credentials: None,
        host: server.host.trim_matches(['[', ']']).to_owned(),
        port: server.port,
        app: id.0.to_string(),
        name: name(id, credential.as_ref()),
    };
    match engine.publish(&offer, url, client, id.clone()).await {
        Ok(opened) => Ok(created("whip", &opened, web)),
        Err(refused) => {
            let response = refusal(&refused);
            let is_guess = matches!(response.status(), StatusCode::FORBIDDEN | StatusCode::NOT_FOUND);
            if is_guess {
                web.guesses.note(client);
            }
            if is_guess && credential.is_none() {
                return Err(unauthorized("this application needs a stream key or a publish token").into());
            }
            Err(response.into())
        }
    }
}

/// Returns the token of `Authorization: Bearer`; `None` if the header is missing.
fn bearer(headers: &HeaderMap) -> Result<Option<Secret>, Box<Response>> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let credential = text.get(..7).filter(|kind| kind.eq_ignore_ascii_case("bearer ")).and(text.get(7..));
    // The token becomes an argument of the stream's name.
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    match credential.map(str::trim) {
        Some("") => Ok(None),
        Some(word) if word.len() <= MOST_BYTES && word.bytes().all(fits) => Ok(Some(Secret::new(word))),
        _ => Err(unauthorized("Authorization must be Bearer with a stream key or a publish token").into()),
    }
}

/// Returns the stream's name in the form that an encoder uses.
fn name(id: &StreamId, credential: Option<&Secret>) -> String {
    match credential.map(Secret::expose) {
        None => id.1.to_string(),
        // A token has three base64 parts separated by dots; a key has no dot.
        Some(word) if word.matches('.').count() == 2 => format!("{}?token={word}", id.1),
        Some(word) => format!("{}?key={word}", id.1),
    }
}

fn unauthorized(message: &str) -> Response {
    let mut response = answer::error(StatusCode::UNAUTHORIZED, "unauthorized", message);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_becomes_an_argument_and_nothing_else_does() {
        let id: StreamId = ("live".parse().unwrap(), "show".parse().unwrap());
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            bearer(&headers).map(|word| name(&id, word.as_ref())).map_err(|refused| refused.status().as_u16())
        };
        assert_eq!(with("Bearer wk_abc").as_deref(), Ok("show?key=wk_abc"));
        assert_eq!(with("bearer a.b.c").as_deref(), Ok("show?token=a.b.c"));
        assert_eq!(with("Bearer ").as_deref(), Ok("show"));
        for wrong in ["Basic abc", "Bearer a b", "Bearer a&key=b", "Bearer a?b", "abc", "Bearer a/b"] {
            assert_eq!(with(wrong), Err(401), "{wrong}");
        }
        assert!(bearer(&HeaderMap::new()).is_ok_and(|word| word.is_none()));
    }
}
