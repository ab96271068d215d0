//! One page of a list: `?limit=100&after=CURSOR`.

use std::fmt;
use std::str::FromStr;

use crate::api::ApiError;
use crate::fields::TWICE;
use crate::key::KeyId;
use crate::time::Timestamp;

/// The most entries that one page may have.
pub const MAX_LIMIT: usize = 10_000;

/// The requested part of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page<'q> {
    /// The most entries to return; `None` means all.
    pub limit: Option<usize>,
    /// The cursor that the previous page returned as `next`.
    pub after: Option<&'q str>,
}

impl<'q> Page<'q> {
    /// Reads the arguments `limit` and `after`.
    ///
    /// # Errors
    ///
    /// `limit` is not a number from 1 to [`MAX_LIMIT`], an argument appears twice, or is another one.
    pub fn parse(query: &'q str) -> Result<Page<'q>, ApiError> {
        let mut page = Page::default();
        for argument in query.split('&') {
            let (name, text) = argument.split_once('=').unwrap_or((argument, ""));
            if name == "limit" && page.limit.is_some() || name == "after" && page.after.is_some() {
                return Err(ApiError::bad_request(format!("argument \"{name}\": {TWICE}")));
            }
            match (name, text) {
                ("limit", text) => {
                    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                    let limit = limit.ok_or_else(|| {
                        ApiError::bad_request(format!(
                            "argument \"limit\": expected a number from 1 to {MAX_LIMIT}"
                        ))
                    })?;
                    page.limit = Some(limit);
                }
                ("after", text) => page.after = Some(text),
                ("", "") => {}
                (unknown, _) => {
                    return Err(ApiError::bad_request(format!(
                        "unknown argument \"{unknown}\", known is limit, after"
                    )));
                }
            }
        }
        Ok(page)
    }
}

/// A position in the list of keys, after one of them: first keys of the API by age and id, then keys of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyCursor {
    /// The position after this key of the API.
    Api(Timestamp, KeyId),
    /// The position after this many keys of files.
    File(usize),
}

/// The text is not a position in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected what the answer before named as \"next\"")]
pub struct CursorError;

impl fmt::Display for KeyCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyCursor::Api(created_at, id) => write!(f, "{}.{id}", created_at.as_millis()),
            KeyCursor::File(count) => write!(f, "file.{count}"),
        }
    }
}

impl FromStr for KeyCursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<KeyCursor, CursorError> {
        let (place, rest) = text.split_once('.').ok_or(CursorError)?;
        if place == "file" {
            return rest.parse().map(KeyCursor::File).map_err(|_| CursorError);
        }
        let created_at = place.parse().map(Timestamp::from_millis).map_err(|_| CursorError)?;
        Ok(KeyCursor::Api(created_at, rest.parse().map_err(|_| CursorError)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_asked_for_in_any_order() {
        let page = |query| Page::parse(query).unwrap();
        assert_eq!(page(""), Page { limit: None, after: None });
        assert_eq!(page("after=a.b&limit=7"), Page { limit: Some(7), after: Some("a.b") });
        assert_eq!(page("limit=10000&"), Page { limit: Some(10_000), after: None });
        for query in ["x=1", "limit=1&x"] {
            assert!(Page::parse(query).unwrap_err().message.contains("unknown argument \"x\""), "{query}");
        }
        for query in ["limit=", "limit=0", "limit=10001", "limit=-1", "limit=x", "limit", "after=1&limit=1.5"]
        {
            let error = Page::parse(query).unwrap_err();
            assert_eq!(error.status, 400, "{query}");
            assert!(error.message.contains("\"limit\""), "{error}");
        }
        for query in ["limit=5&after=a.b&limit=5", "after=&after=a.b"] {
            assert!(Page::parse(query).unwrap_err().message.ends_with(TWICE), "{query}");
        }
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        for cursor in
            [KeyCursor::Api(Timestamp::from_millis(1_795_197_600_123), KeyId(7)), KeyCursor::File(12)]
        {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        assert_eq!(KeyCursor::Api(Timestamp::from_millis(5), KeyId(1)).to_string(), "5.k0000000000000001");
        for text in ["", ".", "5", "5.", "5.x", "x.k0000000000000001", "file", "file.", "file.x", "-1.k1"] {
            assert_eq!(text.parse::<KeyCursor>(), Err(CursorError), "{text}");
        }
    }
}
