//! Folders and files with the modes that they need, whatever the umask of who started the program.
//!
//! keepalived starts scripts with the umask 0177, administrators use 0077, and containers 0. A mode that is left to the umask
//! makes folders that cannot be entered, or secrets that everybody can read.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::unistd::{AccessFlags, access, geteuid};

pub mod configuration;
pub mod durable;

/// Files that the daemon's user alone reads, and the folders that hold them.
pub const PRIVATE: Modes = Modes { file: 0o600, folder: 0o700 };
/// Files that the daemon's group, which is nginx's, reads too: recordings, and the daemon's own state.
pub const SHARED: Modes = Modes { file: 0o640, folder: 0o750 };
/// Files that nginx publishes as they are: segments, playlists, stills.
pub const PUBLISHED: Modes = Modes { file: 0o644, folder: 0o755 };

/// What owner and group need, to enter a folder and to change what is in it.
const OWNER: u32 = 0o700;

/// Permission bits of files and of the folders that hold them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes {
    /// Of a file.
    pub file: u32,
    /// Of a folder.
    pub folder: u32,
}

impl Modes {
    /// Makes the folder and those above it that are missing. A folder that is there keeps its mode, unless it is ours and we cannot
    /// enter it: earlier versions left such folders under the umask 0177.
    pub fn make_folder(self, folder: &Path) -> io::Result<()> {
        match fs::metadata(folder) {
            Ok(there) if there.is_dir() => return mend(folder, &there),
            Ok(_) => return Err(about(folder, "is there, and is no folder")),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // A folder above it that cannot be entered.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
            Err(error) => return Err(error),
        }
        if let Some(above) = folder.parent().filter(|above| *above != Path::new("")) {
            self.make_folder(above)?;
        }
        match DirBuilder::new().mode(self.folder).create(folder) {
            Ok(()) => set_mode(folder, self.folder),
            // Another process was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => mend(folder, &fs::metadata(folder)?),
            Err(error) => Err(error),
        }
    }

    /// Makes a file that must not be there yet, for writing.
    pub fn create_new(self, path: &Path) -> io::Result<File> {
        self.open(OpenOptions::new().write(true).create_new(true), path)
    }

    /// Makes a file for writing; one that is there is emptied.
    pub fn create(self, path: &Path) -> io::Result<File> {
        self.open(OpenOptions::new().write(true).create(true).truncate(true), path)
    }

    /// Opens a file for writing that may be there, such as a lock. Its content stays.
    pub fn open_or_create(self, path: &Path) -> io::Result<File> {
        match OpenOptions::new().write(true).open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.open(OpenOptions::new().write(true).create(true).truncate(false), path)
            }
            opened => opened,
        }
    }

    /// Writes a file. Who reads it meanwhile may see half of it.
    pub fn write(self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.create(path)?.write_all(bytes)
    }

    /// Writes a file whole by way of `unfinished`: who opens the path sees the old or the new content.
    pub fn replace(self, path: &Path, unfinished: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write(unfinished, bytes)?;
        fs::rename(unfinished, path)
    }

    fn open(self, options: &mut OpenOptions, path: &Path) -> io::Result<File> {
        // Never wider than it is to be, not even for a moment.
        let file = options.mode(self.file).open(path)?;
        let is = file.metadata()?;
        // The owner alone may say so; what belongs to another keeps its mode.
        if is.mode() & 0o777 != self.file && is.uid() == geteuid().as_raw() {
            file.set_permissions(Permissions::from_mode(self.file))?;
        }
        Ok(file)
    }
}

/// Sets the mode of a path, such as a socket that was bound just now.
pub fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Gives us what we need in a folder of ours, or says how its owner does.
fn mend(folder: &Path, there: &fs::Metadata) -> io::Result<()> {
    let mode = there.mode() & 0o7777;
    let us = geteuid();
    // A folder that its owner has made read-only stays so; without x it is of no use to anybody.
    if there.uid() == us.as_raw() && mode & 0o100 == 0 {
        return set_mode(folder, mode | OWNER)
            .map_err(|error| about(folder, &format!("cannot be entered (mode {mode:04o}): {error}")));
    }
    access(folder, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|errno| {
        let (owner, shown) = (there.uid(), folder.display());
        let what = format!(
            "cannot be written to (mode {mode:04o}, owner {owner}): {}: chown {us} {shown}",
            errno.desc()
        );
        io::Error::new(ErrorKind::PermissionDenied, format!("{shown} {what}"))
    })
}

fn about(path: &Path, what: &str) -> io::Error {
    io::Error::other(format!("{} {what}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_folder_without_x_that_is_ours_is_mended() {
        let place = tempfile::tempdir().unwrap();
        let (outer, inner) = (place.path().join("notify"), place.path().join("notify/a/b"));
        fs::create_dir(&outer).unwrap();
        set_mode(&outer, 0o600).unwrap();
        PRIVATE.make_folder(&inner).unwrap();
        assert_eq!((mode(&outer), mode(&inner)), (0o700, 0o700));
        // What an administrator has opened or closed stays as it is.
        for kept in [0o755, 0o500, 0o711] {
            set_mode(&outer, kept).unwrap();
            let made = SHARED.make_folder(&outer);
            assert_eq!((mode(&outer), made.is_ok()), (kept, kept != 0o500 || geteuid().is_root()));
        }
    }

    #[test]
    fn each_file_has_its_mode() {
        let place = tempfile::tempdir().unwrap();
        for modes in [PRIVATE, SHARED, PUBLISHED] {
            let folder = place.path().join(format!("{:o}/below", modes.folder));
            modes.make_folder(&folder).unwrap();
            assert_eq!((mode(&folder), mode(folder.parent().unwrap())), (modes.folder, modes.folder));
            let file = folder.join("file");
            fs::write(&file, "old").unwrap();
            set_mode(&file, 0o666).unwrap();
            modes.replace(&file, &folder.join("new"), b"new").unwrap();
            assert_eq!((mode(&file), fs::read(&file).unwrap()), (modes.file, b"new".to_vec()));
            assert!(modes.create_new(&file).is_err());
            modes.open_or_create(&folder.join("lock")).unwrap();
            assert_eq!(mode(&folder.join("lock")), modes.file);
        }
        assert!(PRIVATE.make_folder(&place.path().join("700/below/file")).is_err());
    }
}
