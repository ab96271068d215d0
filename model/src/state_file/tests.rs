use super::*;
use crate::target::{NewTarget, StreamPattern};
use crate::token::Revocation;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_millis(1_795_197_600_000);

fn key(id: u64) -> StreamKey {
    StreamKey {
        id: KeyId(id),
        app: "live".parse().unwrap(),
        stream: format!("show{id}").parse().unwrap(),
        server: None,
        note: String::new(),
        created_at: NOW,
        publish_from: vec!["192.0.2.0/24".parse().unwrap()],
        secrets: vec![secret(&format!("secret {id}"))],
    }
}

fn secret(text: &str) -> KeySecret {
    KeySecret { digest: Digest::of(text.as_bytes()), expires_at: None }
}

fn state() -> State {
    State {
        generation: 7,
        keys: vec![key(1), key(2)],
        targets: vec![target(1), target(2)],
        ..State::default()
    }
}

fn target(id: u64) -> Target {
    let url = format!("rtmp://me:pw@host{id}/app/key?a={id}");
    let url = url.parse().unwrap();
    let (app, stream) = ("live".parse().unwrap(), StreamPattern::Any);
    NewTarget { app, stream, server: None, url, enabled: true, note: String::new() }.into_target(TargetId(id))
}

/// A file with a first line that fits any content.
fn file(generation: u64, body: &str) -> String {
    format!("weir-state 1 {generation} {}\n{body}", Digest::of(body.as_bytes()).to_hex())
}

fn damage(file: &str) -> Damage {
    match State::decode(file.as_bytes()) {
        Err(StateError::Damaged { problem }) => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_key_a_line() {
    let text = state().encode();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("weir-state 1 7 "));
    assert_eq!(lines[1..4], ["{", "\"generation\": 7,", "\"keys\": ["]);
    assert!(lines[4].contains("\"show1\"") && lines[4].ends_with("},"));
    assert!(lines[5].contains("\"show2\"") && lines[5].ends_with('}'));
    assert_eq!(State::decode(text.as_bytes()), Ok(state()));
}

/// Files from before are read, and what is not limited is written as before, so that an older Weir reads it.
#[test]
fn only_what_is_limited_to_a_server_block_names_it() {
    assert!(!state().encode().contains("server"), "{}", state().encode());
    let mut limited = state();
    limited.keys[0].server = Some("1935".parse().unwrap());
    limited.targets[1].server = Some("[::1]:1936".parse().unwrap());
    let text = limited.encode();
    assert!(
        text.contains(r#""server":"0.0.0.0:1935""#) && text.contains(r#""server":"[::1]:1936""#),
        "{text}"
    );
    assert_eq!(State::decode(text.as_bytes()), Ok(limited));
}

#[test]
fn nothing_kept_is_a_state_too() {
    let empty = State::default();
    assert_eq!(State::decode(empty.encode().as_bytes()), Ok(empty));
}

#[test]
fn messages_tell_what_to_do() {
    let message = |file: &[u8]| State::decode(file).unwrap_err().to_string();
    assert_eq!(
        message(b""),
        "the state file is empty: if nginx runs, it still has the keys and targets in memory, and \"weir state save\" writes them; \
         otherwise restore a backup, or remove the file to start without keys and targets"
    );
    for file in [&b"\0\0\0"[..], b"{}", b"weir-stat", b"weir-state\n", b"weir-stateful 1"] {
        assert_eq!(message(file), "this is not a state file of weir: check the path, or move the file away");
    }
    assert_eq!(
        message(b"weir-state 4 anything at all\n"),
        "the state file has version 4, this weir reads up to 3: install a newer weir, or move the file away"
    );
    let cut = &state().encode()[..200];
    assert_eq!(
        message(cut.as_bytes()),
        "the state file is damaged (checksum does not match): if nginx runs, it still has the keys and targets in memory, and \
         \"weir state save\" writes them; otherwise restore a backup, or move the file away to start without keys and targets"
    );
}

#[test]
fn files_of_one_generation_are_told_apart_by_their_content() {
    let (one, mut other) = (state(), state());
    other.keys[0].note = "another".into();
    let (one, other) = (one.encode(), other.encode());
    assert_eq!(one.split(' ').nth(2), other.split(' ').nth(2), "the same generation");
    assert_ne!(content(one.as_bytes()), content(other.as_bytes()));
    // It is the checksum that the first line has.
    let head = one.lines().next().unwrap();
    assert_eq!(head.rsplit(' ').next(), Some(content(one.as_bytes()).to_hex().as_str()));
    assert_eq!(content(b""), content(b"no line end"));
}

#[test]
fn each_kind_of_damage() {
    for head in [
        "weir-state 1",
        "weir-state 0 1 x\n",
        "weir-state 1 1 x\n",
        "weir-state 1 +1 x\n",
        "weir-state \u{e9}",
    ] {
        assert_eq!(damage(head), Damage::FirstLine, "{head}");
    }
    assert_eq!(damage(&file(1, "{\n\"generation\": 1,\n\"keys\": 5\n}\n")), Damage::Content { line: 4 });
    assert_eq!(
        damage(&file(1, "{\"generation\":1,\"keys\":[],\"targets\":[],\"more\":1}")),
        Damage::Content { line: 2 }
    );
    assert_eq!(damage(&file(2, "{\"generation\":1,\"keys\":[],\"targets\":[]}")), Damage::Generation);
    let with_keys = |keys: Vec<StreamKey>| State { keys, ..state() }.encode();
    assert_eq!(damage(&with_keys(vec![key(1), key(1)])), Damage::Twice(KeyId(1)));
    assert_eq!(
        damage(&with_keys(vec![key(1), StreamKey { id: KeyId(3), ..key(1) }])),
        Damage::Twice(KeyId(3))
    );
    assert_eq!(damage(&with_keys(vec![StreamKey { secrets: vec![], ..key(1) }])), Damage::BadKey(KeyId(1)));
    assert_eq!(
        damage(&with_keys(vec![StreamKey { note: "a\n".into(), ..key(1) }])),
        Damage::BadKey(KeyId(1))
    );
}

#[test]
fn a_change_counts_once() {
    let mut state = state();
    let add = Change::AddKey(key(3));
    let rotate = Change::rotate(&key(1), Digest::of(b"new"), 60, NOW);
    for (change, generation) in [(&add, 8), (&rotate, 9), (&Change::RevokeKey(KeyId(2)), 10)] {
        state.apply(change).unwrap();
        assert_eq!(state.generation, generation);
        let once = state.clone();
        state.apply(change).unwrap();
        assert_eq!(state, once);
    }
    assert_eq!(state.keys.iter().map(|key| key.id.0).collect::<Vec<_>>(), [1, 3]);
    let old = KeySecret { expires_at: Some(NOW.plus_seconds(60)), ..secret("secret 1") };
    assert_eq!(state.keys[0].secrets, [secret("new"), old]);
}

#[test]
fn an_impossible_change_changes_nothing() {
    let mut changed = state();
    let other = StreamKey { stream: "other".parse().unwrap(), ..key(1) };
    let same_secret = StreamKey { id: KeyId(9), ..key(2) };
    let rotate_to = |id, text| Change::rotate(&key(id), Digest::of(str::as_bytes(text)), 0, NOW);
    for (change, error) in [
        (Change::AddKey(other), ChangeError::IdTaken(KeyId(1))),
        (Change::AddKey(same_secret), ChangeError::SecretTaken(KeyId(2))),
        (rotate_to(9, "new"), ChangeError::UnknownKey(KeyId(9))),
        (rotate_to(1, "secret 2"), ChangeError::SecretTaken(KeyId(2))),
    ] {
        assert_eq!(changed.apply(&change), Err(error));
        assert_eq!(changed, state());
    }
}

#[test]
fn a_target_is_added_changed_and_removed_once() {
    let mut state = state();
    let patch = PatchTarget { enabled: Some(false), ..Default::default() };
    for (change, generation) in [
        (Change::AddTarget(target(3)), 8),
        (Change::ChangeTarget { id: TargetId(1), patch }, 9),
        (Change::RemoveTarget(TargetId(2)), 10),
    ] {
        state.apply(&change).unwrap();
        assert_eq!(state.generation, generation);
        let once = state.clone();
        state.apply(&change).unwrap();
        assert_eq!(state, once);
    }
    assert_eq!(state.targets, [Target { enabled: false, ..target(1) }, target(3)]);
    assert_eq!(state.target(TargetId(3)), Some(&target(3)));
    state.apply(&Change::RemoveTarget(TargetId(9))).unwrap();
    assert_eq!(state.generation, 10);
}

#[test]
fn an_impossible_change_of_a_target_changes_nothing() {
    let mut changed = state();
    let other = Target { note: "other".into(), ..target(1) };
    let patch = PatchTarget::default();
    for (change, error, message) in [
        (
            Change::AddTarget(other),
            ChangeError::TargetIdTaken(TargetId(1)),
            "there is another target t0000000000000001",
        ),
        (
            Change::ChangeTarget { id: TargetId(9), patch },
            ChangeError::UnknownTarget(TargetId(9)),
            "no target t0000000000000009",
        ),
    ] {
        assert_eq!(changed.apply(&change), Err(error));
        assert_eq!((&changed, error.to_string().as_str()), (&state(), message));
    }
}

#[test]
fn targets_are_written_whole_and_checked_when_read() {
    let text = state().encode();
    let line = concat!(
        r#"{"app":"live","enabled":true,"id":"t0000000000000001","note":"","stream":"*","#,
        r#""url":"rtmp://me:pw@host1/app/key?a=1"},"#
    );
    assert_eq!(text.lines().nth(8), Some(line), "{text}");
    let with = |from: &str, to: &str| {
        damage(&file(7, text.split_once('\n').unwrap().1.replacen(from, to, 1).as_str()))
    };
    assert_eq!(with("rtmp://me", "http://me"), Damage::Content { line: 9 });
    assert_eq!(with("\"stream\":\"*\"", "\"stream\":\"*\",\"more\":1"), Damage::Content { line: 9 });
    assert_eq!(
        with("\"note\":\"\",\"stream\":\"*\"", "\"note\":\"\\n\",\"stream\":\"*\""),
        Damage::BadTarget(TargetId(1))
    );
    assert_eq!(with("t0000000000000002", "t0000000000000001"), Damage::TargetTwice(TargetId(1)));
    // What an earlier weir wrote, which knew no targets.
    let before = "{\n\"generation\": 1,\n\"keys\": [],\n\"targets\": []\n}\n";
    assert_eq!(State::decode(file(1, before).as_bytes()), Ok(State { generation: 1, ..State::default() }));
}

prop_compose! {
    fn any_secret()(digest: [u8; 32], end in prop::option::of(0..Timestamp::MAX.as_millis())) -> KeySecret {
        KeySecret { digest: Digest::from_bytes(digest), expires_at: end.map(Timestamp::from_millis) }
    }
}

prop_compose! {
    fn any_key()(
        id: u64,
        app in "[a-z]{1,8}(/[a-z]{1,8})?",
        stream in "[A-Za-z0-9_][A-Za-z0-9._-]{0,127}",
        port in prop::option::of(1..=u16::MAX),
        note in "\\PC{0,40}",
        created_at in 0..Timestamp::MAX.as_millis(),
        from in prop::collection::vec(any::<std::net::IpAddr>(), 0..16),
        secrets in prop::collection::vec(any_secret(), 1..=2),
    ) -> StreamKey {
        StreamKey {
            id: KeyId(id),
            app: app.parse().unwrap(),
            stream: stream.parse().unwrap(),
            server: port.map(|port| port.to_string().parse().unwrap()),
            note,
            created_at: Timestamp::from_millis(created_at),
            publish_from: from.iter().map(|addr| addr.to_string().parse().unwrap()).collect(),
            secrets,
        }
    }
}

prop_compose! {
    fn any_target()(
        id: u64,
        app in "[a-z]{1,8}(/[a-z]{1,8})?",
        stream in prop::option::of("[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"),
        port in prop::option::of(1..=u16::MAX),
        url in r#"rtmps?://([a-z]{1,8}(:[!-$&-.0-9;-?A-Z]{0,9})?@)?[a-z]{1,20}(:[1-9][0-9]{0,3})?/[a-z]{1,9}/[!-.0-9A-~]{4,90}"#,
        enabled: bool,
        note in "\\PC{0,40}",
    ) -> Target {
        let stream = stream.map_or(StreamPattern::Any, |name| StreamPattern::Name(name.parse().unwrap()));
        let (app, url) = (app.parse().unwrap(), url.parse().unwrap());
        let server = port.map(|port| port.to_string().parse().unwrap());
        let new = NewTarget { app, stream, server, url, enabled, note };
        new.into_target(TargetId(id))
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        generation: u64,
        keys in prop::collection::vec(any_key(), 0..8),
        targets in prop::collection::vec(any_target(), 0..8),
    ) {
        let state = State { generation, keys, targets, ..State::default() };
        prop_assert_eq!(State::decode(state.encode().as_bytes()), Ok(state));
    }

    #[test]
    fn no_changed_byte_changes_the_state_unseen(at: prop::sample::Index, byte: u8) {
        let mut file = state().encode().into_bytes();
        let at = at.index(file.len());
        prop_assume!(!file[at].eq_ignore_ascii_case(&byte));
        file[at] = byte;
        let read = State::decode(&file);
        // The content is readable as that of another version, too. Every other byte counts.
        let is_same = at == MAGIC.len() + 1 && read == Ok(state());
        prop_assert!(read.is_err() || is_same, "{at}: {read:?}");
    }

    #[test]
    fn no_cut_goes_unseen(at: prop::sample::Index) {
        let file = state().encode();
        prop_assert!(State::decode(&file.as_bytes()[..at.index(file.len())]).is_err());
    }

    #[test]
    fn any_bytes_are_refused(tail in prop::collection::vec(any::<u8>(), 0..200), magic: bool) {
        let head: &[u8] = if magic { b"weir-state 1 " } else { b"" };
        prop_assert!(State::decode(&[head, &tail].concat()).is_err());
    }

    /// Whatever is done, and however often: the state stays one that can be read back.
    #[test]
    fn changes_keep_the_state_sound(steps in prop::collection::vec((0_u8..6, 0_u64..5, 0_u8..12), 0..40)) {
        let mut state = State::default();
        for (kind, id, text) in steps {
            let digest = Digest::of(&[text]);
            let change = match kind {
                0 => Change::AddKey(StreamKey { secrets: vec![KeySecret { digest, expires_at: None }], ..key(id) }),
                1 => Change::RevokeKey(KeyId(id)),
                2 => Change::AddTarget(Target { note: text.to_string(), ..target(id) }),
                3 => Change::RemoveTarget(TargetId(id)),
                4 => Change::ChangeTarget {
                    id: TargetId(id),
                    patch: PatchTarget { enabled: Some(text % 2 == 0), ..Default::default() },
                },
                _ => Change::rotate(&key(id), digest, u64::from(text), NOW),
            };
            let before = state.clone();
            match state.apply(&change) {
                Ok(()) if state == before => {}
                Ok(()) => prop_assert_eq!(state.generation, before.generation + 1),
                Err(_) => prop_assert_eq!(&state, &before),
            }
            let once = state.clone();
            prop_assert!(state.apply(&change).is_ok() || once == before);
            prop_assert_eq!(&state, &once);
        }
        prop_assert_eq!(State::decode(state.encode().as_bytes()), Ok(state));
    }
}

#[test]
fn revoked_tokens_are_kept_and_raise_the_version() {
    let revoke = |body: &str, seconds: u64| {
        let now = Timestamp::from_millis(1_795_197_600_000).plus_seconds(seconds);
        Change::RevokeTokens(Revocation::from_json(body.as_bytes(), now).unwrap())
    };
    let mut state = state();
    assert!(state.encode().starts_with("weir-state 1 "));
    state.apply(&revoke(r#"{"jti":"a1"}"#, 0)).unwrap();
    state.apply(&revoke(r#"{"app":"live","stream":"*"}"#, 0)).unwrap();
    assert_eq!(state.generation, 9);
    let text = state.encode();
    assert!(text.starts_with("weir-state 2 9 "), "{text}");
    assert_eq!(State::decode(text.as_bytes()).unwrap(), state);
    // Once more: only what is later counts.
    state.apply(&revoke(r#"{"jti":"a1"}"#, 0)).unwrap();
    assert_eq!((state.generation, state.revocations.len()), (9, 2));
    state.apply(&revoke(r#"{"app":"live","stream":"*"}"#, 60)).unwrap();
    assert_eq!((state.generation, state.revocations.len()), (10, 2));
    // What is over makes room.
    for number in 0..MAX_KEPT_REVOCATIONS - 2 {
        state.apply(&revoke(&format!(r#"{{"jti":"n{number}"}}"#), 60)).unwrap();
    }
    let one_more = revoke(r#"{"jti":"b"}"#, 60);
    assert_eq!(state.apply(&one_more), Err(ChangeError::ManyRevocations));
    assert_eq!(State::decode(state.encode().as_bytes()).unwrap(), state);
    state.apply(&revoke(r#"{"jti":"b"}"#, 30 + crate::token::MAX_KEPT_S)).unwrap();
    assert_eq!(state.revocations.len(), MAX_KEPT_REVOCATIONS);
}

fn noted(note: &str, text: &str) -> StreamKey {
    StreamKey { note: note.into(), secrets: vec![secret(text)], ..key(1) }
}

fn put_change(was: Option<StreamKey>, key: StreamKey) -> Change {
    Change::PutKey { was: was.map(Box::new), key: Box::new(key) }
}

#[test]
fn nothing_is_brought_back_and_nothing_overwritten_that_was_not_seen() {
    let (one, two, three) = (noted("one", "a"), noted("two", "a"), noted("three", "b"));
    let mut state = State::default();
    state.apply(&put_change(None, one.clone())).unwrap();
    assert_eq!((state.generation, state.keys.len()), (1, 1));
    state.apply(&put_change(None, one.clone())).unwrap();
    assert_eq!(state.generation, 1, "the same again");
    assert_eq!(state.apply(&put_change(None, two.clone())), Err(ChangeError::OtherKey(KeyId(1))));
    state.apply(&put_change(Some(one.clone()), two.clone())).unwrap();
    assert_eq!(state.apply(&put_change(Some(one), three.clone())), Err(ChangeError::OtherKey(KeyId(1))));
    state.apply(&Change::RevokeKey(KeyId(1))).unwrap();
    assert_eq!(state.apply(&put_change(Some(two), three)), Err(ChangeError::UnknownKey(KeyId(1))));
    let other = StreamKey { id: KeyId(2), ..noted("", "a") };
    state.apply(&put_change(None, noted("", "a"))).unwrap();
    assert_eq!(state.apply(&put_change(None, other)), Err(ChangeError::SecretTaken(KeyId(1))));
}

#[test]
fn mark_and_hold_are_in_the_file_of_a_pair_alone() {
    let mut state = State::default();
    assert!(state.encode().starts_with("weir-state 1 "));
    state.apply(&Change::Mark(Mark(7))).unwrap();
    state.apply(&Change::Hold(true)).unwrap();
    state.apply(&Change::Hold(true)).unwrap();
    assert_eq!(state.generation, 2);
    let text = state.encode();
    assert!(text.starts_with("weir-state 3 ") && text.contains("\"mark\": \"0000000000000007\""), "{text}");
    assert_eq!(State::decode(text.as_bytes()), Ok(state));
}
