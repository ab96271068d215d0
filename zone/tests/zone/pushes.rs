//! Pushes: the worker of the publisher reports the state of each push, and the rows are removed with that worker.

use weir_model::target::{PushState, PushView, TargetId};
use weir_zone::{LivePush, MAX_PUSH_ERROR, NewPush, PushId, StreamId, WorkerId, ZoneFull};

use super::{NOW, PID, TestZone, add_target, after, claim, heap, register, stream, target, used};

fn new(target: u64, of: StreamId, worker: WorkerId) -> NewPush<'static> {
    NewPush {
        target: TargetId(target),
        stream: of,
        app: "live",
        name: "show",
        state: PushState::Connecting,
        worker,
    }
}

fn push(zone: &TestZone<'_>, target: u64, of: StreamId, worker: WorkerId) -> PushId {
    zone.lock(PID).add_push(&new(target, of, worker), NOW).unwrap()
}

fn only(zone: &TestZone<'_>) -> LivePush {
    let [push] = zone.lock(PID).pushes(|_| true).try_into().unwrap();
    push
}

#[test]
fn a_push_is_listed_as_its_worker_said() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, 10);
    let live = claim(&zone, &stream("show", worker));
    let id = push(&zone, 7, live, worker);
    let fresh = LivePush {
        id,
        target: TargetId(7),
        session: live.session(),
        app: "live".to_owned(),
        name: "show".to_owned(),
        worker_pid: 10,
        state: PushState::Connecting,
        since: NOW,
        retry_at: None,
        bytes_out: 0,
        bitrate_out: 0,
        reconnects: 0,
        last_error: None,
    };
    assert_eq!(only(&zone), fresh);
    zone.lock(PID).set_push_state(id, PushState::Waiting, after(5), Some(after(1005)), Some("refused"));
    let row = zone.push_row(id).unwrap();
    row.describe(1000, 8000);
    row.count_reconnect();
    row.count_reconnect();
    let waiting = LivePush {
        state: PushState::Waiting,
        since: after(5),
        retry_at: Some(after(1005)),
        bytes_out: 1000,
        bitrate_out: 8000,
        reconnects: 2,
        last_error: Some("refused".to_owned()),
        ..fresh
    };
    assert_eq!(only(&zone), waiting);
    // It was refused once, and that stays to be seen.
    zone.lock(PID).set_push_state(id, PushState::Live, after(2000), None, None);
    let expected = LivePush { state: PushState::Live, since: after(2000), retry_at: None, ..waiting };
    assert_eq!(only(&zone), expected);
}

#[test]
fn the_api_shows_how_long_it_waits() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, PID);
    let id = push(&zone, 7, claim(&zone, &stream("show", worker)), worker);
    for (state, retry_at, now, shown) in [
        (PushState::Waiting, Some(after(1000)), after(400), Some(600)),
        (PushState::Waiting, Some(after(1000)), after(1400), Some(0)),
        (PushState::Waiting, None, NOW, None),
        (PushState::Live, Some(after(1000)), NOW, None),
    ] {
        zone.lock(PID).set_push_state(id, state, NOW, retry_at, None);
        let view = PushView {
            stream: "show".to_owned(),
            state,
            since: NOW,
            retry_in_ms: shown,
            ..PushView::default()
        };
        assert_eq!(only(&zone).view(now), view);
    }
}

#[test]
fn errors_come_and_go_and_take_no_more_than_they_need() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, PID);
    let id = push(&zone, 7, claim(&zone, &stream("show", worker)), worker);
    let before = used(&zone);
    let set = |error: &str| {
        zone.lock(PID).set_push_state(id, PushState::Waiting, NOW, None, Some(error));
        only(&zone).last_error.unwrap_or_default()
    };
    for len in 0..=MAX_PUSH_ERROR {
        let error = "e".repeat(len);
        assert_eq!(set(&error), error);
    }
    assert_eq!(used(&zone), before + 1);
    // Cut where a character ends.
    assert_eq!(set(&"é".repeat(150)), "é".repeat(100));
    assert_eq!(set(&format!("x{}", "é".repeat(150))), format!("x{}", "é".repeat(99)));
    assert_eq!((set(""), used(&zone)), (String::new(), before));
    zone.lock(PID).remove_push(id);
    zone.lock(PID).remove_push(id);
    assert!(zone.lock(PID).pushes(|_| true).is_empty() && zone.push_row(id).is_none());
}

#[test]
fn the_longest_names_leave_the_error_whole() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, PID);
    let live = claim(&zone, &stream("show", worker));
    let (app, name, error) = ("a".repeat(255), "n".repeat(255), "e".repeat(MAX_PUSH_ERROR));
    let new = NewPush { app: &app, name: &name, ..new(1, live, worker) };
    let id = zone.lock(PID).add_push(&new, NOW).unwrap();
    zone.lock(PID).set_push_state(id, PushState::Off, NOW, None, Some(&error));
    let listed = only(&zone);
    assert_eq!((listed.app, listed.name, listed.last_error), (app, name, Some(error)));
}

#[test]
fn a_stale_id_does_nothing() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, PID);
    let live = claim(&zone, &stream("show", worker));
    let stale = push(&zone, 1, live, worker);
    zone.lock(PID).remove_push(stale);
    let id = push(&zone, 2, live, worker);
    zone.lock(PID).set_push_state(stale, PushState::Live, NOW, None, Some("wrong"));
    zone.lock(PID).remove_push(stale);
    assert!(zone.push_row(stale).is_none());
    let listed = only(&zone);
    assert_eq!((listed.id, listed.state, listed.last_error), (id, PushState::Connecting, None));
    // A stream's row is no push's.
    zone.lock(PID).release(live, NOW);
    assert_eq!(only(&zone).id, id);
}

#[test]
fn pushes_go_with_their_worker_and_targets_stay() {
    let heap = heap();
    let zone = heap.zone();
    add_target(&zone, &target(7));
    let before = used(&zone);
    let [dead, alive] = [10, 11].map(|pid| register(&zone, pid));
    for (name, worker) in [("a", dead), ("b", alive)] {
        let live = claim(&zone, &stream(name, worker));
        for target in 0..3 {
            push(&zone, target, live, worker);
        }
    }
    assert_eq!(zone.lock(PID).pushes(|pid| pid != 10).len(), 3);
    zone.lock(PID).reclaim(NOW, |pid| pid != 10);
    let left = zone.lock(PID).pushes(|_| true);
    assert!(left.len() == 3 && left.iter().all(|push| push.worker_pid == 11));
    zone.lock(PID).unregister(alive, NOW);
    assert_eq!((used(&zone), zone.lock(PID).targets().len()), (before, 1));
}

#[test]
fn a_full_zone_refuses_pushes_and_leaves_room_for_publishers() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, PID);
    let live = claim(&zone, &stream("show", worker));
    let mut ids = Vec::new();
    let refused = (0..).find_map(|target| match zone.lock(PID).add_push(&new(target, live, worker), NOW) {
        Ok(id) => {
            ids.push(id);
            None
        }
        Err(full) => Some(full),
    });
    assert_eq!(refused, Some(ZoneFull));
    claim(&zone, &stream("other", worker));
    // For an error that is too long there is no room: then there is none, rather than an old one.
    let id = ids[0];
    zone.lock(PID).set_push_state(id, PushState::Waiting, NOW, None, Some("short"));
    zone.lock(PID).set_push_state(id, PushState::Off, NOW, None, Some(&"e".repeat(MAX_PUSH_ERROR)));
    let first = zone.lock(PID).pushes(|_| true).swap_remove(0);
    assert_eq!((first.state, first.last_error, first.name.as_str()), (PushState::Off, None, "show"));
}
