//! Secrets, which cannot be printed, and their digests, which Weir stores instead.

use std::fmt;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The text that is printed in place of a secret.
pub const REDACTED: &str = "[redacted]";

/// A stream key or a token. It prints as `[redacted]` and is wiped from memory when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text that must not appear in a log.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(Zeroizing::new(text.into()))
    }

    /// Returns the text itself. The caller is responsible for its secrecy.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the SHA-256 of the secret.
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// The SHA-256 of a secret, compared in constant time.
///
/// It prints as 64 hex digits in files, and as `[redacted]` in logs, where even a digest would let readers compare
/// keys.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

/// The text is not a SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256, expected exactly 64 hex digits")]
pub struct DigestError;

impl Digest {
    /// Hashes a secret.
    pub fn of(secret: &[u8]) -> Digest {
        Digest(sha2::Sha256::digest(secret).into())
    }

    /// Returns a digest from its 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }

    /// Returns the 32 bytes.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads exactly 64 hex digits, in either case.
    pub fn parse(hex: &[u8]) -> Result<Digest, DigestError> {
        if hex.len() != 64 {
            return Err(DigestError);
        }
        let mut bytes = [0; 32];
        HEXLOWER_PERMISSIVE.decode_mut(hex, &mut bytes).map_err(|_| DigestError)?;
        Ok(Digest(bytes))
    }

    /// Returns 64 lower-case hex digits.
    pub fn to_hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }
}

// No test notices `==` in the place of `ct_eq`: the compiler compares 32 bytes with two vector instructions, and the time of an early
// end is below the noise of any measurement. So a reviewer must keep `ct_eq`.
impl PartialEq for Digest {
    fn eq(&self, other: &Digest) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Digest {}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(hex: String) -> Result<Digest, DigestError> {
        Digest::parse(hex.as_bytes())
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_hex()
    }
}

/// Serialises the secret in the one answer that shows it: `#[serde(with = "secret::exposed")]` on an `Option<Secret>`.
pub mod exposed {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Secret;

    /// Writes the text itself.
    pub fn serialize<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
        secret.as_ref().map(Secret::expose).serialize(serializer)
    }

    /// Reads a text, or `null`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
    }
}

/// The prefix of each stream key that Weir creates.
pub const STREAM_KEY_PREFIX: &str = "wk_";

/// Returns a new stream key from 160 random bits: `wk_` and 32 of `a-z2-7` (RFC 4648 base32, lower case).
pub fn stream_key(random: [u8; 20]) -> Secret {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut key = String::with_capacity(35);
    key.push_str(STREAM_KEY_PREFIX);
    for chunk in random.chunks_exact(5) {
        let bits = chunk.iter().fold(0_u64, |bits, &byte| bits << 8 | u64::from(byte));
        for shift in (0..8).rev() {
            key.push(char::from(ALPHABET[(bits >> (5 * shift) & 31) as usize]));
        }
    }
    Secret::new(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cannot_be_printed() {
        let secret = Secret::new("wk_abc");
        assert_eq!(format!("{secret} {secret:?} {:?}", secret.digest()), "[redacted] [redacted] [redacted]");
        assert_eq!(secret.expose(), "wk_abc");
    }

    #[test]
    fn digest_is_sha_256() {
        // FIPS 180-2, B.1
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_hex(), hex);
        assert_eq!(Digest::parse(hex.to_uppercase().as_bytes()), Ok(Digest::of(b"abc")));
        assert_ne!(Digest::of(b"abc"), Digest::of(b"abd"));
    }

    #[test]
    fn digest_is_exactly_64_hex_digits() {
        let hex = Digest::of(b"abc").to_hex();
        for text in
            ["", &hex[1..], &format!("{hex}0"), &format!("g{}", &hex[1..]), &format!("+{}", &hex[1..])]
        {
            assert_eq!(Digest::parse(text.as_bytes()), Err(DigestError), "{text}");
        }
    }

    #[test]
    fn key_is_base32_of_its_bits() {
        assert_eq!(stream_key([0; 20]).expose(), format!("wk_{}", "a".repeat(32)));
        assert_eq!(stream_key([0xff; 20]).expose(), format!("wk_{}", "7".repeat(32)));
        // RFC 4648, section 10: "fooba" is MZXW6YTB
        assert_eq!(stream_key(*b"foobafoobafoobafooba").expose(), format!("wk_{}", "mzxw6ytb".repeat(4)));
    }

    proptest! {
        #[test]
        fn digest_is_read_back(bytes: [u8; 32]) {
            let digest = Digest::from_bytes(bytes);
            prop_assert_eq!(Digest::parse(digest.to_hex().as_bytes()), Ok(digest));
        }

        #[test]
        fn keys_can_stand_as_a_stream_name(random: [u8; 20]) {
            let key = stream_key(random);
            prop_assert_eq!(key.expose().len(), 35);
            prop_assert!(crate::StreamName::parse(key.expose().as_bytes()).is_ok());
        }
    }
}
