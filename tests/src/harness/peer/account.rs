//! Authentication by user and password as on Adobe's and Limelight's servers: the server's side.
//!
//! The tests also check it with ffmpeg's client, which shares no code with this module or with the pushing module.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

/// The method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `authmod=adobe`.
    Adobe,
    /// `authmod=llnw`.
    Llnw,
}

/// The account that may publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The method.
    pub method: Method,
    /// The user.
    pub user: String,
    /// Their password.
    pub password: String,
}

/// The answer to `connect`.
pub(super) enum Verdict {
    Yes,
    /// `_error` with this description.
    No(String),
}

const SALT: &str = "c2FsdHk=";
const CHALLENGE: &str = "b64chal=";
const OPAQUE: &str = "opq17";
const NONCE: &str = "nonce4711";

impl Account {
    /// Of the `app` of a `connect`.
    pub(super) fn judge(&self, app: &str) -> Verdict {
        let mod_name = match self.method {
            Method::Adobe => "adobe",
            Method::Llnw => "llnw",
        };
        let (bare, query) = app.split_once('?').unwrap_or((app, ""));
        let of = |name: &str| {
            let found =
                query.split('&').filter_map(|part| part.split_once('=')).find(|(key, _)| *key == name);
            found.map(|(_, value)| value.to_owned())
        };
        if of("authmod").as_deref() != Some(mod_name) {
            return Verdict::No(format!(
                "[ AccessManager.Reject ] : [ code=403 need auth; authmod={mod_name} ] : "
            ));
        }
        let user = of("user").unwrap_or_default();
        let wanted = match self.method {
            Method::Adobe => of("challenge").map(|theirs| self.adobe(&theirs)),
            Method::Llnw => {
                of("cnonce").zip(of("nc")).map(|(cnonce, count)| self.llnw(bare, &cnonce, &count))
            }
        };
        let head = format!("[ AccessManager.Reject ] : [ authmod={mod_name} ] : ?reason=");
        match (wanted, of("response")) {
            (Some(wanted), Some(response)) if user == self.user && response == wanted => Verdict::Yes,
            (Some(_), _) => Verdict::No(format!("{head}authfailed&opaque={OPAQUE}")),
            (None, _) if user != self.user => Verdict::No(format!("{head}nosuchuser")),
            (None, _) => Verdict::No(match self.method {
                Method::Adobe => {
                    format!("{head}needauth&user={user}&salt={SALT}&challenge={CHALLENGE}&opaque={OPAQUE}")
                }
                Method::Llnw => format!("{head}needauth&user={user}&nonce={NONCE}"),
            }),
        }
    }

    fn adobe(&self, theirs: &str) -> String {
        let inner = STANDARD.encode(Md5::digest(format!("{}{SALT}{}", self.user, self.password)));
        STANDARD.encode(Md5::digest(format!("{inner}{OPAQUE}{theirs}")))
    }

    /// Digest as in RFC 2617, section 3.2.2.1, with `qop=auth`.
    fn llnw(&self, app: &str, cnonce: &str, count: &str) -> String {
        let path = if app.contains('/') { app.to_owned() } else { format!("{app}/_definst_") };
        let who = hex(&format!("{}:live:{}", self.user, self.password));
        let what = hex(&format!("publish:/{path}"));
        hex(&format!("{who}:{NONCE}:{count}:{cnonce}:auth:{what}"))
    }
}

fn hex(text: &str) -> String {
    Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
