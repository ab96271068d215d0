//! The user that systemd runs the daemon as: reads the unit `weir.service`, if it is installed.

use std::fs;
use std::path::PathBuf;

use nix::unistd::{Gid, Group, User, initgroups, setgid, setuid};

/// Folders in which systemd looks for units; the first that has the unit applies (systemd.unit(5)).
const FOLDERS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
const NAME: &str = "weir.service";
/// User of the unit that `make install` installs.
const DEFAULT_USER: &str = "weir";

/// The settings of the unit that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    /// `User=`
    pub user: String,
    /// `Group=`; without it, the primary group of the user.
    pub group: Option<String>,
}

/// Reason why this process cannot become the unit's user.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The user does not exist.
    #[error("the user {0} does not exist")]
    NoUser(String),
    /// The group does not exist.
    #[error("the group {0} does not exist")]
    NoGroup(String),
    /// The operating system refuses the change.
    #[error("cannot become the user {user}: {why}")]
    Refused {
        /// User name.
        user: String,
        /// Message of the operating system.
        why: &'static str,
    },
}

impl Unit {
    /// Returns the installed unit with its drop-ins, or the default unit.
    pub(crate) fn installed() -> Self {
        let mut texts = Vec::new();
        texts.extend(Self::file().and_then(|file| fs::read_to_string(file).ok()));
        for folder in FOLDERS.iter().rev() {
            let Ok(entries) = fs::read_dir(PathBuf::from(folder).join(format!("{NAME}.d"))) else { continue };
            let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            files.sort();
            texts.extend(files.iter().filter_map(|file| fs::read_to_string(file).ok()));
        }
        Self::of_texts(&texts)
    }

    /// Returns whether the unit is installed.
    pub(crate) fn is_installed() -> bool {
        Self::file().is_some()
    }

    fn file() -> Option<PathBuf> {
        FOLDERS.iter().map(|folder| PathBuf::from(folder).join(NAME)).find(|file| file.is_file())
    }

    /// Parses the unit. The last line of a key applies; an empty line resets it.
    fn of_texts(texts: &[String]) -> Self {
        let last = |key: &str| {
            let lines = texts.iter().flat_map(|text| text.lines());
            let mut values = lines.filter_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='));
            values.next_back().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        Self { user: last("User").unwrap_or_else(|| DEFAULT_USER.into()), group: last("Group") }
    }

    /// Returns the user and the group. Both must exist.
    pub(crate) fn account(&self) -> Result<(User, Gid), Error> {
        let none = || Error::NoUser(self.user.clone());
        let user = User::from_name(&self.user).ok().flatten().ok_or_else(none)?;
        let gid = match &self.group {
            Some(name) => {
                let none = || Error::NoGroup(name.clone());
                Group::from_name(name).ok().flatten().ok_or_else(none)?.gid
            }
            None => user.gid,
        };
        Ok((user, gid))
    }

    /// Makes this process, which runs as root, permanently run as the unit's user.
    pub(crate) fn become_user(&self) -> Result<(), Error> {
        let (user, gid) = self.account()?;
        let refused =
            |errno: nix::errno::Errno| Error::Refused { user: user.name.clone(), why: errno.desc() };
        let name =
            std::ffi::CString::new(user.name.as_str()).map_err(|_| Error::NoUser(user.name.clone()))?;
        initgroups(&name, gid).map_err(refused)?;
        setgid(gid).map_err(refused)?;
        setuid(user.uid).map_err(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts() {
        let texts =
            |texts: &[&str]| Unit::of_texts(&texts.iter().map(|&text| text.into()).collect::<Vec<_>>());
        let unit = |user: &str, group: Option<&str>| Unit { user: user.into(), group: group.map(Into::into) };
        assert_eq!(texts(&[]), unit("weir", None));
        assert_eq!(
            texts(&["[Service]\nUser=weir\n#User=x\nGroup=www-data\nUserX=1\n"]),
            unit("weir", Some("www-data"))
        );
        assert_eq!(
            texts(&["User=weir\nGroup=www-data", "User = a\nUser=media\nGroup="]),
            unit("media", None)
        );
    }
}
