use super::*;

fn id() -> StreamId {
    ("live".parse().unwrap(), "show".parse().unwrap())
}

fn ban(name: &str) -> Ban {
    Ban { name: name.into(), marks: Vec::new(), is_verified: None }
}

/// A ban, and then a mark that says that the ban is in the file.
fn silence(store: &Store) {
    store.put(Change::Banned(id(), ban("eve"), clock::now()));
    let later = Timestamp::from_millis(clock::now().as_millis() + 60_000);
    store.put(Change::TimedOut(id(), ban("ben"), later));
    store.put(Change::Marked("marked".into()));
}

#[track_caller]
fn wait_marked(store: &Store) {
    let begin = Instant::now();
    while store.mark().is_none() {
        assert!(begin.elapsed() < Duration::from_secs(60), "no mark");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(store.reader().bans().unwrap(), [(id(), ban("eve"))]);
    assert_eq!(store.reader().time_outs(clock::now()).unwrap().len(), 1);
}

#[test]
fn a_flood_of_messages_pushes_out_no_ban() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chat.db");
    let (store, _) = Store::open(&file, SWEEP, [1; 32]).unwrap();
    // Another program holds the file, so the queue fills.
    let other = Connection::open(&file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for number in 0..WAITING + 100 {
        store.put(message(format!("m{number}"), clock::now()));
    }
    silence(&store);
    other.execute_batch("COMMIT").unwrap();
    wait_marked(&store);
    let count: i64 = other.query_row("SELECT COUNT(*) FROM messages", [], |row| row.get(0)).unwrap();
    assert!(usize::try_from(count).unwrap() <= WAITING + 1, "{count}");
}

fn message(id: String, at: Timestamp) -> Change {
    let said =
        ChatMessage { id, name: "Eve".into(), text: "x".into(), at, verified: false, moderator: false };
    Change::Said(self::id(), said)
}

/// The disk accepts a refused ban later, and messages become old, while people write all the time.
#[test]
fn a_busy_chat_retries_refused_bans_and_removes_old_messages() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chat.db");
    let keep = Duration::from_secs(3600);
    let (store, _) = Store::open_with(&file, keep, Duration::from_secs(1), [1; 32]).unwrap();
    let other = Connection::open(&file).unwrap();
    other
        .execute_batch("CREATE TRIGGER full BEFORE INSERT ON bans BEGIN SELECT RAISE(ABORT, 'full'); END")
        .unwrap();
    silence(&store);
    store.put(message("old".into(), Timestamp::from_millis(clock::now().as_millis() - 2 * 3_600_000)));
    let begin = Instant::now();
    let mut number = 0;
    let mut busy = |what: &str, is_done: &dyn Fn() -> bool| {
        while !is_done() {
            assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
            number += 1;
            store.put(message(format!("m{number}"), clock::now()));
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let count = |id: &str| -> i64 {
        other.query_row("SELECT COUNT(*) FROM messages WHERE id = ?1", [id], |row| row.get(0)).unwrap()
    };
    busy("no message", &|| count("m1") == 1);
    busy("the old message stays", &|| count("old") == 0);
    other.execute_batch("DROP TRIGGER full").unwrap();
    busy("no mark", &|| store.mark().is_some());
    wait_marked(&store);
}

#[test]
fn a_ban_of_several_addresses_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&folder.path().join("chat.db"), SWEEP, [1; 32]).unwrap();
    let ban = Ban { marks: vec![[1; 16], [2; 16]], ..ban("ben") };
    store.put(Change::Banned(id(), ban.clone(), clock::now()));
    let begin = Instant::now();
    while store.reader().bans().unwrap() != [(id(), ban.clone())] {
        assert!(begin.elapsed() < Duration::from_secs(60), "no ban");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_slow_mode_of_any_length_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&folder.path().join("chat.db"), SWEEP, [1; 32]).unwrap();
    store.put(Change::Slowed(id(), Some(Duration::MAX)));
    silence(&store);
    wait_marked(&store);
    assert_eq!(store.reader().slow().unwrap(), [(id(), Duration::from_secs(u32::MAX.into()))]);
}

#[test]
fn a_ban_that_the_disk_refused_is_written_before_the_mark() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chat.db");
    let (store, _) = Store::open(&file, SWEEP, [1; 32]).unwrap();
    let other = Connection::open(&file).unwrap();
    // SQLite refuses a ban, as it does on a full disk, and still writes the mark.
    other
        .execute_batch("CREATE TRIGGER full BEFORE INSERT ON bans BEGIN SELECT RAISE(ABORT, 'full'); END")
        .unwrap();
    silence(&store);
    let begin = Instant::now();
    while store.waiting.load(Ordering::Relaxed) > 0 {
        assert!(begin.elapsed() < Duration::from_secs(60), "the changes wait");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(store.mark(), None);
    other.execute_batch("DROP TRIGGER full").unwrap();
    wait_marked(&store);
}

/// A moderator clears the messages of a name, and restores them, while the disk refuses to delete.
#[test]
fn a_restored_message_is_not_deleted_by_an_earlier_change() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chat.db");
    let (store, _) = Store::open(&file, SWEEP, [1; 32]).unwrap();
    let other = Connection::open(&file).unwrap();
    other
        .execute_batch("CREATE TRIGGER full BEFORE DELETE ON messages BEGIN SELECT RAISE(ABORT, 'full'); END")
        .unwrap();
    let at = clock::now();
    for which in ["m1", "m2"] {
        store.put(message(which.into(), at));
    }
    for which in ["m1", "m2"] {
        store.put(Change::Deleted(id(), which.into()));
    }
    store.put(Change::Cleared(id(), Ban { name: "eve".into(), marks: Vec::new(), is_verified: None }));
    store.put(message("m1".into(), at));
    store.put(message("m3".into(), at));
    let ids = || -> Vec<String> {
        store.reader().messages(&id()).unwrap().into_iter().map(|message| message.id).collect()
    };
    let begin = Instant::now();
    while store.waiting.load(Ordering::Relaxed) > 0 {
        assert!(begin.elapsed() < Duration::from_secs(60), "the changes wait");
        std::thread::sleep(Duration::from_millis(20));
    }
    other.execute_batch("DROP TRIGGER full").unwrap();
    silence(&store);
    wait_marked(&store);
    assert_eq!(ids(), ["m1", "m3"]);
}
