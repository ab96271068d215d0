//! Removes secrets from the lines of programs before they are stored or logged.

use weir_model::text::is_deceptive;

/// Replacement for a secret.
const MASK: &str = "***";
/// Arguments of URLs whose values are secret.
const SECRET_ARGUMENTS: [&str; 8] =
    ["key", "token", "password", "pass", "pwd", "secret", "psk", "passphrase"];

/// Returns a line without stream keys, tokens, passwords of URLs and control characters.
pub(crate) fn masked(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut word = String::new();
    for c in line.chars() {
        // These characters end a word, or a part of a URL.
        if c.is_whitespace() || "'\"<>(),;&?".contains(c) {
            out.push_str(&masked_word(&word));
            word.clear();
            out.push(if c.is_control() { ' ' } else { c });
        } else if !is_deceptive(c) {
            word.push(c);
        }
    }
    out.push_str(&masked_word(&word));
    out
}

fn masked_word(word: &str) -> String {
    if let Some((name, value)) = word.split_once('=') {
        let last = name.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or(name);
        if !value.is_empty() && SECRET_ARGUMENTS.iter().any(|secret| last.eq_ignore_ascii_case(secret)) {
            return format!("{name}={MASK}");
        }
    }
    let word = without_password(word);
    let parts: Vec<&str> = word.split('/').map(masked_part).collect();
    parts.join("/")
}

/// Replaces the password in `scheme://user:password@host`.
fn without_password(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    let (authority, path) =
        rest.split_once('/').map_or((rest, None), |(authority, path)| (authority, Some(path)));
    let Some((who, host)) = authority.rsplit_once('@') else { return word.to_owned() };
    let user = who.split(':').next().unwrap_or_default();
    let path = path.map_or(String::new(), |path| format!("/{path}"));
    format!("{scheme}://{user}:{MASK}@{host}{path}")
}

/// Masks a stream key or a token (JWT).
fn masked_part(part: &str) -> &str {
    let is_key = part.strip_prefix("wk_").is_some_and(|rest| rest.len() >= 8);
    let is_token = part.starts_with("eyJ") && part.matches('.').count() >= 2;
    if is_key || is_token { MASK } else { part }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_the_rest_stays() {
        let key = "wk_abcdefghijklmnopqrstuvwxyz234567";
        for (line, expected) in [
            (
                "Opening 'rtmp://127.0.0.1/live/show' for reading",
                "Opening 'rtmp://127.0.0.1/live/show' for reading",
            ),
            (&format!("rtmp://h/live/{key}: Broken pipe"), "rtmp://h/live/*** Broken pipe"),
            (&format!("rtmp://h/live/{key}"), "rtmp://h/live/***"),
            ("rtmp://h/live/show?token=abc&x=1", "rtmp://h/live/show?token=***&x=1"),
            ("rtmp://h/live/show?x=1&key=abc", "rtmp://h/live/show?x=1&key=***"),
            ("rtmps://user:pa:ss@h/app/name", "rtmps://user:***@h/app/name"),
            ("srt://h:9000?passphrase=abc", "srt://h:9000?passphrase=***"),
            ("token eyJhbGciOi.eyJhY3Q.nmfVOF ended", "token *** ended"),
            ("frame= 36 fps= 25 keyframe=1", "frame= 36 fps= 25 keyframe=1"),
            ("a\x1b[31mb\tc", "a[31mb c"),
        ] {
            let got = masked(line);
            assert_eq!(got, expected, "{line:?}");
            assert!(!got.contains(key) && !got.contains("abc") && !got.contains("pa:ss"), "{got}");
        }
    }
}
