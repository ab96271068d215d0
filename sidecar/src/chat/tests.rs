use std::path::Path;
use std::sync::mpsc::channel;

use super::*;

fn id(name: &str) -> StreamId {
    ("live".parse().unwrap(), name.parse().unwrap())
}

fn chat(folder: &Path) -> (Arc<Chat>, Arc<Bus>) {
    let text = format!("[chat]\nenabled = true\nfile = \"{}/chat.db\"\n", folder.display());
    let bus = Bus::new(0);
    (Chat::start(&crate::config::parse(Path::new("weir.toml"), &text).unwrap(), &bus), bus)
}

async fn enter(chat: &Arc<Chat>, stream: &str, name: &str) -> Presence {
    let visitor = Visitor {
        name: Some(name.to_owned()),
        has_token: true,
        is_verified: true,
        is_moderator: true,
        stream_is_known: true,
    };
    chat.enter(&id(stream), visitor, "192.0.2.1".parse().unwrap()).await.unwrap()
}

#[tokio::test]
async fn people_who_only_read_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (chat, bus) = chat(folder.path());
    let mut told = bus.listen(None).live;
    drop(enter(&chat, "show", "ana").await);
    let stays = enter(&chat, "other", "ben").await;
    chat.count(true);
    let mut counts = Vec::new();
    while let Ok(event) = told.try_recv() {
        let of = |field: &str| event.data[field].clone();
        counts.push((
            of("stream"),
            ["messages", "joined", "left", "peak"].map(|field| event.data[field].as_u64()),
        ));
    }
    let [none, one] = [Some(0), Some(1)];
    assert_eq!(counts, [("other".into(), [none, one, none, one]), ("show".into(), [none, one, one, one])]);
    assert_eq!(chat.lock().len(), 1);
    // A quiet minute is not reported.
    chat.count(true);
    assert!(told.try_recv().is_err());
    drop(stays);
}

#[tokio::test]
async fn visitors_of_many_rooms_leave_no_rooms() {
    let folder = tempfile::tempdir().unwrap();
    let (chat, _) = chat(folder.path());
    for nth in 0..MOST_COUNTED * 2 {
        drop(enter(&chat, &format!("room{nth}"), "eve").await);
    }
    assert!(chat.lock().len() <= MOST_COUNTED, "{}", chat.lock().len());
}

/// The chat of a stream does not wait for the disk that another room is read from.
#[tokio::test]
async fn a_disk_that_hangs_holds_up_new_rooms_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (chat, _) = chat(folder.path());
    let mut ana = enter(&chat, "show", "ana").await;
    // Who holds the connection is the disk that hangs.
    let reader = chat.store.lock().unwrap().as_ref().unwrap().reader();
    let ((held, is_held), (release, released)) = (channel::<()>(), channel::<()>());
    let disk = std::thread::spawn(move || {
        let _hung = reader.lock();
        held.send(()).unwrap();
        let _ = released.recv();
    });
    is_held.recv().unwrap();
    let (of, to) = (chat.clone(), chat.clone());
    let entering = tokio::spawn(async move { drop(enter(&of, "other", "ben").await) });
    let looking = tokio::spawn(async move { drop(to.look(&id("third")).await) });
    let deleting = {
        let chat = chat.clone();
        tokio::spawn(async move { chat.moderate(&id("show"), "ana", Order::Delete("m7".into())).await })
    };
    while chat.reading.try_lock().is_ok() {
        tokio::task::yield_now().await;
    }
    ana.say("hello").unwrap();
    ana.moderate(Order::Slow(Duration::from_secs(3))).await.unwrap();
    chat.look(&id("show")).await;
    chat.count(true);
    // The number of people may come between.
    for wanted in ["hello", "chat.slow"] {
        while !ana.told.recv().await.unwrap().contains(wanted) {}
    }
    assert!(![entering.is_finished(), looking.is_finished(), deleting.is_finished()].contains(&true));
    drop(release);
    disk.join().unwrap();
    entering.await.unwrap();
    looking.await.unwrap();
    assert_eq!(deleting.await.unwrap(), Err(Refusal::NotFound));
}
