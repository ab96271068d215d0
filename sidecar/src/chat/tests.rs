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

fn whom(name: &str) -> Whom {
    Whom { name: name.into(), ..Whom::default() }
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
    let reader = chat.keeping().store().unwrap().reader();
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
    ana.say("hello", true).unwrap();
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
    let ban = Ban { name: "eve".into(), marks: Vec::new(), is_verified: None };
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
            is_known: true,
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
    presence.say("hello", true).unwrap();
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
    eve.say("hello", true).unwrap();
    let address = room::mark_text(&eve.person.mark);
    chat.moderate(&id("show"), "ana", Order::Ban(whom(&address))).await.unwrap();
    let words = chat.words_after(0);
    let [(1, said), (2, deleted)] = words.as_slice() else { panic!("{words:?}") };
    let mirror::Deed::Said { message, .. } = &said.deed else { panic!("{said:?}") };
    assert_eq!(deleted.deed, mirror::Deed::Deleted(message.id.clone()));
}

/// Waits until the file has what it should have.
#[track_caller]
fn wait(what: &str, is_so: impl Fn() -> bool) {
    let begin = std::time::Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

async fn come(chat: &Arc<Chat>, stream: &str, name: &str, address: &str) -> Result<Presence, Refusal> {
    let visitor = Visitor { name: Some(name.into()), ..Visitor::default() };
    chat.enter(&id(stream), visitor, address.parse().unwrap()).await
}

async fn order(chat: &Arc<Chat>, order: Order) -> Outcome {
    chat.moderate(&id("show"), "mo", order).await.unwrap()
}

#[tokio::test]
async fn a_second_ban_weakens_nothing_and_undo_undoes_one_order() {
    let folder = tempfile::tempdir().unwrap();
    let (chat, _) = chat(folder.path());
    let eve = come(&chat, "show", "Eve", "192.0.2.7").await.unwrap();
    eve.say("hello", true).unwrap();
    let mark = eve.person.mark;
    let first = order(&chat, Order::Ban(whom("Eve"))).await;
    assert_eq!(first.who.as_deref(), Some("Eve"));
    drop(eve);
    // The first ban has removed the messages, and she has left: nobody knows her address any more.
    let second = order(&chat, Order::Ban(whom("EVE"))).await;
    let is_out = async || come(&chat, "show", "Other", "192.0.2.7").await.err() == Some(Refusal::Banned);
    assert!(is_out().await);
    let in_file = || chat.keeping().store().unwrap().reader().bans().unwrap();
    let marks = |bans: &[(StreamId, Ban)]| bans.iter().map(|(_, ban)| ban.marks.clone()).collect::<Vec<_>>();
    wait("the address is in the file", || marks(&in_file()) == [vec![mark]]);

    let long = order(&chat, Order::TimeOut(whom("Eve"), Duration::from_secs(600))).await;
    let short = order(&chat, Order::TimeOut(whom("Eve"), Duration::from_secs(5))).await;
    let left = || chat.shared.time_out(&id("show"), "eve", clock::now()).map(|(_, until)| until);
    assert!(left() > Some(shared::later(clock::now(), Duration::from_secs(500))), "the longer one holds");
    for undo in [long, short] {
        assert!(left().is_some());
        order(&chat, Order::Undo(undo.undo.unwrap())).await;
        assert!(is_out().await, "the ban is older");
    }
    assert_eq!(left(), None);
    order(&chat, Order::Undo(second.undo.unwrap())).await;
    assert!(is_out().await, "the first ban is older");
    let undo = first.undo.unwrap();
    order(&chat, Order::Undo(undo.clone())).await;
    let back = come(&chat, "show", "Eve", "192.0.2.7").await.unwrap();
    assert!(back.first.iter().any(|text| text.contains("hello")));
    wait("the ban is gone from the file", || in_file().is_empty());
    assert_eq!(chat.moderate(&id("show"), "mo", Order::Undo(undo)).await, Err(Refusal::NotFound));
}

/// Undoing an order after somebody has lifted or repeated the ban changes nothing but the messages.
#[tokio::test]
async fn undo_leaves_what_others_did_since() {
    let folder = tempfile::tempdir().unwrap();
    let (chat, _) = chat(folder.path());
    let stays = enter(&chat, "show", "ana").await;
    let first = order(&chat, Order::Ban(whom("Eve"))).await.undo.unwrap();
    order(&chat, Order::Unban("Eve".into())).await;
    order(&chat, Order::Undo(first)).await;
    assert_eq!(chat.shared.ban(&id("show"), "eve"), None);
    let first = order(&chat, Order::Ban(whom("Eve"))).await.undo.unwrap();
    order(&chat, Order::Ban(whom("Eve"))).await;
    order(&chat, Order::Undo(first)).await;
    assert!(chat.shared.ban(&id("show"), "eve").is_some());
    drop(stays);
}

#[tokio::test]
async fn an_order_at_a_message_of_the_file_concerns_its_author() {
    let folder = tempfile::tempdir().unwrap();
    let (chat, _) = chat(folder.path());
    let [one, two] = [("show", "192.0.2.1"), ("show", "192.0.2.2")];
    let first = come(&chat, one.0, "Troll", one.1).await.unwrap();
    first.say("bad", true).unwrap();
    let which = chat.lock()[&id("show")].room.messages().next().unwrap().id.clone();
    let mark = first.person.mark;
    drop(first);
    let second = come(&chat, two.0, "Troll", two.1).await.unwrap();
    second.say("good", true).unwrap();
    let whom = Whom { name: "Troll".into(), message: which.clone() };
    let done = order(&chat, Order::Ban(whom.clone())).await;
    assert_eq!(chat.shared.ban(&id("show"), "troll").unwrap().marks, [mark]);
    order(&chat, Order::Undo(done.undo.unwrap())).await;
    // The room has other messages now; the author's address is forgotten.
    wait("it is in the file", || {
        chat.keeping().store().unwrap().reader().message(&id("show"), &which).unwrap().is_some()
    });
    drop(second);
    chat.lock().clear();
    assert_eq!(order(&chat, Order::Ban(whom)).await.who.as_deref(), Some("Troll"));
    let none = Whom { name: "Troll".into(), message: "m1".into() };
    assert_eq!(chat.moderate(&id("show"), "mo", Order::Ban(none)).await, Err(Refusal::NotFound));
}

#[tokio::test]
async fn messages_of_many_invented_streams_are_stored_when_they_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let (chat, _) = chat(folder.path());
    let in_file =
        |stream: &str| chat.keeping().store().unwrap().reader().messages(&id(stream)).unwrap().len();
    // Without them, the room of a stream that is not live yet would forget its messages.
    come(&chat, "first", "Eve", "192.0.2.7").await.unwrap().say("zero", false).unwrap();
    wait("the first is in the file", || in_file("first") == 1);
    (1..MOST_STORED).for_each(|nth| assert!(chat.is_of_the_first(&id(&format!("other{nth}")))));
    let eve = come(&chat, "none", "Eve", "192.0.2.7").await.unwrap();
    eve.say("one", false).unwrap();
    enter(&chat, "show", "ana").await.say("hello", true).unwrap();
    wait("the other message is in the file", || in_file("show") == 1);
    assert_eq!(in_file("none"), 0);
    eve.say("two", true).unwrap();
    wait("both are in the file", || in_file("none") == 2);
    drop(eve);
    chat.lock().clear();
    // The stream is known by its messages after a restart, too.
    let eve = come(&chat, "none", "Eve", "192.0.2.7").await.unwrap();
    eve.say("three", false).unwrap();
    wait("all are in the file", || in_file("none") == 3);
}

#[tokio::test]
async fn an_address_writes_no_more_in_many_rooms_and_opens_a_limited_number() {
    let folder = tempfile::tempdir().unwrap();
    let (chat, _) = chat(folder.path());
    let mut all = Vec::new();
    for nth in 0..40 {
        let one = come(&chat, &format!("room{nth}"), &format!("n{nth}"), "192.0.2.7").await.unwrap();
        all.push((one.say("x", false), one));
    }
    assert_eq!(all.iter().filter(|(said, _)| said.is_ok()).count(), 30);
    assert!(all.iter().all(|(said, _)| said.is_ok() || *said == Err(Refusal::TooFast)));
    assert!(enter(&chat, "show", "ana").await.say("x", true).is_ok());
    // The thirty with messages are among the first streams whose messages are stored.
    for nth in 40..MOST_INVENTED + 30 {
        all.push((Ok(()), come(&chat, &format!("room{nth}"), "Eve", "192.0.2.7").await.unwrap()));
    }
    assert_eq!(come(&chat, "one-more", "Eve", "192.0.2.7").await.err(), Some(Refusal::Full));
    assert!(come(&chat, "room39", "Ben", "192.0.2.8").await.is_ok());
    drop(enter(&chat, "one-more", "ana").await);
}

/// The chat starts while another program has locked its file.
#[tokio::test]
async fn the_bans_of_a_locked_file_are_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chat.db");
    {
        let (chat, _) = chat(folder.path());
        order(&chat, Order::Ban(whom("Eve"))).await;
        wait("it is in the file", || !chat.keeping().store().unwrap().reader().bans().unwrap().is_empty());
    }
    let other = rusqlite::Connection::open(&file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (chat, _) = chat(folder.path());
    assert_eq!(come(&chat, "show", "Eve", "192.0.2.7").await.err(), Some(Refusal::Banned));
}

/// The file cannot be opened for writing at the start, as on a full disk.
#[tokio::test]
async fn the_bans_of_a_file_that_can_only_be_read_are_in_force() {
    let folder = tempfile::tempdir().unwrap();
    {
        let (chat, _) = chat(folder.path());
        order(&chat, Order::Ban(whom("Eve"))).await;
        wait("it is in the file", || !chat.keeping().store().unwrap().reader().bans().unwrap().is_empty());
    }
    let part = folder.path().join("chat.db-shm");
    wait("the file is closed", || !part.exists());
    std::os::unix::fs::symlink(folder.path().join("none/shm"), &part).unwrap();
    let (chat, _) = chat(folder.path());
    assert_eq!(come(&chat, "show", "Eve", "192.0.2.7").await.err(), Some(Refusal::Banned));
    assert!(chat.keeping().store().is_none());
    order(&chat, Order::Ban(whom("Zoe"))).await;
    let ben = enter(&chat, "show", "ben").await;
    std::fs::remove_file(&part).unwrap();
    chat.open();
    wait("the ban is stored", || chat.keeping().store().unwrap().reader().bans().unwrap().len() == 2);
    assert!(ben.say("still here", true).is_ok(), "the room is the same");
}

/// The file cannot be read at the start.
#[tokio::test]
async fn a_file_that_can_be_read_later_is_used_then() {
    let folder = tempfile::tempdir().unwrap();
    let [file, away] = ["chat.db", "away"].map(|name| folder.path().join(name));
    {
        let (chat, _) = chat(folder.path());
        let troll = come(&chat, "show", "Troll", "192.0.2.1").await.unwrap();
        troll.say("bad", true).unwrap();
        order(&chat, Order::Ban(whom("Troll"))).await;
        wait("it is in the file", || !chat.keeping().store().unwrap().reader().bans().unwrap().is_empty());
    }
    wait("the file is closed", || !folder.path().join("chat.db-wal").exists());
    std::fs::rename(&file, &away).unwrap();
    std::fs::create_dir(&file).unwrap();
    let (chat, _) = chat(folder.path());
    let mut back = come(&chat, "show", "Nobody", "192.0.2.1").await.unwrap();
    let eve = come(&chat, "show", "Eve", "192.0.2.7").await.unwrap();
    eve.say("hello", true).unwrap();
    order(&chat, Order::Ban(whom("Eve"))).await;
    chat.open();
    assert!(chat.keeping().store().is_none());

    std::fs::remove_dir(&file).unwrap();
    std::fs::rename(&away, &file).unwrap();
    chat.open();
    // The people come again, so that the bans of the file apply to them.
    while back.told.recv().await.is_ok() {}
    drop((back, eve));
    for (name, address) in
        [("Nobody", "192.0.2.1"), ("troll", "192.0.2.9"), ("Other", "192.0.2.7"), ("eve", "192.0.2.9")]
    {
        assert_eq!(come(&chat, "show", name, address).await.err(), Some(Refusal::Banned), "{name} {address}");
    }
    assert!(come(&chat, "show", "Ana", "192.0.2.9").await.is_ok());
    wait("both bans are stored", || chat.keeping().store().unwrap().reader().bans().unwrap().len() == 2);
}
