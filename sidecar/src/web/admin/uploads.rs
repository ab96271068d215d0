//! The uploads of a live stream's recordings.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::record::index::{Entry, Index};

/// The uploads of one stream, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Uploads {
    /// Name of the `[upload.NAME]` table.
    to: String,
    /// Number of complete files that are not uploaded yet.
    waiting: usize,
    /// Size of these files in bytes, and the part of it that is uploaded.
    bytes: u64,
    sent: u64,
    /// Number of uploaded files of the present session.
    done: usize,
    /// Reason why the last attempt failed.
    error: Option<String>,
}

impl Uploads {
    /// Returns the uploads of a stream, or `None` if its recordings are not uploaded.
    pub(super) fn of(
        indexes: &[(PathBuf, Arc<Index>)],
        app: &str,
        name: &str,
        session: &str,
    ) -> Option<Self> {
        let mut found: Option<Self> = None;
        for (_, index) in indexes {
            index.visit(|entry| {
                if entry.app == app && entry.stream == name {
                    add(&mut found, entry, session);
                }
            });
        }
        found
    }
}

fn add(found: &mut Option<Uploads>, entry: &Entry, session: &str) {
    let Some(transfer) = &entry.upload else { return };
    let is_present = entry.session == session;
    if transfer.done.is_some() && !is_present {
        return;
    }
    let uploads = found.get_or_insert_default();
    uploads.to.clone_from(&transfer.to);
    if transfer.done.is_some() {
        uploads.done += 1;
    } else if entry.ended.is_some() {
        uploads.waiting += 1;
        uploads.bytes += entry.bytes;
        uploads.sent += entry.bytes.min(transfer.part_size.saturating_mul(transfer.parts.len() as u64));
        uploads.error = transfer.error.clone().or(uploads.error.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::transfer::Transfer;

    #[test]
    fn the_files_of_a_stream_are_added_up() {
        let at = |text: &str| text.parse().unwrap();
        let entry = |session: &str, ended: bool, upload: Option<Transfer>| Entry {
            file: "a.mp4".into(),
            app: "live".into(),
            stream: "show".into(),
            session: session.into(),
            started: at("2026-11-20T18:00:00Z"),
            ended: ended.then(|| at("2026-11-20T19:00:00Z")),
            bytes: 100,
            upload,
        };
        let transfer = |parts: usize| Transfer {
            parts: vec![String::new(); parts],
            ..Transfer::new("store", "k".into(), 40)
        };
        let done = || Transfer { done: Some(at("2026-11-20T20:00:00Z")), ..transfer(3) };
        let mut found = None;
        add(&mut found, &entry("now", true, None), "now");
        add(&mut found, &entry("before", true, Some(done())), "now");
        assert_eq!(found, None);
        add(&mut found, &entry("now", false, Some(transfer(0))), "now");
        assert_eq!(found, Some(Uploads { to: "store".into(), ..Uploads::default() }));
        add(&mut found, &entry("now", true, Some(done())), "now");
        add(&mut found, &entry("before", true, Some(transfer(1))), "now");
        let failed = Transfer { error: Some("503".into()), ..transfer(9) };
        add(&mut found, &entry("now", true, Some(failed)), "now");
        let expected = Uploads {
            to: "store".into(),
            waiting: 2,
            bytes: 200,
            sent: 140,
            done: 1,
            error: Some("503".into()),
        };
        assert_eq!(found, Some(expected));
    }
}
