//! `weir key hash`: prints a line for `weir_key_file` without using nginx.

use std::io::{IsTerminal, Read, Write};

use weir_model::Secret;
use weir_model::key::check_note;
use weir_model::key_file::key_file_line;
use weir_model::publish::{MAX_PRESENTED_LEN, is_plain};
use weir_model::secret::stream_key;

use super::{Error, Output, random};
use crate::cli::KeyHashArgs;

/// Maximum length of a key; a publisher cannot present a longer one.
const MAX_KEY: usize = MAX_PRESENTED_LEN;
/// Minimum length of a good key. Shorter keys can be guessed, at the latest by somebody who has read the file.
const GOOD_KEY: usize = 16;

pub(super) fn run(args: &KeyHashArgs) -> Result<Output, Error> {
    if args.new {
        let key = stream_key(random()?);
        let stderr = format!("Stream key: {}\n", key.expose());
        return Ok(Output { stdout: line(args, &key)?, stderr, if_unread: None });
    }
    if std::io::stdin().is_terminal() {
        let _ = write!(std::io::stderr(), "Stream key (it will be visible): ");
    }
    let key = read_key(std::io::stdin().lock())?;
    let mut output = Output::from(line(args, &key)?);
    if key.expose().len() < GOOD_KEY {
        output.stderr = "weir: a key this short can be guessed; use --new to create a safe one\n".into();
    }
    Ok(output)
}

/// Reads the key from the first line; further lines are an error.
fn read_key(input: impl Read) -> Result<Secret, Error> {
    let wrong = |why: &str| Err(Error::Input(why.into()));
    let mut text = String::new();
    let mut input = std::io::BufReader::new(input);
    std::io::BufRead::read_line(&mut (&mut input).take(MAX_KEY as u64 + 2), &mut text)
        .map_err(|e| Error::Input(e.to_string()))?;
    let key = Secret::new(text.trim_end_matches(['\n', '\r']));
    match key.expose() {
        "" => wrong("no key; pass one as in `weir key hash show < key.txt`"),
        k if k.len() > MAX_KEY => wrong("a key has at most 255 bytes"),
        k if !k.bytes().all(is_plain) => {
            wrong("a key is one word of letters, digits and . _ ~ : @ , + / = -")
        }
        _ => Ok(key),
    }
}

fn line(args: &KeyHashArgs, key: &Secret) -> Result<String, Error> {
    let comment = args.comment.as_deref().unwrap_or_default().trim();
    check_note(comment).map_err(|e| Error::Usage(format!("--comment: {e}")))?;
    Ok(format!("{}\n", key_file_line(&args.stream, key, comment)))
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
    fn the_module_reads_the_line() {
        let key = stream_key([7; 20]);
        let text = line(&args(Some("hall 2")), &key).unwrap();
        let keys = weir_model::key_file::parse(&"live".parse().unwrap(), text.as_bytes(), Default::default());
        let [read] = &keys.unwrap()[..] else { panic!("{text}") };
        assert_eq!((read.stream.as_str(), read.note.as_str()), ("show", "hall 2"));
        assert_eq!(read.secrets[0].digest, key.digest());
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
