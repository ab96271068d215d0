use std::path::Path;
use std::sync::mpsc::channel;

use super::room::Ban;
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
        is_back: false,
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

#[tokio::test]
async fn a_message_that_comes_before_the_end_of_a_ban_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (chat, _) = chat(folder.path());
    let presence = enter(&chat, "show", "ben").await;
    let ban = Ban { name: "eve".into(), mark: None, is_verified: None };
    chat.take_over_ban(&id("show"), "eve", Some(ban));
    let word = |which: &str, name: &str| mirror::Word {
        app: "live".into(),
        stream: "show".into(),
        deed: mirror::Deed::Said {
            message: ChatMessage {
                id: which.into(),
                name: name.into(),
                text: "hello".into(),
                at: clock::now(),
                verified: false,
                moderator: false,
            },
            mark: None,
        },
    };
    let deleted = mirror::Word { deed: mirror::Deed::Deleted("m3".into()), ..word("m3", "Eve") };
    chat.take_over_words([word("m1", "Eve"), word("m2", "Zoe"), word("m3", "Eve"), deleted]);
    let ids = || chat.lock()[&id("show")].room.messages().map(|one| one.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(), ["m2"]);
    chat.take_over_ban(&id("show"), "eve", None);
    let mut all = ids();
    all.sort();
    assert_eq!(all, ["m1", "m2"]);
    drop(presence);
}

#[tokio::test]
async fn a_room_stays_while_its_messages_can_be_restored() {
    let folder = tempfile::tempdir().unwrap();
    let (chat, _) = chat(folder.path());
    let presence = enter(&chat, "show", "ana").await;
    presence.say("hello").unwrap();
    let which = chat.lock()[&id("show")].room.messages().next().unwrap().id.clone();
    presence.moderate(Order::Delete(which.clone())).await.unwrap();
    drop(presence);
    chat.count(true);
    chat.moderate(&id("show"), "ana", Order::Restore(which)).await.unwrap();
}

#[tokio::test]
async fn another_name_is_not_another_person_and_is_filtered() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        format!("[chat]\nenabled = true\nwords = [\"bad\"]\nfile = \"{}/c.db\"\n", folder.path().display());
    let config = crate::config::parse(Path::new("weir.toml"), &text).unwrap();
    let chat = Chat::start(&config, &Bus::new(0));
    let address = "192.0.2.1".parse().unwrap();
    let visitor = |name: &str, is_back| Visitor { name: Some(name.into()), is_back, ..Visitor::default() };
    drop(chat.enter(&id("show"), visitor("one", false), address).await.unwrap());
    // The room is gone, and the next presence is the first.
    let first = chat.enter(&id("show"), visitor("one", false), address).await.unwrap();
    drop(first);
    let second = chat.enter(&id("show"), visitor("a BAD name", true), address).await.unwrap();
    assert_eq!(second.person.name.as_deref(), Some("a *** name"));
    let third = chat.enter(&id("show"), visitor("three", false), address).await.unwrap();
    assert_eq!(chat.lock().get_mut(&id("show")).unwrap().room.take_counts(), [0, 1, 0, 2]);
    drop((second, third));
}

#[tokio::test]
async fn a_ban_of_an_address_names_each_message_for_the_other_node() {
    let folder = tempfile::tempdir().unwrap();
    let (chat, _) = chat(folder.path());
    chat.share_addresses([1; 32]);
    let visitor = Visitor { name: Some("Eve".into()), ..Visitor::default() };
    let eve = chat.enter(&id("show"), visitor, "192.0.2.7".parse().unwrap()).await.unwrap();
    eve.say("hello").unwrap();
    let address = room::mark_text(&eve.person.mark);
    chat.moderate(&id("show"), "ana", Order::Ban(address)).await.unwrap();
    let words = chat.words_after(0);
    let [(1, said), (2, deleted)] = words.as_slice() else { panic!("{words:?}") };
    let mirror::Deed::Said { message, .. } = &said.deed else { panic!("{said:?}") };
    assert_eq!(deleted.deed, mirror::Deed::Deleted(message.id.clone()));
}
