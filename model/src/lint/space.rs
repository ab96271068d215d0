//! Finds file systems in memory that are too small for the files of nginx-rtmp.

use std::path::{Path, PathBuf};

use super::advice::{Advice, Severity};
use super::{Directive, reader::all};

/// A few minutes of one stream fill a smaller file system; in bytes.
const LEAST: u64 = 256 << 20;
/// The directives that name a folder to write to.
const WRITERS: [&str; 3] = ["hls_path", "dash_path", "record_path"];

/// Facts about the file system that contains a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Whether the file system is in memory: a tmpfs.
    pub in_memory: bool,
    /// The size in bytes.
    pub size: u64,
}

/// Returns advice on each path that nginx-rtmp writes to. `of` returns the facts about a path's file system, if it
/// exists.
pub fn small_file_systems(
    configuration: &[Directive],
    of: impl Fn(&Path) -> Option<FileSystem>,
) -> Vec<Advice> {
    let mut blocks: Vec<&Directive> = all(configuration, "rtmp").collect();
    let mut found = Vec::new();
    while let Some(block) = blocks.pop() {
        for directive in block.block.iter().filter(|directive| WRITERS.contains(&directive.name())) {
            let Some(path) = directive.argument(0).map(PathBuf::from) else { continue };
            found.extend(of(&path).and_then(|system| advice(directive, system)));
        }
        blocks.extend(
            block.block.iter().filter(|inner| matches!(inner.name(), "server" | "application" | "recorder")),
        );
    }
    found
}

fn advice(directive: &Directive, system: FileSystem) -> Option<Advice> {
    if !system.in_memory || system.size >= LEAST {
        return None;
    }
    let problem = format!("is on a tmpfs of {} MB, which a few streams fill", system.size >> 20);
    let remedy = "make it larger (in a container: --shm-size or --tmpfs with size=), or write to a disk";
    Some(Advice::new(directive, Severity::Hint, problem, remedy))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Memory;
    use super::super::read;
    use super::*;

    #[test]
    fn a_small_tmpfs_is_named() {
        let main = "/etc/nginx/nginx.conf";
        let text =
            "rtmp { hls_path /a; server { application live { hls_path /dev/shm/hls;\nrecord_path /b; } } }";
        let tree = read(Path::new(main), &Memory::new(&[(main, text)])).unwrap();
        let with = |in_memory, megabytes: u64| {
            let of = |path: &Path| {
                path.starts_with("/dev/shm").then_some(FileSystem { in_memory, size: megabytes << 20 })
            };
            small_file_systems(&tree, of).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            with(true, 64),
            [
                "/etc/nginx/nginx.conf:1: hint: \"hls_path\" is on a tmpfs of 64 MB, which a few streams fill: make it larger \
                 (in a container: --shm-size or --tmpfs with size=), or write to a disk"
            ]
        );
        assert_eq!((with(true, 256), with(false, 64)), (Vec::new(), Vec::new()));
    }
}
