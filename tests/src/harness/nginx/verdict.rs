//! Judges the health of a server by its log.

use std::path::Path;

/// Each of these texts in a log is a failure.
const COMPLAINTS: &[&str] = &[
    "[alert]",
    "[emerg]",
    "exited on signal",
    "AddressSanitizer",
    "runtime error",
    "panicked at",
    "a defect in",
];

/// The lines that no test may leave behind, unless it allowed them.
pub(super) fn complaints(log: &str, output: &str, allowed: &[String]) -> Vec<String> {
    log.lines()
        .chain(output.lines())
        .filter(|line| COMPLAINTS.iter().any(|word| line.contains(word)))
        .filter(|line| !allowed.iter().any(|part| line.contains(part)))
        .map(str::to_owned)
        .collect()
}

/// The first message of `nginx -t`, without `nginx: [emerg]` and without the place in the file.
pub(super) fn first_error(text: &str, folder: &Path) -> Option<String> {
    let line = text.lines().find(|line| line.contains("[emerg]"))?;
    let message = line.split_once("[emerg] ")?.1.replace(&*folder.to_string_lossy(), "@DIR@");
    Some(match message.rsplit_once(" in @DIR@/nginx.conf:") {
        Some((message, _)) => message.to_owned(),
        None => message,
    })
}

/// The last `count` lines.
pub(super) fn tail(log: &str, count: usize) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
