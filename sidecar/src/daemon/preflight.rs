//! The checks of `weir serve --check` besides the text of weir.toml: whether the daemon can open the files that it needs.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, Uid, access};
use weir_model::Secret;
use weir_model::token::Signer;

use crate::cluster::signature::SecretOf;
use crate::config::Config;
use crate::config::needs::{Content, Need, What};
use crate::files::name_of;
use crate::http::{self, CaError};
use crate::upload::credentials;
use crate::webhooks::signature;

/// Folders that systemd creates for the unit before it starts the daemon.
const MADE_BY_SYSTEMD: [&str; 2] = ["/run/weir", "/var/lib/weir"];

/// A requirement that the daemon cannot use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    need: Need,
    problem: Problem,
}

/// A problem with a requirement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    /// The file or folder cannot be used.
    #[error("{why}{}", remedy.as_deref().map(|remedy| format!(": {remedy}")).unwrap_or_default())]
    Unusable {
        /// Message of the operating system.
        why: String,
        /// Remedy, if known.
        remedy: Option<String>,
    },
    /// The content of the file is wrong.
    #[error("{0}")]
    Content(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.need, self.problem)
    }
}

/// Returns all requirements that this process cannot use as its current user.
pub(crate) fn findings(config: &Config) -> Vec<Finding> {
    let look = |need: Need| Some(Finding { problem: look_at(&need).err()?, need });
    config.needs().into_iter().filter_map(look).collect()
}

/// Returns the secrets that only root can read.
pub(crate) fn for_root_alone(config: &Config) -> Vec<PathBuf> {
    let is_secret = |need: &Need| matches!(need.what, What::Secret(_) | What::File | What::Certificates);
    let needs = config.needs().into_iter().filter(is_secret);
    let of_root = needs.filter(|need| {
        fs::metadata(&need.path)
            .is_ok_and(|file| file.uid() == 0 && file.gid() == 0 && file.mode() & 0o004 == 0)
    });
    let mut files: Vec<PathBuf> = of_root.map(|need| need.path).collect();
    files.sort();
    files.dedup();
    files
}

fn look_at(need: &Need) -> Result<(), Problem> {
    let path = &need.path;
    match need.what {
        What::Secret(content) => check_content(path, content),
        What::File => fs::File::open(path).map(|_| ()).map_err(|error| unreadable(path, &error)),
        What::Certificates => match http::certificates(path) {
            Ok(_) => Ok(()),
            Err(CaError::Read(error)) => Err(unreadable(path, &error)),
            Err(error) => Err(Problem::Content(error.to_string())),
        },
        What::Folder => writable(path),
        What::Place => path.parent().map_or(Ok(()), writable),
        What::Program => startable(path),
    }
}

fn check_content(path: &Path, content: Content) -> Result<(), Problem> {
    let text = fs::read_to_string(path).map(Secret::new).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            Problem::Unusable { why: "the file is missing".into(), remedy: how_to_make(path, content) }
        }
        _ => unreadable(path, &error),
    })?;
    let wrong = |what: &str| Err(Problem::Content(what.to_owned()));
    match content {
        Content::Line if text.expose().trim().is_empty() => wrong("is empty"),
        Content::Line => Ok(()),
        Content::Signing | Content::Cluster | Content::Pair => match Signer::new(text.expose().as_bytes()) {
            Ok(_) => Ok(()),
            Err(error) => wrong(&error.to_string()),
        },
        Content::Webhook => match signature::Secret::parse(text.expose()) {
            Some(_) => Ok(()),
            None => wrong("must be whsec_ and the base64 of 24 to 64 bytes"),
        },
        Content::Credentials => match credentials::find(Some(path)) {
            Ok(_) => Ok(()),
            Err(error) => wrong(&error.to_string()),
        },
    }
}

/// Returns how to make a secret that is missing, if this is always the same.
fn how_to_make(path: &Path, content: Content) -> Option<String> {
    match content {
        Content::Signing => Some(format!(
            "install -o {} -m 0600 /etc/nginx/weir.secret {} makes it from the file of weir_secret in nginx.conf",
            us(),
            path.display()
        )),
        Content::Cluster => Some(SecretOf::Cluster.remedy(path)),
        Content::Pair => Some(SecretOf::Pair.remedy(path)),
        Content::Line | Content::Webhook | Content::Credentials => None,
    }
}

/// Checks that the folder can be written to or created.
fn writable(folder: &Path) -> Result<(), Problem> {
    let mut there = folder;
    let facts = loop {
        match fs::metadata(there) {
            Ok(facts) => break facts,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if MADE_BY_SYSTEMD.iter().any(|made| there == Path::new(made)) {
                    return Ok(());
                }
                there = there.parent().ok_or_else(|| unreadable(folder, &error))?;
            }
            Err(error) => return Err(unreadable(there, &error)),
        }
    };
    if !facts.is_dir() {
        return Err(Problem::Content(format!("{} is no folder", there.display())));
    }
    access(there, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|errno| {
        let remedy = match there == folder {
            true => format!("chown {} {}", us(), there.display()),
            false => format!("install -d -o {} {}", us(), folder.display()),
        };
        let why = format!("{} cannot write to {}: {}", us(), there.display(), errno.desc());
        Problem::Unusable { why, remedy: Some(remedy) }
    })
}

/// Checks that the program exists and may be started; a name without a slash is looked up in `PATH`.
fn startable(program: &Path) -> Result<(), Problem> {
    let may = |path: &Path| path.is_file() && access(path, AccessFlags::X_OK).is_ok();
    let found = match program.parent() {
        Some(folder) if folder != Path::new("") => may(program),
        _ => std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|folder| may(&folder.join(program)))),
    };
    if found {
        return Ok(());
    }
    let is_ffmpeg = program == Path::new("ffmpeg");
    let remedy = is_ffmpeg.then(|| "install it (Debian: apt install ffmpeg), or write its path".to_owned());
    Err(Problem::Unusable { why: "no such program that may be started".into(), remedy })
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    let remedy = (error.kind() == ErrorKind::PermissionDenied).then(|| match fs::metadata(path) {
        Ok(file) => {
            let mode = file.mode() & 0o7777;
            format!("mode {mode:04o}, owner {}; chown {} {}", name_of(file.uid()), us(), path.display())
        }
        Err(_) => format!("a folder above it cannot be entered by {}", us()),
    });
    Problem::Unusable { why: format!("{} cannot use it: {error}", us()), remedy }
}

fn us() -> String {
    name_of(Uid::effective().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_wrong_is_found() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        let said = |name: &str, what| {
            look_at(&Need { place: String::new(), path: path(name), what })
                .map_err(|problem| problem.to_string())
        };
        fs::write(path("short"), "too short").unwrap();
        fs::write(path("long"), "0123456789abcdef0123456789abcdef").unwrap();
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        fs::write(path("broken"), broken).unwrap();
        fs::write(path("hook"), format!("whsec_{}\n", "QUJD".repeat(11))).unwrap();
        for (name, what, problem) in [
            ("long", What::Secret(Content::Signing), None),
            ("short", What::Secret(Content::Signing), Some("32")),
            ("none", What::Secret(Content::Signing), Some("the file is missing: install -o ")),
            (
                "none",
                What::Secret(Content::Cluster),
                Some("the file is missing: weir secret new --owner weir "),
            ),
            ("none", What::Secret(Content::Pair), Some("the file is missing: weir secret new --owner weir ")),
            ("none", What::Secret(Content::Line), Some("the file is missing")),
            ("long", What::Secret(Content::Cluster), None),
            ("short", What::Secret(Content::Pair), Some("32")),
            ("hook", What::Secret(Content::Webhook), None),
            ("long", What::Secret(Content::Webhook), Some("whsec_")),
            ("short", What::Secret(Content::Credentials), Some("aws_access_key_id")),
            ("none", What::File, Some("No such file")),
            ("none", What::Certificates, Some("No such file")),
            ("long", What::Certificates, Some("-----BEGIN CERTIFICATE-----")),
            ("broken", What::Certificates, Some("no valid certificates")),
            ("a/b/c", What::Folder, None),
            ("short/a", What::Folder, Some("Not a directory")),
            ("a/socket", What::Place, None),
            ("long", What::Program, Some("no such program")),
        ] {
            match (said(name, what), problem) {
                (Ok(()), None) => {}
                (Err(said), Some(problem)) => assert!(said.contains(problem), "{name}: {said}"),
                (said, _) => panic!("{name} {what:?}: {said:?}"),
            }
        }
        assert_eq!(startable(Path::new("sh")), Ok(()));
        let missing = startable(Path::new("ffmpeg-of-nobody")).unwrap_err();
        assert_eq!(missing.to_string(), "no such program that may be started");
    }
}
