//! What was recorded into a folder: an entry for each file, in `.recordings/` of that folder. Only what has an entry is ever
//! removed or uploaded.

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
use crate::files::SHARED;
use crate::files::durable;

/// Where entries are.
const PLACE: &str = ".recordings";

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Below the folder.
    pub file: PathBuf,
    /// nginx-rtmp application.
    pub app: String,
    /// The stream's public name.
    pub stream: String,
    /// Of the publish.
    pub session: String,
    /// When the file was begun.
    pub started: Timestamp,
    /// When it was ended; none while it is written.
    pub ended: Option<Timestamp>,
    /// How large it is.
    pub bytes: u64,
    /// Where it is to go, and how far it has come.
    pub upload: Option<Transfer>,
}

/// All files of one folder.
#[derive(Debug)]
pub struct Index {
    folder: PathBuf,
    entries: Mutex<BTreeMap<u64, Entry>>,
    /// Those that are known better than they are saved.
    unsaved: Mutex<BTreeSet<u64>>,
    /// One entry at a time is saved, so that the newest state of it is saved last.
    saving: Mutex<()>,
}

impl Index {
    /// Reads what is there. What an earlier daemon was still writing ends where it was left; those files are given beside the
    /// index.
    pub fn open(folder: &Path) -> io::Result<(Self, Vec<Entry>)> {
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

    /// Knows a file again; gives it back when it was cut off.
    fn recall(&self, number: u64, mut entry: Entry) -> io::Result<Option<Entry>> {
        let Ok(known) = fs::metadata(self.folder.join(&entry.file)) else {
            // Somebody has removed it.
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

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file is about to be written; its number.
    pub fn add(&self, entry: Entry) -> io::Result<u64> {
        let number = clock::next_number();
        self.save(number, &entry)?;
        self.lock().insert(number, entry);
        Ok(number)
    }

    /// Changes what is known of a file; nothing when it is not known. An error is one of saving, which
    /// [`save_again`](Self::save_again) makes good.
    pub fn change(&self, number: u64, change: impl FnOnce(&mut Entry)) -> io::Result<()> {
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

    /// Saves what could not be saved before: there may be room again.
    pub fn save_again(&self) {
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
    pub fn remove(&self, number: u64) -> io::Result<()> {
        let Some(entry) = self.lock().get(&number).cloned() else { return Ok(()) };
        let path = self.folder.join(&entry.file);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // There need not be one.
        let _ = fs::remove_file(playlist::beside(&path));
        self.lock().remove(&number);
        fs::remove_file(self.path(number))?;
        // Folders that are empty now; the first that is not ends this.
        let mut folder = path.parent();
        while let Some(empty) =
            folder.filter(|folder| *folder != self.folder && fs::remove_dir(folder).is_ok())
        {
            folder = empty.parent();
        }
        Ok(())
    }

    /// All files, oldest first.
    pub fn entries(&self) -> Vec<(u64, Entry)> {
        self.lock().iter().map(|(number, entry)| (*number, entry.clone())).collect()
    }

    fn save(&self, number: u64, entry: &Entry) -> io::Result<()> {
        let path = self.path(number);
        let unfinished = path.with_extension("new");
        let durability = durable::replace(&path, &unfinished, 0o640, &serde_json::to_vec(entry)?)?;
        durability.log("entry of a recording", &path);
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
