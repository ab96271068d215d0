//! Ten minutes in which players stall, reset their connections, join and leave, publishers die, nginx reloads and workers are killed,
//! with merged writes and the cache of the last keyframe: a new player always gets pictures, and the workers keep their memory.
//!
//! `WEIR_CHURN_MINUTES` sets another time, at least 2 minutes.

use std::time::{Duration, Instant};

use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Nginx, Player, Publisher, Random, wait};

use super::members::Member;

const STREAMS: usize = 3;
/// Most players at a time: those that read, and those that read nothing.
const READERS: usize = 12;
const STALLED: usize = 8;
/// Steps between two checks, two reloads, and two killed workers.
const CHECK: u32 = 25;
const RELOAD: u32 = 400;
const KILL: u32 = 900;
/// Time between two steps.
const PACE: Duration = Duration::from_millis(50);
/// Most memory of the workers at the end, compared with the first minute.
const MOST: f64 = 1.5;

fn publish(nginx: &Nginx, nth: usize) -> Publisher {
    let path = format!("live/show{nth}");
    wait::until("the name is free", 20.0, || {
        let publisher = Publisher::to(nginx.rtmp(), &path).tolerant().start();
        let answer = wait::until_ok(10.0, || publisher.answer());
        matches!(answer, Some(weir_tests::harness::Outcome::Started)).then_some(publisher)
    })
}

fn memory(nginx: &Nginx) -> f64 {
    nginx.workers().iter().map(|worker| worker.memory() as f64).sum()
}

#[test]
#[ignore = "ten minutes: make test-long"]
fn whatever_players_and_publishers_do_others_are_served() {
    let minutes = std::env::var("WEIR_CHURN_MINUTES").map_or(10, |text| text.parse().unwrap());
    assert!(minutes >= 2, "WEIR_CHURN_MINUTES={minutes}: must be at least 2");
    let mut nginx = Config::weir()
        .with_api()
        .workers(2)
        .main("rtmp_auto_push on; worker_shutdown_timeout 10s;")
        .server("timeout 5s;")
        .app("live", "weir_publish open; weir_duplicate takeover; weir_merge_write 60ms; weir_gop_cache 1m;")
        .start();
    let mut random = Random::new(1);
    let mut publishers: Vec<_> = (0..STREAMS).map(|nth| publish(&nginx, nth)).collect();
    let (mut readers, mut stalled) = (Vec::<Player>::new(), Vec::<Member>::new());
    let (begin, mut first) = (Instant::now(), None);
    let mut done = [0_u32; 7];
    for step in 1.. {
        let elapsed = begin.elapsed();
        if elapsed > Duration::from_secs(minutes * 60) {
            break;
        }
        let path = format!("live/show{}", random.below(STREAMS));
        match random.below(10) {
            0..4 if readers.len() < READERS => {
                readers.push(Player::start(nginx.rtmp(), &path));
                done[0] += 1;
            }
            0..6 if !readers.is_empty() => {
                drop(readers.swap_remove(random.below(readers.len())));
                done[1] += 1;
            }
            6 | 7 if stalled.len() < STALLED => {
                // It reads the answers, and then nothing.
                let mut member = Member::player_of(&nginx, &path);
                (0..5).for_each(|_| _ = member.turn());
                stalled.push(member);
                done[2] += 1;
            }
            6..9 if !stalled.is_empty() => {
                // The kernel resets a connection that is closed with unread data.
                drop(stalled.swap_remove(random.below(stalled.len())));
                done[3] += 1;
            }
            9 if random.one_in(8) => {
                let nth = random.below(STREAMS);
                publishers.remove(nth).kill();
                publishers.insert(nth, publish(&nginx, nth));
                done[4] += 1;
            }
            _ => {}
        }
        if step % RELOAD == 0 {
            nginx.reload();
            done[5] += 1;
        }
        if step % KILL == 0 {
            let worker = nginx.workers()[random.below(2)];
            nginx.kill_worker(worker);
            done[6] += 1;
        }
        if step % CHECK == 0 {
            for (nth, publisher) in publishers.iter_mut().enumerate() {
                if publisher.is_closed() {
                    *publisher = publish(&nginx, nth);
                }
            }
            Player::start(nginx.rtmp(), &path).wait_video(10);
            if first.is_none() && elapsed > Duration::from_secs(60) {
                first = Some(memory(&nginx));
            }
        }
        // What was begun happens beside the next steps.
        let next = Instant::now() + PACE;
        wait::until("the next step", 1.0, || Instant::now() >= next);
    }
    let [joined, left, stalls, resets, deaths, reloads, kills] = done;
    println!(
        "{joined} players joined and {left} left, {stalls} read nothing and {resets} reset, {deaths} publishers died, {reloads} reloads, \
         {kills} workers killed"
    );
    drop((readers, stalled));
    publishers.into_iter().for_each(Publisher::close);
    wait::until("nobody is left", 30.0, || nginx.api().streams().is_empty());
    let (first, last) = (first.unwrap(), memory(&nginx));
    assert!(last < first * MOST, "{first} and then {last} bytes");
}
