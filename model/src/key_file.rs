//! `weir_key_file`: static keys, one per line.
//!
//! ```text
//! # STREAM SHA256HEX [comment]
//! show  ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  studio 1
//! ```

use sha2::{Digest as _, Sha256};

use crate::key::{KeyId, KeySecret, NoteError, StreamKey, check_note};
use crate::secret::{Digest, DigestError, Secret};
use crate::stream_name::{AppName, NameError, StreamName};
use crate::time::Timestamp;

/// Why Weir refuses a key file, and the line of the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct KeyFileError {
    /// The line, counted from 1.
    pub line: usize,
    /// The problem of the line.
    pub problem: KeyFileProblem,
}

/// The problem of a line. No message repeats the line, because it may contain a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileProblem {
    /// The line is not UTF-8.
    #[error("not UTF-8")]
    NotText,
    /// The first word is not a stream name.
    #[error("bad stream name: {0}")]
    Name(#[from] NameError),
    /// The line has only one word.
    #[error("no digest, expected STREAM SHA256HEX [comment], as \"weir key hash\" prints it")]
    NoDigest,
    /// The second word is not a digest.
    #[error("bad digest: {0}, as \"weir key hash\" prints them")]
    Digest(#[from] DigestError),
    /// Another line has the same digest.
    #[error("the same digest as in line {first}, expected another key for each line")]
    Twice {
        /// The other line, counted from 1.
        first: usize,
    },
    /// The comment is invalid.
    #[error("bad comment: {0}")]
    Comment(#[from] NoteError),
}

/// Reads the keys of an application. Skips empty lines and lines that start with `#`.
pub fn parse(app: &AppName, content: &[u8], loaded_at: Timestamp) -> Result<Vec<StreamKey>, KeyFileError> {
    let mut keys: Vec<StreamKey> = Vec::new();
    let mut lines_of_keys: Vec<([u8; 32], usize)> = Vec::new();
    // Editors that write CRLF often write a byte-order mark too.
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    for (line, text) in (1..).zip(content.split(|&byte| byte == b'\n')) {
        let key = parse_line(app, text, loaded_at).map_err(|problem| KeyFileError { line, problem })?;
        let Some((key, digest)) = key else { continue };
        lines_of_keys.push((*digest.bytes(), line));
        keys.push(key);
    }
    // Sorting finds duplicates in a large file without a comparison of all pairs of lines.
    lines_of_keys.sort_unstable();
    match lines_of_keys.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => {
            Err(KeyFileError { line: pair[1].1, problem: KeyFileProblem::Twice { first: pair[0].1 } })
        }
        None => Ok(keys),
    }
}

/// Returns the key of a line, if the line has one.
fn parse_line(
    app: &AppName,
    line: &[u8],
    loaded_at: Timestamp,
) -> Result<Option<(StreamKey, Digest)>, KeyFileProblem> {
    let line = line.trim_ascii();
    if line.is_empty() || line.starts_with(b"#") {
        return Ok(None);
    }
    let line = std::str::from_utf8(line).map_err(|_| KeyFileProblem::NotText)?;
    let (stream, rest) = first_word(line);
    let (digest, comment) = first_word(rest);
    let stream = StreamName::parse(stream.as_bytes())?;
    if digest.is_empty() {
        return Err(KeyFileProblem::NoDigest);
    }
    let digest = Digest::parse(digest.as_bytes())?;
    check_note(comment)?;
    let key = StreamKey {
        id: derived_id(app, &stream, &digest),
        app: app.clone(),
        stream,
        server: None,
        note: comment.to_owned(),
        created_at: loaded_at,
        publish_from: Vec::new(),
        secrets: vec![KeySecret { digest, expires_at: None }],
    };
    Ok(Some((key, digest)))
}

fn first_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (word, rest.trim_ascii_start())
}

/// Returns the id of a key of a file, which is the same each time Weir reads the file.
fn derived_id(app: &AppName, stream: &StreamName, digest: &Digest) -> KeyId {
    // No name contains a NUL, so that different triples never yield the same text.
    let hash = Sha256::new()
        .chain_update(app.as_str())
        .chain_update([0])
        .chain_update(stream.as_str())
        .chain_update([0])
        .chain_update(digest.bytes())
        .finalize();
    KeyId(hash.iter().take(8).fold(0, |id, &byte| id << 8 | u64::from(byte)))
}

/// Returns the line for a key, without the newline. Control characters in the comment become spaces.
pub fn key_file_line(stream: &StreamName, secret: &Secret, comment: &str) -> String {
    let comment: String = comment.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{stream} {} {}", secret.digest().to_hex(), comment.trim()).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_197_600_000);
    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn read(content: &str) -> Result<Vec<StreamKey>, KeyFileError> {
        parse(&"live".parse().unwrap(), content.as_bytes(), NOW)
    }

    #[test]
    fn reads_keys_and_skips_comments() {
        let other = Digest::of(b"other").to_hex().to_uppercase();
        let keys =
            read(&format!("\u{feff}# keys\r\n\r\n  show \t{HEX}  studio  1 \r\nside\t{other}")).unwrap();
        assert_eq!(keys.len(), 2);
        assert_eq!((keys[0].stream.as_str(), keys[0].note.as_str()), ("show", "studio  1"));
        assert_eq!(keys[0].secrets[0].digest, Digest::of(b"abc"));
        assert_eq!((keys[1].stream.as_str(), keys[1].note.as_str()), ("side", ""));
        assert_eq!(keys[1].secrets[0].digest, Digest::of(b"other"));
        assert_eq!(read(""), Ok(Vec::new()));
    }

    #[test]
    fn ids_stay_the_same() {
        let id = |app: &str, line: &str| parse(&app.parse().unwrap(), line.as_bytes(), NOW).unwrap()[0].id;
        let line = format!("show {HEX}");
        assert_eq!(id("live", &line), id("live", &format!("# moved\n{line} note")));
        assert_ne!(id("live", &line), id("live2", &line));
        assert_ne!(id("live", &line), id("live", &format!("show2 {HEX}")));
    }

    #[test]
    fn errors_name_the_line_and_what_would_be_right() {
        let long = "c".repeat(201);
        for (content, message) in [
            (
                "\nshow".to_owned(),
                "line 2: no digest, expected STREAM SHA256HEX [comment], as \"weir key hash\" prints it",
            ),
            (
                "show wk_abc".to_owned(),
                "line 1: bad digest: not a SHA-256, expected exactly 64 hex digits, as \"weir key hash\" prints them",
            ),
            (
                format!("-show {HEX}"),
                "line 1: bad stream name: name starts with \".\" or \"-\", expected a letter, a digit or \"_\"",
            ),
            (
                format!("a {HEX}\n#\nb {}", HEX.to_uppercase()),
                "line 3: the same digest as in line 1, expected another key for each line",
            ),
            (format!("a {HEX} {long}"), "line 1: bad comment: 201 bytes, at most 200 are allowed"),
            (format!("a {HEX} \u{1b}[0m"), "line 1: bad comment: control characters are not allowed"),
        ] {
            assert_eq!(read(&content).unwrap_err().to_string(), message);
        }
        let error = parse(&"live".parse().unwrap(), b"# a\nshow \xff", NOW).unwrap_err();
        assert_eq!(error, KeyFileError { line: 2, problem: KeyFileProblem::NotText });
    }

    proptest! {
        #[test]
        fn a_line_is_read_back(stream in "[A-Za-z0-9_][A-Za-z0-9._-]{0,40}", secret in "[ -~]{1,40}", comment in "\\PC{0,40}") {
            let stream = StreamName::parse(stream.as_bytes()).unwrap();
            let line = key_file_line(&stream, &Secret::new(secret.as_str()), &comment);
            prop_assert!(!line.contains('\n'));
            let keys = read(&line).unwrap();
            prop_assert_eq!(&keys[0].stream, &stream);
            prop_assert_eq!(keys[0].secrets[0].digest, Digest::of(secret.as_bytes()));
            prop_assert_eq!(keys[0].note.trim(), comment.trim());
        }

        #[test]
        fn any_bytes_are_read_or_refused(content in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&"live".parse().unwrap(), &content, NOW);
        }
    }
}
