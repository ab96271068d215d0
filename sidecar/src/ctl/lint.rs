//! `weir lint`: what is dangerous in an nginx-rtmp configuration.

use std::path::Path;

use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use serde_json::json;
use weir_model::lint::{self, Advice, FileSystem};

use super::{Error, Output};
use crate::cli::LintArgs;
use crate::files::configuration::Disk;

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
