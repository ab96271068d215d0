use std::io::Write;
use std::sync::mpsc;

use super::*;
use crate::health::fake::FakeApi;
use crate::values::vrrp::{VrrpKind, Who};

/// Opens the FIFO for writing, as keepalived does: once for all lines.
fn keepalived(path: &Path) -> std::fs::File {
    std::fs::OpenOptions::new().write(true).open(path).unwrap()
}

/// Runs `act` while the FIFO is followed. The channel receives the reports.
async fn while_following(
    api: &FakeApi,
    only: Option<Who>,
    act: impl AsyncFnOnce(&Path, &mpsc::Receiver<Report>),
) {
    let path = api.folder.path().join("fifo");
    let fifo = Fifo::open(&path).unwrap();
    let (nginx, (reports, received)) = (api.nginx(), mpsc::channel());
    let following = follow(fifo, &nginx, &Selection::All, only.as_ref(), move |report| {
        reports.send(report).unwrap();
    });
    tokio::select! {
        error = following => panic!("{error}"),
        () = act(&path, &received) => {}
    }
}

/// Waits for the next report.
async fn next(received: &mpsc::Receiver<Report>) -> Report {
    tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            if let Ok(report) = received.try_recv() {
                return report;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .expect("a report")
}

#[tokio::test]
async fn what_keepalived_says_is_done_and_the_last_word_counts() {
    let api = FakeApi::start(&[("t1", "", false)]);
    while_following(&api, None, async |path, received| {
        keepalived(path).write_all(b"GROUP \"G\" BACKUP 0\nINSTANCE \"VI\" MASTER 150\n").unwrap();
        assert!(matches!(next(received).await, Report::Told(Notice { role: Role::Standby, .. })));
        assert!(matches!(next(received).await, Report::Told(Notice { role: Role::Active, .. })));
        assert!(matches!(next(received).await, Report::Done(Role::Active, Changed { changed: 1, .. })));
        // keepalived has restarted, and a line arrives in two parts.
        let mut writer = keepalived(path);
        writer.write_all(b"rubbish\nINSTANCE \"VI\"").unwrap();
        assert!(matches!(next(received).await, Report::NotANotice));
        writer.write_all(b" FAULT 150\n").unwrap();
        assert!(matches!(next(received).await, Report::Told(_)));
        assert!(matches!(next(received).await, Report::Done(Role::Standby, _)));
    })
    .await;
    assert_eq!(api.kept.lock().unwrap().changes, ["t1 true", "t1 false"]);
}

#[tokio::test]
async fn it_is_tried_until_it_is_done_or_something_newer_is_said() {
    let api = FakeApi::start(&[("t1", "", false)]);
    api.set_down(true);
    let who = Who { kind: VrrpKind::Instance, name: "VI".into() };
    while_following(&api, Some(who), async |path, received| {
        let mut writer = keepalived(path);
        writer.write_all(b"INSTANCE \"VI\" MASTER 150\nINSTANCE \"OTHER\" BACKUP 150\n").unwrap();
        assert!(matches!(next(received).await, Report::Told(_)));
        assert!(matches!(next(received).await, Report::Again(..)));
        api.set_down(false);
        loop {
            match next(received).await {
                Report::Again(..) => {}
                Report::Done(Role::Active, _) => break,
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
    assert_eq!(api.enabled(), ["t1"]);
}

#[tokio::test]
async fn what_is_no_fifo_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, "x").unwrap();
    let error = Fifo::open(&path).err().unwrap().to_string();
    assert!(error.ends_with("file: is no fifo"), "{error}");
    assert!(Fifo::open(&folder.path().join("no/such")).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "x");
}
