//! HTTP viewers, players and the daemon's viewers are counted exactly, over all workers, until their time ends. A full
//! table drops the viewer who was seen longest ago, and reports it. A death leaves no wrong count.

use weir_model::{
    Timestamp,
    viewers::{Report, ViewerProtocol},
};
use weir_zone::{Audience, NewPlayer, Seated, StreamId, Viewer, ViewerKey, Watched, WorkerId, heap::Heap};

use super::{NOW, PID, SERVER, TestZone, after, claim, heap, register, stream};

const WINDOW_MS: u64 = 30_000;

fn watched(stream: &str, kind: ViewerProtocol) -> Watched<'_> {
    Watched { app: "live", stream, kind }
}

fn viewer(zone: &TestZone<'_>, n: u64) -> Viewer {
    zone.viewer_of_session(&n.to_le_bytes())
}

fn key(zone: &TestZone<'_>, n: u64, watched: &Watched<'_>) -> ViewerKey {
    zone.viewer_key(viewer(zone, n), watched)
}

/// Viewer number `n` of `live/show` asks for something of HLS.
fn seat(zone: &TestZone<'_>, n: u64, now: Timestamp) -> Seated {
    let watched = watched("show", ViewerProtocol::Hls);
    let key = key(zone, n, &watched);
    if zone.refresh_viewer(key, now, WINDOW_MS) {
        return Seated::Known;
    }
    zone.lock(PID).seat_viewer(key, &watched, now, WINDOW_MS, None).unwrap()
}

fn audience(zone: &TestZone<'_>, name: &str) -> Audience {
    let all = zone.lock(PID).audiences();
    all.into_iter().find(|one| one.name == name).map(|one| one.audience).unwrap_or_default()
}

fn watching(zone: &TestZone<'_>, app: &str) -> u64 {
    zone.lock(PID).watching(app)
}

/// All rows are looked at.
fn sweep(zone: &TestZone<'_>, now: Timestamp) -> usize {
    zone.sweep_viewers(PID, now, zone.viewer_rows().1 / 8)
}

fn play(zone: &TestZone<'_>, worker: WorkerId, own: bool) -> StreamId {
    let new = NewPlayer { server: &SERVER, app: "live", stream: "show", addr: "192.0.2.7", worker, own };
    zone.lock(PID).add_player(&new, NOW).unwrap()
}

#[test]
fn each_viewer_counts_once_for_a_stream_and_a_kind() {
    let heap = heap();
    let zone = heap.zone();
    assert_eq!(
        (seat(&zone, 1, NOW), seat(&zone, 1, after(5)), seat(&zone, 2, NOW)),
        (Seated::New, Seated::Known, Seated::New)
    );
    for (stream, kind) in [("show", ViewerProtocol::Dash), ("other", ViewerProtocol::Hls)] {
        let watched = watched(stream, kind);
        let seated = zone.lock(PID).seat_viewer(key(&zone, 1, &watched), &watched, NOW, WINDOW_MS, None);
        assert_eq!(seated, Ok(Seated::New));
    }
    let counts = Audience { hls: 2, dash: 1, peak: 3, total: 3, ..Audience::default() };
    assert_eq!((audience(&zone, "show"), audience(&zone, "other").hls), (counts, 1));
    assert_eq!((watching(&zone, "live"), watching(&zone, "no")), (4, 0));
}

#[test]
fn an_address_and_a_session_are_different_viewers() {
    let heap = heap();
    let zone = heap.zone();
    let at = |last: u8, agent: &[u8]| zone.viewer_at([last; 16], agent);
    let all = [at(1, b"a"), at(1, b"b"), at(2, b"a"), at(1, b""), zone.viewer_of_session(b"a")];
    for (nth, one) in all.iter().enumerate() {
        assert!(!all[..nth].contains(one));
    }
    assert_eq!(at(1, b"a"), all[0]);
    let other = heap.zone();
    assert_eq!(other.viewer_at([1; 16], b"a"), all[0]);
}

#[test]
fn who_asks_no_more_is_forgotten_after_the_window() {
    let heap = heap();
    let zone = heap.zone();
    seat(&zone, 1, NOW);
    seat(&zone, 2, NOW);
    assert_eq!(seat(&zone, 2, after(20_000)), Seated::Known);
    assert_eq!(sweep(&zone, after(30_000)), 0);
    assert_eq!((sweep(&zone, after(30_200)), audience(&zone, "show").hls), (1, 1));
    assert_eq!((sweep(&zone, after(50_200)), audience(&zone, "show").hls), (1, 0));
    // Who comes back has come again.
    seat(&zone, 1, after(60_000));
    let counts = Audience { hls: 1, peak: 2, total: 3, ..Audience::default() };
    assert_eq!(audience(&zone, "show"), counts);
}

#[test]
fn a_stream_that_begins_counts_anew_who_is_there() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, PID);
    (0..5).for_each(|n| _ = seat(&zone, n, NOW));
    sweep(&zone, after(40_000));
    (0..2).for_each(|n| _ = seat(&zone, n, after(40_000)));
    assert_eq!((audience(&zone, "show").peak, audience(&zone, "show").total), (5, 7));
    let id = claim(&zone, &stream("show", worker));
    zone.lock(PID).started(id, after(40_000));
    assert_eq!((audience(&zone, "show").peak, audience(&zone, "show").total), (2, 2));
}

#[test]
fn players_count_and_the_daemons_own_do_not() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, PID);
    claim(&zone, &stream("show", worker));
    let own = play(&zone, worker, true);
    assert_eq!(audience(&zone, "show"), Audience::default());
    let (one, other) = (play(&zone, worker, false), play(&zone, worker, false));
    assert_eq!((audience(&zone, "show").rtmp, watching(&zone, "live")), (2, 2));
    [own, one, other].into_iter().for_each(|id| zone.lock(PID).remove_player(id));
    zone.lock(PID).remove_player(one);
    let counts = Audience { peak: 2, total: 2, ..Audience::default() };
    assert_eq!((audience(&zone, "show"), watching(&zone, "live")), (counts, 0));
    // Those of a worker that died are counted no more.
    play(&zone, worker, false);
    assert_eq!(audience(&zone, "show").rtmp, 1);
    zone.lock(PID).reclaim(NOW, |_| false);
    assert_eq!((audience(&zone, "show").rtmp, watching(&zone, "live")), (0, 0));
}

#[test]
fn a_limit_refuses_only_who_is_new() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, PID);
    play(&zone, worker, false);
    let show = watched("show", ViewerProtocol::Hls);
    let seat = |n| zone.lock(PID).seat_viewer(key(&zone, n, &show), &show, NOW, WINDOW_MS, Some(3)).unwrap();
    assert_eq!(
        [1, 2, 3, 1, 2].map(seat),
        [Seated::New, Seated::New, Seated::Full, Seated::Known, Seated::Known]
    );
    assert!(!zone.knows_viewer(key(&zone, 3, &show)));
    zone.lock(PID).unseat_viewer(key(&zone, 1, &show));
    zone.lock(PID).unseat_viewer(key(&zone, 1, &show));
    assert_eq!((seat(3), audience(&zone, "show").hls), (Seated::New, 2));
}

fn report(zone: &TestZone<'_>, streams: &str, now: Timestamp) {
    let report = Report::from_json(format!("{{\"streams\":[{streams}]}}").as_bytes()).unwrap();
    zone.lock(PID).report_viewers(&report, now).unwrap();
}

#[test]
fn a_report_replaces_the_one_before_and_lapses() {
    let heap = heap();
    let zone = heap.zone();
    report(
        &zone,
        r#"{"app":"live","stream":"show","llhls":1,"ws":2,"webrtc":3},{"app":"live","stream":"b","ws":1}"#,
        NOW,
    );
    let counts = Audience { llhls: 1, ws: 2, webrtc: 3, peak: 6, total: 6, ..Audience::default() };
    assert_eq!((audience(&zone, "show"), watching(&zone, "live")), (counts, 7));
    report(&zone, r#"{"app":"live","stream":"show","llhls":1,"ws":4}"#, after(5000));
    let counts = Audience { llhls: 1, ws: 4, webrtc: 0, peak: 6, total: 8, ..Audience::default() };
    assert_eq!((audience(&zone, "show"), watching(&zone, "live")), (counts, 5));
    zone.lock(PID).tidy_audiences(after(20_000));
    assert_eq!((audience(&zone, "show").ws, audience(&zone, "b")), (4, Audience::default()));
    zone.lock(PID).tidy_audiences(after(20_001));
    let left = zone.lock(PID).audiences();
    assert_eq!((left.len(), watching(&zone, "live")), (0, 0));
}

#[test]
fn records_that_nobody_needs_are_freed() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, PID);
    claim(&zone, &stream("show", worker));
    let before = super::used(&zone);
    seat(&zone, 1, NOW);
    let gone = watched("gone", ViewerProtocol::Hls);
    zone.lock(PID).seat_viewer(key(&zone, 1, &gone), &gone, NOW, WINDOW_MS, None).unwrap();
    zone.lock(PID).tidy_audiences(NOW);
    assert_eq!(zone.lock(PID).audiences().len(), 2);
    sweep(&zone, after(40_000));
    zone.lock(PID).tidy_audiences(after(40_000));
    // A live stream keeps its peak.
    let [left] = zone.lock(PID).audiences().try_into().unwrap();
    assert_eq!((left.name.as_str(), left.audience.peak), ("show", 1));
    let [live] = zone.lock(PID).streams(|_| true).try_into().unwrap();
    zone.lock(PID).release(live.id, NOW);
    zone.lock(PID).tidy_audiences(after(40_000));
    assert!(zone.lock(PID).audiences().is_empty());
    assert!(super::used(&zone) < before);
}

#[test]
fn strangers_cannot_fill_the_zone_with_names() {
    let heap = heap();
    let zone = heap.zone();
    let refused = (0..10_000).find(|n| {
        let name = format!("name-{n}");
        let watched = watched(&name, ViewerProtocol::Hls);
        zone.lock(PID).seat_viewer(key(&zone, 1, &watched), &watched, NOW, WINDOW_MS, None).is_err()
    });
    let (used, all) = zone.usage();
    assert!(refused.is_some() && used <= all / 8, "{used} of {all}");
    assert!(zone.is_saturated(NOW) && !zone.is_saturated(after(60_000)));
    // Those who watch what is known already are counted all the same.
    assert_eq!(audience(&zone, "name-0").hls, 1);
    let known = watched("name-0", ViewerProtocol::Hls);
    assert_eq!(
        zone.lock(PID).seat_viewer(key(&zone, 2, &known), &known, NOW, WINDOW_MS, None),
        Ok(Seated::New)
    );
}

/// What nginx leaves of `weir_zone 16m`.
fn sixteen() -> Heap {
    Heap::new(16 << 20, 4062 * 4096).unwrap()
}

#[test]
fn sixteen_megabytes_hold_100000_viewers() {
    let heap = sixteen();
    let zone = heap.zone();
    for n in 0..100_000 {
        assert_eq!(seat(&zone, n, NOW), Seated::New);
    }
    assert!(!zone.is_saturated(NOW), "somebody found no row");
    assert_eq!((audience(&zone, "show").hls, zone.viewer_rows().0), (100_000, 100_000));
    assert!((0..100_000).all(|n| seat(&zone, n, NOW) == Seated::Known));
    assert_eq!((sweep(&zone, after(40_000)), audience(&zone, "show").hls), (100_000, 0));
}

#[test]
fn a_full_table_forgets_the_oldest_and_says_so() {
    let heap = heap();
    let zone = heap.zone();
    let rows = zone.viewer_rows().1 as u64;
    assert!(rows >= 250, "{rows}");
    let count = rows * 2;
    for n in 0..count {
        assert_eq!(seat(&zone, n, after(n * 10)), Seated::New, "{n}");
    }
    assert!(zone.is_saturated(after(count * 10)));
    let counted = audience(&zone, "show").hls;
    assert!(counted <= rows && counted * 100 >= rows * 98, "{counted} of {rows}");
    assert_eq!(zone.viewer_rows().0 as u64, counted);
    let known = |n: &u64| zone.knows_viewer(key(&zone, *n, &watched("show", ViewerProtocol::Hls)));
    // The newest are there, and of the oldest nobody.
    assert!((count - 100..count).all(|n| known(&n)));
    assert!((0..rows / 2).filter(known).count() < 5);
}

/// Many processes count the same viewers at the same time.
#[test]
fn workers_that_race_count_each_viewer_once() {
    let heap = Heap::new(1 << 20, 1 << 20).unwrap();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let heap = &heap;
            scope.spawn(move || {
                let zone = heap.zone();
                for round in 0..20 {
                    for n in 0..500 {
                        seat(&zone, (n * 7 + worker * 131) % 500, after(round * 1000));
                    }
                    zone.sweep_viewers(PID, after(round * 1000), 64);
                }
            });
        }
    });
    let zone = heap.zone();
    assert_eq!((audience(&zone, "show").hls, audience(&zone, "show").total), (500, 500));
    assert_eq!((sweep(&zone, after(60_000)), audience(&zone, "show").hls), (500, 0));
}

/// Nobody gives the lock back: the next one counts anew.
#[test]
fn who_dies_inside_leaves_the_right_counts() {
    let heap = heap();
    let zone = heap.zone();
    let worker = register(&zone, PID);
    (0..20).for_each(|n| _ = seat(&zone, n, NOW));
    play(&zone, worker, false);
    play(&zone, worker, true);
    report(&zone, r#"{"app":"live","stream":"show","ws":2}"#, NOW);
    let before = (audience(&zone, "show"), watching(&zone, "live"));
    std::mem::forget(zone.lock(PID));
    heap.break_lock();
    assert_eq!((audience(&zone, "show"), watching(&zone, "live")), before);
    assert_eq!((before.0.now(), before.1), (23, 23));
}
