//! Finds secrets in the texts that clients send, and removes them.
//!
//! Users enter the stream key in the wrong field: in *Server*, as the name to play, in an argument. nginx-rtmp logs all
//! of these fields, and passes them to hooks and programs. So Weir searches each text of a client for secrets first.

use std::{borrow::Cow, ops::Range};

use crate::{arguments, escape};

mod header;
mod line;

pub use line::{mask_line, masked_line};

/// The replacement of a secret.
pub const MASK: &str = "***";

/// How many bytes of a text are searched for words that may be keys; nginx-rtmp cuts longer texts.
const MAX_SEARCHED: usize = 512;
/// The most words of a text that are looked up.
const MAX_WORDS: usize = 64;
/// The minimum length of a word that is looked up.
const MIN_WORD: usize = 6;

/// Length of a key that Weir creates: `wk_` and 32 characters.
const KEY_LEN: usize = 35;

/// Which texts count as secrets.
#[derive(Clone, Copy)]
pub struct Rule<'r> {
    /// Whether the arguments `key=` and `token=` belong to Weir, as in an application that requires keys. In other
    /// applications they may belong to another program.
    pub own_arguments: bool,
    /// Returns whether a word is a key of this server, in any form.
    pub is_key: &'r dyn Fn(&[u8]) -> bool,
    /// Returns whether a token is signed with this server's secret.
    pub is_token: &'r dyn Fn(&str) -> bool,
}

impl Rule<'static> {
    /// Finds only texts in the form of a key that Weir creates.
    pub const SHAPE: Rule<'static> = Rule { own_arguments: false, is_key: &|_| false, is_token: &|_| false };
}

/// The kind of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretKind {
    /// A stream key.
    Key,
    /// A token (JWT).
    Token,
    /// The value of `key=` or `token=`, if it is neither a key nor a token.
    Argument,
}

/// A secret in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The kind of the secret.
    pub kind: SecretKind,
    /// The position in the text, in bytes.
    pub at: Range<usize>,
}

/// Returns the secrets of a text in their order, without overlaps.
pub fn find(text: &[u8], rule: &Rule<'_>) -> Vec<Found> {
    let decoded = Decoded::new(text);
    let mut found = Vec::new();
    keys(&decoded, &mut found);
    tokens(&decoded, rule, &mut found);
    words(text, rule, &mut found);
    arguments(text, rule, &mut found);
    found.sort_by_key(|found| (found.at.start, found.kind));
    let mut merged: Vec<Found> = Vec::new();
    for next in found {
        match merged.last_mut() {
            Some(last) if next.at.start < last.at.end => {
                last.at.end = last.at.end.max(next.at.end);
                last.kind = last.kind.min(next.kind);
            }
            _ => merged.push(next),
        }
    }
    merged
}

/// Returns whether a text contains a key or a token.
pub fn holds_credential(text: &[u8], rule: &Rule<'_>) -> bool {
    find(text, rule).iter().any(|found| found.kind != SecretKind::Argument)
}

/// Returns whether a text contains bytes in the form of a key that Weir creates.
pub fn holds_key(text: &[u8]) -> bool {
    find(text, &Rule::SHAPE).iter().any(|found| found.kind == SecretKind::Key)
}

/// Returns the text with a mask in place of each secret, or `None` if there is no secret.
pub fn masked(text: &[u8], rule: &Rule<'_>) -> Option<Vec<u8>> {
    let found = find(text, rule);
    if found.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = 0;
    for secret in found {
        out.extend_from_slice(&text[rest..secret.at.start]);
        out.extend_from_slice(MASK.as_bytes());
        rest = secret.at.end;
    }
    out.extend_from_slice(&text[rest..]);
    Some(out)
}

/// Returns `name?args` without the arguments that contain secrets, or `None` if no argument does. The name stays
/// unchanged.
pub fn without_secret_arguments(text: &[u8], rule: &Rule<'_>) -> Option<Vec<u8>> {
    let (name, args) = arguments::split_bytes(text);
    let args = args?;
    let clean = |argument: &&[u8]| find(&[b"?", *argument].concat(), rule).is_empty();
    let all = args.split(|byte| *byte == b'&');
    let kept: Vec<&[u8]> = all.clone().filter(clean).collect();
    if kept.len() == all.count() {
        return None;
    }
    Some(arguments::join_bytes(name, &kept))
}

/// Returns the positions of all texts in the form of a key that Weir creates, in arbitrary bytes.
pub fn places_of_keys(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    keys(&Decoded::new(bytes), &mut found);
    found.into_iter().map(|found| found.at).collect()
}

/// A text with each `%XX` resolved, and the origin of its bytes.
struct Decoded<'t> {
    bytes: Cow<'t, [u8]>,
    /// The position of each byte in the text, and the end of the text. Empty if the text has no `%`.
    from: Vec<usize>,
}

impl Decoded<'_> {
    fn new(text: &[u8]) -> Decoded<'_> {
        if !text.contains(&b'%') {
            return Decoded { bytes: text.into(), from: Vec::new() };
        }
        let (mut bytes, mut from) = (Vec::with_capacity(text.len()), Vec::with_capacity(text.len() + 1));
        let mut at = 0;
        while at < text.len() {
            from.push(at);
            match escape::leading(&text[at..]) {
                Some(byte) => {
                    bytes.push(byte);
                    at += 3;
                }
                None => {
                    bytes.push(text[at]);
                    at += 1;
                }
            }
        }
        from.push(text.len());
        Decoded { bytes: bytes.into(), from }
    }

    /// Returns the position in the original text.
    fn place(&self, at: Range<usize>) -> Range<usize> {
        match (self.from.get(at.start), self.from.get(at.end)) {
            (Some(start), Some(end)) => *start..*end,
            _ => at,
        }
    }
}

/// Finds `wk_` and 32 of `a-z2-7`, in either case, with any bytes around it.
fn keys(text: &Decoded<'_>, found: &mut Vec<Found>) {
    let bytes = &text.bytes;
    let mut at = 0;
    while let Some(offset) = bytes.get(at + 2..).and_then(|rest| rest.iter().position(|byte| *byte == b'_')) {
        let start = at + offset;
        let Some(candidate) = bytes.get(start..start + KEY_LEN) else { return };
        let is_key = candidate[..3].eq_ignore_ascii_case(b"wk_")
            && candidate[3..].iter().all(|byte| byte.is_ascii_alphabetic() || (b'2'..=b'7').contains(byte));
        if is_key {
            found.push(Found { kind: SecretKind::Key, at: text.place(start..start + KEY_LEN) });
        }
        at = if is_key { start + KEY_LEN } else { start + 1 };
    }
}

/// Finds three parts of base64url, of which the first is an object (RFC 7519).
fn tokens(text: &Decoded<'_>, rule: &Rule<'_>, found: &mut Vec<Found>) {
    let bytes = &text.bytes;
    let part = |from: usize| bytes[from..].iter().take_while(|byte| is_base64url(**byte)).count();
    let mut at = 0;
    while let Some(offset) = bytes[at..].iter().position(|byte| header::may_begin(*byte)) {
        let start = at + offset;
        at = start + 1;
        let is_within = start > 0 && is_base64url(bytes[start - 1]);
        if is_within || !header::is_object(bytes[start..].iter().copied()) {
            continue;
        }
        let mut end = start;
        let mut parts = 0;
        while parts < 3 {
            let length = part(end);
            if length == 0 {
                break;
            }
            (end, parts) = (end + length, parts + 1);
            if parts < 3 {
                if bytes.get(end) != Some(&b'.') {
                    break;
                }
                end += 1;
            }
        }
        let token = std::str::from_utf8(&bytes[start..end]).unwrap_or_default();
        if parts == 3 && (rule.own_arguments || (rule.is_token)(token)) {
            found.push(Found { kind: SecretKind::Token, at: text.place(start..end) });
            at = end;
        }
    }
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Finds words that are keys of this server, in any form.
fn words(text: &[u8], rule: &Rule<'_>, found: &mut Vec<Found>) {
    let text = &text[..text.len().min(MAX_SEARCHED)];
    let ends_word = |byte: &u8| b"/?&=:@ ,;\"'#\t\r\n".contains(byte);
    let mut start = 0;
    let mut looked_up = 0;
    for word in text.split(ends_word) {
        let at = start..start + word.len();
        start = at.end + 1;
        if word.len() >= MIN_WORD && looked_up < MAX_WORDS {
            looked_up += 1;
            if (rule.is_key)(&Decoded::new(word).bytes) {
                found.push(Found { kind: SecretKind::Key, at });
            }
        }
    }
}

/// Finds the values of `key=` and `token=` after the first `?`.
fn arguments(text: &[u8], rule: &Rule<'_>, found: &mut Vec<Found>) {
    let (name, Some(arguments)) = arguments::split_bytes(text) else { return };
    if !rule.own_arguments {
        return;
    }
    let mut start = name.len() + 1;
    for argument in arguments.split(|byte| *byte == b'&') {
        if let Some(equals) = argument.iter().position(|byte| *byte == b'=') {
            let name = Decoded::new(&argument[..equals]).bytes;
            let own = name.eq_ignore_ascii_case(b"key") || name.eq_ignore_ascii_case(b"token");
            if own && equals + 1 < argument.len() {
                let at = start + equals + 1..start + argument.len();
                found.push(Found { kind: SecretKind::Argument, at });
            }
        }
        start += argument.len() + 1;
    }
}

#[cfg(test)]
mod tests;
