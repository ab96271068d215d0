//! Names that people cannot tell apart (Unicode Technical Standard 39, section 4): `Alice` and `AIice`, or a Cyrillic letter for a Latin one.

use std::cell::RefCell;
use std::collections::HashMap;

/// Maximum number of names whose looks are kept.
const MOST: usize = 4096;

/// Returns whether a character looks like the sign of a moderator (a star) or of a verified name (a check mark).
fn is_badge(character: char) -> bool {
    matches!(
        character,
        '\u{66d}'
            | '\u{22c6}'
            | '\u{235f}'
            | '\u{237b}'
            | '\u{2605}'..='\u{2606}'
            | '\u{2611}'
            | '\u{269d}'
            | '\u{2705}'
            | '\u{2713}'..='\u{2714}'
            | '\u{2726}'..='\u{2727}'
            | '\u{2729}'..='\u{273a}'
            | '\u{2b50}'..='\u{2b52}'
            | '\u{2be8}'..='\u{2be9}'
            | '\u{a673}'
            | '\u{10102}'
            | '\u{1f31f}'
            | '\u{1f5f8}'..='\u{1f5f9}'
            | '\u{1f7af}'..='\u{1f7d8}'
            | '\u{1fbb1}'
    )
}

/// Removes the characters by which people could take the bearer of a name for a moderator or for a verified person.
pub(crate) fn without_badges(name: &str) -> String {
    name.chars().filter(|character| !is_badge(*character)).collect()
}

/// How names look. The look of a name takes a microsecond to compute, so it is kept.
#[derive(Debug, Default)]
pub(super) struct Looks {
    known: RefCell<HashMap<String, Look>>,
}

/// The look of a name in lower case, and its look as it is written, without stars and check marks.
#[derive(Clone, Debug)]
struct Look {
    lower: String,
    written: String,
}

impl Look {
    fn of(name: &str) -> Self {
        let plain = without_badges(name);
        let name = plain.trim();
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
            ("Ana", "Ana ★"),
        ] {
            assert!(looks.are_alike(one, other), "{one} {other}");
        }
        for (one, other) in [("Ana", "Anna"), ("Bob", "Rob"), ("\u{430}\u{43d}\u{43d}\u{430}", "anna")] {
            assert!(!looks.are_alike(one, other), "{one} {other}");
        }
    }

    #[test]
    fn a_name_has_no_sign_of_a_moderator() {
        for name in ["Ana ★", "✓Ana", "A⭐n✔a☑", "Ana\u{1f31f}✅", "Ana ☆✪✯"] {
            assert_eq!(without_badges(name).trim(), "Ana", "{name}");
        }
        assert_eq!(without_badges("★ ✓").trim(), "");
        assert_eq!(without_badges("Žofie 🐴 * Ψ"), "Žofie 🐴 * Ψ");
    }
}
