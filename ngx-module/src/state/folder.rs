//! The folder of the state file. nginx checks it when it tests a configuration, and creates it when a configuration takes effect.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use weir_durable::Owner;

/// Why there is no folder for the state file.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder is missing, and cannot be created.
    #[error("the folder {folder} cannot be made: {error}")]
    Make {
        /// The path of the folder.
        folder: String,
        /// The system's error.
        error: io::Error,
    },
    /// The path is not a folder.
    #[error("{0} is no folder")]
    NoFolder(String),
}

/// Checks whether the workers will be able to use the folder and the file, and changes nothing. `user` is the workers' user; `None` if they
/// keep the caller's. Returns warnings.
pub fn check(path: Option<&Path>, user: Option<Owner>) -> Result<Vec<String>, FolderError> {
    let Some((path, folder)) = path.and_then(|path| Some((path, path.parent()?))) else {
        return Ok(Vec::new());
    };
    let name = folder.display();
    match fs::metadata(folder) {
        Ok(facts) if !facts.is_dir() => Err(FolderError::NoFolder(name.to_string())),
        Ok(facts) => {
            let Some(user) = user else { return Ok(Vec::new()) };
            let who = format!("the workers (user id {})", user.0);
            let mut warnings = Vec::new();
            let may = rights(&facts, user);
            if may & 0o3 != 0o3 {
                warnings.push(format!(
                    "{who} cannot write to {name}: no key or target can be added, changed or removed for good"
                ));
            } else if may & 0o4 == 0 {
                warnings.push(format!(
                    "{who} cannot read the folder {name}: a change may be lost if the machine loses power"
                ));
            }
            if fs::metadata(path).is_ok_and(|facts| rights(&facts, user) & 0o4 == 0) {
                let file = path.display();
                warnings.push(format!("{who} cannot read {file}; run chown {}:{} {file}", user.0, user.1));
            }
            Ok(warnings)
        }
        // The folder can be created only if its parent exists.
        Err(error) if error.kind() == io::ErrorKind::NotFound => match folder.parent().map(fs::metadata) {
            Some(Err(error)) => Err(FolderError::Make { folder: name.to_string(), error }),
            _ => Ok(Vec::new()),
        },
        Err(error) => Err(FolderError::Make { folder: name.to_string(), error }),
    }
}

/// Returns the rights of a user: 4 read, 2 write, 1 enter.
fn rights(facts: &fs::Metadata, (uid, gid): Owner) -> u32 {
    match () {
        () if uid == 0 => 0o7,
        () if facts.uid() == uid => facts.mode() >> 6 & 0o7,
        () if facts.gid() == gid => facts.mode() >> 3 & 0o7,
        () => facts.mode() & 0o7,
    }
}

/// Creates the folder for the workers' user, as nginx does for its temporary files, unless it exists.
pub fn make(path: &Path, user: Option<Owner>) -> Result<(), FolderError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    let made = match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => own(folder, user),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    };
    made.map_err(|error| FolderError::Make { folder: PathBuf::from(folder).display().to_string(), error })
}

fn own(folder: &Path, user: Option<Owner>) -> io::Result<()> {
    // The umask may have removed bits from the mode.
    fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    user.map_or(Ok(()), |(uid, gid)| std::os::unix::fs::chown(folder, Some(uid), Some(gid)))
}
