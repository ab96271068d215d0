//! The index of a folder with recordings: one entry per file, in `.recordings/` of the folder. Only files with an entry are ever removed
//! or uploaded.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use weir_model::Timestamp;

use super::playlist;
use super::salvage::salvage;
use super::transfer::Transfer;
use crate::clock;
use crate::files::{self, SHARED, durable};

/// Folder of the entries.
const PLACE: &str = ".recordings";

/// One recorded file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Path below the folder.
    pub file: PathBuf,
    /// nginx-rtmp application.
    pub app: String,
    /// Public name of the stream.
    pub stream: String,
    /// Id of the publish.
    pub session: String,
    /// Start of the file.
    pub started: Timestamp,
    /// End of the file; `None` while it is being written.
    pub ended: Option<Timestamp>,
    /// Size in bytes.
    pub bytes: u64,
    /// Length of the media in milliseconds, if the file is complete.
    #[serde(default)]
    pub duration_ms: Option<u64>,
    /// The upload and its progress, if the file is to be uploaded.
    pub upload: Option<Transfer>,
}

/// The index of one folder.
#[derive(Debug)]
pub(crate) struct Index {
    folder: PathBuf,
    entries: Mutex<BTreeMap<u64, Entry>>,
    /// Numbers of entries with changes that are not saved.
    unsaved: Mutex<BTreeSet<u64>>,
    /// Only one entry is saved at a time, so that its newest state is saved last.
    saving: Mutex<()>,
}

impl Index {
    /// Reads the index. A file that an earlier daemon was still writing ends at its last whole piece; those files are returned with the
    /// index.
    pub(crate) fn open(folder: &Path) -> io::Result<(Self, Vec<Entry>)> {
        let place = folder.join(PLACE);
        SHARED.make_folder(&place)?;
        let index = Self {
            folder: folder.into(),
            entries: Mutex::default(),
            unsaved: Mutex::default(),
            saving: Mutex::default(),
        };
        let mut salvaged = Vec::new();
        for found in fs::read_dir(&place)?.flatten() {
            let path = found.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
            let entry = fs::read(&path).and_then(|bytes| Ok(serde_json::from_slice::<Entry>(&bytes)?));
            match (number, entry) {
                (Some(number), Ok(entry)) if is_below(&entry.file) => {
                    salvaged.extend(index.recall(number, entry)?);
                }
                (_, Ok(_)) => set_aside(&path, "it leads elsewhere"),
                (_, Err(error)) => set_aside(&path, &error.to_string()),
            }
        }
        Ok((index, salvaged))
    }

    /// Restores an entry. Returns it if its file was cut off.
    fn recall(&self, number: u64, mut entry: Entry) -> io::Result<Option<Entry>> {
        let Ok(known) = fs::metadata(self.folder.join(&entry.file)) else {
            // The file was removed by another program.
            return fs::remove_file(self.path(number)).map(|()| None);
        };
        let is_cut_off = entry.ended.is_none();
        if is_cut_off {
            let path = self.folder.join(&entry.file);
            let whole = salvage(&path)?;
            if whole == 0 {
                tracing::warn!(
                    "recording was cut off before its first frame, and is removed, file: {:?}",
                    entry.file
                );
                fs::remove_file(path)?;
                return fs::remove_file(self.path(number)).map(|()| None);
            }
            let at = known.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
            let at = at.and_then(|at| u64::try_from(at.as_millis()).ok()).map(Timestamp::from_millis);
            entry.ended = Some(at.unwrap_or(entry.started));
            entry.bytes = whole;
            tracing::warn!("recording was cut off, file: {:?}, bytes: {}", entry.file, entry.bytes);
            self.save(number, &entry)?;
        }
        self.lock().insert(number, entry.clone());
        Ok(is_cut_off.then_some(entry))
    }

    /// Returns the folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Adds an entry for a file that is about to be written. Returns its number.
    pub(crate) fn add(&self, entry: Entry) -> io::Result<u64> {
        let number = clock::next_number();
        self.save(number, &entry)?;
        self.lock().insert(number, entry);
        Ok(number)
    }

    /// Changes the entry of a file. Does nothing if the file has none. An error means that the change was not saved;
    /// [`save_again`](Self::save_again) saves it later.
    pub(crate) fn change(&self, number: u64, change: impl FnOnce(&mut Entry)) -> io::Result<()> {
        let _saving = self.saving();
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(&number) else { return Ok(()) };
        change(entry);
        let entry = entry.clone();
        drop(entries);
        self.save(number, &entry).inspect_err(|_| {
            self.unsaved().insert(number);
        })
    }

    /// Saves the changes that could not be saved before: the disk may have space again.
    pub(crate) fn save_again(&self) {
        let _saving = self.saving();
        let unsaved: Vec<u64> = self.unsaved().iter().copied().collect();
        for number in unsaved {
            let entry = self.lock().get(&number).cloned();
            if entry.is_none_or(|entry| self.save(number, &entry).is_ok()) {
                self.unsaved().remove(&number);
            }
        }
    }

    /// Removes the file, then its entry.
    pub(crate) fn remove(&self, number: u64) -> io::Result<()> {
        let Some(entry) = self.lock().get(&number).cloned() else { return Ok(()) };
        let path = self.folder.join(&entry.file);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // The file may have no playlist.
        let _ = fs::remove_file(playlist::beside(&path));
        self.lock().remove(&number);
        fs::remove_file(self.path(number))?;
        // Empty folders are removed up to the first folder that is not empty.
        let mut folder = path.parent();
        while let Some(empty) =
            folder.filter(|folder| *folder != self.folder && fs::remove_dir(folder).is_ok())
        {
            folder = empty.parent();
        }
        Ok(())
    }

    /// Returns all entries, the oldest first.
    pub(crate) fn entries(&self) -> Vec<(u64, Entry)> {
        self.lock().iter().map(|(number, entry)| (*number, entry.clone())).collect()
    }

    /// Calls `look` for each entry, the oldest first.
    pub(crate) fn visit(&self, mut look: impl FnMut(&Entry)) {
        self.lock().values().for_each(&mut look);
    }

    /// Notes why the upload of a file has failed. The reason is not saved.
    pub(crate) fn upload_failed(&self, number: u64, why: String) {
        if let Some(transfer) = self.lock().get_mut(&number).and_then(|entry| entry.upload.as_mut()) {
            transfer.error = Some(why);
        }
    }

    fn save(&self, number: u64, entry: &Entry) -> io::Result<()> {
        let path = self.path(number);
        let unfinished = path.with_extension("new");
        let durability = durable::replace(&path, &unfinished, 0o640, &serde_json::to_vec(entry)?)?;
        files::warn_if_uncertain(durability, "entry of a recording", &path);
        Ok(())
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(PLACE).join(format!("{number:020}.json"))
    }

    fn saving(&self) -> MutexGuard<'_, ()> {
        self.saving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unsaved(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_below(path: &Path) -> bool {
    path.components().all(|part| matches!(part, std::path::Component::Normal(_)))
}

fn set_aside(path: &Path, why: &str) {
    tracing::error!("entry of a recording set aside: {why}, file: {path:?}");
    let _ = fs::rename(path, path.with_extension("corrupt"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(file: &str) -> Entry {
        Entry {
            file: file.into(),
            app: "live".into(),
            stream: "show".into(),
            session: "s1".into(),
            started: "2026-11-20T18:00:00Z".parse().unwrap(),
            ended: None,
            bytes: 0,
            duration_ms: None,
            upload: None,
        }
    }

    #[test]
    fn what_was_being_written_is_ended_by_the_next_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let (index, _) = Index::open(folder.path()).unwrap();
        fs::create_dir_all(folder.path().join("live/show")).unwrap();
        // An empty `mdat`, and the beginning of another box.
        fs::write(folder.path().join("live/show/a.mp4"), b"\0\0\0\x08mdat\0\0\0").unwrap();
        fs::write(folder.path().join("live/show/empty.mp4"), b"\0\0\0\x08ftyp").unwrap();
        index.add(entry("live/show/empty.mp4")).unwrap();
        index.add(entry("live/show/a.mp4")).unwrap();
        index.add(entry("live/show/never-begun.mp4")).unwrap();
        index.add(entry("../elsewhere.mp4")).unwrap();
        fs::write(folder.path().join(".recordings/7.json"), b"{").unwrap();
        let (index, salvaged) = Index::open(folder.path()).unwrap();
        assert_eq!(salvaged.len(), 1);
        let entries = index.entries();
        assert_eq!(entries.len(), 1, "{entries:?}");
        assert!(entries[0].1.ended.is_some() && entries[0].1.bytes == 8);
        assert!(!folder.path().join("live/show/empty.mp4").exists());
        index.remove(entries[0].0).unwrap();
        assert!(!folder.path().join("live").exists() && folder.path().exists());
        assert!(Index::open(folder.path()).unwrap().0.entries().is_empty());
        assert!(folder.path().join(".recordings/7.corrupt").exists());
    }
}
