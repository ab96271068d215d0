//! `weir_gop_cache` with several workers: each worker has the last keyframe for its own players.

use weir_tests::harness::until;

use super::super::members::{Member, all};
use super::{assert_got, expected, is_key, kinds, last, later, parted, server, tags_of};

#[test]
fn players_of_all_workers_begin_with_the_last_keyframe() {
    let nginx = server("").main("rtmp_auto_push on;").workers(4).start();
    let mut publisher = Member::publisher(&nginx, 4096);
    let tags = all();
    let (begin, end) = parted(&tags);
    let mut witnesses: Vec<_> = nginx
        .workers()
        .into_iter()
        .map(|worker| nginx.on_worker(worker, || Member::player(&nginx)))
        .collect();
    // The stream reaches another worker some time after it began.
    let mut ms = 0;
    until("all workers have pictures", 20.0, || {
        publisher.send(&later(&tags, ms));
        ms += 2000;
        witnesses.iter_mut().all(|witness| {
            witness.turn();
            tags_of(&witness.got).iter().any(is_key)
        })
    });
    let (begin, end) = (later(begin, ms), later(end, ms));
    publisher.send(&begin);
    let mut pairs = Vec::new();
    for (worker, mut witness) in nginx.workers().into_iter().zip(witnesses.drain(..)) {
        witness.wait_last(&last(&begin));
        let joined = tags_of(&witness.got).len();
        let mut player = nginx.on_worker(worker, || Member::player(&nginx));
        player.wait_last(&last(&begin));
        pairs.push((witness, joined, player));
    }
    publisher.send(&end);
    for (nth, (mut witness, joined, mut player)) in pairs.into_iter().enumerate() {
        witness.wait_last(&last(&end));
        player.wait_last(&last(&end));
        let other = tags_of(&witness.got);
        let start = other[..joined].iter().rposition(is_key).unwrap();
        // The sample repeats its headers in each round, and they empty the cache, so the last round is complete.
        assert!(other[start].timestamp >= ms, "worker {nth}");
        assert_got(&player, &expected(&other, joined, &kinds()[0]), &format!("worker {nth}"));
    }
}

#[test]
fn other_workers_have_the_last_keyframe_before_the_next_one() {
    let nginx = server("").main("rtmp_auto_push on;").workers(3).start();
    let mut publisher = Member::publisher(&nginx, 4096);
    let tags = all();
    let key = tags.iter().position(is_key).unwrap();
    let count = tags[key + 1..].iter().position(is_key).unwrap();
    publisher.send(&tags[..key + count]);
    let all_begin = |when: &str| {
        for (nth, worker) in nginx.workers().into_iter().enumerate() {
            let mut player = nginx.on_worker(worker, || Member::player(&nginx));
            until(&format!("a player of worker {nth} has the keyframe {when}"), 10.0, || {
                player.turn();
                tags_of(&player.got).iter().any(is_key)
            });
        }
    };
    all_begin("after the publish");
    nginx.reload();
    all_begin("after a reload");
}
