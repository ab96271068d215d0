//! A row is identified by its place and its session: a later row in the same place is another row.

use weir_model::{Server, target::PushState};

use super::deaths::{NOW, push, small_heap, stream};
use crate::{NewPlayer, StreamId, heap::Heap};

static SERVER: Server = Server::nowhere();

/// Creates and ends rows until one is in the place of the first.
fn again_in_place(mut make: impl FnMut() -> StreamId, end: impl Fn(StreamId)) -> (StreamId, StreamId) {
    let first = make();
    end(first);
    // The zone takes the block that was freed last first: a row's tail, and then the row itself.
    let mut later = (0..10).map(|_| make());
    let found = later.find(|later| {
        later.place == first.place || {
            end(*later);
            false
        }
    });
    (first, found.expect("the place is never taken again"))
}

fn heap() -> Heap {
    small_heap(64 * 1024)
}

#[test]
fn a_stream_is_not_the_one_before_it() {
    let heap = heap();
    let zone = heap.zone();
    let worker = zone.lock(1).register(1, NOW, |_| true).unwrap();
    let make = || zone.lock(1).watch(&stream("show", worker), NOW).unwrap();
    let (first, second) = again_in_place(make, |id| zone.lock(1).release(id, NOW));
    assert!(zone.row(first).is_none() && !zone.lock(1).order_close(first));
    zone.lock(1).unpublished(first);
    zone.lock(1).started(first, NOW);
    zone.lock(1).release(first, NOW);
    let row = zone.row(second).unwrap();
    assert!(!row.is_ordered_to_close());
}

#[test]
fn a_player_is_not_the_one_before_it() {
    let heap = heap();
    let zone = heap.zone();
    let worker = zone.lock(1).register(1, NOW, |_| true).unwrap();
    let new =
        NewPlayer { server: &SERVER, app: "live", stream: "show", addr: "192.0.2.1", worker, own: false };
    let make = || zone.lock(1).add_player(&new, NOW).unwrap();
    let (first, second) = again_in_place(make, |id| zone.lock(1).remove_player(id));
    assert!(zone.player_row(first).is_none());
    zone.lock(1).remove_player(first);
    assert!(zone.player_row(second).is_some());
}

#[test]
fn a_push_is_not_the_one_before_it() {
    let heap = heap();
    let zone = heap.zone();
    let worker = zone.lock(1).register(1, NOW, |_| true).unwrap();
    let live = zone.lock(1).watch(&stream("show", worker), NOW).unwrap();
    let make = || zone.lock(1).add_push(&push(1, live, worker), NOW).unwrap().row();
    let (first, second) = again_in_place(make, |id| zone.lock(1).remove_push(id.into()));
    assert!(zone.push_row(first.into()).is_none());
    zone.lock(1).set_push_state(first.into(), PushState::Live, NOW, None, None);
    zone.lock(1).remove_push(first.into());
    let seen = zone.lock(1).pushes(|_| true);
    let second = seen.iter().find(|push| push.id == second.into()).unwrap();
    assert_eq!(second.state, PushState::Connecting);
}
