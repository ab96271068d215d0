//! The public names of streams and applications.
//!
//! Stream names appear in file names, URLs, hook bodies and arguments of `exec`, so they contain no byte with a special
//! meaning in any of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Maximum length of the name of a stream or an application, in bytes.
pub const MAX_NAME_LEN: usize = 128;

/// The public name of a stream: `[A-Za-z0-9._-]{1,128}`, not starting with `.` or `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamName(String);

/// Why a text is not a stream name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name is empty.
    #[error("empty name, expected 1 to 128 characters")]
    Empty,
    /// The name has more than [`MAX_NAME_LEN`] bytes.
    #[error("name of {len} bytes, at most 128 are allowed")]
    TooLong {
        /// The length in bytes.
        len: usize,
    },
    /// It starts with `.` or `-`.
    #[error("name starts with \".\" or \"-\", expected a letter, a digit or \"_\"")]
    BadStart,
    /// The name contains a forbidden byte.
    #[error("invalid character {} in the stream name, expected only letters, digits, \".\", \"_\" and \"-\"", Shown(*byte))]
    BadCharacter {
        /// The first byte that is not allowed.
        byte: u8,
        /// The position, counted from 0.
        at: usize,
    },
}

impl StreamName {
    /// Checks a name from the network, a file or a request.
    pub fn parse(raw: &[u8]) -> Result<StreamName, NameError> {
        match raw {
            [] => return Err(NameError::Empty),
            _ if raw.len() > MAX_NAME_LEN => return Err(NameError::TooLong { len: raw.len() }),
            [b'.' | b'-', ..] => return Err(NameError::BadStart),
            _ => {}
        }
        ascii_of(raw, is_name_byte).map(StreamName).map_err(|(at, byte)| NameError::BadCharacter { byte, at })
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of an application: 1 to 128 of `[A-Za-z0-9._/-]`.
///
/// The parts between slashes are never empty, `.` or `..`, because a name is part of API paths.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppName(String);

/// Why a text is not the name of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppNameError {
    /// The name is empty.
    #[error("empty application name, expected 1 to 128 characters")]
    Empty,
    /// The name has more than [`MAX_NAME_LEN`] bytes.
    #[error("application name of {len} bytes, at most 128 are allowed")]
    TooLong {
        /// The length in bytes.
        len: usize,
    },
    /// It starts or ends with `/`, or holds `//`.
    #[error("application name has an empty part, expected no \"/\" at its start or end and no \"//\"")]
    EmptyPart,
    /// A part is `.` or `..`.
    #[error("application name has the part \".\" or \"..\", which means a folder")]
    DotPart,
    /// The name contains a forbidden byte.
    #[error("invalid character {} in the application name, expected only letters, digits, \".\", \"_\", \"/\" and \"-\"", Shown(*byte))]
    BadCharacter {
        /// The first byte that is not allowed.
        byte: u8,
        /// The position, counted from 0.
        at: usize,
    },
}

impl AppName {
    /// Checks a name from nginx.conf or a request.
    pub fn parse(raw: &[u8]) -> Result<AppName, AppNameError> {
        if raw.is_empty() {
            return Err(AppNameError::Empty);
        }
        if raw.len() > MAX_NAME_LEN {
            return Err(AppNameError::TooLong { len: raw.len() });
        }
        let name = ascii_of(raw, |byte| is_name_byte(byte) || byte == b'/')
            .map_err(|(at, byte)| AppNameError::BadCharacter { byte, at })?;
        for part in name.split('/') {
            match part {
                "" => return Err(AppNameError::EmptyPart),
                "." | ".." => return Err(AppNameError::DotPart),
                _ => {}
            }
        }
        Ok(AppName(name))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// Returns the bytes as text if all are allowed, or else the position of the first forbidden byte.
fn ascii_of(raw: &[u8], allowed: impl Fn(u8) -> bool) -> Result<String, (usize, u8)> {
    match raw.iter().enumerate().find(|&(_, &byte)| !byte.is_ascii() || !allowed(byte)) {
        Some((at, &byte)) => Err((at, byte)),
        None => Ok(raw.iter().copied().map(char::from).collect()),
    }
}

/// Formats a byte for a message: quoted if it is printable, else as a number.
struct Shown(u8);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_ascii_graphic() || self.0 == b' ' {
            write!(f, "'{}'", char::from(self.0))
        } else {
            write!(f, "byte 0x{:02x}", self.0)
        }
    }
}

/// Conversions of both names from and to text.
macro_rules! text_conversions {
    ($name:ident, $error:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<$name, $error> {
                $name::parse(text.as_bytes())
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<$name, $error> {
                $name::parse(text.as_bytes())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    };
}

text_conversions!(StreamName, NameError);
text_conversions!(AppName, AppNameError);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_what_the_rule_allows() {
        for name in ["a", "show", "Show_1.HD-2", "_x", "0", "a..b", &"n".repeat(128)] {
            assert_eq!(StreamName::parse(name.as_bytes()).unwrap().as_str(), name);
        }
    }

    #[test]
    fn refuses_by_the_rule() {
        for (raw, error) in [
            (&b""[..], NameError::Empty),
            (&[b'n'; 129], NameError::TooLong { len: 129 }),
            (b".show", NameError::BadStart),
            (b"-show", NameError::BadStart),
            (b"..", NameError::BadStart),
            (b"a/b", NameError::BadCharacter { byte: b'/', at: 1 }),
            (b">/path", NameError::BadCharacter { byte: b'>', at: 0 }),
            (b"sh\0w", NameError::BadCharacter { byte: 0, at: 2 }),
            ("caf\u{e9}".as_bytes(), NameError::BadCharacter { byte: 0xc3, at: 3 }),
        ] {
            assert_eq!(StreamName::parse(raw), Err(error));
        }
    }

    #[test]
    fn messages_say_what_would_be_right() {
        let message = |raw: &[u8]| StreamName::parse(raw).unwrap_err().to_string();
        assert_eq!(message(b""), "empty name, expected 1 to 128 characters");
        assert_eq!(
            message(b"a b"),
            "invalid character ' ' in the stream name, expected only letters, digits, \".\", \"_\" and \"-\""
        );
        assert_eq!(
            message(b"a$"),
            "invalid character '$' in the stream name, expected only letters, digits, \".\", \"_\" and \"-\""
        );
    }

    #[test]
    fn applications_may_have_parts() {
        for name in ["live", "live/eu", "a/.b/c", "-x", &"a".repeat(128)] {
            assert_eq!(AppName::parse(name.as_bytes()).unwrap().as_str(), name);
        }
        for (raw, error) in [
            (&b""[..], AppNameError::Empty),
            (&[b'a'; 129], AppNameError::TooLong { len: 129 }),
            (b"/live", AppNameError::EmptyPart),
            (b"live/", AppNameError::EmptyPart),
            (b"a//b", AppNameError::EmptyPart),
            (b"a/../b", AppNameError::DotPart),
            (b".", AppNameError::DotPart),
            (b"a?b", AppNameError::BadCharacter { byte: b'?', at: 1 }),
        ] {
            assert_eq!(AppName::parse(raw), Err(error));
        }
    }

    #[test]
    fn json_is_checked() {
        assert_eq!(serde_json::from_str::<StreamName>("\"show\"").unwrap().as_str(), "show");
        assert!(serde_json::from_str::<StreamName>("\"-show\"").is_err());
        assert!(serde_json::from_str::<AppName>("\"a/../b\"").is_err());
    }

    proptest! {
        #[test]
        fn every_name_of_the_rule_is_one(name in "[A-Za-z0-9_][A-Za-z0-9._-]{0,127}") {
            prop_assert_eq!(StreamName::parse(name.as_bytes()).map(String::from), Ok(name));
        }

        #[test]
        fn what_is_accepted_follows_the_rule(raw in prop::collection::vec(any::<u8>(), 0..140)) {
            if let Ok(name) = StreamName::parse(&raw) {
                prop_assert_eq!(name.as_str().as_bytes(), &raw[..]);
                prop_assert!((1..=128).contains(&raw.len()));
                prop_assert!(!matches!(raw[0], b'.' | b'-'));
                prop_assert!(raw.iter().all(|&b| b.is_ascii_alphanumeric() || b"._-".contains(&b)));
            }
        }

        #[test]
        fn a_message_is_always_printable(raw in prop::collection::vec(any::<u8>(), 0..140)) {
            if let Err(error) = StreamName::parse(&raw) {
                prop_assert!(error.to_string().bytes().all(|b| b == b' ' || b.is_ascii_graphic()));
            }
            if let Err(error) = AppName::parse(&raw) {
                prop_assert!(error.to_string().bytes().all(|b| b == b' ' || b.is_ascii_graphic()));
            }
        }

        #[test]
        fn no_application_leaves_its_folder(name in "[a./]{1,12}") {
            if let Ok(app) = AppName::parse(name.as_bytes()) {
                prop_assert!(app.as_str().split('/').all(|part| !matches!(part, "" | "." | "..")));
            }
        }
    }
}
