//! Helpers that every section uses to check the parsed file.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use weir_model::stream_name::NameError;

use crate::values::Span;

/// A text that is not parsed yet, with its position in the file.
pub(super) type Text = Option<Spanned<String>>;
/// A number that is not checked yet, with its position in the file.
pub(super) type Number = Option<Spanned<i64>>;

/// A problem, and the byte of the file where it is.
#[derive(Debug)]
pub(super) struct Problem {
    pub at: usize,
    pub what: String,
}

/// Reason why a value is rejected, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("{0}")]
    Remedy(&'static str),
    #[error("must be from {least} to {most}")]
    Time { least: Span, most: Span },
    #[error("must be at least {0}")]
    Below(&'static str),
    #[error("must be one of {0}")]
    NotOneOf(String),
    #[error("there is no [{0}] in this file")]
    Unknown(String),
    #[error("{0}; write a name, the beginning of names as \"cam*\", or \"*\"")]
    Name(NameError),
    /// The message of the value's own type.
    #[error("{0}")]
    Value(String),
}

impl From<&'static str> for Unfit {
    fn from(remedy: &'static str) -> Self {
        Self::Remedy(remedy)
    }
}

pub(super) type Checked<T> = Result<T, Problem>;

pub(super) fn problem<T>(at: &Spanned<impl Sized>, what: impl Into<String>) -> Checked<T> {
    Err(Problem { at: at.span().start, what: what.into() })
}

/// Parses the text, or returns `default` if there is none.
pub(super) fn text_or<T>(
    key: &str,
    text: &Text,
    default: impl FnOnce() -> T,
    parse: impl FnOnce(&str) -> Result<T, Unfit>,
) -> Checked<T> {
    match text {
        None => Ok(default()),
        Some(text) => {
            parse(text.get_ref()).or_else(|why| problem(text, format!("{key} = {:?}: {why}", text.get_ref())))
        }
    }
}

pub(super) fn parsed<T: FromStr<Err: ToString>>(text: &str) -> Result<T, Unfit> {
    text.parse().map_err(|error: T::Err| Unfit::Value(error.to_string()))
}

/// Parses a duration from `least` to `most` seconds.
pub(super) fn time(key: &str, text: &Text, default: u64, least: u64, most: u64) -> Checked<Duration> {
    text_or(
        key,
        text,
        || Duration::from_secs(default),
        |text| match parsed::<Span>(text)? {
            span if (least..=most).contains(&span.seconds()) => Ok(span.0),
            _ => Err(Unfit::Time { least: Span::of(least), most: Span::of(most) }),
        },
    )
}

pub(super) fn number(key: &str, number: &Number, default: u32, least: u32, most: u32) -> Checked<u32> {
    let Some(written) = number else { return Ok(default) };
    match u32::try_from(*written.get_ref()) {
        Ok(value) if (least..=most).contains(&value) => Ok(value),
        _ => problem(written, format!("{key} = {}: must be from {least} to {most}", written.get_ref())),
    }
}

pub(super) fn absolute(text: &str) -> Result<PathBuf, Unfit> {
    if text.starts_with('/') {
        Ok(text.into())
    } else {
        Err(Unfit::Remedy("write a path that begins with /"))
    }
}

/// Checks a name that becomes part of URLs and of stream names.
pub(super) fn check_name(what: &str, name: &Spanned<String>) -> Checked<()> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if name.get_ref().is_empty() || name.get_ref().len() > 32 || !name.get_ref().bytes().all(fits) {
        return problem(name, format!("[{what}.{}]: a name has 1 to 32 of A-Z a-z 0-9 -", name.get_ref()));
    }
    Ok(())
}
