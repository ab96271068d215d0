//! The name and arguments that a publisher presents in the `publish` command.
//!
//! nginx-rtmp copies the arguments without escaping into the bodies of its hooks and into arguments of `exec`. So Weir
//! admits only bytes that have no special meaning there.

use std::fmt;

use crate::refusal::{ArgumentError, Refusal};
use crate::secret::{REDACTED, STREAM_KEY_PREFIX, Secret};
use crate::{arguments, escape};

/// Maximum length of `name?args`, in bytes, without `key` and `token`. nginx-rtmp cuts a longer text
/// (`NGX_RTMP_MAX_NAME`).
pub const MAX_PRESENTED_LEN: usize = 255;

/// Maximum length of an argument's name, in bytes.
const MAX_ARGUMENT_NAME_LEN: usize = 64;

/// Names that have a meaning for nginx-rtmp's hooks and `exec` (`ngx_rtmp_netcall_http_format_session`, the
/// `ngx_rtmp_notify_*_create` functions, `ngx_rtmp_exec_*_eval`, in either fork). An argument of this name could
/// imitate them.
pub const RESERVED: [&str; 25] = [
    "addr",
    "app",
    "args",
    "basename",
    "bytes_in",
    "bytes_out",
    "call",
    "clientid",
    "dirname",
    "duration",
    "epoch",
    "filename",
    "flashver",
    "module",
    "name",
    "pageurl",
    "path",
    "recorder",
    "reset",
    "start",
    "swfurl",
    "tcurl",
    "time",
    "timestamp",
    "type",
];

/// The name and arguments of a `publish`, parsed.
#[derive(Clone)]
pub struct Presented {
    /// The text before `?`. It may be a stream's name, a key, or neither.
    pub name: String,
    /// The value of `key=`.
    pub key: Option<Secret>,
    /// The value of `token=`.
    pub token: Option<Secret>,
    /// The other arguments in their order, joined with `&`.
    pub args: String,
}

impl Presented {
    /// Parses the string of the command as the AMF value contains it. Does not cut or repair anything.
    pub fn parse(raw: &[u8]) -> Result<Presented, Refusal> {
        let len = public_len(raw);
        if len > MAX_PRESENTED_LEN {
            return Err(Refusal::TooLong { len });
        }
        if !raw.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            return Err(Refusal::NotText);
        }
        let text = std::str::from_utf8(raw).map_err(|_| Refusal::NotText)?;
        let (name, args) = arguments::split(text);
        let args = args.unwrap_or_default();
        let mut presented = Presented { name: name.to_owned(), key: None, token: None, args: String::new() };
        for (at, argument) in args.split('&').enumerate().filter(|(_, argument)| !argument.is_empty()) {
            presented.take(argument, at + 1)?;
        }
        Ok(presented)
    }

    /// Returns the text for nginx-rtmp: the public name, and the remaining arguments. The public name may be longer
    /// than the key that it replaces.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooLong`]: nginx-rtmp would cut the text (`NGX_RTMP_MAX_NAME`).
    pub fn renamed(&self, stream: &str) -> Result<Vec<u8>, Refusal> {
        let args = [self.args.as_bytes()];
        let name = arguments::join_bytes(stream.as_bytes(), if self.args.is_empty() { &[] } else { &args });
        if name.len() > MAX_PRESENTED_LEN {
            return Err(Refusal::TooLong { len: name.len() });
        }
        Ok(name)
    }

    /// Returns whether no part has the form of a key or token of Weir.
    pub fn has_no_key(&self) -> bool {
        self.key.as_ref().is_none_or(|key| key.expose().is_empty())
            && self.token.is_none()
            && !self.name.starts_with(STREAM_KEY_PREFIX)
    }

    /// Stores one argument in its field.
    fn take(&mut self, argument: &str, at: usize) -> Result<(), Refusal> {
        let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
        if !is_argument_name(name) {
            return Err(ArgumentError::Name { at }.into());
        }
        if let Some(name) = RESERVED.into_iter().find(|reserved| name.eq_ignore_ascii_case(reserved)) {
            return Err(ArgumentError::Reserved { name }.into());
        }
        let decoded = decode(value).ok_or(ArgumentError::Value { at })?;
        // The comparison ignores case, because a secret must not pass in an argument "Key=".
        if name.eq_ignore_ascii_case("key") {
            return put_once(&mut self.key, &decoded, "key", at);
        }
        if name.eq_ignore_ascii_case("token") {
            return put_once(&mut self.token, &decoded, "token", at);
        }
        if !self.args.is_empty() {
            self.args.push('&');
        }
        self.args.push_str(argument);
        Ok(())
    }
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented")
            .field("name", &REDACTED)
            .field("key", &self.key)
            .field("token", &self.token)
            .field("args", &self.args)
            .finish()
    }
}

/// Returns the length of the part of a `publish` string that may reach nginx-rtmp: all but the arguments `key` and
/// `token`, which Weir removes. A token for a name of 128 bytes is longer than nginx-rtmp's limit.
pub fn public_len(raw: &[u8]) -> usize {
    let (name, Some(args)) = arguments::split_bytes(raw) else { return raw.len() };
    let is_secret = |argument: &&[u8]| {
        let name = argument.split(|byte| *byte == b'=').next().unwrap_or_default();
        name.eq_ignore_ascii_case(b"key") || name.eq_ignore_ascii_case(b"token")
    };
    let kept = args.split(|byte| *byte == b'&').filter(|argument| !is_secret(argument));
    // Each remaining argument has a "?" or a "&" before it.
    name.len() + kept.map(|argument| 1 + argument.len()).sum::<usize>()
}

fn put_once(slot: &mut Option<Secret>, value: &[u8], name: &'static str, at: usize) -> Result<(), Refusal> {
    if slot.is_some() {
        return Err(ArgumentError::Twice { name }.into());
    }
    if !value.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return Err(ArgumentError::Value { at }.into());
    }
    *slot = Some(Secret::new(value.iter().copied().map(char::from).collect::<String>()));
    Ok(())
}

fn is_argument_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=MAX_ARGUMENT_NAME_LEN).contains(&name.len()) && !name.starts_with('-') && name.bytes().all(inner)
}

/// Returns whether a byte may be part of a key: it needs no escape in the name or in the value of an argument.
pub fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._~:@,+/=-".contains(&byte)
}

/// Returns the value with each `%XX` resolved (RFC 3986, section 2.1), or `None` if it contains a byte that no value
/// may contain.
fn decode(value: &str) -> Option<Vec<u8>> {
    if !value.bytes().all(|byte| byte == b'%' || is_plain(byte)) {
        return None;
    }
    escape::decoded(value)
}

/// Returns the publish type that nginx-rtmp passes on: all except `record` and `append` are `live`.
pub fn publish_type(raw: &[u8]) -> &'static str {
    match raw {
        b"record" => "record",
        b"append" => "append",
        _ => "live",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Presented, Refusal> {
        Presented::parse(text.as_bytes())
    }

    fn refusal(text: &str) -> Refusal {
        parse(text).unwrap_err()
    }

    #[test]
    fn a_name_alone() {
        let presented = parse("show").unwrap();
        assert_eq!((presented.name.as_str(), presented.args.as_str()), ("show", ""));
        assert!(presented.key.is_none() && presented.token.is_none());
    }

    #[test]
    fn key_and_token_are_taken_out() {
        let presented = parse("show?a=1&key=wk_x&b&token=t.o-k_&c=%20/").unwrap();
        assert_eq!(presented.key.unwrap().expose(), "wk_x");
        assert_eq!(presented.token.unwrap().expose(), "t.o-k_");
        assert_eq!(presented.args, "a=1&b&c=%20/");
    }

    #[test]
    fn key_is_taken_out_in_any_case_and_decoded() {
        let presented = parse("?KEY=a%20b%2b+").unwrap();
        assert_eq!(presented.name, "");
        assert_eq!(presented.key.unwrap().expose(), "a b++");
        assert_eq!(presented.args, "");
    }

    #[test]
    fn empty_arguments_vanish() {
        assert_eq!(parse("show?&&a=&&b=2&").unwrap().args, "a=&b=2");
        assert_eq!(parse("show?").unwrap().args, "");
    }

    #[test]
    fn measured_raw_and_never_cut() {
        assert_eq!(parse(&"n".repeat(255)).unwrap().name.len(), 255);
        assert_eq!(refusal(&"n".repeat(256)), Refusal::TooLong { len: 256 });
        assert_eq!(refusal(&format!("n?{}", "&".repeat(254))), Refusal::TooLong { len: 256 });
    }

    #[test]
    fn key_and_token_are_not_measured() {
        let token = "t".repeat(700);
        let presented = parse(&format!("{}?a=1&token={token}&KEY=k", "n".repeat(128))).unwrap();
        assert_eq!((presented.token.unwrap().expose().len(), presented.args.as_str()), (700, "a=1"));
        assert_eq!(refusal(&format!("{}?token={token}", "n".repeat(256))), Refusal::TooLong { len: 256 });
        assert_eq!(public_len(b"n?key=k&a=1"), public_len(b"n?a=1&token=t"));
        assert_eq!(refusal(&format!("n?tokens={token}")), Refusal::TooLong { len: 709 });
    }

    #[test]
    fn measured_again_under_the_public_name() {
        let presented = parse(&format!("wk_key?a=1&token=t&b={}", "x".repeat(120))).unwrap();
        assert_eq!(
            presented.renamed("show").unwrap(),
            format!("show?a=1&b={}", "x".repeat(120)).into_bytes()
        );
        assert!(presented.renamed(&"n".repeat(128)).unwrap().len() == 255);
        let longer = parse(&format!("wk_key?a=1&b={}", "x".repeat(121))).unwrap();
        assert_eq!(longer.renamed(&"n".repeat(128)), Err(Refusal::TooLong { len: 256 }));
        assert_eq!(parse("wk_key").unwrap().renamed("show").unwrap(), b"show");
    }

    #[test]
    fn only_printable_ascii() {
        for raw in [&b"sh\0ow"[..], b"show\n", b"caf\xc3\xa9", b"\xff", b"a?b=\x7f"] {
            assert_eq!(Presented::parse(raw).unwrap_err(), Refusal::NotText);
        }
    }

    #[test]
    fn names_of_hooks_are_reserved() {
        for name in RESERVED {
            assert_eq!(refusal(&format!("show?{name}=x")), ArgumentError::Reserved { name }.into());
            assert_eq!(
                refusal(&format!("show?a=1&{}", name.to_uppercase())),
                ArgumentError::Reserved { name }.into()
            );
        }
        assert_eq!(parse("show?names=x&my_app=y").unwrap().args, "names=x&my_app=y");
    }

    #[test]
    fn arguments_follow_the_rule() {
        for (text, error) in [
            ("s?key=a&key=b", ArgumentError::Twice { name: "key" }),
            ("s?token=a&Token=b", ArgumentError::Twice { name: "token" }),
            ("s?=x", ArgumentError::Name { at: 1 }),
            ("s?a=1&-b=2", ArgumentError::Name { at: 2 }),
            ("s?a.b=2", ArgumentError::Name { at: 1 }),
            ("s?%6eame=2", ArgumentError::Name { at: 1 }),
            ("s?a=%", ArgumentError::Value { at: 1 }),
            ("s?a=%2", ArgumentError::Value { at: 1 }),
            ("s?a=%+1", ArgumentError::Value { at: 1 }),
            ("s?a=%zz", ArgumentError::Value { at: 1 }),
            ("s?a=b?c", ArgumentError::Value { at: 1 }),
            ("s?a=b c", ArgumentError::Value { at: 1 }),
            ("s?a=$(x)", ArgumentError::Value { at: 1 }),
            ("s?key=%00", ArgumentError::Value { at: 1 }),
        ] {
            assert_eq!(refusal(text), error.into(), "{text}");
        }
        let long = "a".repeat(64);
        assert!(parse(&format!("s?{long}=1")).is_ok());
        assert_eq!(refusal(&format!("s?{long}a=1")), ArgumentError::Name { at: 1 }.into());
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", parse("wk_name?key=wk_key&token=tok&a=1").unwrap());
        assert!(!shown.contains("wk_") && !shown.contains("tok\""), "{shown}");
    }

    #[test]
    fn types_that_are_not_known_are_live() {
        assert_eq!(publish_type(b"record"), "record");
        assert_eq!(publish_type(b"append"), "append");
        for raw in [&b"live"[..], b"", b"LIVE", b"live&name=x", b"\0"] {
            assert_eq!(publish_type(raw), "live");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_apart_or_refused(raw in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(presented) = Presented::parse(&raw) {
                prop_assert!(public_len(&raw) <= MAX_PRESENTED_LEN);
                prop_assert!(raw.starts_with(presented.name.as_bytes()));
            }
        }

        #[test]
        fn arguments_that_pass_mean_nothing_to_a_hook(text in "s\\?[a-c=&%0-9?;'\"<>$ keymptn-]{0,60}") {
            if let Ok(presented) = parse(&text) {
                for argument in presented.args.split('&').filter(|argument| !argument.is_empty()) {
                    let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
                    prop_assert!(is_argument_name(name));
                    prop_assert!(!RESERVED.contains(&name) && name != "key" && name != "token");
                    prop_assert!(value.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~:@,+/=%-".contains(&b)));
                }
            }
        }

        #[test]
        fn what_is_harmless_comes_through_unchanged(
            name in "[!->@-~]{0,40}",
            args in prop::collection::vec("x[A-Za-z0-9_-]{0,8}(=[A-Za-z0-9._~:@,+/-]{0,8})?", 0..6),
            key in "[A-Za-z0-9_]{1,35}",
            at in any::<prop::sample::Index>(),
        ) {
            let mut all = args.clone();
            all.insert(at.index(args.len() + 1), format!("key={key}"));
            let presented = parse(&format!("{name}?{}", all.join("&"))).unwrap();
            prop_assert_eq!(presented.name, name);
            prop_assert_eq!(presented.key.as_ref().map(Secret::expose), Some(key.as_str()));
            prop_assert_eq!(presented.args, args.join("&"));
        }
    }
}
