//! `weir secret new`

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use weir_model::Secret;

use super::{Error, Output, random};
use crate::cli::SecretNewArgs;
use crate::durable;

pub fn run(args: &SecretNewArgs) -> Result<Output, Error> {
    let secret = text(random()?);
    let file = &args.file;
    let written = if args.force { replace(file, &secret) } else { create(file, &secret).map(|()| None) };
    let doubt = written.map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists if !args.force => {
            Error::file(file, "exists; --force replaces it, which ends every token signed with it")
        }
        _ => Error::file(file, e),
    })?;
    let stderr = doubt.map_or_else(String::new, |error| {
        format!(
            "weir: warning: the secret is replaced, and may be lost when the machine loses power: {error}\n"
        )
    });
    Ok(Output { stderr, ..Output::default() })
}

/// 256 bits as 64 hex digits and a line end: any backend can read it.
fn text(bytes: [u8; 32]) -> Secret {
    let mut text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.push('\n');
    Secret::new(text)
}

/// Makes the file, never through a link and never over another; all of it or none.
fn create(path: &Path, secret: &Secret) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file
        .write_all(secret.expose().as_bytes())
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
fn replace(path: &Path, secret: &Secret) -> io::Result<Option<io::Error>> {
    match fs::metadata(path) {
        Ok(there) if !there.is_file() => return Err(io::Error::other("is there, and is no file")),
        _ => {}
    }
    let mut name = OsString::from(".");
    name.push(path.file_name().ok_or(ErrorKind::InvalidInput)?);
    name.push(format!(".{}", std::process::id()));
    let new = path.with_file_name(name);
    create(&new, secret)?;
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
