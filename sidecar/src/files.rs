//! Folders and files with explicit modes, whatever the umask of the process is.
//!
//! keepalived starts scripts with the umask 0177, administrators use 0077, and containers 0. If the umask decided the mode, folders
//! could not be entered, or everybody could read secrets.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::unistd::{AccessFlags, Uid, User, access, geteuid};

pub(crate) use weir_durable as durable;

/// Modes for files that only the daemon's user reads.
pub(crate) const PRIVATE: Modes = Modes { file: 0o600, folder: 0o700 };
/// Modes for files that the daemon's group, which is nginx's, also reads: recordings, and the daemon's own state.
pub(crate) const SHARED: Modes = Modes { file: 0o640, folder: 0o750 };
/// Modes for files that nginx publishes as they are: segments, playlists, stills.
pub(crate) const PUBLISHED: Modes = Modes { file: 0o644, folder: 0o755 };

/// Permissions that the owner needs to enter a folder and to change its contents.
const OWNER: u32 = 0o700;

/// Permission bits of files and of the folders that hold them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Modes {
    /// Mode of a file.
    pub file: u32,
    /// Mode of a folder.
    pub folder: u32,
}

impl Modes {
    /// Creates the folder and its missing parents. An existing folder keeps its mode, unless this user owns it and cannot enter it:
    /// earlier versions created such folders under the umask 0177.
    pub(crate) fn make_folder(self, folder: &Path) -> io::Result<()> {
        match fs::metadata(folder) {
            Ok(there) if there.is_dir() => return mend(folder, &there),
            Ok(_) => return Err(about(folder, "is there, and is no folder")),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // A parent folder cannot be entered.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
            Err(error) => return Err(error),
        }
        if let Some(above) = folder.parent().filter(|above| *above != Path::new("")) {
            self.make_folder(above).map_err(|error| match error.kind() {
                ErrorKind::PermissionDenied if above.is_dir() => missing(folder, self.folder),
                _ => error,
            })?;
        }
        match DirBuilder::new().mode(self.folder).create(folder) {
            Ok(()) => set_mode(folder, self.folder),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(missing(folder, self.folder)),
            // Another process created the folder in the meantime.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => mend(folder, &fs::metadata(folder)?),
            Err(error) => Err(error),
        }
    }

    /// Creates a file for writing; fails if it exists.
    pub(crate) fn create_new(self, path: &Path) -> io::Result<File> {
        self.open(OpenOptions::new().write(true).create_new(true), path)
    }

    /// Creates a file for writing; empties an existing file.
    pub(crate) fn create(self, path: &Path) -> io::Result<File> {
        self.open(OpenOptions::new().write(true).create(true).truncate(true), path)
    }

    /// Opens a file for writing, such as a lock, and creates it if needed. Existing content stays.
    pub(crate) fn open_or_create(self, path: &Path) -> io::Result<File> {
        match OpenOptions::new().write(true).open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.open(OpenOptions::new().write(true).create(true).truncate(false), path)
            }
            opened => opened,
        }
    }

    /// Writes a file. Concurrent readers may see incomplete content.
    pub(crate) fn write(self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.create(path)?.write_all(bytes)
    }

    /// Replaces a file atomically through `unfinished`: readers see either the old or the new content.
    pub(crate) fn replace(self, path: &Path, unfinished: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write(unfinished, bytes)?;
        fs::rename(unfinished, path)
    }

    fn open(self, options: &mut OpenOptions, path: &Path) -> io::Result<File> {
        // The file never has wider permissions than the final ones.
        let file = options.mode(self.file).open(path)?;
        let is = file.metadata()?;
        // Only the owner may change the mode; files of other users keep theirs.
        if is.mode() & 0o777 != self.file && is.uid() == geteuid().as_raw() {
            file.set_permissions(Permissions::from_mode(self.file))?;
        }
        Ok(file)
    }
}

/// Logs a warning about `what` if it may not survive a loss of power.
pub(crate) fn warn_if_uncertain(durability: durable::Durability, what: &str, path: &Path) {
    if let durable::Durability::Uncertain(error) = durability {
        tracing::warn!("{what} may be lost if the machine loses power: {error}, file: {path:?}");
    }
}

/// Sets the mode of a path, such as a newly bound socket.
pub(crate) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Makes this user's own folder usable, or returns an error that says how the owner of a foreign folder can.
fn mend(folder: &Path, there: &fs::Metadata) -> io::Result<()> {
    let mode = there.mode() & 0o7777;
    let us = geteuid();
    // A folder that its owner made read-only stays read-only; a folder without x is useless and is repaired.
    if there.uid() == us.as_raw() && mode & 0o100 == 0 {
        return set_mode(folder, mode | OWNER)
            .map_err(|error| about(folder, &format!("cannot be entered (mode {mode:04o}): {error}")));
    }
    access(folder, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|errno| {
        let (owner, shown) = (name_of(there.uid()), folder.display());
        // The system's own folders belong to nobody else.
        let remedy = match is_of_system(folder) {
            true => "choose a folder below it".to_owned(),
            false => format!("chown {} {shown}", name_of(us.as_raw())),
        };
        let what =
            format!("cannot be written to (mode {mode:04o}, owner {owner}): {}: {remedy}", errno.desc());
        io::Error::new(ErrorKind::PermissionDenied, format!("{shown} {what}"))
    })
}

/// Folders that many programs share.
const OF_SYSTEM: [&str; 16] = [
    "/",
    "/dev",
    "/etc",
    "/home",
    "/mnt",
    "/opt",
    "/run",
    "/srv",
    "/tmp",
    "/usr",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/log",
    "/var/run",
    "/var/tmp",
];

fn is_of_system(folder: &Path) -> bool {
    OF_SYSTEM.iter().any(|shared| folder == Path::new(shared))
}

/// Returns an error that says how an administrator creates a folder which this user cannot create.
fn missing(folder: &Path, mode: u32) -> io::Error {
    let (us, shown) = (name_of(geteuid().as_raw()), folder.display());
    let what =
        format!("{shown} cannot be created: permission denied: install -d -o {us} -m {mode:04o} {shown}");
    io::Error::new(ErrorKind::PermissionDenied, what)
}

/// Returns the name of a user, or the number of a user without a name.
pub(crate) fn name_of(uid: u32) -> String {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => user.name,
        _ => uid.to_string(),
    }
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
        // Modes that an administrator has widened or narrowed stay as they are.
        for kept in [0o755, 0o500, 0o711] {
            set_mode(&outer, kept).unwrap();
            let made = SHARED.make_folder(&outer);
            assert_eq!((mode(&outer), made.is_ok()), (kept, kept != 0o500 || geteuid().is_root()));
        }
    }

    #[test]
    fn a_missing_folder_is_to_be_created_and_no_parent_to_be_given_away() {
        let said = missing(Path::new("/run/weir"), 0o750).to_string();
        let us = name_of(geteuid().as_raw());
        assert_eq!(
            said,
            format!("/run/weir cannot be created: permission denied: install -d -o {us} -m 0750 /run/weir")
        );
        assert!(is_of_system(Path::new("/run")) && is_of_system(Path::new("/var/lib/")));
        assert!(!is_of_system(Path::new("/run/weir")));
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
