//! Follows keepalived's notify FIFO (`vrrp_notify_fifo`). It reports the changes of state in their order, and keepalived needs no process
//! per change.

use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::stat::Mode;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe::{OpenOptions, Receiver};

use super::pushes::{self, Changed, PAUSES};
use super::{Notice, NoticeError, Role};
use crate::nginx::{self, Nginx};
use crate::values::vrrp::{Selection, Who};

/// Longest line of keepalived, in bytes.
const MAX_LINE: u64 = 4096;

/// Reason why the FIFO cannot be followed.
#[derive(Debug, thiserror::Error)]
#[error("notify fifo {}: {why}", path.display())]
pub(crate) struct Error {
    /// The path as configured.
    pub path: PathBuf,
    /// The error of the file.
    pub why: String,
}

/// An event while a FIFO was followed, for the log.
#[derive(Debug)]
pub(crate) enum Report {
    /// keepalived reported a state, and the push targets are being changed.
    Told(Notice),
    /// The push targets were changed.
    Done(Role, Changed),
    /// The API did not make the change. It is asked again after this time.
    Again(nginx::Error, Duration),
    /// The API refused the change. It is not asked again before keepalived's next notice.
    Refused(nginx::Error),
    /// The line is not from keepalived, and is ignored.
    NotANotice,
}

/// Reader of a FIFO's lines.
pub(crate) struct Fifo {
    path: PathBuf,
    lines: BufReader<Receiver>,
    line: Vec<u8>,
}

impl Fifo {
    /// Opens the FIFO. Creates a missing FIFO with mode 0600, so that keepalived (root) uses it and does not remove it.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let failed = |e: io::Error| Error { path: path.into(), why: e.to_string() };
        match nix::unistd::mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR) {
            Ok(()) | Err(nix::errno::Errno::EEXIST) => {}
            Err(e) => return Err(failed(e.into())),
        }
        if !std::fs::symlink_metadata(path).map_err(failed)?.file_type().is_fifo() {
            return Err(Error { path: path.into(), why: "is no fifo".into() });
        }
        // With a writing end of its own, the reader gets no end of file when keepalived exits.
        let receiver = OpenOptions::new().read_write(true).open_receiver(path).map_err(failed)?;
        Ok(Self { path: path.into(), lines: BufReader::new(receiver), line: Vec::new() })
    }

    /// Returns the next line. Cancel-safe.
    async fn line(&mut self) -> Result<Result<Option<Notice>, NoticeError>, Error> {
        use tokio::io::AsyncReadExt;
        loop {
            // `self.line` still has the bytes that a cancelled call has read.
            let room = MAX_LINE.saturating_sub(self.line.len() as u64);
            let read = (&mut self.lines).take(room).read_until(b'\n', &mut self.line).await;
            match read {
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(Error { path: self.path.clone(), why: e.to_string() }),
                Ok(_) => {}
            }
            if self.line.ends_with(b"\n") || self.line.len() as u64 >= MAX_LINE {
                let line = std::mem::take(&mut self.line);
                return Ok(Notice::parse(String::from_utf8_lossy(&line).trim_end()));
            }
        }
    }
}

/// Follows the FIFO without end: gives the selected targets the state of keepalived's last notice, and repeats this until it succeeds or
/// a new notice arrives. If `only` is set, only this instance or group counts.
///
/// Returns only if the FIFO itself has an error. Cancel-safe.
pub(crate) async fn follow(
    mut fifo: Fifo,
    nginx: &Nginx,
    selection: &Selection,
    only: Option<&Who>,
    mut report: impl FnMut(Report),
) -> Error {
    let (mut wanted, mut pause): (Option<Role>, _) = (None, PAUSES.0);
    let mut wait = Duration::MAX;
    loop {
        // If several lines are waiting, the last one counts.
        while let Ok(line) = tokio::time::timeout(wait, fifo.line()).await {
            match line {
                Err(error) => return error,
                Ok(Err(_)) => report(Report::NotANotice),
                Ok(Ok(Some(notice))) if only.is_none_or(|who| *who == notice.who) => {
                    wanted = Some(notice.role);
                    (pause, wait) = (PAUSES.0, Duration::ZERO);
                    report(Report::Told(notice));
                }
                Ok(Ok(_)) => {}
            }
        }
        let Some(role) = wanted else { continue };
        // This call is never cancelled: nginx could execute a half-read request after the next one.
        match pushes::bring(nginx, selection, role).await {
            Err(error) if pushes::is_transient(&error) => {
                wait = pause;
                pause = (pause * 2).min(PAUSES.1);
                report(Report::Again(error, wait));
            }
            outcome => {
                (wanted, wait) = (None, Duration::MAX);
                report(outcome.map_or_else(Report::Refused, |changed| Report::Done(role, changed)));
            }
        }
    }
}

#[cfg(test)]
mod tests;
