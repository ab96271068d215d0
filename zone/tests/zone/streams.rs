//! Live streams have one publisher per name, differ from later streams of the name, are freed with their worker, and
//! are closed by order.

use weir_model::{KeyId, Server, Timestamp, verdict::Credential};
use weir_zone::{Claim, NewStream};

use super::{NOW, PID, claim, heap, names, register, stream, used};

/// What a stream with a short name takes.
const BLOCKS: usize = 2;

#[test]
fn a_name_is_one_publishers() {
    let heap = heap();
    let zone = heap.zone();
    let (here, there) = (register(&zone, 10), register(&zone, 11));
    let first =
        NewStream { credential: Credential::Key(KeyId(7)), addr: "2001:db8::1", ..stream("show", here) };
    let id = claim(&zone, &first);
    match zone.lock(11).claim(&stream("show", there), NOW, |_| true).unwrap() {
        Claim::Live(live) => {
            assert_eq!((live.id, live.worker_pid, live.since), (id, 10, NOW));
            assert_eq!(
                (live.app.as_str(), live.name.as_str(), live.addr.as_str()),
                ("live", "show", "2001:db8::1")
            );
            assert_eq!(
                (live.credential, live.last_media, live.bytes_in),
                (Credential::Key(KeyId(7)), NOW, 0)
            );
        }
        Claim::Taken(_) => panic!("claimed twice"),
    }
    zone.lock(10).release(id, NOW);
    claim(&zone, &stream("show", there));
}

#[test]
fn names_of_other_applications_are_other_names() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, PID);
    for (app, name) in [("ab", "c"), ("a", "bc"), ("c", "ab"), ("abc", "")] {
        claim(&zone, &NewStream { app, ..stream(name, worker) });
    }
    let listed = zone.lock(PID).streams(|_| true);
    let listed: Vec<_> = listed.iter().map(|live| (live.app.as_str(), live.name.as_str())).collect();
    assert_eq!(listed, [("a", "bc"), ("ab", "c"), ("abc", ""), ("c", "ab")]);
}

fn server(addresses: &[&str]) -> Server {
    Server::new(addresses.iter().map(|addr| addr.parse().unwrap()))
}

#[test]
fn each_server_block_has_its_own_names() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, PID);
    let (one, two) = (server(&["1935", "[::]:1935"]), server(&["1936"]));
    let ids = [&one, &two].map(|server| claim(&zone, &NewStream { server, ..stream("show", worker) }));
    let listed = zone.lock(PID).streams_named("live", "show", |_| true);
    assert_eq!(listed.iter().map(|live| live.id).collect::<Vec<_>>(), ids);
    assert_eq!((&listed[0].server, &listed[1].server), (&one, &two));
    // The block of a later configuration that shares an address is the same one.
    for again in [server(&["[::]:1935"]), server(&["1937", "1935"])] {
        match zone.lock(PID).claim(&NewStream { server: &again, ..stream("show", worker) }, NOW, |_| true) {
            Ok(Claim::Live(live)) => assert_eq!(live.id, ids[0]),
            other => panic!("{other:?}"),
        }
    }
    zone.lock(PID).release(ids[0], NOW);
    let occupied = |server| zone.lock(PID).occupant(server, &[], "live", "show", |_| true).is_some();
    assert!(!occupied(&one) && occupied(&two));
}

#[test]
fn names_whose_files_are_in_one_folder_are_one_name() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, PID);
    let (one, two) = (server(&["1935"]), server(&["1936"]));
    let new = |server, folders| NewStream { server, folders, ..stream("show", worker) };
    let first = claim(&zone, &new(&one, &[1, 2]));
    for folders in [&[2_u64][..], &[9, 1]] {
        match zone.lock(PID).claim(&new(&two, folders), NOW, |_| true) {
            Ok(Claim::Live(live)) => assert_eq!(live.id, first),
            other => panic!("{other:?}"),
        }
    }
    claim(&zone, &new(&two, &[3, 4]));
    // Another application may have the same name for a stream.
    claim(&zone, &NewStream { app: "other", ..new(&two, &[1]) });
}

#[test]
fn a_stale_id_does_nothing() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, PID);
    let first = claim(&zone, &stream("show", worker));
    zone.lock(PID).release(first, NOW);
    let second = claim(&zone, &stream("show", worker));
    assert!(second.session() > first.session());
    zone.lock(PID).release(first, NOW);
    assert!(!zone.lock(PID).order_close(first));
    assert!(zone.row(first).is_none());
    assert!(!zone.row(second).unwrap().is_ordered_to_close());
    assert_eq!(names(&zone), ["show"]);
}

#[test]
fn media_is_counted_without_the_lock() {
    let heap = heap();
    let zone = heap.zone();
    let id = claim(&zone, &stream("show", register(&zone, PID)));
    let held = zone.lock(PID);
    let row = zone.row(id).unwrap();
    row.media(NOW.plus_seconds(1), 1000);
    row.media(NOW.plus_seconds(2), 234);
    drop(held);
    let [live] = zone.lock(PID).streams(|_| true).try_into().unwrap();
    assert_eq!((live.last_media, live.bytes_in, live.since), (NOW.plus_seconds(2), 1234, NOW));
}

#[test]
fn a_dead_workers_stream_can_be_claimed_at_once() {
    let heap = heap();
    let zone = heap.zone();
    let (dead, alive) = (register(&zone, 10), register(&zone, 11));
    let before = claim(&zone, &stream("show", dead));
    claim(&zone, &stream("other", alive));
    let is_alive = |pid| pid != 10;
    assert_eq!(zone.lock(11).streams(is_alive).len(), 1);
    let Claim::Taken(after) = zone.lock(11).claim(&stream("show", alive), NOW, is_alive).unwrap() else {
        panic!("the dead keep the name")
    };
    assert_ne!(before, after);
    assert_eq!(zone.lock(11).reclaim(NOW, is_alive), 0);
    assert_eq!(names(&zone), ["other", "show"]);
}

#[test]
fn reclaiming_frees_the_streams_of_the_dead_alone() {
    let heap = heap();
    let zone = heap.zone();
    let workers = [10, 11, 12].map(|pid| register(&zone, pid));
    for n in 0..30 {
        claim(&zone, &stream(&format!("s{n:02}"), workers[n % 3]));
    }
    assert_eq!(zone.lock(PID).reclaim(NOW, |pid| pid == 11), 20);
    assert_eq!(used(&zone), 10 * BLOCKS);
    assert!(zone.lock(PID).streams(|_| true).iter().all(|live| live.worker_pid == 11));
    assert_eq!(zone.lock(PID).reclaim(NOW, |pid| pid == 11), 0);
}

#[test]
fn orders_reach_the_rows_they_are_for() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, PID);
    let by = |name, key| NewStream { credential: key, ..stream(name, worker) };
    let [a, b, c] =
        [("a", Credential::Key(KeyId(1))), ("b", Credential::Key(KeyId(2))), ("c", Credential::Open)]
            .map(|(name, credential)| claim(&zone, &by(name, credential)));
    let ordered = || [a, b, c].map(|id| zone.row(id).unwrap().is_ordered_to_close());
    let orders = zone.orders();
    assert_eq!(zone.order_close_keys(PID, &[KeyId(3)].into()), 0);
    assert_eq!(zone.order_close_keys(PID, &[KeyId(0)].into()), 0);
    assert_eq!((zone.orders(), ordered()), (orders, [false; 3]));
    assert_eq!(zone.order_close_keys(PID, &[KeyId(2)].into()), 1);
    assert!(zone.lock(PID).order_close(c));
    assert_eq!((zone.orders(), ordered()), (orders + 2, [false, true, true]));
    // The order goes with the row.
    zone.lock(PID).release(b, NOW);
    assert!(!zone.row(claim(&zone, &by("b", Credential::Token))).unwrap().is_ordered_to_close());
}

#[test]
fn the_longest_names_and_every_credential_come_back() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, PID);
    let (app, addr) = ("a".repeat(128), "2001:db8:1111:2222:3333:4444:5555:6666");
    let credentials =
        [Credential::Open, Credential::Key(KeyId(u64::MAX)), Credential::Token, Credential::Pull];
    for (n, credential) in credentials.into_iter().enumerate() {
        let name = n.to_string().repeat(128);
        claim(&zone, &NewStream { app: &app, name: &name, credential, addr, ..stream("", worker) });
    }
    let listed = zone.lock(PID).streams(|_| true);
    assert_eq!(listed.iter().map(|live| live.credential).collect::<Vec<_>>(), credentials);
    for (n, live) in listed.iter().enumerate() {
        assert_eq!((&live.app, live.addr.as_str()), (&app, addr));
        assert_eq!(live.name, n.to_string().repeat(128));
        zone.lock(PID).release(live.id, NOW);
    }
    assert_eq!(used(&zone), 0);
}

#[test]
fn a_clock_set_back_harms_no_row() {
    let heap = heap();
    let zone = heap.zone();
    let id = claim(&zone, &stream("show", register(&zone, PID)));
    zone.row(id).unwrap().media(Timestamp::from_millis(0), u64::MAX);
    zone.row(id).unwrap().media(Timestamp::from_millis(0), 2);
    assert_eq!(zone.lock(PID).streams(|_| true)[0].bytes_in, 1);
}
