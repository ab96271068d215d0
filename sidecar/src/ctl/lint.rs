//! `weir lint`: what is dangerous in an nginx-rtmp configuration.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use glob::{GlobError, MatchOptions};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use serde_json::json;
use weir_model::lint::{self, Advice, FileSystem, Files};

use super::{Error, Output};
use crate::cli::LintArgs;

/// What it prints, and whether anything was found.
pub(super) fn run(args: &LintArgs) -> Result<(Output, bool), Error> {
    let configuration = lint::read(&args.file, &Disk)?;
    let mut found = lint::check(&configuration);
    found.extend(lint::small_file_systems(&configuration, file_system));
    found.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    let output = if args.json.json { Output::json(&as_json(&found)) } else { as_lines(&found).into() };
    Ok((output, !found.is_empty()))
}

fn as_lines(found: &[Advice]) -> String {
    found.iter().map(|advice| format!("{advice}\n")).collect()
}

fn as_json(found: &[Advice]) -> String {
    let advice = |advice: &Advice| {
        json!({
            "file": advice.file.to_string_lossy(),
            "line": advice.line,
            "directive": advice.directive,
            "severity": advice.severity.as_str(),
            "problem": advice.problem,
            "remedy": advice.remedy,
        })
    };
    json!({ "advice": found.iter().map(advice).collect::<Vec<_>>() }).to_string()
}

/// The file system of a path, or of the nearest folder above it that is there.
fn file_system(path: &Path) -> Option<FileSystem> {
    let there = path.ancestors().find_map(|there| statfs(there).ok())?;
    let size = there.blocks().saturating_mul(u64::try_from(there.block_size()).ok()?);
    Some(FileSystem { in_memory: there.filesystem_type() == TMPFS_MAGIC, size })
}

/// The files of this machine.
struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        // As nginx does, no more than there is: a device has no length and no end.
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn matching(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        // As glob(3): a hidden file has to be named.
        let options = MatchOptions {
            require_literal_separator: true,
            require_literal_leading_dot: true,
            ..MatchOptions::new()
        };
        let found = glob::glob_with(&pattern.to_string_lossy(), options)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        found.collect::<Result<_, _>>().map_err(GlobError::into)
    }
}
