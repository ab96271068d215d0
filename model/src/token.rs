//! Tokens: JWT (RFC 7519) signed with HS256 (RFC 7515, RFC 7518 section 3.2), which any backend can mint.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};

use crate::client::ClientAddr;
use crate::network::Network;
use crate::secret::{REDACTED, Secret};
use crate::stream_name::{AppName, StreamName};
use crate::time::Timestamp;

pub mod chat;
mod known;
mod request;
mod revocation;

pub use known::{Verifier, Verify};
pub use request::{MAX_CHAT_NAME, MAX_TTL_S, Purpose, TokenRequest, Wanted};
pub use revocation::{
    MAX_KEPT_REVOCATIONS, MAX_KEPT_S, MAX_REVOCATIONS, Revocation, Revoked, RevokedTokens, TokenMark,
};

/// Maximum length of a token, in bytes; longer tokens are refused.
pub const MAX_TOKEN_LEN: usize = 4096;

/// Minimum length of the secret, in bytes: the length of the MAC (RFC 7518, section 3.2).
pub const MIN_SECRET_LEN: usize = 32;

/// Tolerance for a difference between the clocks of the minting and the verifying server, in seconds: `exp` counts this
/// much later, `nbf` this much earlier.
pub const LEEWAY_S: u64 = 30;

/// Maximum length of a `jti`, in bytes.
pub const MAX_ID_LEN: usize = 64;

/// The action that a token permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// To watch.
    Play,
    /// To publish.
    Publish,
}

/// The text is not an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an action, expected \"play\" or \"publish\"")]
pub struct ActionError;

/// The streams that a token is valid for: `app/stream`, or `app/*` for all streams of an application.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subject {
    /// The application.
    pub app: AppName,
    /// One stream of the application; `None` means all.
    pub stream: Option<StreamName>,
}

/// The text is not a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a subject, expected app/stream or app/*")]
pub struct SubjectError;

/// The id of one token, `jti` (RFC 7519, section 4.1.7): 1 to 64 characters of printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenId(String);

/// The text is not the id of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token's id, expected 1 to 64 printable characters without spaces")]
pub struct TokenIdError;

/// The content of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The streams.
    pub sub: Subject,
    /// The action.
    pub act: Action,
    /// The time from which the token is invalid.
    pub exp: Timestamp,
    /// The time before which the token is invalid.
    pub nbf: Option<Timestamp>,
    /// The time when it was minted.
    pub iat: Option<Timestamp>,
    /// Its id.
    pub jti: Option<TokenId>,
    /// The network to which it is limited.
    pub ip: Option<Network>,
    /// Whether any other publisher replaces a publish with this token: it is a stopgap for a lost publisher.
    pub yields: bool,
}

/// Signs tokens and verifies signatures with the secrets of `weir_secret`.
#[derive(Clone)]
pub struct Signer {
    signs: Hmac<sha2::Sha256>,
    /// A second secret whose tokens are accepted too: the previous one or the next one.
    accepts: Option<Hmac<sha2::Sha256>>,
}

/// The secret is too short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("secret of {len} bytes, at least 32 are needed")]
pub struct SignerError {
    /// The length in bytes.
    pub len: usize,
}

/// Why a token is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The token has more than [`MAX_TOKEN_LEN`] bytes.
    #[error("token of {len} bytes, at most 4096 are allowed")]
    TooLong {
        /// The length in bytes.
        len: usize,
    },
    /// The token does not have three parts of base64url without padding.
    #[error("not a token, expected three base64url parts joined with \".\"")]
    Malformed,
    /// The token has another signature algorithm, or no signature.
    #[error("bad token header, expected \"alg\":\"HS256\" and no \"crit\"")]
    WrongAlgorithm,
    /// The token is signed with another secret, or was changed later.
    #[error("signature does not match")]
    BadSignature,
    /// `exp` is missing.
    #[error("token without \"exp\"")]
    NoExpiry,
    /// A claim is missing or has the wrong type.
    #[error(
        "bad token claims, expected \"sub\", \"act\", \"exp\" and, if wanted, \"nbf\", \"iat\", \"jti\" and \"ip\", each once"
    )]
    BadClaims,
}

/// Why a token with a valid signature does not permit the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The time `exp` has passed.
    #[error("token expired")]
    Expired,
    /// The time `nbf` has not come yet.
    #[error("token not valid yet")]
    NotYet,
    /// `act` is another action.
    #[error("token for another action")]
    WrongAction,
    /// `sub` does not cover the stream.
    #[error("token of another stream")]
    WrongStream,
    /// `ip` does not contain the client.
    #[error("token not valid from this network")]
    ForeignNetwork,
    /// The token was revoked, by its `jti` or together with all tokens that were minted before a time.
    #[error("token revoked")]
    Revoked,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    /// Extensions that must be understood (RFC 7515, section 4.1.11). Weir understands none, so any value is refused.
    #[serde(default, deserialize_with = "given")]
    crit: Option<serde::de::IgnoredAny>,
}

/// The claims as written in the token; a NumericDate may have a fraction (RFC 7519, section 2).
#[derive(Serialize, Deserialize)]
struct RawClaims {
    sub: Subject,
    #[serde(with = "action_text")]
    act: Action,
    #[serde(default, deserialize_with = "given")]
    exp: Option<serde_json::Number>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    nbf: Option<serde_json::Number>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    iat: Option<serde_json::Number>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    jti: Option<TokenId>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    ip: Option<Network>,
    #[serde(rename = "yield", default, skip_serializing_if = "std::ops::Not::not")]
    yields: bool,
}

/// Reads a claim that is present; `null` is not a valid value.
fn given<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(claim: D) -> Result<Option<T>, D::Error> {
    T::deserialize(claim).map(Some)
}

/// Serialises an action as text, rather than as the key of an object.
mod action_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::Action;

    pub(super) fn serialize<S: Serializer>(action: &Action, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(action)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Action, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Reads an object, because serde would also accept a list.
fn object<T: serde::de::DeserializeOwned>(json: &[u8]) -> Option<T> {
    json.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(json).ok()).flatten()
}

impl Signer {
    /// Returns a signer for the content of a secret file, without one newline at its end.
    pub fn new(secret: &[u8]) -> Result<Signer, SignerError> {
        let secret = secret.strip_suffix(b"\n").unwrap_or(secret);
        let error = SignerError { len: secret.len() };
        if secret.len() < MIN_SECRET_LEN {
            return Err(error);
        }
        let signs = Hmac::new_from_slice(secret).map_err(|_| error)?;
        Ok(Signer { signs, accepts: None })
    }

    /// Accepts tokens of another secret too. New tokens are signed with the own secret.
    #[must_use]
    pub fn accepting(self, other: Signer) -> Signer {
        Signer { accepts: Some(other.signs), ..self }
    }

    /// Returns whether there is a second secret.
    #[must_use]
    pub fn accepts_another(&self) -> bool {
        self.accepts.is_some()
    }

    /// Checks form and signature, and returns the claims as JSON.
    fn payload(&self, token: &str) -> Result<Vec<u8>, TokenError> {
        if token.len() > MAX_TOKEN_LEN {
            return Err(TokenError::TooLong { len: token.len() });
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let header: Header = object(&decode(header)?).ok_or(TokenError::WrongAlgorithm)?;
        if header.alg != "HS256" || header.crit.is_some() {
            return Err(TokenError::WrongAlgorithm);
        }
        let signature = decode(signature)?;
        let signed_by = |secret: &Hmac<sha2::Sha256>| {
            // The comparison takes constant time (`CtOutput`).
            secret.clone().chain_update(signed.as_bytes()).verify_slice(&signature).is_ok()
        };
        if !signed_by(&self.signs) && !self.accepts.as_ref().is_some_and(signed_by) {
            return Err(TokenError::BadSignature);
        }
        decode(claims)
    }

    /// Checks form and signature. [`check`] decides whether the token permits an action now.
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        let claims: RawClaims = object(&self.payload(token)?).ok_or(TokenError::BadClaims)?;
        let times = [&claims.exp, &claims.nbf, &claims.iat];
        if times.into_iter().flatten().any(|time| time.as_f64().is_some_and(|time| time < 0.0)) {
            return Err(TokenError::BadClaims);
        }
        Ok(Claims {
            sub: claims.sub,
            act: claims.act,
            exp: moment(&claims.exp.ok_or(TokenError::NoExpiry)?),
            nbf: claims.nbf.as_ref().map(moment),
            iat: claims.iat.as_ref().map(moment),
            jti: claims.jti,
            ip: claims.ip,
            yields: claims.yields,
        })
    }

    /// Returns a signed token. Its times are in whole seconds, rounded down.
    pub fn mint(&self, claims: &Claims) -> Secret {
        let claims = RawClaims {
            sub: claims.sub.clone(),
            act: claims.act,
            exp: Some(claims.exp.as_seconds().into()),
            nbf: claims.nbf.map(|nbf| nbf.as_seconds().into()),
            iat: claims.iat.map(|iat| iat.as_seconds().into()),
            jti: claims.jti.clone(),
            ip: claims.ip,
            yields: claims.yields,
        };
        self.sign(&serde_json::json!(claims))
    }

    /// Returns a token with these claims.
    fn sign(&self, claims: &serde_json::Value) -> Secret {
        let mut token = encode(br#"{"alg":"HS256","typ":"JWT"}"#);
        token.push('.');
        token.push_str(&encode(claims.to_string().as_bytes()));
        let mac = self.signs.clone().chain_update(token.as_bytes()).finalize().into_bytes();
        token.push('.');
        token.push_str(&encode(&mac));
        Secret::new(token)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Malformed)
}

/// Converts a NumericDate; a time before 1970 or after 9999 becomes the nearest possible one.
fn moment(seconds: &serde_json::Number) -> Timestamp {
    match seconds.as_u64() {
        Some(whole) => Timestamp::default().plus_seconds(whole),
        // `as` saturates, and converts a negative number to 0.
        None => Timestamp::from_millis((seconds.as_f64().unwrap_or(0.0) * 1000.0) as u64),
    }
}

/// Returns whether the claims permit the action on the stream to the client now, with a tolerance of [`LEEWAY_S`].
pub fn check(
    claims: &Claims,
    action: Action,
    app: &str,
    stream: &str,
    client: ClientAddr,
    now: Timestamp,
) -> Result<(), CheckError> {
    if now >= claims.exp.plus_seconds(LEEWAY_S) {
        return Err(CheckError::Expired);
    }
    // A token with a minting time in the future would survive each revocation of its stream.
    if claims.nbf.max(claims.iat).is_some_and(|begin| now.plus_seconds(LEEWAY_S) < begin) {
        return Err(CheckError::NotYet);
    }
    if claims.act != action {
        return Err(CheckError::WrongAction);
    }
    if !claims.sub.covers(app, stream) {
        return Err(CheckError::WrongStream);
    }
    if claims.ip.is_some_and(|network| !client.is_in(&[network])) {
        return Err(CheckError::ForeignNetwork);
    }
    Ok(())
}

impl Subject {
    /// Returns whether the subject includes the stream.
    pub fn covers(&self, app: &str, stream: &str) -> bool {
        self.app.as_str() == app && self.stream.as_ref().is_none_or(|one| one.as_str() == stream)
    }
}

impl TokenId {
    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns a new id from random bits: 16 characters of base64url.
    #[must_use]
    pub fn random(random: [u8; 12]) -> TokenId {
        TokenId(encode(&random))
    }
}

impl FromStr for TokenId {
    type Err = TokenIdError;

    fn from_str(text: &str) -> Result<TokenId, TokenIdError> {
        let good = (1..=MAX_ID_LEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if good { Ok(TokenId(text.to_owned())) } else { Err(TokenIdError) }
    }
}

impl TryFrom<String> for TokenId {
    type Error = TokenIdError;

    fn try_from(text: String) -> Result<TokenId, TokenIdError> {
        text.parse()
    }
}

impl From<TokenId> for String {
    fn from(id: TokenId) -> String {
        id.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.app, self.stream.as_ref().map_or("*", StreamName::as_str))
    }
}

impl FromStr for Subject {
    type Err = SubjectError;

    /// The name of an application may contain `/`, that of a stream may not, so the last `/` separates them.
    fn from_str(text: &str) -> Result<Subject, SubjectError> {
        let (app, stream) = text.rsplit_once('/').ok_or(SubjectError)?;
        let app = app.parse().map_err(|_| SubjectError)?;
        let stream = match stream {
            "*" => None,
            name => Some(name.parse().map_err(|_| SubjectError)?),
        };
        Ok(Subject { app, stream })
    }
}

impl TryFrom<String> for Subject {
    type Error = SubjectError;

    fn try_from(text: String) -> Result<Subject, SubjectError> {
        text.parse()
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> String {
        subject.to_string()
    }
}

impl FromStr for Action {
    type Err = ActionError;

    fn from_str(text: &str) -> Result<Action, ActionError> {
        match text {
            "play" => Ok(Action::Play),
            "publish" => Ok(Action::Publish),
            _ => Err(ActionError),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::Play => "play",
            Action::Publish => "publish",
        })
    }
}

#[cfg(test)]
mod tests;
