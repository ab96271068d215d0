//! Searches and reads the files of servers.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns all files below `folder`, sorted; empty if the folder does not exist.
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

/// Returns the files below `folder` that have `needle` in their name or content.
pub fn that_mention(folder: &Path, needle: &str) -> Vec<PathBuf> {
    let mut found = below(folder);
    found.retain(|path| {
        path.to_string_lossy().contains(needle)
            || fs::read(path)
                .is_ok_and(|bytes| bytes.windows(needle.len()).any(|part| part == needle.as_bytes()))
    });
    found
}

/// Returns a file's text; empty if the file does not exist (yet).
pub fn text(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// Returns the segments of an HLS playlist, with their durations in seconds.
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
