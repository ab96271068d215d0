//! keepalived's notify FIFO (`vrrp_notify_fifo`): each change of state in the order it happened, without a process for each.

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

/// A longer line is none of keepalived's.
const MAX_LINE: u64 = 4096;

/// Why the FIFO cannot be followed.
#[derive(Debug, thiserror::Error)]
#[error("notify fifo {}: {why}", path.display())]
pub struct Error {
    /// As it was configured.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

/// What happened while a FIFO was followed; for the log.
#[derive(Debug)]
pub enum Report {
    /// keepalived says so, and the push targets are being changed.
    Told(Notice),
    /// They have been.
    Done(Role, Changed),
    /// The API did not do it; it is asked again after this time.
    Again(nginx::Error, Duration),
    /// The API refused for good, until keepalived says something new.
    Refused(nginx::Error),
    /// A line that is none of keepalived's; it is left out.
    NotANotice,
}

/// The lines of a FIFO.
pub struct Fifo {
    path: PathBuf,
    lines: BufReader<Receiver>,
    line: Vec<u8>,
}

impl Fifo {
    /// Opens the FIFO; one that is missing is made, mode 0600, so that keepalived (root) finds it and does not remove it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |e: io::Error| Error { path: path.into(), why: e.to_string() };
        match nix::unistd::mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR) {
            Ok(()) | Err(nix::errno::Errno::EEXIST) => {}
            Err(e) => return Err(failed(e.into())),
        }
        if !std::fs::symlink_metadata(path).map_err(failed)?.file_type().is_fifo() {
            return Err(Error { path: path.into(), why: "is no fifo".into() });
        }
        // With a writing end of its own it has no end of file when keepalived goes.
        let receiver = OpenOptions::new().read_write(true).open_receiver(path).map_err(failed)?;
        Ok(Self { path: path.into(), lines: BufReader::new(receiver), line: Vec::new() })
    }

    /// The next line; may be dropped and called again.
    async fn line(&mut self) -> Result<Result<Option<Notice>, NoticeError>, Error> {
        use tokio::io::AsyncReadExt;
        loop {
            // What a dropped call has read is still in `self.line`.
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

/// Follows the FIFO for ever: brings the selected targets in line with what keepalived said last, and goes on until that is
/// done or it says something else. `only` names the one instance or group that counts; without it, each does.
///
/// It ends only with an error of the FIFO itself. It may be dropped at any time.
pub async fn follow(
    mut fifo: Fifo,
    nginx: &Nginx,
    selection: &Selection,
    only: Option<&Who>,
    mut report: impl FnMut(Report),
) -> Error {
    let (mut wanted, mut pause): (Option<Role>, _) = (None, PAUSES.0);
    let mut wait = Duration::MAX;
    loop {
        // Of several lines that are there already the last one counts.
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
        // Never interrupted: a request that nginx has half read could count after the one that follows it.
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
