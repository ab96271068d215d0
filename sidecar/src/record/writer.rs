//! Writes pieces to files: it begins, splits and ends files, and pauses while the disk has too little free space. It accepts every piece
//! immediately, even if it cannot write it, so the stream is not delayed.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use weir_media::piece::{Part, Piece};
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::fields::{
    RecordingFinished, RecordingResumed, RecordingStarted, RecordingStopped,
};

use super::index::{Entry, Index};
use super::playlist::Playlist;
use super::transfer::Transfer;
use crate::clock;
use crate::config::record::{Names, Record};
use crate::events::Bus;
use crate::files::SHARED;
use crate::streams::Live;

/// Most recordings with one name in one second.
const MAX_COPIES: u32 = 100;
/// Free bytes beyond `min_free` that are required before a paused recording resumes.
const MARGIN: u64 = 64 << 20;

/// Writer of one stream.
#[derive(Debug)]
pub(crate) struct Writer {
    rule: Record,
    live: Live,
    index: Arc<Index>,
    bus: Arc<Bus>,
    head: Option<Vec<u8>>,
    open: Option<Open>,
    /// Reason of a pause.
    paused: Option<String>,
}

#[derive(Debug)]
struct Open {
    file: File,
    name: PathBuf,
    number: u64,
    /// Stream time at the file's time 0.
    origin: Duration,
    reaches: Duration,
    bytes: u64,
    playlist: Playlist,
    /// `recording.started` was sent: the file contains media.
    told: bool,
}

impl Writer {
    /// Returns a writer that has not begun.
    pub(crate) fn new(rule: Record, live: Live, index: Arc<Index>, bus: Arc<Bus>) -> Self {
        Self { rule, live, index, bus, head: None, open: None, paused: None }
    }

    /// Returns the stream's `APP/NAME`.
    pub(crate) fn path(&self) -> String {
        self.live.path()
    }

    /// Returns whether a file is open.
    pub(crate) fn is_writing(&self) -> bool {
        self.open.is_some()
    }

    /// Takes the next piece.
    pub(crate) fn take(&mut self, piece: Piece) {
        let part = match piece {
            Piece::Head(head) => {
                // A head begins another run of ffmpeg.
                self.finish();
                self.head = Some(head);
                return;
            }
            Piece::Part(part) => part,
        };
        if self.open.as_ref().is_some_and(|open| part.key && is_full(&self.rule, open, &part)) {
            self.finish();
        }
        if self.open.is_none() && !part.key {
            return;
        }
        let done = self.room().and_then(|()| self.begin(part.start)).and_then(|()| self.write(part));
        match done {
            Ok(()) => self.go_on(),
            Err(error) => {
                self.finish();
                self.pause(&error);
            }
        }
    }

    /// Returns an error if the disk has too little free space.
    fn room(&self) -> io::Result<()> {
        let free = free_space(&self.rule.folder)?;
        let needed =
            self.rule.min_free + if self.paused.is_some() { MARGIN.min(self.rule.min_free) } else { 0 };
        if free >= needed {
            return Ok(());
        }
        let what = format!("{} MB free, and min_free = {} MB", free >> 20, self.rule.min_free >> 20);
        Err(io::Error::new(ErrorKind::StorageFull, what))
    }

    /// Creates a file, unless one is open.
    fn begin(&mut self, origin: Duration) -> io::Result<()> {
        if self.open.is_some() {
            return Ok(());
        }
        let head = self.head.clone().ok_or(ErrorKind::InvalidData)?;
        let started = clock::now();
        let (mut file, name) = self.create(started)?;
        let upload = self.rule.upload.as_ref().map(|to| {
            let key = format!("{}{}", to.prefix, name.display());
            Transfer::new(&to.name, key, to.part_size)
        });
        let entry = Entry {
            file: name.clone(),
            app: self.live.app.to_string(),
            stream: self.live.name.to_string(),
            session: self.live.session.clone(),
            started,
            ended: None,
            bytes: 0,
            duration_ms: None,
            upload,
        };
        let added = file.write_all(&head).and_then(|()| self.index.add(entry));
        let number = added.inspect_err(|_| {
            let _ = fs::remove_file(self.rule.folder.join(&name));
        })?;
        let bytes = head.len() as u64;
        let playlist = Playlist::new(bytes);
        self.open = Some(Open { file, name, number, origin, reaches: origin, bytes, playlist, told: false });
        Ok(())
    }

    fn create(&self, start: weir_model::Timestamp) -> io::Result<(File, PathBuf)> {
        let names = Names {
            app: self.live.app.as_str(),
            stream: self.live.name.as_str(),
            session: &self.live.session,
            start,
            ext: self.rule.format.extension(),
        };
        for copy in 0..MAX_COPIES {
            let name = self.rule.name.path(&names, copy);
            let path = self.rule.folder.join(&name);
            if let Some(folder) = path.parent() {
                SHARED.make_folder(folder)?;
            }
            match SHARED.create_new(&path) {
                Ok(file) => return Ok((file, name)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    fn write(&mut self, mut part: Part) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        part.rebase(open.origin);
        let written = open.file.write_all(&part.bytes);
        let mut first = None;
        if written.is_ok() {
            open.playlist.push(part.start.saturating_sub(open.origin), part.key, part.bytes.len() as u64);
            open.bytes += part.bytes.len() as u64;
            open.reaches = part.start.max(open.reaches);
            first = (!std::mem::replace(&mut open.told, true)).then(|| open.name.clone());
        } else {
            // An incomplete part would be useless.
            let _ = open.file.set_len(open.bytes);
        }
        if let Some(name) = first {
            tracing::info!(stream = self.live.path(), "recording, file: {name:?}");
            let (app, stream, session) = self.names();
            self.bus.tell(&DaemonEvent::RecordingStarted(RecordingStarted {
                at: clock::now(),
                app,
                file: self.rule.folder.join(&name),
                name: stream,
                session,
            }));
        }
        written
    }

    /// Ends the file.
    pub(crate) fn finish(&mut self) {
        let Some(open) = self.open.take() else { return };
        if !open.told {
            // The file contains no media that can be decoded, so no event is sent.
            if let Err(error) = self.index.remove(open.number) {
                let stream = self.live.path();
                tracing::warn!(stream, "empty recording not removed: {error}, file: {:?}", open.name);
            }
            return;
        }
        if let Err(error) = open.file.sync_all() {
            tracing::warn!(
                stream = self.live.path(),
                "recording may be lost with the machine: {error}, file: {:?}",
                open.name
            );
        }
        if self.rule.playlist
            && let Err(error) = open.playlist.write(&self.rule.folder.join(&open.name))
        {
            tracing::warn!(stream = self.live.path(), "playlist not written: {error}, file: {:?}", open.name);
        }
        let ended = clock::now();
        let millis = u64::try_from(open.reaches.saturating_sub(open.origin).as_millis()).unwrap_or(u64::MAX);
        let noted = self.index.change(open.number, |entry| {
            entry.ended = Some(ended);
            entry.bytes = open.bytes;
            entry.duration_ms = Some(millis);
        });
        if let Err(error) = noted {
            // The entry is in memory, and is saved when the disk has space.
            tracing::warn!(
                stream = self.live.path(),
                "end of a recording not noted: {error}, file: {:?}",
                open.name
            );
        }
        tracing::info!(stream = self.live.path(), "recorded, file: {:?}, bytes: {}", open.name, open.bytes);
        let file = self.rule.folder.join(&open.name);
        let (app, name, session) = self.names();
        self.bus.tell(&DaemonEvent::RecordingFinished(RecordingFinished {
            at: clock::now(),
            app,
            bytes: open.bytes,
            cut_off: false,
            duration_ms: Some(millis),
            file,
            name,
            session,
        }));
    }

    fn pause(&mut self, error: &io::Error) {
        if self.paused.is_none() {
            tracing::error!(
                stream = self.live.path(),
                "recording stopped: {error}, folder: {:?}; the stream continues",
                self.rule.folder
            );
            let (app, name, session) = self.names();
            self.bus.tell(&DaemonEvent::RecordingStopped(RecordingStopped {
                at: clock::now(),
                app,
                folder: self.rule.folder.clone(),
                name,
                reason: error.to_string(),
                session,
            }));
        }
        self.paused = Some(error.to_string());
    }

    fn go_on(&mut self) {
        if self.paused.take().is_some() {
            tracing::info!(stream = self.live.path(), "recording resumed");
            let (app, name, session) = self.names();
            let resumed = RecordingResumed { at: clock::now(), app, name, session };
            self.bus.tell(&DaemonEvent::RecordingResumed(resumed));
        }
    }

    /// Returns application, public name and id of the publish, for events.
    fn names(&self) -> (String, String, String) {
        (self.live.app.to_string(), self.live.name.to_string(), self.live.session.clone())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.finish();
    }
}

fn is_full(rule: &Record, open: &Open, next: &Part) -> bool {
    let long = rule.split.is_some_and(|split| next.start.saturating_sub(open.origin) >= split);
    long || rule.split_size.is_some_and(|most| open.bytes + next.bytes.len() as u64 > most)
}

/// Returns the free space for unprivileged processes, in bytes.
fn free_space(folder: &Path) -> io::Result<u64> {
    let known = nix::sys::statvfs::statvfs(folder)?;
    Ok(known.blocks_available().saturating_mul(known.fragment_size()))
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
