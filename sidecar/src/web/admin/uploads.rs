//! The uploads of the live streams' recordings.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::record::index::{Entry, Index};

/// Time limit of a scan.
const PATIENCE: Duration = Duration::from_secs(1);

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

/// A live stream.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) app: String,
    pub(super) name: String,
    /// Id of the present publish.
    pub(super) session: String,
}

/// Runs `scan`, which reads files, on another thread. Returns `None` after [`PATIENCE`]. Only one thread scans, so that a disk that hangs
/// does not take all threads.
pub(super) async fn scan<T: Send + 'static>(
    scanning: &Arc<Mutex<()>>,
    scan: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let run = async {
        let turn = scanning.clone().lock_owned().await;
        let scan = move || {
            let found = scan();
            drop(turn);
            found
        };
        tokio::task::spawn_blocking(scan).await.ok()
    };
    timeout(PATIENCE, run).await.ok().flatten()
}

/// Returns the uploads of each stream, or `None` for a stream whose recordings are not uploaded. Reads each index once.
pub(super) fn of(indexes: &[(PathBuf, Arc<Index>)], live: &[Live]) -> Vec<Option<Uploads>> {
    let mut found = vec![None; live.len()];
    let places: BTreeMap<(&str, &str), usize> =
        live.iter().enumerate().map(|(at, live)| ((&*live.app, &*live.name), at)).collect();
    for (_, index) in indexes {
        index.visit(|entry| {
            if let Some(at) = places.get(&(&*entry.app, &*entry.stream)).copied() {
                add(&mut found[at], entry, &live[at].session);
            }
        });
    }
    found
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
            duration_ms: None,
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

    #[test]
    fn each_stream_gets_its_own_uploads() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let open = |folder: &tempfile::TempDir| {
            (folder.path().to_owned(), Arc::new(Index::open(folder.path()).unwrap().0))
        };
        let indexes = [open(&one), open(&two)];
        let at = "2026-11-20T18:00:00Z".parse().unwrap();
        for (number, (app, stream)) in
            [("live", "a"), ("live", "b"), ("tv", "a"), ("live", "a")].into_iter().enumerate()
        {
            let entry = Entry {
                file: format!("{number}.mp4").into(),
                app: app.into(),
                stream: stream.into(),
                session: "now".into(),
                started: at,
                ended: Some(at),
                bytes: 1 << number,
                duration_ms: None,
                upload: Some(Transfer::new("store", "k".into(), 40)),
            };
            indexes[number % 2].1.add(entry).unwrap();
        }
        let live = |app: &str, name: &str| Live { app: app.into(), name: name.into(), session: "now".into() };
        let found = of(&indexes, &[live("live", "b"), live("live", "c"), live("live", "a")]);
        let found: Vec<_> =
            found.iter().map(|one| one.as_ref().map(|one| (one.waiting, one.bytes))).collect();
        assert_eq!(found, [Some((1, 2)), None, Some((2, 9))]);
    }

    #[tokio::test]
    async fn a_disk_that_hangs_takes_one_thread() {
        let (only, started) = (Arc::default(), Arc::new(std::sync::atomic::AtomicU32::new(0)));
        let (go, hung) = std::sync::mpsc::channel::<()>();
        let count = started.clone();
        let hang = move || {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let _ = hung.recv();
        };
        assert_eq!(scan(&only, hang).await, None);
        let count = started.clone();
        let next = move || count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(scan(&only, next.clone()).await, None);
        assert_eq!(started.load(std::sync::atomic::Ordering::Relaxed), 1);
        drop(go);
        assert_eq!(scan(&only, next).await, Some(1));
    }
}
