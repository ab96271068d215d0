//! The request of the API to mint a token.

use std::str::FromStr;

use super::chat::ChatClaims;
use super::{Action, Claims, Subject, TokenId};
use crate::api::ApiError;
use crate::fields::Fields;
use crate::network::Network;
use crate::time::Timestamp;

/// Maximum lifetime of a token that the API mints, in seconds: 365 days.
pub const MAX_TTL_S: u64 = 31_536_000;

/// The longest name of a person in the chat, in characters.
pub const MAX_CHAT_NAME: usize = 32;

/// What a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Playing or publishing a stream.
    Stream(Action),
    /// Writing in the chat of a stream.
    Chat {
        /// What the bearer is called; the bearer chooses a name without it.
        name: Option<String>,
        /// The bearer may delete messages and remove people.
        moderator: bool,
    },
}

/// What is to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// For a stream.
    Stream(Claims),
    /// For its chat.
    Chat(ChatClaims),
}

/// The body of `POST /v1/tokens`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// The streams; `"stream":"*"` means all streams of the application.
    pub subject: Subject,
    /// What the token is for.
    pub purpose: Purpose,
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
        let word: ActionWord = fields.parsed("action")?;
        let name = fields.optional_text("name")?;
        let moderator = fields.optional_bool("moderator")?;
        let purpose = match word.0 {
            Some(action) => Purpose::Stream(action),
            None => Purpose::Chat { name: name.clone(), moderator: moderator.unwrap_or(false) },
        };
        let ttl_s = fields.optional_u64("ttl_s")?.unwrap_or(0);
        let ip = fields.optional_parsed("ip")?;
        fields.finish()?;
        let of_chat = [("name", name.is_some()), ("moderator", moderator.is_some())];
        if let (Purpose::Stream(_), Some((field, _))) = (&purpose, of_chat.into_iter().find(|(_, is)| *is)) {
            return Err(ApiError::bad_field(field, "expected only with \"action\": \"chat\""));
        }
        let fits = |name: &str| {
            (1..=MAX_CHAT_NAME).contains(&name.chars().count())
                && name.trim() == name
                && crate::text::clean(name) == name
        };
        if name.is_some_and(|name| !fits(&name)) {
            let expected = "characters, without control characters and spaces at the ends";
            return Err(ApiError::bad_field(
                "name",
                format_args!("expected 1 to {MAX_CHAT_NAME} {expected}"),
            ));
        }
        if !(1..=MAX_TTL_S).contains(&ttl_s) {
            return Err(ApiError::bad_field("ttl_s", format_args!("expected 1 to {MAX_TTL_S}")));
        }
        Ok(TokenRequest { subject: Subject { app, stream }, purpose, ttl_s, ip })
    }

    /// Returns the claims to sign, with an id and a time by which the token can be revoked. `exp` is a whole second, so that the answer can
    /// state it exactly.
    pub fn into_wanted(self, now: Timestamp, jti: TokenId, iat: Timestamp) -> Wanted {
        let exp = Timestamp::default().plus_seconds(now.as_seconds()).plus_seconds(self.ttl_s);
        let (sub, ip, jti, iat) = (self.subject, self.ip, Some(jti), Some(iat));
        match self.purpose {
            Purpose::Stream(act) => {
                Wanted::Stream(Claims { sub, act, exp, nbf: None, iat, jti, ip, yields: false })
            }
            Purpose::Chat { name, moderator } => {
                Wanted::Chat(ChatClaims { sub, exp, begin: None, iat, jti, ip, name, moderator })
            }
        }
    }
}

/// An action, or the chat.
struct ActionWord(Option<Action>);

/// The text is no action.
#[derive(Debug, thiserror::Error)]
#[error("not an action, expected \"play\", \"publish\" or \"chat\"")]
struct ActionWordError;

impl FromStr for ActionWord {
    type Err = ActionWordError;

    fn from_str(text: &str) -> Result<Self, ActionWordError> {
        match text {
            "chat" => Ok(Self(None)),
            text => Ok(Self(Some(text.parse().map_err(|_| ActionWordError)?))),
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
        let jti: TokenId = "t1".parse().unwrap();
        let wanted = |body: &[u8]| TokenRequest::from_json(body).unwrap().into_wanted(NOW, jti.clone(), NOW);
        let Wanted::Stream(claims) = wanted(body) else { panic!("a token of the chat") };
        assert_eq!((claims.jti.as_ref(), claims.iat), (Some(&jti), Some(NOW)));
        assert_eq!(claims.sub.to_string(), "live/eu/*");
        assert_eq!(claims.act, Action::Play);
        assert_eq!(claims.exp.to_string(), "2026-11-20T18:01:00Z");
        assert_eq!(claims.ip.unwrap().to_string(), "192.0.2.1/32");

        let body =
            br#"{"app":"live","stream":"a","action":"chat","ttl_s":60,"name":"Ana B","moderator":true}"#;
        let Wanted::Chat(claims) = wanted(body) else { panic!("a token of a stream") };
        assert_eq!(
            (claims.sub.to_string().as_str(), claims.exp.to_string().as_str()),
            ("live/a", "2026-11-20T18:01:00Z")
        );
        assert_eq!(
            (claims.name.as_deref(), claims.moderator, claims.jti),
            (Some("Ana B"), true, Some(jti.clone()))
        );
        let Wanted::Chat(claims) = wanted(br#"{"app":"live","stream":"a","action":"chat","ttl_s":60}"#)
        else {
            panic!()
        };
        assert_eq!((claims.name, claims.moderator), (None, false));
    }

    #[test]
    fn errors_name_the_field() {
        for (body, message) in [
            (r#"{"app":"live"}"#, "field \"stream\": expected a string, found nothing"),
            (
                r#"{"app":"live","stream":"a","action":"rule"}"#,
                "field \"action\": not an action, expected \"play\", \"publish\" or \"chat\"",
            ),
            (r#"{"app":"live","stream":"a","action":"play"}"#, "field \"ttl_s\": expected 1 to 31536000"),
            (
                r#"{"app":"live","stream":"a","action":"play","ttl_s":0}"#,
                "field \"ttl_s\": expected 1 to 31536000",
            ),
            (
                r#"{"app":"live","stream":"a","action":"play","ttl_s":1,"nbf":1}"#,
                "unknown field \"nbf\", known are app, stream, action, name, moderator, ttl_s, ip",
            ),
            (
                r#"{"app":"live","stream":"a","action":"play","ttl_s":1,"name":"Ana"}"#,
                "field \"name\": expected only with \"action\": \"chat\"",
            ),
            (
                r#"{"app":"live","stream":"a","action":"publish","ttl_s":1,"moderator":false}"#,
                "field \"moderator\": expected only with \"action\": \"chat\"",
            ),
            (
                r#"{"app":"live","stream":"a","action":"chat","ttl_s":1,"name":"a\nb"}"#,
                "field \"name\": expected 1 to 32 characters, without control characters and spaces at the ends",
            ),
        ] {
            assert_eq!(TokenRequest::from_json(body.as_bytes()).unwrap_err().message, message);
        }
    }
}
