//! Revocations of tokens that are signed and have not expired.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::{Claims, LEEWAY_S, MAX_TTL_S, Subject, TokenId};
use crate::api::ApiError;
use crate::fields::Fields;
use crate::stream_name::{AppName, StreamName};
use crate::time::Timestamp;

/// How long Weir keeps a revocation if the expiry of its tokens is unknown, in seconds: longer than the maximum
/// lifetime of the API's tokens.
pub const MAX_KEPT_S: u64 = MAX_TTL_S + 86_400;

/// How many revocations there may be for one more to be made.
pub const MAX_REVOCATIONS: usize = 4096;

/// How many are kept at the same time: both nodes of a pair may make as many while they do not reach each other.
pub const MAX_KEPT_REVOCATIONS: usize = 2 * MAX_REVOCATIONS;

/// The tokens that are revoked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Revoked {
    /// The token with this `jti`.
    Token(TokenId),
    /// Each token that was minted up to that time, when it is used for one of these streams.
    Streams(Subject),
}

/// A revocation of tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Revocation {
    /// The tokens.
    pub what: Revoked,
    /// The time of the revocation.
    pub revoked_at: Timestamp,
    /// The time at which all these tokens have expired, so that Weir drops the revocation.
    pub expires_at: Timestamp,
}

/// A revocation in JSON: `jti`, or `app` and `stream`, which may be `*`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jti: Option<TokenId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    app: Option<AppName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stream: Option<String>,
    revoked_at: Timestamp,
    expires_at: Timestamp,
}

impl TryFrom<Raw> for Revocation {
    type Error = ApiError;

    fn try_from(raw: Raw) -> Result<Revocation, ApiError> {
        let what = Revoked::new(raw.jti, raw.app, raw.stream)?;
        Ok(Revocation { what, revoked_at: raw.revoked_at, expires_at: raw.expires_at })
    }
}

impl From<Revocation> for Raw {
    fn from(revocation: Revocation) -> Raw {
        let Revocation { what, revoked_at, expires_at } = revocation;
        let (jti, app, stream) = match what {
            Revoked::Token(jti) => (Some(jti), None, None),
            Revoked::Streams(Subject { app, stream }) => {
                let stream = stream.map_or_else(|| "*".to_owned(), |stream| stream.to_string());
                (None, Some(app), Some(stream))
            }
        };
        Raw { jti, app, stream, revoked_at, expires_at }
    }
}

impl Revoked {
    fn new(jti: Option<TokenId>, app: Option<AppName>, stream: Option<String>) -> Result<Revoked, ApiError> {
        match (jti, app, stream) {
            (Some(jti), None, None) => Ok(Revoked::Token(jti)),
            (None, Some(app), Some(stream)) => {
                let stream: Option<StreamName> = match stream.as_str() {
                    "*" => None,
                    name => Some(name.parse().map_err(|error| ApiError::bad_field("stream", error))?),
                };
                Ok(Revoked::Streams(Subject { app, stream }))
            }
            _ => Err(ApiError::bad_request("expected \"jti\", or \"app\" and \"stream\"")),
        }
    }
}

impl Revocation {
    /// Reads the body of `POST /v1/tokens/revoke`. An error 400 names the field.
    pub fn from_json(body: &[u8], now: Timestamp) -> Result<Revocation, ApiError> {
        let mut fields = Fields::parse(body)?;
        let jti = fields.optional_parsed("jti")?;
        let (app, stream) = (fields.optional_parsed("app")?, fields.optional_text("stream")?);
        let end: Option<Timestamp> = fields.optional_parsed("expires_at")?;
        let at: Option<Timestamp> = fields.optional_parsed("revoked_at")?;
        fields.finish()?;
        let what = Revoked::new(jti, app, stream)?;
        if let (Some(_), Revoked::Streams(_)) = (end, &what) {
            return Err(ApiError::bad_field("expires_at", "only with \"jti\""));
        }
        if let (Some(_), Revoked::Token(_)) = (at, &what) {
            return Err(ApiError::bad_field("revoked_at", "only with \"app\" and \"stream\""));
        }
        if at.is_some_and(|at| at > now.plus_seconds(LEEWAY_S)) {
            return Err(ApiError::bad_field("revoked_at", "more than 30 seconds in the future"));
        }
        if end.is_some_and(|end| end <= now) {
            return Err(ApiError::bad_field("expires_at", "in the past: the token is not valid any more"));
        }
        let revoked_at = at.unwrap_or(now);
        let expires_at = end.map_or(revoked_at.plus_seconds(MAX_KEPT_S), |end| end.plus_seconds(LEEWAY_S));
        if expires_at <= now {
            return Err(ApiError::bad_field(
                "revoked_at",
                "so long ago that no such token is valid any more",
            ));
        }
        Ok(Revocation { what, revoked_at, expires_at })
    }

    /// Returns whether all these tokens have expired.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }

    /// Merges another revocation of the same tokens. Returns whether anything changed.
    pub fn merge(&mut self, other: &Revocation) -> bool {
        let revoked_at = self.revoked_at.max(other.revoked_at);
        let expires_at = self.expires_at.max(other.expires_at);
        let adds = (revoked_at, expires_at) != (self.revoked_at, self.expires_at);
        (self.revoked_at, self.expires_at) = (revoked_at, expires_at);
        adds
    }
}

/// Facts about the token that admitted a session, so that Weir can close the session when the token is revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenMark {
    /// The id of the token.
    pub jti: Option<TokenId>,
    /// The time when it was minted.
    pub iat: Option<Timestamp>,
    /// The stream that it was used for.
    pub stream: String,
}

impl TokenMark {
    /// Returns the mark of a token that was used for a stream.
    #[must_use]
    pub fn new(claims: &Claims, stream: &str) -> TokenMark {
        TokenMark { jti: claims.jti.clone(), iat: claims.iat, stream: stream.to_owned() }
    }
}

/// All revocations, indexed for the check of each request.
#[derive(Clone, Debug, Default)]
pub struct RevokedTokens {
    ids: HashSet<TokenId>,
    applications: HashMap<String, Cuts>,
}

/// The times up to which tokens of an application are revoked, in seconds.
#[derive(Clone, Debug, Default)]
struct Cuts {
    all: Option<u64>,
    streams: HashMap<String, u64>,
}

impl RevokedTokens {
    /// Indexes a list.
    pub fn new(list: impl IntoIterator<Item = Revocation>) -> RevokedTokens {
        let mut revoked = RevokedTokens::default();
        for Revocation { what, revoked_at, .. } in list {
            match what {
                Revoked::Token(id) => _ = revoked.ids.insert(id),
                Revoked::Streams(Subject { app, stream }) => {
                    let cuts = revoked.applications.entry(app.to_string()).or_default();
                    let seconds = revoked_at.as_seconds();
                    match stream {
                        None => cuts.all = cuts.all.max(Some(seconds)),
                        Some(name) => {
                            let cut = cuts.streams.entry(name.to_string()).or_default();
                            *cut = seconds.max(*cut);
                        }
                    }
                }
            }
        }
        revoked
    }

    /// Returns whether there are no revocations.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.applications.is_empty()
    }

    /// Returns up to which time tokens for a stream are revoked, in seconds. A token that was minted in that second is
    /// revoked too, because `iat` has whole seconds.
    fn cut(&self, app: &str, stream: &str) -> Option<u64> {
        let cuts = self.applications.get(app)?;
        cuts.all.max(cuts.streams.get(stream).copied())
    }

    /// Returns whether a token is revoked for a stream. A token without `iat` counts as minted before the revocation.
    #[must_use]
    pub fn holds(&self, jti: Option<&TokenId>, iat: Option<Timestamp>, app: &str, stream: &str) -> bool {
        if self.is_empty() {
            return false;
        }
        jti.is_some_and(|jti| self.ids.contains(jti))
            || self.cut(app, stream).is_some_and(|cut| iat.is_none_or(|iat| iat.as_seconds() <= cut))
    }

    /// Returns whether the token of a session is revoked.
    #[must_use]
    pub fn holds_mark(&self, mark: &TokenMark, app: &str) -> bool {
        self.holds(mark.jti.as_ref(), mark.iat, app, &mark.stream)
    }

    /// Returns the `iat` for a new token: now, or the next second if a revocation of the current second would also
    /// revoke the new token.
    #[must_use]
    pub fn iat(&self, subject: &Subject, now: Timestamp) -> Timestamp {
        let cut = self.applications.get(subject.app.as_str()).and_then(|cuts| match &subject.stream {
            Some(stream) => cuts.all.max(cuts.streams.get(stream.as_str()).copied()),
            None => cuts.streams.values().copied().max().max(cuts.all),
        });
        let seconds = now.as_seconds();
        // The clock may have been set back since.
        let after = cut.map(|cut| cut + 1).filter(|after| after.abs_diff(seconds) <= LEEWAY_S);
        Timestamp::default().plus_seconds(after.map_or(seconds, |after| seconds.max(after)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_197_600_900);

    fn at(offset_s: i64) -> Timestamp {
        Timestamp::from_millis(NOW.as_millis().saturating_add_signed(offset_s * 1000))
    }

    fn asked(body: &str) -> Result<Revocation, ApiError> {
        Revocation::from_json(body.as_bytes(), NOW)
    }

    #[test]
    fn a_body_names_a_token_or_streams() {
        let token = asked(r#"{"jti":"a1","expires_at":"2026-11-20T19:00:00Z"}"#).unwrap();
        assert_eq!(token.what, Revoked::Token("a1".parse().unwrap()));
        assert_eq!(token.expires_at.to_string(), "2026-11-20T19:00:30Z");
        let streams = asked(r#"{"app":"live","stream":"*"}"#).unwrap();
        assert_eq!(streams.what, Revoked::Streams("live/*".parse().unwrap()));
        assert_eq!(streams.expires_at, NOW.plus_seconds(MAX_KEPT_S));
        let earlier = r#"{"app":"live","stream":"a","revoked_at":"2026-11-20T17:00:00.500Z"}"#;
        let streams = asked(earlier).unwrap();
        assert_eq!(streams.revoked_at.as_millis() % 1000, 500);
        assert_eq!(streams.expires_at, streams.revoked_at.plus_seconds(MAX_KEPT_S));
        for (body, message) in [
            (
                r#"{"jti":"a","revoked_at":"2026-11-20T17:00:00Z"}"#,
                "field \"revoked_at\": only with \"app\" and \"stream\"",
            ),
            (
                r#"{"app":"live","stream":"a","revoked_at":"2026-11-20T18:00:31Z"}"#,
                "field \"revoked_at\": more than 30 seconds in the future",
            ),
            (
                r#"{"app":"live","stream":"a","revoked_at":"2020-01-01T00:00:00Z"}"#,
                "field \"revoked_at\": so long ago that no such token is valid any more",
            ),
            ("{}", "expected \"jti\", or \"app\" and \"stream\""),
            (r#"{"jti":"a","app":"live"}"#, "expected \"jti\", or \"app\" and \"stream\""),
            (r#"{"app":"live"}"#, "expected \"jti\", or \"app\" and \"stream\""),
            (
                r#"{"app":"live","stream":"a","expires_at":"2027-01-01T00:00:00Z"}"#,
                "field \"expires_at\": only with \"jti\"",
            ),
            (
                r#"{"jti":"a","expires_at":"2020-01-01T00:00:00Z"}"#,
                "field \"expires_at\": in the past: the token is not valid any more",
            ),
        ] {
            assert_eq!(asked(body).unwrap_err().message, message);
        }
        assert!(
            asked(r#"{"jti":"a b"}"#).unwrap_err().message.starts_with("field \"jti\": not a token's id")
        );
    }

    #[test]
    fn json_and_back() {
        for body in
            [r#"{"jti":"a1"}"#, r#"{"app":"live/eu","stream":"show"}"#, r#"{"app":"live","stream":"*"}"#]
        {
            let revocation = asked(body).unwrap();
            let text = serde_json::to_string(&revocation).unwrap();
            assert_eq!(serde_json::from_str::<Revocation>(&text).unwrap(), revocation, "{text}");
        }
        let both = r#"{"jti":"a","app":"live","stream":"x","revoked_at":"2026-11-20T18:00:00Z","expires_at":"2026-11-20T18:00:00Z"}"#;
        assert!(serde_json::from_str::<Revocation>(both).is_err());
    }

    #[test]
    fn a_token_is_revoked_by_its_id_or_by_when_it_was_minted() {
        let list = [r#"{"jti":"a1"}"#, r#"{"app":"live","stream":"show"}"#, r#"{"app":"club","stream":"*"}"#];
        let revoked = RevokedTokens::new(list.map(|body| asked(body).unwrap()));
        let id = |text: &str| Some(text.parse::<TokenId>().unwrap());
        let holds = |jti: Option<TokenId>, iat, app, stream| revoked.holds(jti.as_ref(), iat, app, stream);
        assert!(holds(id("a1"), Some(at(60)), "any", "any"));
        assert!(!holds(id("a2"), Some(at(60)), "live", "show"));
        for iat in [None, Some(at(-60)), Some(NOW)] {
            assert!(holds(id("a2"), iat, "live", "show"), "{iat:?}");
            assert!(holds(None, iat, "club", "any"), "{iat:?}");
            assert!(!holds(None, iat, "live", "other"), "{iat:?}");
            assert!(!holds(None, iat, "live2", "show"), "{iat:?}");
        }
        assert!(!holds(None, Some(at(1)), "live", "show") && !holds(None, Some(at(1)), "club", "any"));
        let mark = TokenMark { jti: None, iat: None, stream: "show".into() };
        assert!(revoked.holds_mark(&mark, "live") && !revoked.holds_mark(&mark, "other"));
        assert!(
            RevokedTokens::default().is_empty()
                && !RevokedTokens::default().holds(None, None, "live", "show")
        );
    }

    #[test]
    fn a_new_token_is_not_revoked_by_what_came_before() {
        let revoked = RevokedTokens::new([asked(r#"{"app":"live","stream":"show"}"#).unwrap()]);
        for subject in ["live/show", "live/*"] {
            let iat = revoked.iat(&subject.parse().unwrap(), NOW);
            assert!(!revoked.holds(None, Some(iat), "live", "show"), "{subject}");
            assert_eq!(iat.as_seconds(), NOW.as_seconds() + 1);
        }
        assert_eq!(revoked.iat(&"live/other".parse().unwrap(), NOW).as_seconds(), NOW.as_seconds());
        assert_eq!(revoked.iat(&"live/show".parse().unwrap(), at(10)).as_seconds(), at(10).as_seconds());
    }

    #[test]
    fn two_revocations_of_the_same_become_the_later_one() {
        let mut first = asked(r#"{"jti":"a"}"#).unwrap();
        let same = first.clone();
        assert!(!first.merge(&same));
        let later = Revocation { revoked_at: at(5), ..first.clone() };
        assert!(first.merge(&later) && first.revoked_at == at(5));
        assert!(!first.is_over(NOW) && first.is_over(first.expires_at));
    }
}
