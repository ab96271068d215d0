//! Tokens: JWT (RFC 7519) signed with HS256 (RFC 7515, RFC 7518 section 3.2), so that any backend can mint one.

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
pub use request::{MAX_TTL_S, TokenRequest};
pub use revocation::{MAX_KEPT_S, MAX_REVOCATIONS, Revocation, Revoked, RevokedTokens, TokenMark};

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN_LEN: usize = 4096;

/// The shortest secret, in bytes: as long as the MAC (RFC 7518, section 3.2).
pub const MIN_SECRET_LEN: usize = 32;

/// How far the clocks of who mints and of who checks may differ, in seconds: `exp` counts this much later, `nbf` this much
/// earlier.
pub const LEEWAY_S: u64 = 30;

/// The longest `jti`, in bytes.
pub const MAX_ID_LEN: usize = 64;

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// To watch.
    Play,
    /// To publish.
    Publish,
}

/// The text is no action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an action, expected \"play\" or \"publish\"")]
pub struct ActionError;

/// The streams a token is good for: `app/stream`, or `app/*` for all of an application.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subject {
    /// The application.
    pub app: AppName,
    /// One stream of it; `None` is each of them.
    pub stream: Option<StreamName>,
}

/// The text is no subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a subject, expected app/stream or app/*")]
pub struct SubjectError;

/// The name of one token, `jti` (RFC 7519, section 4.1.7): 1 to 64 of printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenId(String);

/// The text is no name of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token's id, expected 1 to 64 printable characters without spaces")]
pub struct TokenIdError;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Which streams.
    pub sub: Subject,
    /// To do what.
    pub act: Action,
    /// Not from this moment on.
    pub exp: Timestamp,
    /// Not before.
    pub nbf: Option<Timestamp>,
    /// When it was minted.
    pub iat: Option<Timestamp>,
    /// Its name.
    pub jti: Option<TokenId>,
    /// Only from here.
    pub ip: Option<Network>,
    /// What is published with it gives way to any other publisher: it fills in for somebody.
    pub yields: bool,
}

/// Signs tokens and checks signatures with the secrets of `weir_secret`.
#[derive(Clone)]
pub struct Signer {
    signs: Hmac<sha2::Sha256>,
    /// A second secret, whose tokens are believed: the last one or the next one.
    accepts: Option<Hmac<sha2::Sha256>>,
}

/// The signing secret is too short to sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("secret of {len} bytes, at least 32 are needed")]
pub struct SignerError {
    /// Its length in bytes.
    pub len: usize,
}

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// More than [`MAX_TOKEN_LEN`] bytes.
    #[error("token of {len} bytes, at most 4096 are allowed")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// Not three parts of base64url without padding.
    #[error("not a token, expected three base64url parts joined with \".\"")]
    Malformed,
    /// Signed in another way, or not at all.
    #[error("bad token header, expected \"alg\":\"HS256\" and no \"crit\"")]
    WrongAlgorithm,
    /// Signed with another secret, or changed since.
    #[error("signature does not match")]
    BadSignature,
    /// `exp` is missing.
    #[error("token without \"exp\"")]
    NoExpiry,
    /// A claim is missing or of the wrong kind.
    #[error(
        "bad token claims, expected \"sub\", \"act\", \"exp\" and, if wanted, \"nbf\", \"iat\", \"jti\" and \"ip\", each once"
    )]
    BadClaims,
}

/// Why a token, though signed well, does not allow what is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// `exp` is past.
    #[error("token expired")]
    Expired,
    /// `nbf` has not come.
    #[error("token not valid yet")]
    NotYet,
    /// `act` is something else.
    #[error("token for another action")]
    WrongAction,
    /// `sub` does not cover the stream.
    #[error("token of another stream")]
    WrongStream,
    /// `ip` does not hold the client.
    #[error("token not valid from this network")]
    ForeignNetwork,
    /// It was revoked, by its `jti` or with all that were minted before.
    #[error("token revoked")]
    Revoked,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    /// Extensions that must be understood (RFC 7515, section 4.1.11). None is, whatever it holds.
    #[serde(default, deserialize_with = "given")]
    crit: Option<serde::de::IgnoredAny>,
}

/// The claims as they stand in the token; a NumericDate may have a fraction (RFC 7519, section 2).
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

/// A claim that is there: `null` is no value of it.
fn given<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(claim: D) -> Result<Option<T>, D::Error> {
    T::deserialize(claim).map(Some)
}

/// An action is a text, and not the key of an object.
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

/// Reads an object: serde takes a list for one too.
fn object<T: serde::de::DeserializeOwned>(json: &[u8]) -> Option<T> {
    json.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(json).ok()).flatten()
}

impl Signer {
    /// Takes the content of a secret file; one newline at its end is not part of the secret.
    pub fn new(secret: &[u8]) -> Result<Signer, SignerError> {
        let secret = secret.strip_suffix(b"\n").unwrap_or(secret);
        let error = SignerError { len: secret.len() };
        if secret.len() < MIN_SECRET_LEN {
            return Err(error);
        }
        let signs = Hmac::new_from_slice(secret).map_err(|_| error)?;
        Ok(Signer { signs, accepts: None })
    }

    /// Believes what another secret has signed, too. New tokens are signed with the own one.
    #[must_use]
    pub fn accepting(self, other: Signer) -> Signer {
        Signer { accepts: Some(other.signs), ..self }
    }

    /// Whether there is a second secret.
    #[must_use]
    pub fn accepts_another(&self) -> bool {
        self.accepts.is_some()
    }

    /// Checks form and signature; returns the claims as JSON.
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
            // Compares in constant time (`CtOutput`).
            secret.clone().chain_update(signed.as_bytes()).verify_slice(&signature).is_ok()
        };
        if !signed_by(&self.signs) && !self.accepts.as_ref().is_some_and(signed_by) {
            return Err(TokenError::BadSignature);
        }
        decode(claims)
    }

    /// Checks form and signature. Whether it allows anything, and now, is for [`check`] to say.
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

    /// A signed token. Its times are in whole seconds, rounded down.
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

    /// A token with these claims.
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

/// A NumericDate as a moment; what lies before 1970 or after 9999 becomes the nearest that can be told.
fn moment(seconds: &serde_json::Number) -> Timestamp {
    match seconds.as_u64() {
        Some(whole) => Timestamp::default().plus_seconds(whole),
        // `as` saturates, and takes a negative number to 0.
        None => Timestamp::from_millis((seconds.as_f64().unwrap_or(0.0) * 1000.0) as u64),
    }
}

/// Whether the claims allow the action on the stream to the client, now, give or take [`LEEWAY_S`].
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
    // A token that was minted later than now would outlive each revocation of its stream.
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
    /// Whether the stream is among those meant.
    pub fn covers(&self, app: &str, stream: &str) -> bool {
        self.app.as_str() == app && self.stream.as_ref().is_none_or(|one| one.as_str() == stream)
    }
}

impl TokenId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A new id from random bits: 16 of base64url.
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

    /// The name of an application may hold `/`, that of a stream may not: the last one divides them.
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
