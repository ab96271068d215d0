//! The output of a command.

use std::io::{self, Write};

use super::error::Error;

/// The whole output of a command.
#[derive(Default)]
pub(super) struct Output {
    /// The result.
    pub(super) stdout: String,
    /// Additional text that must not be mixed into the result.
    pub(super) stderr: String,
    /// Message for the case that the result cannot be written.
    pub(super) if_unread: Option<String>,
}

impl From<String> for Output {
    fn from(stdout: String) -> Self {
        Self { stdout, ..Self::default() }
    }
}

impl Output {
    /// Returns the API's answer unchanged.
    pub(super) fn json(text: &str) -> Self {
        format!("{}\n", text.trim_end()).into()
    }
}

pub(super) fn print(output: &Output) -> Result<(), Error> {
    let _ = io::stderr().write_all(output.stderr.as_bytes());
    let mut stdout = io::stdout().lock();
    let printed = stdout.write_all(output.stdout.as_bytes()).and_then(|()| stdout.flush());
    match printed {
        // A reader that closes the pipe early (`| head -1`) is no error.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe && output.if_unread.is_none() => Ok(()),
        Err(source) => Err(Error::Output { source, consequence: output.if_unread.clone() }),
        Ok(()) => Ok(()),
    }
}
