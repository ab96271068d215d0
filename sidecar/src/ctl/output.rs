//! What a command prints.

use std::io::{self, Write};

use super::error::Error;

/// Everything a command prints.
#[derive(Default)]
pub(super) struct Output {
    /// The result.
    pub(super) stdout: String,
    /// What goes with it and must not be mixed into it.
    pub(super) stderr: String,
    /// Said when nobody could read the result.
    pub(super) if_unread: Option<String>,
}

impl From<String> for Output {
    fn from(stdout: String) -> Self {
        Self { stdout, ..Self::default() }
    }
}

impl Output {
    /// The API's answer as it came.
    pub(super) fn json(text: &str) -> Self {
        format!("{}\n", text.trim_end()).into()
    }
}

pub(super) fn print(output: &Output) -> Result<(), Error> {
    let _ = io::stderr().write_all(output.stderr.as_bytes());
    let mut stdout = io::stdout().lock();
    let printed = stdout.write_all(output.stdout.as_bytes()).and_then(|()| stdout.flush());
    match printed {
        // A reader who has seen enough of a listing (`| head -1`) is no error.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe && output.if_unread.is_none() => Ok(()),
        Err(source) => Err(Error::Output { source, consequence: output.if_unread.clone() }),
        Ok(()) => Ok(()),
    }
}
