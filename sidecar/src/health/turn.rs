//! Orders notices: keepalived starts a script for each change of state without waiting, so two scripts may run simultaneously.
//!
//! Each script takes a turn when it begins. It acts only if no later turn was taken, and while no other script acts.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Notice;
use crate::files::{self, PRIVATE, durable};

/// A place in the order of notices about one instance or group.
#[derive(Debug)]
pub(crate) struct Turn {
    file: PathBuf,
    number: u64,
}

impl Turn {
    /// Takes the next turn, and writes the notice to `folder` for people to read. Creates a missing folder.
    pub(crate) fn take(folder: &Path, notice: &Notice) -> io::Result<Self> {
        PRIVATE.make_folder(folder)?;
        let file = folder.join(file_name(notice));
        let _lock = lock(&file, "lock")?;
        let number = last(&file)?.wrapping_add(1);
        let new = file.with_extension("new");
        let text = format!("{number} {}\n", notice.role);
        let durability = durable::replace(&file, &new, PRIVATE.file, text.as_bytes())?;
        files::warn_if_uncertain(durability, "turn of weir notify", &file);
        Ok(Self { file, number })
    }

    /// Returns whether no later turn was taken.
    pub(crate) fn is_last(&self) -> io::Result<bool> {
        Ok(last(&self.file)? == self.number)
    }

    /// Returns the right to act, until it is dropped, or `None` while another script has it.
    pub(crate) fn try_act(&self) -> io::Result<Option<File>> {
        let file = open(&self.file, "act")?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(e)) => Err(e),
        }
    }
}

/// Returns the number of the last turn, or 0 before the first one.
fn last(file: &Path) -> io::Result<u64> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(0),
        Err(e) => return Err(e),
    };
    // After a damaged file, the count starts again.
    Ok(text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default())
}

/// Waits for the lock, which is held only while a turn is taken.
fn lock(file: &Path, extension: &str) -> io::Result<File> {
    let lock = open(file, extension)?;
    lock.lock()?;
    Ok(lock)
}

fn open(file: &Path, extension: &str) -> io::Result<File> {
    PRIVATE.open_or_create(&file.with_extension(extension))
}

/// Returns a file name like `instance-VI_1`. A name may contain any character but a blank, so special characters are percent-encoded.
fn file_name(notice: &Notice) -> String {
    let kind = notice.who.kind.to_string().to_lowercase();
    const CODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-');
    let name = utf8_percent_encode(&notice.who.name, CODED);
    format!("{kind}-{name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Role;
    use crate::values::vrrp::{VrrpKind, Who};

    fn notice(role: Role) -> Notice {
        Notice { who: Who { kind: VrrpKind::Instance, name: "../VI.1".into() }, role }
    }

    #[test]
    fn the_last_to_begin_is_the_one_that_counts() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("made");
        let first = Turn::take(&folder, &notice(Role::Active)).unwrap();
        assert!(first.is_last().unwrap());
        let acts = first.try_act().unwrap().expect("nobody else acts");
        let second = Turn::take(&folder, &notice(Role::Standby)).unwrap();
        assert!(!first.is_last().unwrap() && second.is_last().unwrap());
        assert!(second.try_act().unwrap().is_none(), "two act at once");
        drop(acts);
        assert!(second.try_act().unwrap().is_some());
        assert_eq!(fs::read_to_string(folder.join("instance-%2E%2E%2FVI%2E1")).unwrap(), "2 standby\n");
        let other = Notice { who: Who { kind: VrrpKind::Group, name: "G".into() }, role: Role::Active };
        assert!(Turn::take(&folder, &other).unwrap().is_last().unwrap());
        assert!(second.is_last().unwrap());
    }
}
