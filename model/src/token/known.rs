//! Caches tokens whose signature was verified recently.
//!
//! A player requests a playlist every second or two with the same token. The cache contains only facts that never
//! change: that one of the secrets signed this text, and its claims. Whether the claims permit a request is decided
//! again each time ([`check`](super::check), [`RevokedTokens`](super::RevokedTokens)).

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use super::{Claims, Signer, TokenError};
use crate::secret::REDACTED;

/// A full cache contains at least this many tokens, and at most twice as many.
const MOST: usize = 512;
/// Maximum length of a token in the cache, in bytes.
const MAX_KEPT_LEN: usize = 1024;

/// Verifies the signature of a token and returns its claims.
pub trait Verify: fmt::Debug {
    /// Checks form and signature, like [`Signer::verify`].
    fn verify(&self, token: &str) -> Result<Rc<Claims>, TokenError>;
}

impl Verify for Signer {
    fn verify(&self, token: &str) -> Result<Rc<Claims>, TokenError> {
        Signer::verify(self, token).map(Rc::new)
    }
}

/// A [`Signer`] that remembers verified tokens: the signature of a text stays valid as long as the secrets are the
/// same. New secrets need a new verifier.
pub struct Verifier {
    signer: Signer,
    known: RefCell<Known>,
}

/// The newest tokens, and those before them. The cache contains only tokens with a valid signature.
#[derive(Default)]
struct Known {
    young: HashMap<Box<str>, Rc<Claims>>,
    old: HashMap<Box<str>, Rc<Claims>>,
}

impl Verifier {
    /// Returns a verifier with an empty cache.
    #[must_use]
    pub fn new(signer: Signer) -> Verifier {
        Verifier { signer, known: RefCell::default() }
    }

    /// Returns the signer.
    #[must_use]
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Returns the number of tokens in the cache.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        let known = self.known.borrow();
        known.young.len() + known.old.len()
    }
}

impl Verify for Verifier {
    fn verify(&self, token: &str) -> Result<Rc<Claims>, TokenError> {
        if let Some(claims) = self.known.try_borrow_mut().ok().and_then(|mut known| known.find(token)) {
            return Ok(claims);
        }
        let claims = Rc::new(self.signer.verify(token)?);
        if let (Ok(mut known), true) = (self.known.try_borrow_mut(), token.len() <= MAX_KEPT_LEN) {
            known.keep(token.into(), Rc::clone(&claims));
        }
        Ok(claims)
    }
}

impl Known {
    fn find(&mut self, token: &str) -> Option<Rc<Claims>> {
        if let Some(claims) = self.young.get(token) {
            return Some(Rc::clone(claims));
        }
        let (token, claims) = self.old.remove_entry(token)?;
        self.keep(token, Rc::clone(&claims));
        Some(claims)
    }

    fn keep(&mut self, token: Box<str>, claims: Rc<Claims>) {
        if self.young.len() >= MOST {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(token, claims);
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;
    use crate::token::Action;

    fn signer() -> Signer {
        Signer::new(&[1; 32]).unwrap()
    }

    fn claims() -> Claims {
        Claims {
            sub: "live/show".parse().unwrap(),
            act: Action::Play,
            exp: Timestamp::from_millis(4_000_000_000_000),
            nbf: None,
            iat: None,
            jti: None,
            ip: None,
            yields: false,
        }
    }

    #[test]
    fn it_keeps_no_more_than_it_says_and_those_that_are_used() {
        let verifier = Verifier::new(signer());
        let mint = |nth: u64| {
            let exp = Timestamp::from_millis(4_000_000_000_000 + nth * 1000);
            verifier.signer().mint(&Claims { exp, ..claims() })
        };
        let used = mint(0);
        for nth in 1..5000 {
            Verify::verify(&verifier, mint(nth).expose()).unwrap();
            Verify::verify(&verifier, used.expose()).unwrap();
            assert!(verifier.count() <= 2 * MOST);
        }
        assert!(verifier.known.borrow_mut().find(used.expose()).is_some());
        assert!(verifier.known.borrow_mut().find(mint(1).expose()).is_none());
    }

    #[test]
    fn nothing_is_kept_that_is_not_signed_well() {
        let verifier = Verifier::new(signer());
        let good = verifier.signer().mint(&claims());
        let other = Signer::new(&[7; 32]).unwrap().mint(&claims());
        let mut longer = good.expose().to_owned();
        longer.push('A');
        for bad in ["", "a.b.c", other.expose(), &longer, &good.expose()[..good.expose().len() - 1]] {
            assert!(Verify::verify(&verifier, bad).is_err(), "{bad}");
            assert!(Verify::verify(&verifier, bad).is_err(), "{bad}");
        }
        assert_eq!(verifier.count(), 0);
        Verify::verify(&verifier, good.expose()).unwrap();
        for bad in [other.expose(), &longer] {
            assert!(Verify::verify(&verifier, bad).is_err(), "{bad}");
        }
        assert_eq!(format!("{verifier:?}"), REDACTED);
    }
}
