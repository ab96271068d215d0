//! The request of the API to mint a token.

use super::{Action, Claims, Subject};
use crate::api::ApiError;
use crate::fields::Fields;
use crate::network::Network;
use crate::time::Timestamp;

/// Maximum lifetime of a token that the API mints, in seconds: 365 days.
pub const MAX_TTL_S: u64 = 31_536_000;

/// The body of `POST /v1/tokens`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// The streams; `"stream":"*"` means all streams of the application.
    pub subject: Subject,
    /// The action.
    pub action: Action,
    /// The lifetime in seconds.
    pub ttl_s: u64,
    /// The network to which the token is limited.
    pub ip: Option<Network>,
}

impl TokenRequest {
    /// Reads a body. An error 400 names the field.
    pub fn from_json(body: &[u8]) -> Result<TokenRequest, ApiError> {
        let mut fields = Fields::parse(body)?;
        let app = fields.parsed("app")?;
        let stream = match fields.text("stream")?.as_str() {
            "*" => None,
            name => Some(name.parse().map_err(|error| ApiError::bad_field("stream", error))?),
        };
        let action = fields.parsed("action")?;
        let ttl_s = fields.optional_u64("ttl_s")?.unwrap_or(0);
        let ip = fields.optional_parsed("ip")?;
        fields.finish()?;
        if !(1..=MAX_TTL_S).contains(&ttl_s) {
            return Err(ApiError::bad_field("ttl_s", format_args!("expected 1 to {MAX_TTL_S}")));
        }
        Ok(TokenRequest { subject: Subject { app, stream }, action, ttl_s, ip })
    }

    /// Returns the claims to sign. `exp` is a whole second, so that the answer can state it exactly.
    pub fn into_claims(self, now: Timestamp) -> Claims {
        let exp = Timestamp::default().plus_seconds(now.as_seconds()).plus_seconds(self.ttl_s);
        Claims {
            sub: self.subject,
            act: self.action,
            exp,
            nbf: None,
            iat: None,
            jti: None,
            ip: self.ip,
            yields: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_197_600_900);

    #[test]
    fn becomes_claims() {
        let body = br#"{"app":"live/eu","stream":"*","action":"play","ttl_s":60,"ip":"192.0.2.1"}"#;
        let claims = TokenRequest::from_json(body).unwrap().into_claims(NOW);
        assert_eq!(claims.sub.to_string(), "live/eu/*");
        assert_eq!(claims.act, Action::Play);
        assert_eq!(claims.exp.to_string(), "2026-11-20T18:01:00Z");
        assert_eq!(claims.ip.unwrap().to_string(), "192.0.2.1/32");
    }

    #[test]
    fn errors_name_the_field() {
        for (body, message) in [
            (r#"{"app":"live"}"#, "field \"stream\": expected a string, found nothing"),
            (
                r#"{"app":"live","stream":"a","action":"rule"}"#,
                "field \"action\": not an action, expected \"play\" or \"publish\"",
            ),
            (r#"{"app":"live","stream":"a","action":"play"}"#, "field \"ttl_s\": expected 1 to 31536000"),
            (
                r#"{"app":"live","stream":"a","action":"play","ttl_s":0}"#,
                "field \"ttl_s\": expected 1 to 31536000",
            ),
            (
                r#"{"app":"live","stream":"a","action":"play","ttl_s":1,"nbf":1}"#,
                "unknown field \"nbf\", known are app, stream, action, ttl_s, ip",
            ),
        ] {
            assert_eq!(TokenRequest::from_json(body.as_bytes()).unwrap_err().message, message);
        }
    }
}
