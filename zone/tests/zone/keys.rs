//! Keys are found only by their digest, are pending until written, are invalid once revoked, overlap on a rotation, and
//! match the state file.

use weir_model::{KeyId, StreamKey, key::KeySecret};
use weir_zone::{KeyRecord, Misfit, Stage};

use super::{NOW, PID, digest, heap, insert, key, opens, register, shown, used};

#[test]
fn a_key_is_found_by_its_digest_alone() {
    let heap = heap();
    let zone = heap.zone();
    (1..=50).for_each(|id| insert(&zone, &key(id), Stage::Valid));
    for id in 1..=50 {
        let found = zone.lock(PID).find_key(&digest(id)).unwrap();
        assert_eq!((found.id, found.app.as_str(), found.stream), (KeyId(id), "live", format!("show-{id}")));
        assert!(found.current && found.stage == Stage::Valid);
    }
    assert!(!opens(&zone, 51));
    let keys: Vec<_> = (1..=50).map(key).collect();
    assert_eq!(zone.keys(PID), keys);
}

#[test]
fn the_longest_texts_come_back_whole() {
    let heap = heap();
    let zone = heap.zone();
    let before = used(&zone);
    let networks = (0..16).map(|n| match n % 2 {
        0 => format!("192.0.{n}.0/24").parse().unwrap(),
        _ => format!("2001:db8:{n}::/48").parse().unwrap(),
    });
    let long = StreamKey {
        app: "a".repeat(128).parse().unwrap(),
        stream: "s".repeat(128).parse().unwrap(),
        server: Some(format!("unix:/{}", "u".repeat(106)).parse().unwrap()),
        note: "é".repeat(100),
        publish_from: networks.collect(),
        secrets: vec![KeySecret { digest: digest(1), expires_at: Some(NOW.plus_seconds(60)) }],
        ..key(1)
    };
    insert(&zone, &long, Stage::Valid);
    insert(&zone, &key(2), Stage::Valid);
    assert_eq!(used(&zone) - before, 9 + 1);
    assert_eq!(zone.keys(PID), [long.clone(), key(2)]);
    let found = zone.lock(PID).key(KeyId(1)).unwrap();
    assert_eq!((found.note, found.publish_from), (long.note, long.publish_from));
    zone.lock(PID).revoke_key(KeyId(1));
    zone.lock(PID).forget_revoked(KeyId(1));
    assert_eq!(used(&zone) - before, 1);
}

/// Every length of text from one block to the next, so that no boundary cuts a byte.
#[test]
fn every_length_of_note_comes_back() {
    let heap = heap();
    let zone = heap.zone();
    for len in 0..=200 {
        let server = (len % 2 == 0).then(|| "1935".parse().unwrap());
        let noted = StreamKey { note: "n".repeat(len), server, ..key(1) };
        insert(&zone, &noted, Stage::Valid);
        assert_eq!(zone.keys(PID), [noted], "{len}");
        zone.lock(PID).revoke_key(KeyId(1));
        zone.lock(PID).forget_revoked(KeyId(1));
    }
    assert_eq!(used(&zone), 0);
}

#[test]
fn a_pending_key_opens_nothing_until_it_is_confirmed() {
    let heap = heap();
    let zone = heap.zone();
    insert(&zone, &key(1), Stage::Pending { pid: PID });
    insert(&zone, &key(2), Stage::Pending { pid: PID });
    assert!(!opens(&zone, 1) && zone.lock(PID).key(KeyId(1)).is_none() && zone.keys(PID).is_empty());
    zone.lock(PID).confirm_secret(&digest(1));
    zone.lock(PID).forget_secret(&digest(2));
    assert!(opens(&zone, 1) && !opens(&zone, 2));
    // What is valid is not pending any more.
    zone.lock(PID).forget_secret(&digest(1));
    assert!(opens(&zone, 1));
    assert_eq!(used(&zone), 1);
}

#[test]
fn a_pending_key_goes_with_its_worker() {
    let heap = heap();
    let zone = heap.zone();
    for (id, pid) in [(1, 7), (2, 8)] {
        register(&zone, pid);
        insert(&zone, &key(id), Stage::Pending { pid });
    }
    insert(&zone, &key(3), Stage::Valid);
    zone.lock(PID).reclaim(NOW, |pid| pid != 7);
    zone.lock(PID).confirm_secret(&digest(1));
    zone.lock(PID).confirm_secret(&digest(2));
    assert_eq!([1, 2, 3].map(|secret| opens(&zone, secret)), [false, true, true]);
}

#[test]
fn a_revoked_key_is_dead_at_once_and_kept_until_the_file_lacks_it() {
    let heap = heap();
    let zone = heap.zone();
    insert(&zone, &key(1), Stage::Valid);
    assert!(zone.lock(PID).revoke_key(KeyId(1)));
    assert!(!zone.lock(PID).revoke_key(KeyId(1)));
    assert!(!zone.lock(PID).revoke_key(KeyId(2)));
    assert!(!opens(&zone, 1) && zone.keys(PID).is_empty());
    assert_eq!((zone.lock(PID).revoked_keys(), used(&zone)), (vec![KeyId(1)], 1));
    zone.lock(PID).forget_revoked(KeyId(1));
    assert_eq!((zone.lock(PID).revoked_keys(), used(&zone)), (vec![], 0));
}

#[test]
fn rotation_with_overlap() {
    let heap = heap();
    let zone = heap.zone();
    insert(&zone, &key(1), Stage::Valid);
    let rotate = |secret, overlap| {
        let rotated =
            StreamKey { secrets: vec![KeySecret { digest: digest(secret), expires_at: None }], ..key(1) };
        insert(&zone, &rotated, Stage::Pending { pid: PID });
        let locked = zone.lock(PID);
        locked.retire_secret(KeyId(1), NOW.plus_seconds(overlap));
        locked.confirm_secret(&digest(secret));
    };
    rotate(11, 60);
    assert!(opens(&zone, 1) && opens(&zone, 11));
    let [shown] = zone.keys(PID).try_into().unwrap();
    assert_eq!(
        shown.secrets,
        [
            KeySecret { digest: digest(11), expires_at: None },
            KeySecret { digest: digest(1), expires_at: Some(NOW.plus_seconds(60)) },
        ]
    );
    assert_eq!(zone.lock(PID).key(KeyId(1)).unwrap().digest, digest(11));
    rotate(12, 30);
    assert_eq!([1, 11, 12].map(|secret| opens(&zone, secret)), [false, true, true]);
    zone.forget_ended_secrets(PID, NOW.plus_seconds(29));
    assert!(opens(&zone, 11));
    zone.forget_ended_secrets(PID, NOW.plus_seconds(30));
    assert!(!opens(&zone, 11) && opens(&zone, 12));
    assert_eq!(used(&zone), 1);
}

#[test]
fn rotation_never_prolongs_a_secret() {
    let heap = heap();
    let zone = heap.zone();
    let end = Some(NOW.plus_seconds(10));
    insert(
        &zone,
        &StreamKey { secrets: vec![KeySecret { digest: digest(1), expires_at: end }], ..key(1) },
        Stage::Valid,
    );
    zone.lock(PID).retire_secret(KeyId(1), NOW.plus_seconds(60));
    assert_eq!(zone.lock(PID).find_key(&digest(1)).unwrap().expires_at, end);
}

#[test]
fn the_file_wins_but_brings_no_revoked_key_back() {
    let heap = heap();
    let zone = heap.zone();
    (1..=3).for_each(|id| insert(&zone, &key(id), Stage::Valid));
    insert(&zone, &key(4), Stage::Pending { pid: PID });
    zone.lock(PID).revoke_key(KeyId(2));
    let mut file: Vec<_> = [2, 3, 5].map(key).into();
    file[1].note = "changed".into();
    file[2].rotate(KeySecret { digest: digest(55), expires_at: None }, NOW.plus_seconds(60));
    assert_eq!(zone.lock(PID).adopt(&file, &[], &shown(1)), Ok(vec![KeyId(1)]));
    assert_eq!(zone.keys(PID), file[1..]);
    assert_eq!(
        [1, 2, 3, 4, 5, 55].map(|secret| opens(&zone, secret)),
        [false, false, true, false, true, true]
    );
    zone.lock(PID).confirm_secret(&digest(4));
    assert!(opens(&zone, 4));
}

#[test]
fn a_file_that_does_not_fit_changes_nothing() {
    let heap = heap();
    let zone = heap.zone();
    let before: Vec<_> = (1..=10).map(key).collect();
    zone.lock(PID).adopt(&before, &[], &shown(1)).unwrap();
    let too_many: Vec<_> = (5..10_000).map(key).collect();
    assert_eq!(zone.lock(PID).adopt(&too_many, &[], &shown(2)), Err(Misfit::Keys { keys: 9_995 }));
    assert_eq!(zone.keys(PID), before);
    let networks = vec!["192.0.2.0/24".parse().unwrap(); 16];
    let records = too_many.iter().map(|key| StreamKey { publish_from: networks.clone(), ..key.clone() });
    assert_eq!(
        zone.lock(PID).check_fit(&records.collect::<Vec<_>>(), &[]),
        Err(Misfit::Keys { keys: 9_995 })
    );
    assert_eq!((zone.keys(PID), used(&zone)), (before, 10));
}

#[test]
fn keys_with_one_digest_are_all_kept() {
    // The API refuses them; a zone that got them must not confuse them.
    let heap = heap();
    let zone = heap.zone();
    let twin = StreamKey { secrets: key(1).secrets, ..key(2) };
    insert(&zone, &key(1), Stage::Valid);
    insert(&zone, &twin, Stage::Valid);
    zone.lock(PID).revoke_key(KeyId(2));
    zone.lock(PID).forget_revoked(KeyId(2));
    let found: KeyRecord = zone.lock(PID).find_key(&digest(1)).unwrap();
    assert_eq!(found.id, KeyId(1));
}

#[test]
fn the_list_can_be_read_in_parts() {
    let heap = heap();
    let zone = heap.zone();
    for id in [5, 4, 1] {
        insert(&zone, &key(id), Stage::Valid);
    }
    insert(&zone, &key(6), Stage::Pending { pid: PID });
    let rotated = StreamKey {
        secrets: vec![
            KeySecret { digest: digest(3), expires_at: None },
            KeySecret { digest: digest(33), expires_at: Some(NOW.plus_seconds(60)) },
        ],
        ..key(3)
    };
    insert(&zone, &rotated, Stage::Valid);
    insert(&zone, &key(2), Stage::Valid);
    let ids = |keys: Vec<StreamKey>| keys.iter().map(|key| key.id.0).collect::<Vec<_>>();
    let places = zone.key_places(PID, None, usize::MAX);
    assert_eq!(ids(zone.lock(PID).keys_at(&places[1..3])), [2, 3]);
    assert_eq!(zone.lock(PID).keys_at(&places[2..3])[0], rotated);
    assert_eq!(zone.lock(PID).stream_key(KeyId(3)), Some(rotated));
    assert_eq!(ids(zone.keys(PID)), [1, 2, 3, 4, 5]);
    let after = |place: usize| zone.key_places(PID, Some(places[place]), usize::MAX);
    let rest = after(2);
    assert_eq!(ids(zone.lock(PID).keys_at(&rest)), [4, 5]);
    assert!(after(4).is_empty());
    // What has gone since is left out, and another in its place is not taken for it.
    zone.lock(PID).revoke_key(KeyId(2));
    zone.lock(PID).forget_revoked(KeyId(2));
    zone.lock(PID).revoke_key(KeyId(4));
    insert(&zone, &key(7), Stage::Valid);
    assert_eq!(ids(zone.lock(PID).keys_at(&places)), [1, 3, 5]);
    assert_eq!(zone.lock(PID).stream_key(KeyId(2)), None);
    assert_eq!(zone.lock(PID).stream_key(KeyId(4)), None);
}
