//! Seals the letters between the nodes of a pair. Letters contain URLs of targets with their keys, and hashes of passwords, and may be
//! sent over plain HTTP in a private network.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::cluster::signature::Key;

/// Key of the seal. Its `Debug` does not show the key.
pub(crate) struct Seal(LessSafeKey);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal([redacted])")
    }
}

impl Seal {
    /// Derives the key from the secret of the pair.
    pub(crate) fn new(key: &Key) -> Option<Self> {
        let key = UnboundKey::new(&AES_256_GCM, &key.derive("weir-pair-seal-1")?).ok()?;
        Some(Self(LessSafeKey::new(key)))
    }

    /// Seals a text. Returns `None` if the system has no random bytes. `of` is the purpose of the text; it is authenticated, and not part
    /// of the result.
    pub(crate) fn close(&self, of: &str, text: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        let mut sealed = text.to_vec();
        let aad = Aad::from(of.as_bytes());
        self.0.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed).ok()?;
        Some([nonce.as_slice(), &sealed].concat())
    }

    /// Opens a text that was sealed with the same secret.
    pub(crate) fn open(&self, of: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.0.open_in_place(nonce, Aad::from(of.as_bytes()), &mut text).ok()?.len();
        text.truncate(opened);
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_secret_opens_it_for_the_same_purpose() {
        let seal = |byte| Seal::new(&Key::new(&[byte; 32]).unwrap()).unwrap();
        let sealed = seal(1).close("request", b"rtmp://host/app/key").unwrap();
        assert!(!sealed.windows(4).any(|part| part == b"rtmp"));
        assert_eq!(seal(1).open("request", &sealed).unwrap(), b"rtmp://host/app/key");
        assert!(seal(1).open("answer", &sealed).is_none() && seal(2).open("request", &sealed).is_none());
        let mut other = sealed.clone();
        *other.last_mut().unwrap() ^= 1;
        assert!(seal(1).open("request", &other).is_none() && seal(1).open("request", b"short").is_none());
    }
}
