//! The name of an account.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of an account: 1 to 64 of `A-Z a-z 0-9 . _ @ -`, beginning with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Name(String);

/// Error of a text that is not a valid name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 64 of A-Z a-z 0-9 . _ @ - and begins with a letter or digit")]
pub(crate) struct NameError;

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
        let begins = text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
        if begins && text.len() <= 64 && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError)
        }
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl Name {
    /// Returns the name as written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for wrong in ["", "-a", "a b", "a\n", "<b>", "ä", &"x".repeat(65)] {
            assert!(wrong.parse::<Name>().is_err(), "{wrong:?}");
        }
        assert_eq!("ana@example.org".parse::<Name>().unwrap().as_str(), "ana@example.org");
    }
}
