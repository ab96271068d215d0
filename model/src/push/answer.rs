//! Interprets the answers of a push's target.

/// The meaning of an `onStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The target accepts the stream.
    Published,
    /// The target refuses the stream.
    Refused,
    /// The answer is neither.
    Other,
}

/// Endings of codes that mean a refusal at any level.
const REFUSALS: [&str; 9] = [
    ".BadName",
    ".Denied",
    ".Rejected",
    ".Failed",
    ".Failure",
    ".Unauthorized",
    ".InvalidApp",
    ".AppShutdown",
    ".Closed",
];

/// Decides by the code, or by the level if the code is empty or unknown.
pub fn answer(level: &str, code: &str) -> Answer {
    let is_error = level.eq_ignore_ascii_case("error");
    match code {
        "NetStream.Publish.Start" => Answer::Published,
        _ if is_error || REFUSALS.iter().any(|end| code.ends_with(end)) => Answer::Refused,
        "" if level.eq_ignore_ascii_case("status") => Answer::Published,
        _ => Answer::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_decides_and_the_level_where_there_is_none() {
        for (level, code, expected) in [
            ("status", "NetStream.Publish.Start", Answer::Published),
            ("", "NetStream.Publish.Start", Answer::Published),
            ("7", "NetStream.Publish.Start", Answer::Published),
            ("status", "", Answer::Published),
            ("error", "", Answer::Refused),
            ("Error", "NetStream.Something", Answer::Refused),
            ("", "NetStream.Publish.BadName", Answer::Refused),
            ("status", "NetStream.Publish.Denied", Answer::Refused),
            ("status", "NetStream.Play.Reset", Answer::Other),
            ("warning", "NetStream.Publish.Slow", Answer::Other),
            ("warning", "", Answer::Other),
            ("", "", Answer::Other),
        ] {
            assert_eq!(answer(level, code), expected, "{level} {code}");
        }
    }
}
