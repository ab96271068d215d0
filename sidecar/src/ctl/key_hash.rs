//! `weir key hash`: a line for `weir_key_file`, without asking nginx.

use std::io::{IsTerminal, Read, Write};

use weir_model::{Secret, secret::stream_key};

use super::{Error, Output, random};
use crate::cli::KeyHashArgs;

/// A stream name of RTMP is no longer, arguments included.
const MAX_KEY: u64 = 255;

pub fn run(args: &KeyHashArgs) -> Result<Output, Error> {
    if args.new {
        let key = stream_key(random()?);
        let stderr = format!("Stream key: {}\n", key.expose());
        return Ok(Output { stdout: line(args, &key)?, stderr, if_unread: None });
    }
    if std::io::stdin().is_terminal() {
        let _ = write!(std::io::stderr(), "Stream key (it will be visible): ");
    }
    let key = read_key(std::io::stdin().lock())?;
    Ok(line(args, &key)?.into())
}

/// The key on the first line; more lines are a mistake.
fn read_key(input: impl Read) -> Result<Secret, Error> {
    let wrong = |why: &str| Err(Error::Input(why.into()));
    let mut text = String::new();
    let mut input = std::io::BufReader::new(input);
    std::io::BufRead::read_line(&mut (&mut input).take(MAX_KEY + 2), &mut text)
        .map_err(|e| Error::Input(e.to_string()))?;
    let key = Secret::new(text.trim_end_matches(['\n', '\r']));
    match key.expose() {
        "" => wrong("no key; it is read from there, as in `weir key hash show < key.txt`"),
        k if k.len() as u64 > MAX_KEY => wrong("a key has at most 255 bytes"),
        k if !k.bytes().all(|b| b.is_ascii_graphic() && !b"?&=/".contains(&b)) => {
            wrong("a key is one word of letters, digits and signs other than ? & = /")
        }
        _ => Ok(key),
    }
}

fn line(args: &KeyHashArgs, key: &Secret) -> Result<String, Error> {
    let mut line = format!("{} {}", args.stream.as_str(), key.digest().to_hex());
    if let Some(comment) = args.comment.as_deref().map(str::trim).filter(|c| !c.is_empty()) {
        if comment.chars().any(char::is_control) {
            return Err(Error::Usage("--comment must be one line".into()));
        }
        line.push(' ');
        line.push_str(comment);
    }
    line.push('\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(comment: Option<&str>) -> KeyHashArgs {
        KeyHashArgs { stream: "show".parse().unwrap(), comment: comment.map(Into::into), new: false }
    }

    #[test]
    fn a_line_has_name_hash_and_comment() {
        let key = Secret::new("abc");
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(line(&args(None), &key).unwrap(), format!("show {hash}\n"));
        assert_eq!(line(&args(Some(" hall 2 ")), &key).unwrap(), format!("show {hash} hall 2\n"));
        assert!(line(&args(Some("a\nother 00")), &key).is_err());
    }

    #[test]
    fn a_key_is_the_first_line() {
        assert_eq!(read_key(&b"wk_abc\r\n"[..]).unwrap().expose(), "wk_abc");
        assert_eq!(read_key(&b"wk_abc"[..]).unwrap().expose(), "wk_abc");
        for bad in [&b""[..], b"\n", b"two words", b"a?b", b"\xff", &[b'a'; 300]] {
            assert!(read_key(bad).is_err(), "{bad:?}");
        }
    }
}
