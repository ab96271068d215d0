//! What servers wrote: searched and read.

use std::fs;
use std::path::{Path, PathBuf};

/// All files below `folder`, sorted; empty when it does not exist.
pub fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) => found.push(entry.path()),
                Err(_) => {}
            }
        }
    }
    found.sort();
    found
}

/// The files below `folder` that have `needle` in their name or anywhere in their bytes.
pub fn that_mention(folder: &Path, needle: &str) -> Vec<PathBuf> {
    let mut found = below(folder);
    found.retain(|path| {
        path.to_string_lossy().contains(needle)
            || fs::read(path)
                .is_ok_and(|bytes| bytes.windows(needle.len()).any(|part| part == needle.as_bytes()))
    });
    found
}

/// A file's text; empty when it does not exist (yet).
pub fn text(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// The segments that an HLS playlist lists, with their durations in seconds.
pub fn segments(playlist: &Path) -> Vec<(String, f64)> {
    let text = text(playlist);
    let mut lines = text.lines();
    let mut segments = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("#EXTINF:") {
            let seconds = rest.trim_end_matches(',').parse().unwrap();
            segments.push((lines.next().unwrap_or_default().to_owned(), seconds));
        }
    }
    segments
}
