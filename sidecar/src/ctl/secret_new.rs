//! `weir secret new`

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use data_encoding::HEXLOWER;
use nix::unistd::User;
use weir_model::Secret;

use super::{Error, Output, random};
use crate::cli::secret::SecretNewArgs;
use crate::files::PRIVATE;
use crate::files::durable::{self, Durability, Owner};

pub(super) fn run(args: &SecretNewArgs) -> Result<Output, Error> {
    let owner = args.owner.as_deref().map(owner).transpose()?;
    let stderr = match create(&args.file, owner, args.force)? {
        Durability::Sure => String::new(),
        Durability::Uncertain(error) => format!(
            "weir: warning: the secret is replaced, but may be lost if the machine loses power: {error}\n"
        ),
    };
    Ok(Output { stderr, ..Output::default() })
}

/// Writes a new secret; replaces an existing one only with `force`.
pub(super) fn create(file: &Path, owner: Option<Owner>, force: bool) -> Result<Durability, Error> {
    let secret = text(random()?);
    let written = match force {
        true => replace(file, &secret, owner),
        false => durable::create_for(owner, file, PRIVATE.file, secret.expose().as_bytes())
            .map(|()| Durability::Sure),
    };
    written.map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists if !force => {
            Error::file(file, "exists; --force replaces it and makes all tokens signed with it invalid")
        }
        _ => Error::file(file, e),
    })
}

/// Returns the user of this name, and the user's group.
fn owner(name: &str) -> Result<Owner, Error> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok((user.uid.as_raw(), user.gid.as_raw())),
        _ => Err(Error::Usage(format!("--owner: there is no user {name:?}"))),
    }
}

/// Returns 256 bits as 64 hex digits with a line end, a form that any backend can read.
fn text(bytes: [u8; 32]) -> Secret {
    Secret::new(HEXLOWER.encode(&bytes) + "\n")
}

/// Replaces a file with a new one atomically; refuses anything that is no file. Returns why the folder could not be synced.
fn replace(path: &Path, secret: &Secret, owner: Option<Owner>) -> io::Result<Durability> {
    match fs::metadata(path) {
        Ok(there) if !there.is_file() => return Err(io::Error::other("is there, and is no file")),
        _ => {}
    }
    let mut name = OsString::from(".");
    name.push(path.file_name().ok_or(ErrorKind::InvalidInput)?);
    name.push(format!(".{}", std::process::id()));
    let new = path.with_file_name(name);
    durable::replace_for(owner, path, &new, PRIVATE.file, secret.expose().as_bytes())
}
