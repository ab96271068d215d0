//! Patterns that select the streams of a table.

use toml::Spanned;
use weir_model::{AppName, StreamName};

use super::check::{Checked, Unfit, parsed, problem};

/// A name, or a prefix of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NamePattern {
    /// Exactly this name.
    Exactly(StreamName),
    /// Names that start with this prefix; an empty prefix, written `*`, matches all.
    Prefix(String),
}

impl NamePattern {
    /// Returns whether a stream's name matches.
    pub(crate) fn fits(&self, name: &str) -> bool {
        match self {
            Self::Exactly(exactly) => exactly.as_str() == name,
            Self::Prefix(prefix) => name.starts_with(prefix.as_str()),
        }
    }
}

pub(super) fn pattern(text: &str) -> Result<NamePattern, Unfit> {
    match text.strip_suffix('*') {
        Some("") => Ok(NamePattern::Prefix(String::new())),
        Some(prefix) => match prefix.parse::<StreamName>() {
            Ok(_) => Ok(NamePattern::Prefix(prefix.into())),
            Err(error) => Err(Unfit::Name(error)),
        },
        None => parsed(text).map(NamePattern::Exactly),
    }
}

/// Parses `APP/NAME`. The name of an application may contain a slash; the name of a stream does not.
pub(super) fn streams(written: &Spanned<String>) -> Checked<(AppName, NamePattern)> {
    let read = |text: &str| {
        let (app, name) = text.rsplit_once('/').ok_or("write APP/NAME, APP/cam* or APP/*")?;
        Ok((parsed(app)?, pattern(name)?))
    };
    read(written.get_ref())
        .or_else(|why: Unfit| problem(written, format!("streams: {:?}: {why}", written.get_ref())))
}
