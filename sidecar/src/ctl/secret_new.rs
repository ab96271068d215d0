//! `weir secret new`

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::fchown;
use std::path::{Path, PathBuf};

use nix::unistd::User;
use weir_model::Secret;

use super::{Error, Output, random};
use crate::cli::SecretNewArgs;
use crate::durable;
use crate::files::PRIVATE;

pub fn run(args: &SecretNewArgs) -> Result<Output, Error> {
    let secret = text(random()?);
    let file = &args.file;
    let owner = args.owner.as_deref().map(owner).transpose()?;
    let written =
        if args.force { replace(file, &secret, owner) } else { create(file, &secret, owner).map(|()| None) };
    let doubt = written.map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists if !args.force => {
            Error::file(file, "exists; --force replaces it and makes all tokens signed with it invalid")
        }
        _ => Error::file(file, e),
    })?;
    let stderr = doubt.map_or_else(String::new, |error| {
        format!(
            "weir: warning: the secret is replaced, but may be lost if the machine loses power: {error}\n"
        )
    });
    Ok(Output { stderr, ..Output::default() })
}

/// The user of this name, and its group.
fn owner(name: &str) -> Result<(u32, u32), Error> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok((user.uid.as_raw(), user.gid.as_raw())),
        _ => Err(Error::Usage(format!("--owner: there is no user {name:?}"))),
    }
}

/// 256 bits as 64 hex digits and a line end: any backend can read it.
fn text(bytes: [u8; 32]) -> Secret {
    let mut text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.push('\n');
    Secret::new(text)
}

/// Makes the file, never through a link and never over another; all of it or none.
fn create(path: &Path, secret: &Secret, owner: Option<(u32, u32)>) -> io::Result<()> {
    let mut file = PRIVATE.create_new(path)?;
    let given = owner.map_or(Ok(()), |(uid, gid)| fchown(&file, Some(uid), Some(gid)));
    let written = given
        .and_then(|()| file.write_all(secret.expose().as_bytes()))
        .and_then(|()| file.sync_all())
        .and_then(|()| File::open(folder(path))?.sync_all());
    if written.is_err() {
        // Half a secret would look like one.
        let _ = fs::remove_file(path);
    }
    written
}

/// Puts a new file in the place of another in one step; what is there and is no file stays. Returns why the folder could not be
/// synced.
fn replace(path: &Path, secret: &Secret, owner: Option<(u32, u32)>) -> io::Result<Option<io::Error>> {
    match fs::metadata(path) {
        Ok(there) if !there.is_file() => return Err(io::Error::other("is there, and is no file")),
        _ => {}
    }
    let mut name = OsString::from(".");
    name.push(path.file_name().ok_or(ErrorKind::InvalidInput)?);
    name.push(format!(".{}", std::process::id()));
    let new = path.with_file_name(name);
    create(&new, secret, owner)?;
    if let Err(error) = fs::rename(&new, path) {
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    // From here on the secret is the new one, whatever else goes wrong.
    Ok(durable::sync_folder(path).err())
}

fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.into(),
        _ => ".".into(),
    }
}
