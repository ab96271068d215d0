//! Stream keys: what is kept of one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The public handle of a key: `k` and 16 hex digits. It opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(pub u64);

/// The text is no key id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a key id, expected \"k\" and 16 hex digits")]
pub struct KeyIdError;

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k{:016x}", self.0)
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<KeyId, KeyIdError> {
        let hex = text.strip_prefix('k').ok_or(KeyIdError)?;
        // `from_str_radix` alone would take a sign.
        if hex.len() != 16 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(KeyIdError);
        }
        u64::from_str_radix(hex, 16).map(KeyId).map_err(|_| KeyIdError)
    }
}

impl TryFrom<String> for KeyId {
    type Error = KeyIdError;

    fn try_from(text: String) -> Result<KeyId, KeyIdError> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> String {
        id.to_string()
    }
}

/// Where a key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeySource {
    /// Made over the API; it can be rotated and revoked there.
    Api,
    /// A line of a `weir_key_file`; it changes with the file.
    File,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn id_is_k_and_16_hex_digits() {
        assert_eq!(KeyId(0x0123_4567_89ab_cdef).to_string(), "k0123456789abcdef");
        for text in [
            "",
            "k",
            "0123456789abcdef",
            "k123",
            "k0123456789abcdef0",
            "k+123456789abcdef",
            "K0123456789abcdef",
        ] {
            assert_eq!(text.parse::<KeyId>(), Err(KeyIdError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn id_is_read_back(id: u64) {
            prop_assert_eq!(KeyId(id).to_string().parse(), Ok(KeyId(id)));
        }
    }
}
