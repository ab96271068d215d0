//! Names that people cannot tell apart (Unicode Technical Standard 39, section 4): `Alice` and `AIice`, or a Cyrillic letter for a Latin one.

use std::cell::RefCell;
use std::collections::HashMap;

/// Maximum number of names whose looks are kept.
const MOST: usize = 4096;

/// How names look. The look of a name takes a microsecond to compute, so it is kept.
#[derive(Debug, Default)]
pub(super) struct Looks {
    known: RefCell<HashMap<String, Look>>,
}

/// The look of a name in lower case, and its look as it is written.
#[derive(Clone, Debug)]
struct Look {
    lower: String,
    written: String,
}

impl Look {
    fn of(name: &str) -> Self {
        let skeleton = |text: &str| unicode_security::skeleton(text).collect::<String>().to_lowercase();
        Self { lower: skeleton(&name.to_lowercase()), written: skeleton(name) }
    }
}

impl Looks {
    /// Returns whether people could take one name for the other.
    pub(super) fn are_alike(&self, one: &str, other: &str) -> bool {
        let (one, other) = (self.of(one), self.of(other));
        one.lower == other.lower || one.written == other.written
    }

    fn of(&self, name: &str) -> Look {
        let mut known = self.known.borrow_mut();
        if let Some(look) = known.get(name) {
            return look.clone();
        }
        if known.len() >= MOST {
            known.clear();
        }
        let look = Look::of(name);
        known.insert(name.to_owned(), look.clone());
        look
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_the_same() {
        let looks = Looks::default();
        for (one, other) in [
            ("Alice", "AIice"),
            ("ALICE", "alice"),
            ("bob", "B0B"),
            ("Ana", "\u{410}na"),
            ("ana", "\u{ff41}\u{ff4e}\u{ff41}"),
            ("paypal", "p\u{430}ypa1"),
        ] {
            assert!(looks.are_alike(one, other), "{one} {other}");
        }
        for (one, other) in [("Ana", "Anna"), ("Bob", "Rob"), ("\u{430}\u{43d}\u{43d}\u{430}", "anna")] {
            assert!(!looks.are_alike(one, other), "{one} {other}");
        }
    }
}
