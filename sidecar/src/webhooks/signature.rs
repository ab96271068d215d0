//! Signatures of Standard Webhooks (standardwebhooks.com), version 1: HMAC-SHA256 over id, time and body.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How a secret begins.
const PREFIX: &str = "whsec_";
/// Bytes that a secret may have.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// What requests are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

/// Why a file holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It cannot be read.
    #[error("secret_files: {}: {why}", path.display())]
    Unreadable {
        /// As configured.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// Something else is in it.
    #[error("secret_files: {}: must be whsec_ and the base64 of 24 to 64 bytes", path.display())]
    Malformed {
        /// As configured.
        path: PathBuf,
    },
}

impl Secret {
    /// `whsec_` and base64; nothing for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.trim().strip_prefix(PREFIX)?).ok()?;
        LENGTHS.contains(&bytes.len()).then_some(Self(bytes))
    }

    /// The secret in a file.
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| SecretError::Unreadable { path: path.into(), why: error.to_string() })?;
        Self::parse(&text).ok_or_else(|| SecretError::Malformed { path: path.into() })
    }

    fn sign(&self, id: &str, seconds: u64, body: &str) -> Option<String> {
        // HMAC takes a key of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(format!("{id}.{seconds}.{body}").as_bytes());
        Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    }
}

/// The value of `webhook-signature`: a signature for each secret, so that the receiver can change over from one to the next.
pub fn signatures(secrets: &[Secret], id: &str, seconds: u64, body: &str) -> String {
    let all: Vec<String> = secrets.iter().filter_map(|secret| secret.sign(id, seconds, body)).collect();
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_standard() {
        // The example that libraries of the standard test themselves with.
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let sign = |secrets: &[Secret]| {
            signatures(secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}")
        };
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(sign(std::slice::from_ref(&secret)), expected);
        let other = Secret::parse("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
        let both = sign(&[other, secret.clone()]);
        assert!(both.ends_with(&format!(" {expected}")) && both.matches("v1,").count() == 2, "{both}");
        assert_eq!(format!("{secret:?}"), "Secret([redacted])");
    }

    #[test]
    fn other_texts_are_no_secrets() {
        for text in [
            "",
            "whsec_",
            "whsec_AAAA",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_!fKQ9r8GKYqrTwjUPD8ILPZIo2La",
        ] {
            assert_eq!(Secret::parse(text), None, "{text}");
        }
    }
}
