//! nginx-rtmp's `exec`: which texts of a client reach a program, and which bytes these texts may contain.
//!
//! An admin may write `exec sh -c "... $args"`. So if an `exec` of an application uses a variable, Weir admits only
//! values without bytes that have a meaning for a shell.

/// The variables of `exec` whose value a client chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// `$name`. In `$path` and similar variables nginx-rtmp has escaped the name (ngx_rtmp_record_make_path).
    pub name: bool,
    /// `$args`.
    pub args: bool,
    /// `$flashver`.
    pub flashver: bool,
    /// `$swfurl`.
    pub swfurl: bool,
    /// `$tcurl`.
    pub tcurl: bool,
    /// `$pageurl`.
    pub pageurl: bool,
}

impl Uses {
    /// All variables: the value to use if the configuration cannot be read.
    pub const ALL: Uses =
        Uses { name: true, args: true, flashver: true, swfurl: true, tcurl: true, pageurl: true };

    /// Adds the variables of one argument of an `exec`.
    pub fn add(&mut self, word: &str) {
        for variable in variables(word) {
            match variable {
                "name" => self.name = true,
                "args" => self.args = true,
                "flashver" => self.flashver = true,
                "swfurl" => self.swfurl = true,
                "tcurl" => self.tcurl = true,
                "pageurl" => self.pageurl = true,
                _ => {}
            }
        }
    }

    /// Returns whether a field of the `connect` command reaches a program.
    pub fn field(&self, name: &[u8]) -> bool {
        match name {
            b"flashVer" => self.flashver,
            b"swfUrl" => self.swfurl,
            b"tcUrl" => self.tcurl,
            b"pageUrl" => self.pageurl,
            _ => false,
        }
    }
}

/// Returns the variables of a word: `$letters` and `${anything}`. A backslash escapes the next byte (`ngx_rtmp_eval`).
pub fn variables(word: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = word;
    while let Some(at) = rest.find(['$', '\\']) {
        let after = &rest[at + 1..];
        if rest[at..].starts_with('\\') {
            let mut skipped = after.chars();
            skipped.next();
            rest = skipped.as_str();
        } else if let Some(braced) = after.strip_prefix('{') {
            let (name, behind) = braced.split_once('}').unwrap_or(("", ""));
            found.push(name);
            rest = behind;
        } else {
            let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
            found.push(&after[..end]);
            rest = &after[end..];
        }
    }
    found
}

/// Returns whether a shell reads the arguments of a publish or a play as one word without special meaning. Only one
/// argument is possible, because `&` ends a shell command.
pub fn are_harmless(args: &str) -> bool {
    !args.starts_with('-') && args.bytes().all(|byte| is_harmless(byte) || byte == b'=')
}

/// Returns whether a shell reads the byte as part of a word.
fn is_harmless(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'.' | b'_' | b':' | b'/' | b',' | b'@' | b'+' | b'%' | b'-')
}

/// Returns a field of `connect` as one shell word that is not an option either: every other byte becomes `_`. Returns
/// `None` if the field is such a word already.
pub fn as_word(text: &[u8]) -> Option<Vec<u8>> {
    let is_option = text.first() == Some(&b'-');
    if !is_option && text.iter().all(|byte| is_harmless(*byte)) {
        return None;
    }
    let mut word: Vec<u8> = text.iter().map(|byte| if is_harmless(*byte) { *byte } else { b'_' }).collect();
    if is_option {
        word[0] = b'_';
    }
    Some(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn variables_as_nginx_rtmp_sees_them() {
        for (word, expected) in [
            ("$name", &["name"][..]),
            ("/a/$name.flv", &["name"]),
            ("${name}x$args2", &["name", "args"]),
            ("$names", &["names"]),
            (r"\$name", &[]),
            (r"\\$name", &["name"]),
            ("$$name", &["", "name"]),
            ("${name", &[""]),
            ("name\\", &[]),
            ("ü$name", &["name"]),
        ] {
            assert_eq!(variables(word), expected, "{word}");
        }
    }

    #[test]
    fn uses_are_taken_up() {
        let uses = |words: &[&str]| {
            let mut uses = Uses::default();
            words.iter().for_each(|word| uses.add(word));
            uses
        };
        assert_eq!(uses(&["-c", "echo $app $addr $recorder $path $basename"]), Uses::default());
        assert_eq!(uses(&["$name.flv"]), Uses { name: true, ..Uses::default() });
        assert_eq!(uses(&["a $args b", "${tcurl}"]), Uses { args: true, tcurl: true, ..Uses::default() });
        assert_eq!(uses(&["$name$args$flashver$swfurl$tcurl$pageurl"]), Uses::ALL);
        assert!(Uses::ALL.field(b"flashVer") && !Uses::ALL.field(b"app") && !Uses::default().field(b"tcUrl"));
    }

    #[test]
    fn one_argument_is_harmless() {
        for args in ["", "a=b", "a", "sign=0f%2b/x:y@z,1+2.3-4"] {
            assert!(are_harmless(args), "{args}");
        }
        for args in
            ["a=b&c", "a=b&", "a=$(b)", "a;b", "a b", "a=~", "a`b`", "a|b", "a>b", "a*", "a?b", "-x", "a\nb"]
        {
            assert!(!are_harmless(args), "{args}");
        }
    }

    #[test]
    fn fields_become_words() {
        assert_eq!(as_word(b"rtmp://h/live"), None);
        assert_eq!(as_word(b"").as_deref(), None);
        let word = |text: &str| String::from_utf8(as_word(text.as_bytes()).unwrap()).unwrap();
        assert_eq!(word("FMLE/3.0 (compatible; FMSc/1.0)"), "FMLE/3.0__compatible__FMSc/1.0_");
        assert_eq!(word("-rf"), "_rf");
        assert_eq!(word(">/x"), "_/x");
    }

    proptest! {
        #[test]
        fn nothing_that_a_shell_reads_is_left(text in ".{0,40}") {
            let word = as_word(text.as_bytes()).unwrap_or_else(|| text.into());
            prop_assert!(!word.starts_with(b"-"));
            prop_assert!(word.iter().all(|byte| is_harmless(*byte)));
        }
    }
}
