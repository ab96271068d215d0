//! Players are counted over all workers and dropped by order, and their sent bytes are added to their stream.

use weir_model::Server;
use weir_zone::{NewPlayer, NewStream, StreamId, WorkerId};

use super::{NOW, PID, SERVER, TestZone, claim, heap, register, stream, used};

fn play(zone: &TestZone<'_>, worker: WorkerId) -> StreamId {
    let new =
        NewPlayer { server: &SERVER, app: "live", stream: "show", addr: "192.0.2.7", worker, own: false };
    zone.lock(PID).add_player(&new, NOW).unwrap()
}

#[test]
fn players_of_one_stream_are_many() {
    let heap = heap();
    let zone = heap.zone();
    let workers = [10, 11].map(|pid| register(&zone, pid));
    let live = claim(&zone, &stream("show", workers[0]));
    let ids = [0, 1, 0].map(|at| play(&zone, workers[at]));
    let listed = zone.lock(PID).players(|_| true);
    assert_eq!(listed.iter().map(|player| player.id).collect::<Vec<_>>(), ids);
    assert_eq!(listed.iter().map(|player| player.worker_pid).collect::<Vec<_>>(), [10, 11, 10]);
    let first = &listed[0];
    assert_eq!(
        (first.app.as_str(), first.stream.as_str(), first.addr.as_str()),
        ("live", "show", "192.0.2.7")
    );
    // A player's row is no stream's, and the other way round.
    assert!(zone.row(ids[0]).is_none() && zone.player_row(live).is_none());
    zone.lock(PID).release(ids[0], NOW);
    zone.lock(PID).remove_player(live);
    assert_eq!((zone.lock(PID).players(|_| true).len(), zone.row(live).is_some()), (3, true));
}

#[test]
fn what_a_player_was_sent_stays_with_its_stream() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, PID);
    claim(&zone, &stream("show", worker));
    for bytes in [1000, 234] {
        let id = play(&zone, worker);
        zone.player_row(id).unwrap().describe(bytes, 8 * bytes, 1, 0);
        let [player] = zone.lock(PID).players(|_| true).try_into().unwrap();
        assert_eq!((player.bytes_out, player.bitrate_out, player.dropped), (bytes, 8 * bytes, 1));
        zone.lock(PID).remove_player(id);
        zone.lock(PID).remove_player(id);
    }
    let [live] = zone.lock(PID).streams(|_| true).try_into().unwrap();
    assert_eq!((live.bytes_out, live.dropped), (1234, 2));
}

#[test]
fn a_player_counts_for_the_stream_of_its_server_block() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, PID);
    let servers = ["1935", "1936"].map(|port| Server::new([port.parse().unwrap()]));
    for server in &servers {
        claim(&zone, &NewStream { server, ..stream("show", worker) });
    }
    let new =
        NewPlayer { server: &servers[1], app: "live", stream: "show", addr: "192.0.2.7", worker, own: false };
    let id = zone.lock(PID).add_player(&new, NOW).unwrap();
    assert_eq!(zone.lock(PID).players(|_| true)[0].server, servers[1]);
    zone.player_row(id).unwrap().describe(1000, 8000, 1, 0);
    zone.lock(PID).remove_player(id);
    let sent: Vec<u64> = zone.lock(PID).streams(|_| true).iter().map(|live| live.bytes_out).collect();
    assert_eq!(sent, [0, 1000]);
}

#[test]
fn a_file_has_a_position() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, PID);
    let id = play(&zone, worker);
    let listed = || zone.lock(PID).players(|_| true)[0].file_ms;
    assert_eq!(listed(), None);
    for position in [Some(0), Some(u32::MAX), None] {
        zone.player_row(id).unwrap().set_file(position);
        assert_eq!(listed(), position);
    }
    // The next player in the same row plays a live stream.
    zone.player_row(id).unwrap().set_file(Some(7));
    zone.lock(PID).remove_player(id);
    play(&zone, worker);
    assert_eq!(listed(), None);
}

#[test]
fn an_order_names_the_stream_too() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, PID);
    let id = play(&zone, worker);
    let other = play(&zone, worker);
    assert!(!zone.lock(PID).order_drop("live", "other", id.session()));
    assert!(!zone.lock(PID).order_drop("live", "show", other.session() + 1));
    assert!(zone.lock(PID).order_drop("live", "show", id.session()));
    assert!(zone.player_row(id).unwrap().is_ordered_to_close());
    assert!(!zone.player_row(other).unwrap().is_ordered_to_close());
}

#[test]
fn players_go_with_their_worker() {
    let heap = heap();
    let zone = heap.zone();
    let (dead, alive) = (register(&zone, 10), register(&zone, 11));
    play(&zone, dead);
    play(&zone, alive);
    assert_eq!(zone.lock(11).players(|pid| pid == 11).len(), 1);
    let before = used(&zone);
    zone.lock(11).reclaim(NOW, |pid| pid == 11);
    assert_eq!(used(&zone), before - 2);
    zone.lock(11).unregister(alive, NOW);
    // What counted them is left.
    zone.lock(11).tidy_audiences(NOW);
    assert_eq!(used(&zone), 0);
}

#[test]
fn what_the_daemons_own_players_are_sent_is_not_the_streams() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, PID);
    claim(&zone, &stream("show", worker));
    let new =
        NewPlayer { server: &SERVER, app: "live", stream: "show", addr: "127.0.0.1", worker, own: true };
    let id = zone.lock(PID).add_player(&new, NOW).unwrap();
    zone.player_row(id).unwrap().describe(1000, 8000, 1, 0);
    assert!(zone.lock(PID).players(|_| true)[0].own);
    zone.lock(PID).remove_player(id);
    let [live] = zone.lock(PID).streams(|_| true).try_into().unwrap();
    assert_eq!((live.bytes_out, live.dropped), (0, 0));
    // The same row, for somebody who watches.
    play(&zone, worker);
    assert!(!zone.lock(PID).players(|_| true)[0].own);
}

#[test]
fn a_ticket_is_the_zones_own() {
    let (one, other) = (heap(), heap());
    let ticket = one.zone().player_ticket();
    assert_eq!(ticket.expose().len(), 32);
    assert_eq!(one.zone().player_ticket().digest(), ticket.digest());
    assert!(!format!("{ticket:?}").contains(ticket.expose()));
    drop(other);
}
