//! A line for a log without its secrets: words that look like a token (JWT) or a key of Weir, wherever they stand, and the values of
//! `token=`, `weir_token=` and `key=`, of `Bearer`. A `%XX` reads as its byte, also where it was encoded more than once, as in an
//! address inside of another one's query.

use std::ops::Range;

use super::{KEY_LEN, MASK, is_base64url};
use crate::escape;

/// The names of values that are secrets.
const NAMES: [&[u8]; 3] = [b"token", b"weir_token", b"key"];
const BEARER: &[u8] = b"bearer";
/// The shortest first part of what counts as a token: `{"alg":1}`.
const SHORTEST_HEADER: usize = 8;

/// Masks a line in place. Returns its new length: a mask is no longer than what it hides.
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

/// The line with a mask in the place of each secret; `None` where there is none.
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

/// The byte that stands at a place, as its last reader sees it, and how many bytes of the line it takes. 0 bytes at the end.
fn unit(line: &[u8], at: usize) -> (u8, usize) {
    let Some(plain) = line.get(at) else { return (0, 0) };
    let Some(mut byte) = line.get(at..).and_then(escape::leading) else { return (*plain, 1) };
    let mut length = 3;
    // `%253D` is `%3D` is `=`.
    while byte == b'%'
        && let Some(digits) = line.get(at + length..at + length + 2)
        && let Some(inner) = escape::leading(&[b'%', digits[0], digits[1]])
    {
        (byte, length) = (inner, length + 2);
    }
    (byte, length)
}

/// Where the bytes from a place on are no longer such bytes, and how many they are.
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

/// The next secret from a place on. Whatever a line holds, each byte of it is read a few times at most.
fn next(line: &[u8], from: usize) -> Option<Range<usize>> {
    let mut at = from;
    // Before this place, no `eyJ` begins a token.
    let mut no_token_before = from;
    let mut before = previous(line, from);
    while at < line.len() {
        let (byte, length) = unit(line, at);
        // The `e` of `%2eyJ` may be that of a token behind `%2`.
        for start in at..at + length {
            let may_begin = (start == at && byte == b'e') || line[start] == b'e';
            if may_begin && start >= no_token_before {
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

/// The byte before a place where a search goes on.
fn previous(line: &[u8], at: usize) -> u8 {
    at.checked_sub(1).and_then(|before| line.get(before)).copied().unwrap_or(b' ')
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Where a token (RFC 7519) that begins here ends; else before which place none begins.
fn token(line: &[u8], from: usize) -> Result<usize, usize> {
    let is_dot = |at: usize| matches!(unit(line, at), (b'.', _));
    let (header, length) = run(line, from, is_base64url);
    let begins = begins_with(line, from, b"eyJ", false).is_some();
    if !begins {
        return Err(from + 1);
    }
    if !is_dot(header) {
        return Err(header);
    }
    let claims_at = header + unit(line, header).1;
    let (claims, count) = run(line, claims_at, is_base64url);
    if length < SHORTEST_HEADER || count == 0 || !is_dot(claims) {
        return Err(claims_at);
    }
    // Further parts are of a token that follows at once.
    let mut end = claims;
    while is_dot(end) {
        end = run(line, end + unit(line, end).1, is_base64url).0;
    }
    Ok(end)
}

/// Where a key that Weir made ends.
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

/// The value of a name whose values are secrets, or of `Bearer`.
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
    let ends = |byte: u8| byte <= b' ' || b"&#\"'<>;,".contains(&byte);
    let (end, count) = run(line, start, |byte| !ends(byte));
    (count > 0).then_some(start..end)
}

/// The place behind a word that stands here.
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
        for line in
            ["eyJ".repeat(20_000), "eyJ.".repeat(20_000), "%65yJ%2e".repeat(8_000), "wk_a".repeat(16_000)]
        {
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
