//! The state file on disk. It is read completely and written completely, by one writer at a time.

use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use ngx_rtmp::files;
use weir_durable::{self as durable, Durability, Owner};
use weir_model::{
    Digest,
    state_file::{self, State, StateError},
};
use weir_zone::Shown;

/// Why the state file was not read or not written. Nothing has changed in that case.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system returns an error.
    #[error("the state file \"{path}\" cannot be {what}: {error}")]
    Io {
        /// The state file, or the file beside it.
        path: PathBuf,
        /// The operation that failed.
        what: &'static str,
        /// The system's error.
        error: io::Error,
    },
    /// Another process has kept the lock on `FILE.lock` too long.
    #[error("the state file \"{0}\" is locked by another process")]
    Locked(PathBuf),
    /// The file exists, but this version of Weir cannot read it.
    #[error("\"{path}\": {error}")]
    Unreadable {
        /// The state file.
        path: PathBuf,
        /// The error in its content.
        error: StateError,
    },
}

/// A state file as it was read.
pub struct Content {
    /// Its keys and targets.
    pub state: State,
    /// The identity of this content.
    pub shown: Shown,
}

/// A state file as it was written.
pub struct Saved {
    /// The identity of this content.
    pub shown: Shown,
    /// Why it may be lost when the machine loses power: its folder could not be synced.
    pub doubt: Option<String>,
}

fn failed(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |error| FileError::Io { path, what, error }
}

/// Reads the file; returns `None` if it does not exist. Does not read a file of more than `limit` bytes.
pub fn read(path: &Path, limit: u64) -> Result<Option<Content>, FileError> {
    let unreadable = |error| FileError::Unreadable { path: path.to_owned(), error };
    let (bytes, facts) = match files::read_at_most(path, limit) {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            return Err(unreadable(StateError::TooLarge { limit }));
        }
        Err(error) => return Err(failed(path, "read")(error)),
    };
    let state = State::decode(&bytes).map_err(unreadable)?;
    let (content, generation) = (state_file::content(&bytes), state.generation);
    Ok(Some(Content { state, shown: Shown { content, generation, stamp: stamp_of(&facts) } }))
}

/// Returns the file's metadata as one number, which differs for another file or another content. Returns 0 if the file does not exist.
#[must_use]
pub fn stamp(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |facts| stamp_of(&facts))
}

fn stamp_of(facts: &fs::Metadata) -> u64 {
    let words = [facts.dev(), facts.ino(), facts.size()];
    let times = [facts.mtime(), facts.mtime_nsec(), facts.ctime(), facts.ctime_nsec()];
    let bytes = words.map(u64::to_le_bytes).into_iter().chain(times.map(i64::to_le_bytes)).flatten();
    let digest = Digest::of(&bytes.collect::<Vec<u8>>());
    let stamp = digest.bytes().iter().take(8).fold(0, |stamp, byte| stamp << 8 | u64::from(*byte));
    stamp.max(1)
}

/// Replaces the file: temporary file, fsync, rename, fsync of the folder. After an error, the old file is still there. A failure after the
/// rename is reported as `doubt`.
pub fn write(path: &Path, state: &State) -> Result<Saved, FileError> {
    let text = state.encode();
    let temporary = beside(path, ".tmp");
    let (file, durability) = durable::replace_and_keep(None, path, &temporary, 0o600, text.as_bytes())
        .map_err(failed(path, "written"))?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let doubt = match durability {
        Durability::Sure => None,
        Durability::Uncertain(error) => {
            Some(format!("the folder {} cannot be synced: {error}", folder.display()))
        }
    };
    let stamp = file.metadata().map_or(0, |facts| stamp_of(&facts));
    let content = state_file::content(text.as_bytes());
    Ok(Saved { shown: Shown { content, generation: state.generation, stamp }, doubt })
}

/// Renames a file that cannot be read to a free name. Returns that name.
pub fn set_aside(path: &Path) -> Result<PathBuf, FileError> {
    let names = (0..1000)
        .map(|n| beside(path, &if n == 0 { ".damaged".to_owned() } else { format!(".damaged.{n}") }));
    let mut free = names.filter(|name| fs::symlink_metadata(name).is_err());
    let to = free.next().unwrap_or_else(|| beside(path, ".damaged"));
    fs::rename(path, &to).map_err(failed(path, "moved away"))?;
    Ok(to)
}

/// Takes the lock on `FILE.lock` if it is free. A new lock file belongs to `owner`.
pub fn try_lock(path: &Path, owner: Option<Owner>) -> Result<Option<File>, FileError> {
    let name = beside(path, ".lock");
    let file = open_lock(&name, owner).map_err(failed(&name, "opened"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed(&name, "locked")(error)),
    }
}

fn open_lock(name: &Path, owner: Option<Owner>) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    match options.clone().create_new(true).open(name) {
        Ok(file) => {
            file.set_permissions(Permissions::from_mode(0o600))?;
            if let Some((user, group)) = owner {
                std::os::unix::fs::fchown(&file, Some(user), Some(group))?;
            }
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(name),
        Err(error) => Err(error),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
