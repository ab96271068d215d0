//! `weir init`

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::json;
use weir_model::Secret;

use super::{Error, Output, secret_new};
use crate::cli::init::InitArgs;
use crate::files::durable::{self, Durability};
use crate::files::{PRIVATE, PUBLISHED};
use crate::init::{self, Content, File};

mod ask;

use ask::Asker;

pub(super) fn run(args: &InitArgs) -> Result<Output, Error> {
    let mut asker = Asker::new();
    let folder = match &args.dir {
        Some(folder) => folder.clone(),
        None => asker.path("--dir", "Folder for the files", &format!("weir-{}", args.role.word()))?,
    };
    check_folder(&folder, args.force)?;
    let (answers, cluster_secret) = asker.answers(args)?;
    let secrets = Secrets {
        nginx: args.secret.as_deref().map(|file| copy("--secret", file)).transpose()?,
        cluster: cluster_secret.as_deref().map(|file| copy("--cluster-secret", file)).transpose()?,
    };
    let files = init::files(&answers).map_err(|drift| Error::System(drift.to_string()))?;
    PRIVATE.make_folder(&folder).map_err(|error| Error::file_of("--dir", &folder, error))?;
    for file in &files {
        write(&folder, file, &secrets)?;
    }
    let steps = init::steps(&answers, &folder, &files);
    if args.json.json {
        let places = |file: &File| file.places.iter().map(|place| place.path).collect::<Vec<_>>();
        let files: Vec<_> =
            files.iter().map(|file| json!({ "name": file.name, "install": places(file) })).collect();
        return Ok(Output::json(&json!({ "dir": folder, "files": files, "next": steps }).to_string()));
    }
    let count = match files.len() {
        1 => "1 file".to_owned(),
        many => format!("{many} files"),
    };
    Ok(format!("Wrote {count} to {}.\n{steps}", folder.display()).into())
}

/// Secrets copied from other machines.
struct Secrets {
    nginx: Option<Secret>,
    cluster: Option<Secret>,
}

/// Reads a file with a secret.
fn copy(option: &'static str, file: &Path) -> Result<Secret, Error> {
    let failed = |why: &dyn ToString| Error::file_of(option, file, why.to_string());
    let text = fs::read_to_string(file).map(Secret::new).map_err(|error| failed(&error))?;
    match text.expose().trim().len() {
        32.. => Ok(text),
        _ => Err(failed(&"must hold a secret of at least 32 characters, as `weir secret new` writes it")),
    }
}

fn check_folder(folder: &Path, force: bool) -> Result<(), Error> {
    let failed = |why: &str| Error::file_of("--dir", folder, why);
    match fs::read_dir(folder).map(|mut entries| entries.next().is_some()) {
        Ok(true) if !force => Err(failed("is not empty: name another folder, or write into it with --force")),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(&error.to_string())),
    }
}

fn write(folder: &Path, file: &File, secrets: &Secrets) -> Result<(), Error> {
    let path = folder.join(file.name);
    let failed = |error: std::io::Error| Error::file(&path, error);
    if let Some(above) = path.parent() {
        PUBLISHED.make_folder(above).map_err(failed)?;
    }
    match &file.content {
        Content::Text(text) => replace(&path, text.as_bytes()),
        Content::Bytes(bytes) => replace(&path, bytes),
        Content::Secret => keep_or_create(&path, secrets.nginx.as_ref()),
        Content::ClusterSecret => keep_or_create(&path, secrets.cluster.as_ref()),
    }
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    PUBLISHED.replace(path, Path::new(&unfinished), bytes).map_err(|error| Error::file(path, error))
}

/// Creates a secret or writes the copy. An existing secret may be in use, so it stays unless a copy replaces it.
fn keep_or_create(path: &Path, copy: Option<&Secret>) -> Result<(), Error> {
    match copy {
        None if path.exists() => Ok(()),
        None => secret_new::create(path, None, false).map(drop),
        Some(secret) => {
            let mut unfinished = path.as_os_str().to_owned();
            unfinished.push(".new");
            let unfinished = PathBuf::from(unfinished);
            let done = durable::replace(path, &unfinished, PRIVATE.file, secret.expose().as_bytes());
            match done {
                Ok(Durability::Sure | Durability::Uncertain(_)) => Ok(()),
                Err(error) => Err(Error::file(path, error)),
            }
        }
    }
}
