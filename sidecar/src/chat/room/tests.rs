use weir_model::Timestamp;

use super::*;

fn person(name: &str, mark: u8) -> Person {
    let name = Some(name.into());
    Person { name, is_verified: false, is_moderator: false, mark: [mark; 16], earlier: None }
}

/// Bans or times out as an order of a moderator does.
fn silence(room: &mut Room, who: &str, until: Option<Instant>, now: Instant) -> (Ban, Vec<String>) {
    let ban = room.meant(who);
    match until {
        Some(until) => room.time_out(ban.clone(), until),
        None => room.ban(ban.clone()),
    }
    let gone = room.clear(&ban, now);
    (ban, gone)
}

#[test]
fn five_messages_in_ten_seconds_and_no_more_over_a_second_connection() {
    let (mut room, start) = (Room::default(), Instant::now());
    room.enter(1, person("Ana", 1)).unwrap();
    room.enter(2, person("ana", 1)).unwrap();
    assert_eq!(room.enter(3, person("ANA", 2)), Err(Refusal::NameTaken));
    // A capital letter of another alphabet, letters of full width, a small one.
    for alike in ["\u{410}na", "\u{ff21}\u{ff4e}\u{ff41}", "an\u{430}"] {
        assert_eq!(room.enter(3, person(alike, 2)), Err(Refusal::NameTaken), "{alike}");
    }
    for n in 0..5 {
        room.may_write(1 + n % 2, "x", false, start).unwrap();
    }
    assert_eq!(room.may_write(2, "x", false, start + Duration::from_secs(9)), Err(Refusal::TooFast));
    assert!(room.may_write(2, "x", false, start + WINDOW).is_ok());
    assert_eq!(room.may_write(1, " ", false, start + WINDOW), Err(Refusal::Length));
    assert_eq!(room.may_write(1, &"x".repeat(501), false, start + WINDOW), Err(Refusal::Length));
    room.set_slow(Duration::from_secs(30));
    assert_eq!(room.may_write(1, "x", false, start + Duration::from_secs(39)), Err(Refusal::Slow(30)));
    assert!(room.may_write(1, "x", false, start + Duration::from_secs(40)).is_ok());
    assert_eq!(room.take_counts(), [0, 2, 0, 2]);
}

#[test]
fn a_time_out_of_an_address_does_not_silence_its_moderator() {
    let (mut room, now) = (Room::default(), Instant::now());
    room.enter(1, person("Troll", 1)).unwrap();
    room.enter(2, Person { is_moderator: true, ..person("Ana", 1) }).unwrap();
    room.enter(3, person("Ben", 1)).unwrap();
    silence(&mut room, "troll", Some(now + Duration::from_secs(60)), now);
    assert_eq!(room.may_write(3, "x", false, now), Err(Refusal::TimedOut(61)));
    assert!(room.may_write(2, "x", false, now).is_ok());
}

#[test]
fn a_ban_holds_for_the_name_and_for_the_address() {
    let (mut room, now) = (Room::default(), Instant::now());
    room.enter(1, person("Troll", 1)).unwrap();
    silence(&mut room, "TROLL", Some(now + Duration::from_secs(60)), now);
    assert_eq!(room.may_write(1, "x", false, now), Err(Refusal::TimedOut(61)));
    silence(&mut room, "troll", None, now);
    assert_eq!(room.may_write(1, "x", false, now), Err(Refusal::Banned));
    room.leave(1);
    assert_eq!(room.enter(2, person("Other", 1)), Err(Refusal::Banned));
    assert_eq!(room.enter(3, person("troll", 9)), Err(Refusal::Banned));
    assert!(room.enter(4, person("Ana", 9)).is_ok());
    assert!(room.lift_ban("troll") && room.enter(2, person("Other", 1)).is_ok());
}

fn message(id: &str, name: &str, second: u64) -> ChatMessage {
    let at = Timestamp::from_millis(second * 1000);
    ChatMessage { id: id.into(), name: name.into(), text: "x".into(), at, verified: false, moderator: false }
}

#[test]
fn an_address_is_banned_by_its_hash_and_what_went_comes_back_in_its_place() {
    let (mut room, now) = (Room::default(), Instant::now());
    for (number, (name, mark)) in [("Troll", 1), ("Ana", 2), ("Troll2", 1)].into_iter().enumerate() {
        room.enter(number as u64, person(name, mark)).unwrap();
        room.say(message(&format!("m{number}"), name, number as u64), [mark; 16]);
    }
    let ids = |room: &Room| room.messages().map(|one| one.id.clone()).collect::<Vec<_>>();
    assert!(room.delete("m1", now) && !room.delete("m1", now));
    let address = mark_text(&[1; 16]);
    let (ban, gone) = silence(&mut room, &address, None, now);
    assert_eq!((ban.name.as_str(), ban.marks, gone.len()), (address.as_str(), vec![[1; 16]], 2));
    assert_eq!(room.enter(9, person("Third", 1)), Err(Refusal::Banned));
    assert!(ids(&room).is_empty() && room.may_write(1, "x", false, now).is_ok());
    assert_eq!(room.restore("m1", now).len() + room.restore("m1", now).len(), 1);
    assert_eq!(room.restore(&address.to_uppercase(), now).len(), 2);
    assert_eq!(ids(&room), ["m0", "m1", "m2"]);
    assert!(room.lift_ban(&address) && room.enter(9, person("Third", 1)).is_ok());
    // A person who has left is banned with the address of the last message.
    room.leave(0);
    assert_eq!(silence(&mut room, "troll", None, now).0.marks, [[1; 16]]);
    assert_eq!(room.bans().len(), 1);
    room.delete("m1", now);
    assert_eq!(room.restore("m1", now + REGRET).len(), 0);
}

#[test]
fn a_ban_of_a_chosen_name_spares_the_messages_of_a_name_given_by_a_token() {
    let (mut room, now) = (Room::default(), Instant::now());
    room.say(ChatMessage { verified: true, moderator: true, ..message("m1", "Ana", 1) }, [1; 16]);
    room.say(message("m2", "ana", 2), [2; 16]);
    let (ban, gone) = silence(&mut room, "ANA", None, now);
    assert_eq!((ban.is_verified, gone), (Some(false), vec!["m2".to_owned()]));
    assert_eq!(room.messages().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["m1"]);
}

#[test]
fn an_order_at_a_message_concerns_its_author() {
    let (mut room, now) = (Room::default(), Instant::now());
    room.say(message("m1", "Troll", 1), [1; 16]);
    room.say(message("m2", "troll", 2), [2; 16]);
    room.say(ChatMessage { moderator: true, ..message("m3", "Ana", 3) }, [3; 16]);
    assert_eq!(room.meant("Troll").marks, [[2; 16]], "the last author");
    let ban = |name: &str, marks: &[AddressMark]| {
        (name.to_owned(), Ban { name: name.to_lowercase(), marks: marks.into(), is_verified: Some(false) })
    };
    assert_eq!(room.author("m1", None), Some(ban("Troll", &[[1; 16]])));
    assert!(room.delete("m1", now));
    assert_eq!(room.author("m1", None), Some(ban("Troll", &[[1; 16]])), "after its deletion");
    assert_eq!(room.author("m3", None), Some(ban("Ana", &[])), "others may have the address of a moderator");
    assert_eq!(room.author("m9", None), None);
    let stored = message("m9", "Eve", 9);
    assert_eq!(room.author("m9", Some(&stored)), Some(ban("Eve", &[])));
    room.enter(1, person("Eve", 5)).unwrap();
    assert_eq!(room.author("m9", Some(&stored)), Some(ban("Eve", &[[5; 16]])), "she is here");
}

#[test]
fn only_these_messages_come_back() {
    let (mut room, now) = (Room::default(), Instant::now());
    for id in ["m1", "m2", "m3"] {
        room.say(message(id, "Eve", 1), [1; 16]);
    }
    assert!(room.delete("m1", now) && room.delete("m2", now));
    let back = room.restore_these(&["m2".into(), "m3".into()], now);
    assert_eq!(back.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["m2"]);
    assert_eq!(room.restore("m1", now).len(), 1);
}
