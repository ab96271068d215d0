//! Formats numbers and text from clients. All functions append to one text.

use crate::text;

/// Appends a number in decimal.
pub(super) fn push_number(out: &mut String, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        // A digit fits a byte.
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.push_str(std::str::from_utf8(&digits[at..]).unwrap_or_default());
}

/// Appends tenths as a number with one decimal, or without decimals if the last digit is 0.
pub(super) fn push_tenths(out: &mut String, tenths: u64) {
    push_number(out, tenths / 10);
    if !tenths.is_multiple_of(10) {
        out.push('.');
        push_number(out, tenths % 10);
    }
}

/// Appends text to the content or to a quoted attribute of XML or HTML. Characters that XML cannot contain, and
/// deceptive ones (`text::clean`), become U+FFFD.
pub(super) fn push_escaped(out: &mut String, text: &str) {
    if text.bytes().all(is_plain) {
        out.push_str(text);
        return;
    }
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            character if text::is_deceptive(character) => out.push(char::REPLACEMENT_CHARACTER),
            character => out.push(character),
        }
    }
}

/// Returns whether a byte needs no escape in XML and HTML.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn escapes_what_means_something() {
        let escaped = |text| written(|out| push_escaped(out, text));
        assert_eq!(escaped("show-1_a.b"), "show-1_a.b");
        assert_eq!(escaped("<a b=\"c\" d='e'>&amp;"), "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;amp;");
        assert_eq!(escaped("\0\t\r\n\u{7f}\u{85}\u{fffe}"), "\u{fffd}".repeat(7));
        assert_eq!(escaped("žluťoučký 🐴"), "žluťoučký 🐴");
    }

    #[test]
    fn tenths_have_no_decimal_that_is_zero() {
        assert_eq!(written(|out| push_tenths(out, 480)), "48");
        assert_eq!(written(|out| push_tenths(out, 441)), "44.1");
        assert_eq!(written(|out| push_tenths(out, 5)), "0.5");
    }

    proptest! {
        #[test]
        fn numbers_are_those_of_the_standard_library(number: u64) {
            prop_assert_eq!(written(|out| push_number(out, number)), number.to_string());
        }

        #[test]
        fn nothing_raw_is_left(text in any::<String>()) {
            let escaped = written(|out| push_escaped(out, &text));
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
            prop_assert!(!escaped.contains(text::is_deceptive));
            let back = escaped
                .replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'")
                .replace("&amp;", "&");
            let shown = |character| if text::is_deceptive(character) { char::REPLACEMENT_CHARACTER } else { character };
            prop_assert_eq!(back, text.chars().map(shown).collect::<String>());
        }
    }
}
