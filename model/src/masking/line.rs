//! Masks the secrets in a log line: words in the form of a token (JWT) or a key of Weir at any position, the values of
//! `token=`, `weir_token=` and `key=`, and the value of `Bearer`. A `%XX` counts as its byte, even if it was encoded
//! several times, as in an address inside another address's query. Mail programs and chats break long links: a secret
//! that a space, a line break, a comma or a quote interrupts counts as one secret.

use std::ops::Range;

use super::{KEY_LEN, MASK, header, is_base64url};
use crate::escape;

/// Names whose values are secrets.
const NAMES: [&[u8]; 3] = [b"token", b"weir_token", b"key"];
const BEARER: &[u8] = b"bearer";
/// Minimum length of a token's first part: `{"alg":1}`.
const SHORTEST_HEADER: usize = 8;
/// Bytes that end a value, and may interrupt a secret; white space and control bytes do so too.
const BREAKS: &[u8] = b"\"'<>;,";
/// Whether a secret, its name, or an encoded byte may begin with a byte.
static MAY_BEGIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        let first = byte as u8;
        // The first letters of `NAMES`, `BEARER` and a key of Weir.
        table[byte] = header::may_begin(first)
            || matches!(first.to_ascii_lowercase(), b't' | b'w' | b'k' | b'b' | b'%');
        byte += 1;
    }
    table
};
/// The most such bytes in sequence that may interrupt a secret.
const MOST_BREAKS: usize = 4;
/// Minimum length of a piece of a secret after a plain space. A shorter word counts as the rest of the sentence.
const LONG_PIECE: usize = 20;

/// Masks a line in place. Returns its new length; a mask is no longer than the secret.
pub fn mask_line(line: &mut [u8]) -> usize {
    let (mut read, mut written) = (0, 0);
    while let Some(secret) = next(line, read) {
        line.copy_within(read..secret.start, written);
        written += secret.start - read;
        let mask = &MASK.as_bytes()[..secret.len().min(MASK.len())];
        line[written..written + mask.len()].copy_from_slice(mask);
        (read, written) = (secret.end, written + mask.len());
    }
    line.copy_within(read.., written);
    written + line.len() - read
}

/// Returns the line with a mask in place of each secret, or `None` if there is no secret.
#[must_use]
pub fn masked_line(line: &[u8]) -> Option<Vec<u8>> {
    let mut secret = next(line, 0)?;
    let (mut out, mut read) = (Vec::with_capacity(line.len()), 0);
    loop {
        out.extend_from_slice(&line[read..secret.start]);
        out.extend_from_slice(MASK.as_bytes());
        read = secret.end;
        match next(line, read) {
            Some(next) => secret = next,
            None => break,
        }
    }
    out.extend_from_slice(&line[read..]);
    Some(out)
}

/// Returns the fully decoded byte at a position, and how many bytes of the line encode it. The count is 0 at the end.
fn unit(line: &[u8], at: usize) -> (u8, usize) {
    let Some(plain) = line.get(at) else { return (0, 0) };
    let Some(mut byte) = line.get(at..).and_then(escape::leading) else { return (*plain, 1) };
    let mut length = 3;
    // `%253D` decodes to `%3D` and then to `=`.
    while byte == b'%'
        && let Some(digits) = line.get(at + length..at + length + 2)
        && let Some(inner) = escape::leading(&[b'%', digits[0], digits[1]])
    {
        (byte, length) = (inner, length + 2);
    }
    (byte, length)
}

/// Returns the end of the run of matching bytes that starts at a position, and their number.
fn run(line: &[u8], from: usize, is_in: impl Fn(u8) -> bool) -> (usize, usize) {
    let (mut at, mut count) = (from, 0);
    loop {
        let (byte, length) = unit(line, at);
        if length == 0 || !is_in(byte) {
            return (at, count);
        }
        (at, count) = (at + length, count + 1);
    }
}

/// Returns the next secret from a position on. For any line, each byte is read only a few times.
fn next(line: &[u8], from: usize) -> Option<Range<usize>> {
    let mut at = from;
    // No token begins before this position.
    let mut no_token_before = from;
    let mut before = previous(line, from);
    while let Some(plain) = line[at..].iter().position(|byte| MAY_BEGIN[usize::from(*byte)]) {
        if plain > 0 {
            at += plain;
            before = line[at - 1];
        }
        let (byte, length) = unit(line, at);
        // The `e` of `%2eyJ` may begin a token after `%2`.
        for start in at..at + length {
            let first = if start == at { byte } else { line[start] };
            if header::may_begin(first) && start >= no_token_before {
                match token(line, start) {
                    Ok(end) => return Some(start..end),
                    Err(none_before) => no_token_before = none_before,
                }
            }
        }
        if matches!(byte, b'w' | b'W')
            && let Some(end) = key(line, at)
        {
            return Some(at..end);
        }
        if !is_name_byte(before)
            && let Some(value) = value(line, at)
        {
            return Some(value);
        }
        (before, at) = (byte, at + length);
    }
    None
}

/// Returns the byte before the position at which a search resumes.
fn previous(line: &[u8], at: usize) -> u8 {
    at.checked_sub(1).and_then(|before| line.get(before)).copied().unwrap_or(b' ')
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Returns the end of the token (RFC 7519) that begins here, or else a position before which no token begins.
fn token(line: &[u8], from: usize) -> Result<usize, usize> {
    if !header::is_object(Units { line, at: from }) {
        return Err(from + 1);
    }
    let (header, length) = pieces(line, from, is_base64url);
    let Some(claims_at) = behind_dot(line, header) else { return Err(header) };
    let (claims, count) = pieces(line, claims_at, is_base64url);
    let signature_at = behind_dot(line, claims).filter(|_| length >= SHORTEST_HEADER && count > 0);
    let Some(mut next) = signature_at else { return Err(claims_at) };
    loop {
        let end = pieces(line, next, is_base64url).0;
        // Further parts belong to a token that follows immediately.
        match behind_dot(line, end) {
            Some(after) => next = after,
            None => return Ok(end),
        }
    }
}

/// Returns the start of a token's next part, if a part ends here.
fn behind_dot(line: &[u8], at: usize) -> Option<usize> {
    let dot = |at: usize| match unit(line, at) {
        (b'.', length) => Some(at + length),
        _ => None,
    };
    let after = dot(at).or_else(|| dot(rejoined(line, at)?))?;
    Some(rejoined(line, after).unwrap_or(after))
}

/// The fully decoded bytes of a line from a position on.
struct Units<'l> {
    line: &'l [u8],
    at: usize,
}

impl Iterator for Units<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (byte, length) = unit(self.line, self.at);
        self.at += length;
        (length > 0).then_some(byte)
    }
}

/// Like [`run`], but continues after bytes that interrupt a secret.
fn pieces(line: &[u8], from: usize, is_in: impl Fn(u8) -> bool) -> (usize, usize) {
    let (mut end, mut count) = run(line, from, &is_in);
    while count > 0
        && let Some(next) = rejoined(line, end)
    {
        let (piece_end, more) = run(line, next, &is_in);
        if more == 0 {
            break;
        }
        (end, count) = (piece_end, count + more);
    }
    (end, count)
}

fn is_break(byte: u8) -> bool {
    byte <= b' ' || BREAKS.contains(&byte)
}

/// Returns where a secret continues that is interrupted here.
fn rejoined(line: &[u8], from: usize) -> Option<usize> {
    let (mut at, mut breaks, mut plain) = (from, 0, 0);
    loop {
        let (byte, length) = unit(line, at);
        if length == 0 || !is_break(byte) {
            break;
        }
        (breaks, plain) = (breaks + 1, plain + usize::from(length == 1));
        if breaks > MOST_BREAKS {
            return None;
        }
        at += length;
    }
    if breaks == 0 {
        return None;
    }
    let (end, count) = run(line, at, |byte| is_base64url(byte) || byte == b'.');
    // Another name and value follow, as in a cookie.
    if count == 0 || unit(line, end).0 == b'=' {
        return None;
    }
    let is_within = plain == 0 || (breaks == 1 && line[from] > b' ');
    (is_within || count >= LONG_PIECE).then_some(at)
}

/// Returns the end of a key that Weir created.
fn key(line: &[u8], from: usize) -> Option<usize> {
    let mut at = begins_with(line, from, b"wk_", true)?;
    for _ in 3..KEY_LEN {
        let (byte, length) = unit(line, at);
        if length == 0 || !(byte.is_ascii_alphabetic() || (b'2'..=b'7').contains(&byte)) {
            return None;
        }
        at += length;
    }
    Some(at)
}

/// Returns the position of the value of a name in [`NAMES`], or of `Bearer`.
fn value(line: &[u8], from: usize) -> Option<Range<usize>> {
    let named = NAMES.iter().find_map(|name| {
        let at = begins_with(line, from, name, true)?;
        begins_with(line, at, b"=", false)
    });
    let start = named.or_else(|| {
        let at = begins_with(line, from, BEARER, true)?;
        let (end, spaces) = run(line, at, |byte| byte == b' ' || byte == b'+');
        (spaces > 0).then_some(end)
    })?;
    let (end, count) = pieces(line, start, |byte| !is_break(byte) && !matches!(byte, b'&' | b'#'));
    (count > 0).then_some(start..end)
}

/// Returns the position after a word that begins here.
fn begins_with(line: &[u8], from: usize, word: &[u8], any_case: bool) -> Option<usize> {
    let mut at = from;
    for wanted in word {
        let (byte, length) = unit(line, at);
        let same = byte == *wanted || any_case && byte.eq_ignore_ascii_case(wanted);
        if length == 0 || !same {
            return None;
        }
        at += length;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJsaXZlL3Nob3cifQ.c2lnbmF0dXJl-_x";

    fn in_place(line: &str) -> String {
        let mut bytes = line.as_bytes().to_vec();
        let length = mask_line(&mut bytes);
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_token_is_masked_wherever_it_stands() {
        let encoded: String = T.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for line in [
            format!("/hls/x.m3u8?token={T}"),
            format!("/x?z=A{T}"),
            format!("/x?z=_{T}"),
            format!("/hls/{T}/x.m3u8"),
            format!("/x#{T}"),
            format!("Referer: http://a/?src=https%3A%2F%2Fb%2F%3Ftoken%3D{T}%26x"),
            format!("Cookie: weir_token={T}; a=b"),
            format!("Authorization: Bearer {T}"),
            format!("/x?a={encoded}"),
            format!("/x?a={}", T.replace('.', "%2E")),
            format!("eyJxeyJ.eyJ {T}"),
            format!("{T}{T}"),
            format!("eyJhbGciOiJub25lIn0.eyJzdWIi.{T}"),
            // A header as some programs write it: `{ "alg"`, with a line break, with white space before it.
            format!("/hls/{}/x.m3u8", T.replace("eyJhbGciOiJIUzI1NiJ9", "eyAiYWxnIjogIkhTMjU2IiB9")),
            format!("/hls/{}/x.m3u8", T.replace("eyJhbGciOiJIUzI1NiJ9", "ewoiYWxnIjoiSFMyNTYifQ")),
            format!("/x#{}", T.replace("eyJhbGciOiJIUzI1NiJ9", "IHsiYWxnIjoiSFMyNTYifQ")),
        ] {
            let masked = in_place(&line);
            assert!(masked.contains("***"), "{line}: {masked}");
            for part in T.split('.').chain([encoded.as_str()]) {
                assert!(!masked.contains(part), "{line}: {masked}");
            }
            assert_eq!(masked_line(line.as_bytes()).unwrap(), masked.as_bytes());
        }
    }

    #[test]
    fn values_of_the_names_are_masked_in_each_form() {
        for (line, masked) in [
            ("GET /x?token=abc&x=1 HTTP/1.1", "GET /x?token=***&x=1 HTTP/1.1"),
            ("/x?x=1&tok%65n=abc", "/x?x=1&tok%65n=***"),
            ("/x?x=1&TOKEN=abcd#f", "/x?x=1&TOKEN=***#f"),
            ("/x?x=1&amp;token=abcd", "/x?x=1&amp;token=***"),
            ("/x?x=1;token=abcd", "/x?x=1;token=***"),
            ("/x#token=abcd", "/x#token=***"),
            ("/x?u=%2Fy%3Ftoken%3Dabcd%26z%3D1", "/x?u=%2Fy%3Ftoken%3D***%26z%3D1"),
            ("/x?u=%253Ftoken%253Dabcd%2526z", "/x?u=%253Ftoken%253D***%2526z"),
            ("\"Cookie: weir_token=abcd; x=1\"", "\"Cookie: weir_token=***; x=1\""),
            ("\"authorization: bearer sesame\"", "\"authorization: bearer ***\""),
            ("rewritten data: \"/x\", args: \"token=abcd\"", "rewritten data: \"/x\", args: \"token=***\""),
            ("/x?key=abcd", "/x?key=***"),
            ("/wk_ABCDEFGHIJKLMNOPQRSTUVWXYZ234567.m3u8", "/***.m3u8"),
            ("/x?tokens=abcd&mytoken=abcd&monkey=abcd", "/x?tokens=abcd&mytoken=abcd&monkey=abcd"),
            ("/x?token=&a=1", "/x?token=&a=1"),
            ("/eyJhbGciOiJI.x /show.m3u8", "/eyJhbGciOiJI.x /show.m3u8"),
            ("/jquery.min.js", "/jquery.min.js"),
            ("/show-2026.11.26.m3u8", "/show-2026.11.26.m3u8"),
            ("/everything.is.fine.js", "/everything.is.fine.js"),
            ("/x?token=ab%20cd&x=1", "/x?token=***&x=1"),
            ("/x?token=ab%0d%0acd&x=1", "/x?token=***&x=1"),
            ("/x?token=ab,cd\"ef&x=1", "/x?token=***&x=1"),
            ("/x?token=ab%2ccd%22ef HTTP/1.1", "/x?token=*** HTTP/1.1"),
            ("GET /x?token=abcd HTTP/1.1\", host: \"h\"", "GET /x?token=*** HTTP/1.1\", host: \"h\""),
            ("weir_token=abcd;x=1", "weir_token=***;x=1"),
            (
                "weir_token=abcd; a_name_of_a_cookie_that_is_long=1",
                "weir_token=***; a_name_of_a_cookie_that_is_long=1",
            ),
            ("args='token=abcd' start=0", "args='token=***' start=0"),
            ("{\"u\":\"/x?token=abcd\",\"s\":200}", "{\"u\":\"/x?token=***\",\"s\":200}"),
            ("", ""),
        ] {
            assert_eq!(in_place(line), masked, "{line}");
            let copy = masked_line(line.as_bytes());
            assert_eq!(copy.as_deref(), (line != masked).then_some(masked.as_bytes()), "{line}");
        }
        assert_eq!(in_place("/x?token=a&b"), "/x?token=*&b");
        assert_eq!(masked_line(b"/x?token=a&b").unwrap(), b"/x?token=***&b");
    }

    #[test]
    fn a_line_made_to_take_long_does_not() {
        for line in [
            "eyJ".repeat(20_000),
            "eyJ.".repeat(20_000),
            "%65yJ%2e".repeat(8_000),
            "wk_a".repeat(16_000),
            "eyJ,".repeat(16_000),
            "eyJa%20".repeat(8_000),
            "eyJhbGciOiJI, ".repeat(4_000),
            "token=,".repeat(8_000),
            "ICAg".repeat(16_000),
        ] {
            let begin = std::time::Instant::now();
            let _ = in_place(&line);
            assert!(begin.elapsed().as_millis() < 500, "{}", &line[..8]);
        }
    }

    proptest! {
        #[test]
        fn a_token_goes_and_the_rest_stays(before in "[ -~]{0,40}", after in "[ /?&#;\"%]{0,10}") {
            let line = format!("{before}{T}{after}");
            let masked = masked_line(line.as_bytes()).unwrap();
            let masked = String::from_utf8(masked).unwrap();
            prop_assert!(!masked.contains("c2lnbmF0dXJl") && masked.contains(MASK));
        }

        #[test]
        fn each_token_goes_also_where_it_is_broken(
            header in prop::sample::select(vec![
                "{\"alg\":\"HS256\"}", "{ \"alg\": \"HS256\" }", "{\n\t\"typ\":\"JWT\",\"alg\":\"HS256\"}", " {\"alg\":\"HS256\"}",
                "\r\n{\r\n\"alg\" :\"HS256\"}", "{\"é\":1,\"alg\":\"HS256\"}",
            ]),
            claims in prop::collection::vec(any::<u8>(), 1..80),
            signature: [u8; 32],
            place in prop::sample::select(vec!["/x?token=", "/x?a=1&weir_token=", "/x?z=", "/x/", "/x#", "u=%2Fx%3Ftoken%3D", "Bearer ", ""]),
            broken in prop::option::of((prop::sample::select(vec!["%20", "%0a", "%0d%0a", ",", "\"", "%2C", "%22", "'", "%2520", "%3b"]), 0.0..1.0)),
            after in prop::sample::select(vec!["", "&x=1", " HTTP/1.1", "#x"]),
        ) {
            use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
            let parts = [header.as_bytes(), &claims, &signature].map(|part| URL_SAFE_NO_PAD.encode(part));
            let mut token = parts.join(".");
            let is_valued = place.contains("oken") || place.starts_with("Bearer");
            if let Some((with, at)) = broken {
                // Without a name that announces a token, its header must begin like one.
                let least = if is_valued { 1 } else { 16 };
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
                let at = least + ((token.len() - 1 - least) as f64 * at) as usize;
                token.insert_str(at, with);
            }
            let line = format!("{place}{token}{after}");
            let masked = String::from_utf8(masked_line(line.as_bytes()).unwrap()).unwrap();
            prop_assert_eq!(masked, format!("{place}***{after}"), "{}", line);
        }

        #[test]
        fn names_of_files_stay(name in "[a-df-z][a-z0-9_-]{0,20}(\\.[0-9]{1,4}){0,3}(\\.min)?\\.(js|m3u8|ts|mp4|css)") {
            let line = format!("GET /{name} HTTP/1.1");
            prop_assert_eq!(masked_line(line.as_bytes()), None);
        }

        #[test]
        fn any_bytes_are_taken(line in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = line.clone();
            let length = mask_line(&mut bytes);
            prop_assert!(length <= line.len());
            if masked_line(&line).is_none() {
                prop_assert_eq!(&bytes[..length], &line[..]);
            }
        }
    }
}
