//! Cleans text from clients and other programs, so that it is safe in a log line, an answer, a page or a terminal.
//!
//! Weir passes all text of other parties through [`clean`] before anybody reads it: the answers of push targets, the
//! name of an encoder, the output of a program. [`masking`](crate::masking) removes secrets.

use std::borrow::Cow;

/// The replacement of a character that must not be shown.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// Replaces each character that can move a cursor, reverse the reading order, or is invisible. Tabs and line ends
/// become a blank, so that words stay apart; all others become U+FFFD. Returns a text without such characters
/// unchanged.
pub fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().all(|character| !is_deceptive(character)) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(shown).collect())
}

fn shown(character: char) -> char {
    match character {
        '\t' | '\n' | '\r' | '\u{2028}' | '\u{2029}' => ' ',
        character if is_deceptive(character) => REPLACEMENT,
        character => character,
    }
}

/// Like [`clean`], for bytes that may not be UTF-8: each invalid sequence becomes U+FFFD.
pub fn clean_bytes(raw: &[u8]) -> Cow<'_, str> {
    match String::from_utf8_lossy(raw) {
        Cow::Borrowed(text) => clean(text),
        Cow::Owned(text) => Cow::Owned(clean(&text).into_owned()),
    }
}

/// Like [`clean`], for messages between people: an emoji may contain the characters that join or colour its parts (UTS
/// #51: U+200D and U+FE0F).
pub fn clean_emoji(text: &str) -> String {
    let mut before = ' ';
    let parts = text.chars().map(|character| {
        let is_part =
            matches!(character, '\u{200d}' | '\u{fe0f}') && (is_emoji(before) || before == '\u{fe0f}');
        before = character;
        if is_part { character } else { shown(character) }
    });
    parts.collect()
}

/// Returns roughly whether the character is an arrow, a symbol, a dingbat or an emoji.
fn is_emoji(character: char) -> bool {
    matches!(character, '\u{203c}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}') && !is_deceptive(character)
}

/// Returns whether a character is shown in another place, or is invisible: control characters (general category Cc),
/// line separators, characters that Unicode allows to be invisible (Default_Ignorable_Code_Point; UAX #9 for the
/// directions), and the blank Braille pattern.
pub fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{fffe}'..='\u{ffff}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_can_be_read_stays() {
        for text in ["", "show", "FMLE/3.0 (compatible; FMSc/1.0)", "žluťoučký 🐴", "שלום", "مرحبا", "日本語"]
        {
            assert!(matches!(clean(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn what_deceives_is_replaced() {
        let deceptive = [
            '\0',
            '\u{1b}',
            '\u{7f}',
            '\u{85}',
            '\u{9b}',
            '\u{ad}',
            '\u{61c}',
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{202a}',
            '\u{202b}',
            '\u{202c}',
            '\u{202d}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2067}',
            '\u{2068}',
            '\u{2069}',
            '\u{feff}',
            '\u{e0041}',
            '\u{34f}',
            '\u{115f}',
            '\u{1160}',
            '\u{17b4}',
            '\u{180b}',
            '\u{2800}',
            '\u{3164}',
            '\u{fe0e}',
            '\u{fe0f}',
            '\u{ffa0}',
            '\u{fff0}',
            '\u{1bca0}',
            '\u{1d173}',
            '\u{e0101}',
        ];
        for character in deceptive {
            assert_eq!(clean(&format!("a{character}b")), "a\u{fffd}b", "{}", character.escape_unicode());
        }
    }

    #[test]
    fn an_emoji_keeps_its_parts_and_a_word_gets_none() {
        for emoji in [
            "\u{2764}\u{fe0f}",
            "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
            "\u{2764}\u{fe0f}\u{200d}\u{1f525}",
        ] {
            assert_eq!(clean_emoji(emoji), emoji);
        }
        for text in ["d\u{fe0f}arn", "d\u{fe0e}arn", "d\u{200d}arn", "\u{2800}\u{fe0f}", "a\u{202e}b"] {
            assert!(clean_emoji(text).contains(REPLACEMENT), "{}", text.escape_unicode());
        }
    }

    #[test]
    fn words_stay_apart() {
        for blank in ['\t', '\n', '\r', '\u{2028}', '\u{2029}'] {
            assert_eq!(clean(&format!("a{blank}b")), "a b", "{}", blank.escape_unicode());
        }
    }

    #[test]
    fn bytes_need_not_be_utf_8() {
        assert_eq!(clean_bytes(b"caf\xe9 \x1b[31m"), "caf\u{fffd} \u{fffd}[31m");
        assert_eq!(clean_bytes("café".as_bytes()), "café");
        assert_eq!(clean_bytes(b"\xe2\x80\xae"), "\u{fffd}");
    }

    proptest! {
        #[test]
        fn nothing_deceptive_is_left(text in any::<String>()) {
            let cleaned = clean(&text);
            prop_assert!(!cleaned.chars().any(is_deceptive));
            prop_assert_eq!(cleaned.chars().count(), text.chars().count());
            prop_assert_eq!(clean(&cleaned), cleaned.clone());
        }
    }
}
