//! Authentication of a push by user and password, in the methods of Adobe's (`authmod=adobe`) and Limelight's
//! (`authmod=llnw`) servers.
//!
//! The target refuses `connect` and names the required parameters in the description. Weir then opens a new connection
//! and appends its answer to `app` and `tcUrl`. The target first sends a 403 that names the method, then a challenge;
//! then `connect` succeeds, or the credentials are wrong.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use data_encoding::HEXLOWER;
use md5::{Digest, Md5};
use percent_encoding::{AsciiSet, CONTROLS, PercentEncode, utf8_percent_encode};

use super::LastError;
use crate::arguments;
use crate::secret::Secret;
use crate::target::Credentials;

/// The state of the exchange, over all connects of one try.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    answered: bool,
    asked: bool,
    query: Option<Secret>,
}

/// The meaning of a refusal of `connect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal<'a> {
    /// The refusal belongs to no known exchange.
    Other,
    /// The target asks for the name of the user.
    NeedAuth(Method),
    /// A challenge, with its parameters as a query.
    Challenge(Method, &'a str),
    /// The credentials are wrong.
    Wrong,
    /// The target asks for credentials with an unknown method.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Adobe,
    Llnw,
}

impl Exchange {
    /// Returns `app` or `tcUrl` of the URL for the next connect. The text is secret once the target has asked, because
    /// a reader can test password guesses with it.
    pub fn appended_to(&self, text: &str) -> String {
        match &self.query {
            None => text.to_owned(),
            Some(query) => arguments::with(text, query.expose()),
        }
    }

    /// Handles a refusal of `connect`. `Ok` means: connect again with the texts of [`Exchange::appended_to`]. `app` is
    /// that of the URL, `random` contains random bits.
    pub fn refused(
        &mut self,
        credentials: Option<&Credentials>,
        app: &str,
        code: &str,
        description: &str,
        random: u32,
    ) -> Result<(), LastError> {
        let refusal = Refusal::of(description);
        let query = match (refusal, credentials) {
            (Refusal::Other, _) | (Refusal::Unknown, Some(_)) => {
                return Err(LastError::rejected(code, description));
            }
            (_, None) => return Err(LastError::NeedsCredentials),
            (Refusal::Wrong, _) => return Err(LastError::WrongCredentials),
            (Refusal::NeedAuth(method), Some(credentials)) if !self.asked => {
                self.asked = true;
                format!("authmod={}&user={}", method.name(), encoded(&credentials.user))
            }
            (Refusal::Challenge(method, parameters), Some(credentials)) if !self.answered => {
                self.answered = true;
                let nonce = format!("{random:08x}");
                match method {
                    Method::Adobe => adobe(credentials, parameters, &nonce),
                    Method::Llnw => llnw(credentials, app, parameters, &nonce),
                }
            }
            (Refusal::NeedAuth(_) | Refusal::Challenge(..), Some(_)) => {
                return Err(LastError::WrongCredentials);
            }
        };
        self.query = Some(Secret::new(query));
        Ok(())
    }
}

impl<'a> Refusal<'a> {
    fn of(description: &'a str) -> Refusal<'a> {
        let method = if description.contains("authmod=adobe") {
            Some(Method::Adobe)
        } else if description.contains("authmod=llnw") {
            Some(Method::Llnw)
        } else {
            None
        };
        let wants_auth = description.contains("AccessManager.Reject")
            || description.contains("code=403 need auth")
            || description.contains("authmod=");
        let reason = description.split_once("?reason=").map(|(_, rest)| rest);
        match (method, reason) {
            (_, Some(rest)) if rest.starts_with("authfailed") || rest.starts_with("nosuchuser") => {
                Refusal::Wrong
            }
            (Some(method), Some(rest)) if rest.starts_with("needauth") => Refusal::Challenge(method, rest),
            (Some(method), None) => Refusal::NeedAuth(method),
            _ if wants_auth => Refusal::Unknown,
            _ => Refusal::Other,
        }
    }
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Method::Adobe => "adobe",
            Method::Llnw => "llnw",
        }
    }
}

fn adobe(credentials: &Credentials, parameters: &str, nonce: &str) -> String {
    let user = credentials.user.as_str();
    let of = |name| parameter(parameters, name);
    let (salt, opaque) = (of("salt").unwrap_or_default(), of("opaque"));
    let salted = BASE64.encode(md5(&[user, salt, credentials.password.expose()]));
    let theirs = opaque.or(of("challenge")).unwrap_or_default();
    let response = BASE64.encode(md5(&[&salted, theirs, nonce]));
    let mut query = format!("authmod=adobe&user={}&challenge={nonce}&response={response}", encoded(user));
    if let Some(opaque) = opaque {
        query.push_str("&opaque=");
        query.push_str(opaque);
    }
    query
}

/// HTTP's digest (RFC 2617) with fixed realm, method and count.
fn llnw(credentials: &Credentials, app: &str, parameters: &str, cnonce: &str) -> String {
    const COUNT: &str = "00000001";
    let nonce = parameter(parameters, "nonce").unwrap_or_default();
    let app = arguments::name(app);
    let instance = if app.contains('/') { "" } else { "/_definst_" };
    let user = credentials.user.as_str();
    let who = HEXLOWER.encode(&md5(&[user, ":live:", credentials.password.expose()]));
    let what = HEXLOWER.encode(&md5(&["publish:/", app, instance]));
    let response = HEXLOWER.encode(&md5(&[&who, ":", nonce, ":", COUNT, ":", cnonce, ":auth:", &what]));
    let user = encoded(user);
    format!("authmod=llnw&user={user}&nonce={nonce}&cnonce={cnonce}&nc={COUNT}&response={response}")
}

/// Returns the value of a parameter as written.
fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    let value = |part: &'a str| part.strip_prefix(name).and_then(|rest| rest.strip_prefix('='));
    // The description may continue after the query.
    parameters.split(['&', ' ', ']']).find_map(value)
}

fn md5(parts: &[&str]) -> [u8; 16] {
    let mut hash = Md5::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// Encodes bytes as `%XX` that would end the value or the text.
fn encoded(user: &str) -> PercentEncode<'_> {
    const CODED: &AsciiSet = &CONTROLS.add(b' ').add(b'&').add(b'#').add(b'%').add(b'+').add(b'?').add(b'/');
    utf8_percent_encode(user, CODED)
}

#[cfg(test)]
mod tests;
