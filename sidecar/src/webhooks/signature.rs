//! Signatures of Standard Webhooks (standardwebhooks.com), version 1: HMAC-SHA256 over id, time and body.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Prefix of a secret.
const PREFIX: &str = "whsec_";
/// Allowed lengths of a secret, in bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// Secret that signs requests.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

/// Reason why a file contains no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SecretError {
    /// The file cannot be read.
    #[error("secret_files: {}: {why}", path.display())]
    Unreadable {
        /// The path as configured.
        path: PathBuf,
        /// The system's error.
        why: String,
    },
    /// The content is not a secret.
    #[error("secret_files: {}: must be whsec_ and the base64 of 24 to 64 bytes", path.display())]
    Malformed {
        /// The path as configured.
        path: PathBuf,
    },
}

impl Secret {
    /// Parses `whsec_` and base64. Returns `None` for any other text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.trim().strip_prefix(PREFIX)?).ok()?;
        LENGTHS.contains(&bytes.len()).then_some(Self(bytes))
    }

    /// Reads the secret of a file.
    pub(crate) fn read(path: &Path) -> Result<Self, SecretError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| SecretError::Unreadable { path: path.into(), why: error.to_string() })?;
        Self::parse(&text).ok_or_else(|| SecretError::Malformed { path: path.into() })
    }

    fn sign(&self, id: &str, seconds: u64, body: &str) -> Option<String> {
        // An error is impossible: HMAC accepts a key of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(format!("{id}.{seconds}.{body}").as_bytes());
        Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    }
}

/// Returns the value of `webhook-signature`: one signature per secret, so that the receiver can replace a secret.
pub(crate) fn signatures(secrets: &[Secret], id: &str, seconds: u64, body: &str) -> String {
    let all: Vec<String> = secrets.iter().filter_map(|secret| secret.sign(id, seconds, body)).collect();
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_standard() {
        // The example from the test suites of the standard's libraries.
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
