//! Files that survive a loss of power: a new file is written beside the old one, synced and renamed, and then the folder is synced.
//!
//! An error before the rename means that the old file is unchanged. After the rename, the new file is in place: a failure then only means
//! that the file may not survive a loss of power. The module and the command line write their files with this crate. It must not know
//! their content.
//!
//! # Floors
//!
//! The crate has one file.
//!
//! ```floors
//! ```
#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

/// Ids of a user and a group.
pub type Owner = (u32, u32);

/// Whether a replaced file survives a loss of power.
#[derive(Debug)]
#[must_use]
pub enum Durability {
    /// The file survives a loss of power.
    Sure,
    /// The file was replaced, but its folder could not be synced.
    Uncertain(io::Error),
}

/// Replaces a file atomically through `unfinished` in the same folder. An old file of that name is removed and never opened: it may be a
/// link, or have another mode.
pub fn replace(path: &Path, unfinished: &Path, mode: u32, bytes: &[u8]) -> io::Result<Durability> {
    replace_for(None, path, unfinished, mode, bytes)
}

/// Like [`replace`], but the file belongs to `owner` from the start.
pub fn replace_for(
    owner: Option<Owner>,
    path: &Path,
    unfinished: &Path,
    mode: u32,
    bytes: &[u8],
) -> io::Result<Durability> {
    replace_and_keep(owner, path, unfinished, mode, bytes).map(|(_, durability)| durability)
}

/// Like [`replace_for`], and returns the new file too: another program may replace it a moment later.
pub fn replace_and_keep(
    owner: Option<Owner>,
    path: &Path,
    unfinished: &Path,
    mode: u32,
    bytes: &[u8],
) -> io::Result<(File, Durability)> {
    let written = remove_left_over(unfinished)
        .and_then(|()| fill(open(unfinished, mode)?, owner, mode, bytes))
        .and_then(|file| fs::rename(unfinished, path).map(|()| file));
    let file = written.inspect_err(|_| {
        let _ = fs::remove_file(unfinished);
    })?;
    let durability = match sync_folder(path) {
        Ok(()) => Durability::Sure,
        Err(error) => Durability::Uncertain(error),
    };
    Ok((file, durability))
}

/// Creates a file with all of its content, or fails without one. Fails if the path exists, and follows no link. Unlike [`replace`], a loss
/// of power during the call can leave an incomplete file.
pub fn create_for(owner: Option<Owner>, path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let file = open(path, mode)?;
    let written = fill(file, owner, mode, bytes).and_then(|_| sync_folder(path));
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

fn remove_left_over(unfinished: &Path) -> io::Result<()> {
    match fs::remove_file(unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn open(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

fn fill(mut file: File, owner: Option<Owner>, mode: u32, bytes: &[u8]) -> io::Result<File> {
    // The mode does not depend on the umask.
    file.set_permissions(Permissions::from_mode(mode))?;
    if let Some((user, group)) = owner {
        fchown(&file, Some(user), Some(group))?;
    }
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(file)
}

/// Makes a rename or a new file in the folder of `path` durable.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_left_over_is_never_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (path, unfinished) = (folder.path().join("file"), folder.path().join("file.new"));
        let victim = folder.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, &unfinished).unwrap();
        assert!(matches!(replace(&path, &unfinished, 0o600, b"one").unwrap(), Durability::Sure));
        fs::write(&unfinished, "half").unwrap();
        fs::set_permissions(&unfinished, Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(replace(&path, &unfinished, 0o640, b"two").unwrap(), Durability::Sure));
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((fs::read(&path).unwrap(), mode), (b"two".to_vec(), 0o640));
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert!(!unfinished.exists());
    }

    #[test]
    fn an_error_before_the_rename_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, unfinished) = (folder.path().join("file"), folder.path().join("file.new"));
        fs::write(&path, "old").unwrap();
        fs::create_dir(&unfinished).unwrap();
        assert!(replace(&path, &unfinished, 0o600, b"new").is_err());
        fs::remove_dir(&unfinished).unwrap();
        // If the target cannot be replaced, no unfinished file is left.
        fs::create_dir(folder.path().join("taken")).unwrap();
        assert!(replace(&folder.path().join("taken"), &unfinished, 0o600, b"new").is_err());
        assert!(fs::read(&path).unwrap() == b"old" && !unfinished.exists());
    }
}
