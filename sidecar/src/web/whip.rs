//! `/stream/APP/NAME/whip`: publishing over WebRTC (RFC 9725). The bearer token is a stream key or a publish token; nginx checks it
//! as it checks any encoder's.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use weir_model::Secret;
use weir_model::masking::{self, Rule};
use weir_model::publish::is_plain;
use weir_rtmp::url::Url;

use super::answer;
use super::asker::asker;
use super::offers::{Request, SDP, check_accepted, check_type, created, off, refusal, retry, text};
use crate::streams::StreamId;

/// Maximum length of a key or token, in bytes.
const MOST_BYTES: usize = 4096;
/// Beginning of `Authorization`, in upper or lower case.
const SCHEME: &[u8] = b"bearer ";
const NO_KEY: &str = "the bearer token is no stream key and no publish token: those are one word of letters, digits and \
                      . _ ~ : @ , + / = -, with at most 4096 bytes";

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
    let Some((kind, word)) = value.as_bytes().split_at_checked(SCHEME.len()) else { return Err(no_bearer()) };
    if !kind.eq_ignore_ascii_case(SCHEME) {
        return Err(no_bearer());
    }
    let word = std::str::from_utf8(word.trim_ascii()).ok();
    // The token becomes an argument of the stream's name. It may have all characters of RFC 6750, section 2.1.
    match word.filter(|word| word.len() <= MOST_BYTES && word.bytes().all(is_plain)) {
        Some("") => Ok(None),
        Some(word) => Ok(Some(Secret::new(word))),
        None => Err(answer::error(StatusCode::BAD_REQUEST, "bad_request", NO_KEY).into()),
    }
}

fn no_bearer() -> Box<Response> {
    unauthorized("Authorization must be Bearer with a stream key or a publish token").into()
}

/// Returns the stream's name in the form that an encoder uses.
fn name(id: &StreamId, credential: Option<&Secret>) -> String {
    match credential.map(Secret::expose) {
        None => id.1.to_string(),
        Some(word) if is_token(word) => format!("{}?token={word}", id.1),
        Some(word) => format!("{}?key={word}", id.1),
    }
}

/// Returns whether a word is a token. A key of a file may have dots too.
fn is_token(word: &str) -> bool {
    let found = masking::find(word.as_bytes(), &Rule { own_arguments: true, ..Rule::SHAPE });
    word.contains('.') && found.first().is_some_and(|first| first.at == (0..word.len()))
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
            headers.insert(header::AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            bearer(&headers).map(|word| name(&id, word.as_ref())).map_err(|refused| refused.status().as_u16())
        };
        assert_eq!(with("Bearer wk_abc").as_deref(), Ok("show?key=wk_abc"));
        let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJsaXZlL3Nob3cifQ.c2lnbmF0dXJl-_x";
        assert_eq!(with(&format!("bearer {token}")), Ok(format!("show?token={token}")));
        assert_eq!(with("Bearer ").as_deref(), Ok("show"));
        // All characters of RFC 6750 and of `weir key hash`.
        for key in ["a.b.c", "-._~+/aZ09==", "my:key@,1", &format!("{token}.x"), &format!("x{token}")] {
            assert_eq!(with(&format!("Bearer {key}")), Ok(format!("show?key={key}")));
        }
        for wrong in ["Basic abc", "abc", ""] {
            assert_eq!(with(wrong), Err(401), "{wrong}");
        }
        let long = "a".repeat(MOST_BYTES + 1);
        for wrong in ["a b", "a&key=b", "a?b", "a%20b", "schl\u{fc}ssel", "a\"", &long] {
            assert_eq!(with(&format!("Bearer {wrong}")), Err(400), "{wrong}");
        }
        assert!(bearer(&HeaderMap::new()).is_ok_and(|word| word.is_none()));
    }
}
