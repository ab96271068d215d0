//! `weir lint`: finds dangerous settings in an nginx-rtmp configuration.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use serde_json::json;
use weir_model::lint::{self, Advice, FileSystem, Files, Severity};
use weir_nginx_files::Disk;

use super::{Error, Output};
use crate::cli::LintArgs;

/// Returns the output, and whether anything was found.
pub(super) fn run(args: &LintArgs) -> Result<(Output, bool), Error> {
    if args.file.extension().is_some_and(|extension| extension == "toml") {
        let what = "is no nginx configuration; weir serve --check --config FILE checks a weir.toml";
        return Err(Error::Usage(format!("{} {what}", args.file.display())));
    }
    let disk = Counted::default();
    let configuration = lint::read(&args.file, &disk)?;
    let mut found = lint::check(&configuration);
    found.extend(lint::small_file_systems(&configuration, file_system));
    found.extend(lint::codecs(&configuration));
    found.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    // A file that is included twice is read twice, and gives duplicate findings.
    found.dedup();
    let is_good = found.iter().all(|advice| advice.severity == Severity::Note);
    let mut lines = as_lines(&found);
    if is_good {
        lines.push_str(&format!("{}: {}\n", args.file.display(), nothing(disk.0.borrow().len())));
    }
    let output = if args.json.json { Output::json(&as_json(&found)) } else { lines.into() };
    Ok((output, !is_good))
}

fn nothing(files: usize) -> String {
    let noun = if files == 1 { "file" } else { "files" };
    format!("nothing found in {files} {noun}")
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

/// Returns the file system of a path, or of its nearest existing parent.
fn file_system(path: &Path) -> Option<FileSystem> {
    let there = path.ancestors().find_map(|there| statfs(there).ok())?;
    let size = there.blocks().saturating_mul(u64::try_from(there.block_size()).ok()?);
    Some(FileSystem { in_memory: there.filesystem_type() == TMPFS_MAGIC, size })
}

/// The files of this machine; records which files were read.
#[derive(Default)]
struct Counted(RefCell<BTreeSet<PathBuf>>);

impl Files for Counted {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.borrow_mut().insert(path.to_owned());
        Disk.read(path)
    }

    fn matching(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        Disk.matching(pattern)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn lint(words: &[&str]) -> (String, bool) {
        let cli = Cli::try_parse_from(["weir", "lint"].iter().chain(words)).unwrap();
        let Command::Lint(args) = cli.command else { panic!("{words:?}") };
        let (output, found) = run(&args).unwrap();
        assert_eq!(output.stderr, "");
        (output.stdout, found)
    }

    #[test]
    fn one_line_says_that_nothing_was_found() {
        let folder = tempfile::tempdir().unwrap();
        let (main, other) = (folder.path().join("nginx.conf"), folder.path().join("other.conf"));
        let shown = main.to_str().unwrap();
        std::fs::write(&main, "events { }").unwrap();
        assert_eq!(lint(&[shown]), (format!("{shown}: nothing found in 1 file\n"), false));
        std::fs::write(&main, "include other.conf; include other.conf;").unwrap();
        std::fs::write(&other, "# nothing").unwrap();
        assert_eq!(lint(&[shown]), (format!("{shown}: nothing found in 2 files\n"), false));
        assert_eq!(lint(&[shown, "--json"]), ("{\"advice\":[]}\n".to_owned(), false));
        std::fs::write(&other, "rtmp { hls on; }").unwrap();
        let (said, found) = lint(&[shown]);
        let [note, nothing] = said.lines().collect::<Vec<_>>().try_into().unwrap();
        assert!(
            !found && note.contains("other.conf:1: note: ") && nothing.contains(": nothing found"),
            "{said}"
        );
        std::fs::write(&other, "rtmp { max_message 1k; }").unwrap();
        let (said, found) = lint(&[shown]);
        assert!(found && said.lines().count() == 1 && said.contains("other.conf:1: hint: "), "{said}");
    }
}
