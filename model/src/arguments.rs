//! `name?arguments`: RTMP's counterpart of a URL's query.

/// Splits the text at the first `?`. A text without `?` has no arguments.
pub fn split(text: &str) -> (&str, Option<&str>) {
    text.split_once('?').map_or((text, None), |(name, arguments)| (name, Some(arguments)))
}

/// Splits like [`split`], for bytes that may not be UTF-8.
pub fn split_bytes(raw: &[u8]) -> (&[u8], Option<&[u8]>) {
    match raw.iter().position(|byte| *byte == b'?') {
        Some(question) => (&raw[..question], Some(&raw[question + 1..])),
        None => (raw, None),
    }
}

/// Returns the part before the first `?`.
pub fn name(text: &str) -> &str {
    split(text).0
}

/// Returns the part before the first `?`, for bytes that may not be UTF-8.
pub fn name_bytes(raw: &[u8]) -> &[u8] {
    split_bytes(raw).0
}

/// Joins a name and arguments. Without arguments, the result has no `?`.
pub fn join_bytes(name: &[u8], arguments: &[&[u8]]) -> Vec<u8> {
    let mut raw = name.to_vec();
    if !arguments.is_empty() {
        raw.push(b'?');
        raw.extend_from_slice(&arguments.join(&b'&'));
    }
    raw
}

/// Appends an argument: after `?` if it is the first, after `&` otherwise.
pub fn with(text: &str, argument: &str) -> String {
    let sign = if split(text).1.is_some() { '&' } else { '?' };
    format!("{text}{sign}{argument}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_question_mark_counts() {
        for (text, expected) in [
            ("", ("", None)),
            ("?", ("", Some(""))),
            ("show", ("show", None)),
            ("show?", ("show", Some(""))),
            ("show?a=1?b", ("show", Some("a=1?b"))),
            ("show?a=1&&b", ("show", Some("a=1&&b"))),
            ("?a", ("", Some("a"))),
        ] {
            assert_eq!(split(text), expected);
            let (name, arguments) = split_bytes(text.as_bytes());
            assert_eq!((name, arguments), (expected.0.as_bytes(), expected.1.map(str::as_bytes)));
            assert_eq!(name_bytes(text.as_bytes()), name);
            let arguments: Vec<&[u8]> =
                arguments.into_iter().flat_map(|all| all.split(|byte| *byte == b'&')).collect();
            assert_eq!(join_bytes(name, &arguments), text.as_bytes());
        }
        assert_eq!((with("show", "a=1"), with("show?b", "a=1")), ("show?a=1".into(), "show?b&a=1".into()));
    }
}
