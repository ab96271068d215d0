//! Passwords as argon2id hashes (RFC 9106) in PHC form: 19 MiB, 2 passes, the minimum that OWASP recommends.

use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use weir_model::Secret;

/// Fewest characters. Shorter passwords can be guessed.
pub(crate) const LEAST: usize = 8;
/// Most bytes. More bytes cost time without a benefit.
pub(crate) const MOST: usize = 1024;

/// Reason why a password is not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The password is too short.
    #[error("a password needs at least {LEAST} characters")]
    Short,
    /// The password is too long.
    #[error("a password has at most {MOST} bytes")]
    Long,
    /// A control character would break the line of a file.
    #[error("a password has no control characters")]
    Control,
    /// The system has no random bytes or no memory.
    #[error("the password cannot be hashed: {0}")]
    Hash(argon2::password_hash::Error),
}

/// Hash that is compared for an unknown name, so that the login takes as long as for a known name.
static NOBODY: LazyLock<Option<String>> =
    LazyLock::new(|| Argon2::default().hash_password(b"nobody").ok().map(|hash| hash.to_string()));

/// Checks length and characters. There are no rules about letters and digits (NIST SP 800-63B, section 5.1.1.2).
pub(crate) fn check(password: &Secret) -> Result<(), Error> {
    let text = password.expose();
    match text.chars().count() {
        0..LEAST => Err(Error::Short),
        _ if text.len() > MOST => Err(Error::Long),
        _ if text.chars().any(char::is_control) => Err(Error::Control),
        _ => Ok(()),
    }
}

/// Hashes a password with a new salt. This takes about 20 ms of CPU time.
pub(crate) fn hash(password: &Secret) -> Result<String, Error> {
    check(password)?;
    let hash = Argon2::default().hash_password(password.expose().as_bytes()).map_err(Error::Hash)?;
    Ok(hash.to_string())
}

/// Returns whether the password belongs to the hash. Without a hash, the call takes as long and returns false.
pub(crate) fn verify(password: &Secret, hash: Option<&str>) -> bool {
    let Some(text) = hash.or(NOBODY.as_deref()) else { return false };
    let Ok(parsed) = PasswordHash::new(text) else { return false };
    let long = password.expose().len() > MOST;
    let presented = if long { &[][..] } else { password.expose().as_bytes() };
    Argon2::default().verify_password(presented, &parsed).is_ok() && hash.is_some() && !long
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash_and_nobody_has_one() {
        let right = Secret::new("correct horse");
        let hashed = hash(&right).unwrap();
        assert!(hashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hashed}");
        assert_ne!(hashed, hash(&right).unwrap());
        assert!(verify(&right, Some(&hashed)));
        assert!(!verify(&Secret::new("correct horsf"), Some(&hashed)));
        assert!(!verify(&Secret::new("nobody"), None) && !verify(&right, Some("no hash")));
    }

    #[test]
    fn what_is_no_password_is_refused() {
        for (text, fits) in [("short", false), ("eight888", true), ("пароль12", true), ("with\ttab", false)]
        {
            assert_eq!(check(&Secret::new(text)).is_ok(), fits, "{text:?}");
        }
        assert!(check(&Secret::new("x".repeat(MOST + 1))).is_err());
    }
}
