//! Credentials for uploads: from a file in the format of S3's own tools, or from the environment.

use std::path::{Path, PathBuf};

use rusty_s3::Credentials;

const ACCESS_KEY: &str = "aws_access_key_id";
const SECRET_KEY: &str = "aws_secret_access_key";
const SESSION_TOKEN: &str = "aws_session_token";

/// Reason why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file cannot be read.
    #[error("credentials_file: {}: {why}", path.display())]
    Unreadable {
        /// The path as configured.
        path: PathBuf,
        /// The system's error.
        why: std::io::Error,
    },
    /// The credentials are incomplete.
    #[error("{place}: {ACCESS_KEY} and {SECRET_KEY} are needed")]
    Incomplete {
        /// Source of the credentials.
        place: String,
    },
}

/// Reads the credentials of a file, or without a file those of `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
pub(crate) fn find(file: Option<&Path>) -> Result<Credentials, Error> {
    let Some(path) = file else {
        let incomplete = || Error::Incomplete { place: "the environment".into() };
        return Credentials::from_env().ok_or_else(incomplete);
    };
    let text = std::fs::read_to_string(path).map_err(|why| Error::Unreadable { path: path.into(), why })?;
    parse(&text).ok_or_else(|| Error::Incomplete { place: path.display().to_string() })
}

/// Parses lines `name = value`. The first value of a name counts. Names of profiles are ignored.
fn parse(text: &str) -> Option<Credentials> {
    let value = |wanted: &str| {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            (name.trim() == wanted).then(|| value.trim().to_owned()).filter(|value| !value.is_empty())
        })
    };
    let (key, secret) = (value(ACCESS_KEY)?, value(SECRET_KEY)?);
    Some(match value(SESSION_TOKEN) {
        Some(token) => Credentials::new_with_token(key, secret, token),
        None => Credentials::new(key, secret),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_other_tools_write_it() {
        let text = "[default]\naws_access_key_id = AKID\n# aws_secret_access_key = no\naws_secret_access_key=a+b/c=\n";
        let credentials = parse(text).unwrap();
        assert_eq!((credentials.key(), credentials.secret(), credentials.token()), ("AKID", "a+b/c=", None));
        assert!(parse("aws_access_key_id = AKID\naws_secret_access_key =\n").is_none());
        let shown = format!("{credentials:?}");
        assert!(!shown.contains("a+b/c"), "{shown}");
    }
}
