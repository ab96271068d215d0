//! Every nginx under valgrind's memcheck, where `WEIR_VALGRIND` is set: what `make test BUILD=sanitize` does.
//!
//! Stable Rust has no AddressSanitizer, and the nginx that loads the module would have to be built with it as well. valgrind needs
//! neither: nginx, nginx-rtmp and the module are those that are tested otherwise.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use super::{files, ports, products};

/// The factor by which time limits grow.
const PATIENCE: f64 = 6.0;

/// A name in each stack that goes through the module.
const MODULE: &str = "ngx_rtmp_weir_module";

/// Returns whether nginx runs under valgrind.
pub fn is_on() -> bool {
    static ON: LazyLock<bool> =
        LazyLock::new(|| std::env::var_os("WEIR_VALGRIND").is_some_and(|it| it == "1"));
    *ON
}

/// Returns the time limit for an operation that takes this many seconds without valgrind.
pub fn patience(seconds: f64) -> f64 {
    if is_on() { seconds * PATIENCE } else { seconds }
}

/// Returns a command that runs `program` and writes one report file per process to `folder`.
pub fn command(program: &Path, folder: &Path) -> Command {
    if !is_on() {
        return Command::new(program);
    }
    let mut command = Command::new(products::tool("/usr/bin/valgrind"));
    command.args([
        "--quiet",
        "--leak-check=full",
        "--show-leak-kinds=definite",
        "--errors-for-leak-kinds=definite",
        "--error-limit=no",
        // Leaks are attributed by their stacks, so the stacks must reach down to the module.
        "--num-callers=40",
        // valgrind's pipes in /tmp would remain after a worker is killed.
        "--vgdb=no",
    ]);
    command.arg(format!("--log-file={}/valgrind.%p", folder.display()));
    command.env("LD_PRELOAD", LOADED.as_path()).arg(program);
    command
}

/// Returns valgrind's errors in the reports in `folder`: every wrong access, and the module's leaks.
pub fn complaints(folder: &Path) -> Vec<String> {
    let reports = files::below(folder)
        .into_iter()
        .filter(|path| path.parent() == Some(folder) && path.file_stem() == Some(OsStr::new("valgrind")));
    let reports: Vec<_> = reports.map(|path| files::text(&path)).collect();
    assert!(!is_on() || !reports.is_empty(), "valgrind left no report");
    reports.iter().flat_map(|text| blocks(text)).filter(|block| is_complaint(block)).collect()
}

/// Returns the reports of a file, which empty lines separate; each line begins with the process.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    for line in text.lines() {
        let said = line.split_once("== ").map_or("", |(_, said)| said);
        match blocks.last_mut() {
            Some(block) if !said.trim().is_empty() => *block += &format!("{line}\n"),
            _ => blocks.push(String::new()),
        }
    }
    blocks
}

/// Warnings have no stack. nginx itself leaks a little at its exit.
fn is_complaint(block: &str) -> bool {
    let has_stack = block.contains("   at 0x");
    has_stack && (!block.contains(" definitely lost ") || block.contains(MODULE))
}

/// A library that keeps every other library loaded. nginx unloads its modules before it exits, so that valgrind would
/// count the memory of their statics as lost.
static LOADED: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = tempfile::tempdir_in(ports::shared_folder()).unwrap();
    let (source, built) = (folder.path().join("loaded.c"), folder.path().join("loaded.so"));
    std::fs::write(&source, "int dlclose(void *library) { return library == 0; }\n").unwrap();
    let status = Command::new(products::tool("/usr/bin/gcc"))
        .args(["-shared", "-fPIC", "-o"])
        .args([&built, &source])
        .status()
        .unwrap();
    assert!(status.success(), "gcc: {status}");
    // Replace the file in one step, because other tests may use it.
    let library = ports::shared_folder().join("loaded.so");
    std::fs::rename(built, &library).unwrap();
    library
});
