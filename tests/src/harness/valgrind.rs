//! Every nginx under valgrind's memcheck, where `WEIR_VALGRIND` is set: what `make test BUILD=sanitize` does.
//!
//! Stable Rust has no AddressSanitizer, and the nginx that loads the module would have to be built with it as well. valgrind needs
//! neither: nginx, nginx-rtmp and the module are those that are tested otherwise.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use super::{files, ports, products};

/// How much longer everything may take.
const PATIENCE: f64 = 6.0;

/// What a stack names that goes through the module.
const MODULE: &str = "ngx_rtmp_weir_module";

/// Whether nginx runs under valgrind.
pub fn is_on() -> bool {
    static ON: LazyLock<bool> =
        LazyLock::new(|| std::env::var_os("WEIR_VALGRIND").is_some_and(|it| it == "1"));
    *ON
}

/// How long to wait for what takes so many seconds without valgrind.
pub fn patience(seconds: f64) -> f64 {
    if is_on() { seconds * PATIENCE } else { seconds }
}

/// A command that runs `program`, which leaves its reports in `folder`: a file a process.
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
        // Leaks are told by whose stack they have: it must reach down to the module.
        "--num-callers=40",
        // Its pipes in /tmp would outlive a worker that is killed.
        "--vgdb=no",
    ]);
    command.arg(format!("--log-file={}/valgrind.%p", folder.display()));
    command.env("LD_PRELOAD", LOADED.as_path()).arg(program);
    command
}

/// What valgrind holds against the processes whose reports are in `folder`: every wrong access, and what the module lost.
pub fn complaints(folder: &Path) -> Vec<String> {
    let reports = files::below(folder)
        .into_iter()
        .filter(|path| path.parent() == Some(folder) && path.file_stem() == Some(OsStr::new("valgrind")));
    let reports: Vec<_> = reports.map(|path| files::text(&path)).collect();
    assert!(!is_on() || !reports.is_empty(), "valgrind left no report");
    reports.iter().flat_map(|text| blocks(text)).filter(|block| is_complaint(block)).collect()
}

/// The reports of a file, which empty lines part; each line has the process in front.
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

/// Warnings have no stack. nginx forgets a little of its own on its way out.
fn is_complaint(block: &str) -> bool {
    let has_stack = block.contains("   at 0x");
    has_stack && (!block.contains(" definitely lost ") || block.contains(MODULE))
}

/// A library that keeps every other one loaded. nginx unloads its modules before it exits, and then all that their statics hold
/// would count as lost.
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
    // In one step: other tests may be running with it.
    let library = ports::shared_folder().join("loaded.so");
    std::fs::rename(built, &library).unwrap();
    library
});
