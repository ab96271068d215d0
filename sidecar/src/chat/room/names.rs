//! Names that people choose, and the filter of words. Pure.

use weir_model::text;

use super::ban::mark_of;

/// Longest name, in characters.
pub(crate) const MOST_NAME: usize = weir_model::token::MAX_CHAT_NAME;

/// Returns a name that is fit to display, without deceptive characters, or `None` if nothing is left or the name is too long.
pub(crate) fn name_of(written: &str) -> Option<String> {
    let clean = text::clean(written);
    let name = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    let fits = (1..=MOST_NAME).contains(&name.chars().count()) && !name.contains(char::REPLACEMENT_CHARACTER);
    fits.then_some(name)
}

/// Returns whether a text may name a person in an order: a name, perhaps in lower case, or the hash of an address.
pub(crate) fn is_who(text: &str) -> bool {
    // In lower case, U+0130 becomes two characters, the second of which is U+0307.
    let count = text.chars().filter(|character| *character != '\u{307}').count();
    (count <= MOST_NAME && text.chars().count() <= 2 * MOST_NAME) || mark_of(text).is_some()
}

/// Replaces each word of the filter with stars, also within other words.
pub(crate) fn filtered(text: &str, words: &[String]) -> String {
    let mut shown: Vec<char> = text.chars().collect();
    let small: Vec<char> = shown.iter().map(|c| c.to_lowercase().next().unwrap_or(*c)).collect();
    for word in words {
        let word: Vec<char> = word.chars().collect();
        let mut at = 0;
        while at + word.len() <= small.len() {
            if small[at..at + word.len()] == word[..] {
                shown[at..at + word.len()].fill('*');
                at += word.len();
            } else {
                at += 1;
            }
        }
    }
    shown.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_words_become_stars() {
        assert_eq!(name_of("  Ana \t B "), Some("Ana B".into()));
        for wrong in ["", " ", "a\u{202e}b", "\u{200b}", &"x".repeat(33)] {
            assert_eq!(name_of(wrong), None, "{wrong:?}");
        }
        let words = ["darn".to_owned(), "ärger".to_owned()];
        assert_eq!(filtered("DARNit, so ein ÄRGER!", &words), "****it, so ein *****!");
        assert_eq!(filtered("fine", &words), "fine");
    }

    #[test]
    fn an_order_names_a_person() {
        let address = format!("@{}", "0f".repeat(16));
        for who in ["", "Ana", &"x".repeat(32), &"\u{130}".repeat(32).to_lowercase(), &address] {
            assert!(is_who(who), "{who}");
        }
        for no in [&"x".repeat(33), &format!("{address}0"), &format!("x{}", "\u{307}".repeat(64))] {
            assert!(!is_who(no), "{no}");
        }
    }
}
