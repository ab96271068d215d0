//! Tokens with `"act":"chat"`, which name a participant in the chat of a stream.

use serde::Deserialize;
use serde_json::json;

use super::{CheckError, LEEWAY_S, Signer, Subject, TokenError, TokenId, given, moment, object};
use crate::client::ClientAddr;
use crate::network::Network;
use crate::secret::Secret;
use crate::time::Timestamp;

/// The claims of a chat token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatClaims {
    /// The streams.
    pub sub: Subject,
    /// The time from which the token is invalid.
    pub exp: Timestamp,
    /// The time before which the token is invalid: the later one of `nbf` and `iat`.
    pub begin: Option<Timestamp>,
    /// The time when it was minted.
    pub iat: Option<Timestamp>,
    /// Its id.
    pub jti: Option<TokenId>,
    /// The network to which it is limited.
    pub ip: Option<Network>,
    /// The name of the participant.
    pub name: Option<String>,
    /// Whether the participant may delete messages and remove other participants.
    pub moderator: bool,
}

#[derive(Deserialize)]
struct Raw {
    sub: Subject,
    act: String,
    #[serde(default, deserialize_with = "given")]
    exp: Option<serde_json::Number>,
    #[serde(default, deserialize_with = "given")]
    nbf: Option<serde_json::Number>,
    #[serde(default, deserialize_with = "given")]
    iat: Option<serde_json::Number>,
    #[serde(default, deserialize_with = "given")]
    jti: Option<TokenId>,
    #[serde(default, deserialize_with = "given")]
    ip: Option<Network>,
    #[serde(default, deserialize_with = "given")]
    name: Option<String>,
    #[serde(default)]
    moderator: bool,
}

impl Signer {
    /// Returns a signed token. Its times are in whole seconds, rounded down.
    pub fn mint_chat(&self, claims: &ChatClaims) -> Secret {
        let ChatClaims { sub, exp, begin: _, iat, jti, ip, name, moderator } = claims;
        let mut all = json!({ "sub": sub, "act": "chat", "exp": exp.as_seconds(), "moderator": moderator });
        let more = [
            ("iat", iat.map(|iat| json!(iat.as_seconds()))),
            ("jti", jti.as_ref().map(|jti| json!(jti))),
            ("ip", ip.map(|ip| json!(ip))),
            ("name", name.as_ref().map(|name| json!(name))),
        ];
        for (key, value) in more {
            if let Some(value) = value {
                all[key] = value;
            }
        }
        self.sign(&all)
    }

    /// Checks form and signature of a token. Returns `None` if the token is for another action.
    pub fn verify_chat(&self, token: &str) -> Result<Option<ChatClaims>, TokenError> {
        let Some(raw) = object::<Raw>(&self.payload(token)?) else { return Err(TokenError::BadClaims) };
        if raw.act != "chat" {
            return Ok(None);
        }
        let times = [&raw.exp, &raw.nbf, &raw.iat];
        if times.into_iter().flatten().any(|time| time.as_f64().is_some_and(|time| time < 0.0)) {
            return Err(TokenError::BadClaims);
        }
        let iat = raw.iat.as_ref().map(moment);
        Ok(Some(ChatClaims {
            sub: raw.sub,
            exp: moment(&raw.exp.ok_or(TokenError::NoExpiry)?),
            begin: raw.nbf.as_ref().map(moment).max(iat),
            iat,
            jti: raw.jti,
            ip: raw.ip,
            name: raw.name,
            moderator: raw.moderator,
        }))
    }
}

impl ChatClaims {
    /// Returns whether the claims admit a client to the chat of a stream now, with a tolerance of [`LEEWAY_S`].
    pub fn check(
        &self,
        app: &str,
        stream: &str,
        client: ClientAddr,
        now: Timestamp,
    ) -> Result<(), CheckError> {
        if now >= self.exp.plus_seconds(LEEWAY_S) {
            return Err(CheckError::Expired);
        }
        if self.begin.is_some_and(|begin| now.plus_seconds(LEEWAY_S) < begin) {
            return Err(CheckError::NotYet);
        }
        if !self.sub.covers(app, stream) {
            return Err(CheckError::WrongStream);
        }
        if self.ip.is_some_and(|network| !client.is_in(&[network])) {
            return Err(CheckError::ForeignNetwork);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac};

    use super::super::encode;
    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn sign(claims: &str) -> String {
        let signed = format!("{}.{}", encode(br#"{"alg":"HS256"}"#), encode(claims.as_bytes()));
        let mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET).unwrap().chain_update(&signed).finalize();
        format!("{signed}.{}", encode(&mac.into_bytes()))
    }

    #[test]
    fn says_who_somebody_is_and_where() {
        let signer = Signer::new(SECRET).unwrap();
        let text = r#"{"sub":"live/show","act":"chat","exp":1000,"name":"Ana","moderator":true,"ip":"192.0.2.0/24"}"#;
        let claims = signer.verify_chat(&sign(text)).unwrap().unwrap();
        assert_eq!((claims.name.as_deref(), claims.moderator), (Some("Ana"), true));
        let at = |seconds| Timestamp::default().plus_seconds(seconds);
        let here = ClientAddr::Ip([192, 0, 2, 7].into());
        assert_eq!(claims.check("live", "show", here, at(1029)), Ok(()));
        assert_eq!(claims.check("live", "show", here, at(1030)), Err(CheckError::Expired));
        assert_eq!(claims.check("live", "other", here, at(9)), Err(CheckError::WrongStream));
        let elsewhere = ClientAddr::Ip([192, 0, 3, 7].into());
        assert_eq!(claims.check("live", "show", elsewhere, at(9)), Err(CheckError::ForeignNetwork));
        let minted = signer.mint_chat(&claims);
        assert_eq!(signer.verify_chat(minted.expose()).unwrap().unwrap(), claims);
        // A token to play does not admit to the chat, and the reverse.
        let play = sign(r#"{"sub":"live/show","act":"play","exp":1000}"#);
        assert_eq!(signer.verify_chat(&play), Ok(None));
        assert_eq!(signer.verify(&sign(text)), Err(TokenError::BadClaims));
        assert_eq!(
            signer.verify_chat(&sign(r#"{"sub":"live/show","act":"chat"}"#)),
            Err(TokenError::NoExpiry)
        );
        let forged = sign(text).replacen('e', "f", 1);
        assert!(signer.verify_chat(&forged).is_err());
    }
}
