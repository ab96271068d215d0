//! Explains error answers of the far end's web server.

use std::time::Duration;

use axum::http::StatusCode;

/// Most bytes of an error answer.
const MOST_BODY: usize = 4096;

/// Returns a text of the far end in a form that is safe for the log.
pub(crate) fn clean(text: &str) -> String {
    weir_model::text::clean(text).chars().take(200).collect()
}

/// Reads the beginning of an answer.
pub(super) async fn body(mut response: reqwest::Response) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MOST_BODY {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(2), read).await;
    bytes
}

/// Explains an answer: with the text of `{"error":{"message":..}}` of a node, or with advice. `had_token`: the request had a token.
pub(super) fn explain(status: StatusCode, body: Vec<u8>, had_token: bool) -> String {
    let said: Option<String> = serde_json::from_slice::<serde_json::Value>(&body)
        .ok()
        .and_then(|body| body["error"]["message"].as_str().map(clean));
    let remedy = match status.as_u16() {
        401 | 403 if !had_token => {
            "write ?token=TOKEN in url, or use TLS: a minted token is sent in plain text to near addresses only"
        }
        401 | 403 => "check token in url, or that secret_file is the same as on the other node",
        404 => "check url, and that the stream is live there",
        300..=399 => "it leads to another address: write that one in url",
        426 | 200 => "it does not speak WebSocket: check that its web server passes Upgrade on",
        _ => "see the log of the other node",
    };
    said.map_or_else(|| remedy.to_owned(), |said| format!("{said}: {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_what_is_to_be_checked() {
        let said =
            |status: u16, body: &str| explain(StatusCode::from_u16(status).unwrap(), body.into(), true);
        assert_eq!(
            said(404, r#"{"error":{"code":"not_found","message":"the stream is not live"}}"#),
            "the stream is not live: check url, and that the stream is live there"
        );
        assert!(said(403, "<html>").starts_with("check token in url"));
        assert!(explain(StatusCode::FORBIDDEN, Vec::new(), false).contains("use TLS"));
        assert!(!said(502, "{\"error\":{\"message\":\"a\\nb\"}}").contains('\n'));
    }
}
