//! What more workers bring: the cost of a player, and the number of publishes per second, with one worker, two, four and so on. Each worker
//! has a core of its own, and a thread of the load has another one. So a machine with 16 cores shows up to 8 workers.

use std::fmt::Write as _;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::client::{Acknowledge, publish};
use super::players::{PLAYERS, SECONDS, Show, more_files};
use super::report::{Report, Verdict};
use super::table::median;
use crate::harness::nginx::Config;
use crate::harness::process::Process;
use crate::harness::{Nginx, keys};

/// Rounds of media for each number of workers.
const ROUNDS: usize = 2;
/// Time of publishes, one after the other in each thread.
const PUBLISHES: Duration = Duration::from_secs(3);
/// Keys in the zone. Each thread has its own part of them.
const KEYS: u64 = 10_000;
/// Bits per second of the show that each player receives.
const RATE: f64 = 2e6;
/// The most time per player with all workers, compared with one worker.
const FLAT: f64 = 1.25;

/// What one number of workers did.
struct Measured {
    /// Microseconds of a worker per player and second of media.
    player: f64,
    /// Publishes per second of all workers together.
    publishes: f64,
    /// Microseconds of the workers per publish, with its connection.
    publish: f64,
}

/// Measures nginx-rtmp alone, and Weir with keys and merged writes.
pub(super) fn scale() -> Report {
    more_files();
    let open: fn(u64) -> String = |nth| format!("show-{nth}");
    let secret: fn(u64) -> String = |nth| keys::secret(nth).expose().to_owned();
    let weir = |more: &str| {
        Config::weir()
            .main("weir_zone 64m state=@DIR@/state;")
            .app("live", &format!("weir_publish key; {more}"))
            .file("state", keys::state(KEYS))
    };
    let servers: [(_, &dyn Fn() -> Config, _); 3] = [
        ("nginx-rtmp alone", &|| Config::stock().app("live", ""), open),
        ("`weir_publish key`", &|| weir(""), secret),
        ("the same and `weir_merge_write 60ms`", &|| weir("weir_merge_write 60ms;"), secret),
    ];
    let counts: Vec<usize> =
        (0..).map(|power| 1 << power).take_while(|count| count * 2 <= super::cores().len()).collect();
    let mut report = Report::of(String::from(
        "| | workers | per player and second | seconds of a core per Gbit | publishes per second | per publish |\n|---|---|---|---|---|---|\n",
    ));
    let mut ends = Vec::new();
    for (name, config, names) in servers {
        let mut costs = Vec::new();
        for &count in &counts {
            let Measured { player, publishes, publish } = measure(config, count, names);
            writeln!(
                report.text,
                "| {name} | {count} | {player:.0} us | {:.3} | {publishes:.0} | {publish:.0} us |",
                player / 1e6 / (RATE / 1e9),
            )
            .unwrap();
            costs.push(player);
        }
        if let [first, .., last] = costs[..] {
            ends.push((name, last / first));
        }
    }
    report.say("");
    for (name, ratio) in ends {
        let what = format!("time per player of {}, {} workers to one", name, counts[counts.len() - 1]);
        report.judge(Verdict::of_value(&what, ratio, FLAT, ""));
    }
    report
}

fn measure(config: &dyn Fn() -> Config, count: usize, names: fn(u64) -> String) -> Measured {
    let nginx = config().workers(count).connections(1024).start();
    let workers = nginx.workers();
    for (nth, worker) in workers.iter().enumerate() {
        super::pin(worker.0, super::cores()[nth]);
    }
    let (publishes, publish) = storm(&nginx, &workers, names);
    let mut shows: Vec<_> = workers
        .iter()
        .enumerate()
        .map(|(nth, worker)| {
            nginx.on_worker(*worker, || Show::start(&nginx, &names(nth as u64), &format!("show-{nth}")))
        })
        .collect();
    // Warm-up.
    media(&mut shows, &workers);
    let rounds: Vec<_> = (0..ROUNDS).map(|_| media(&mut shows, &workers)).collect();
    Measured { player: median(&rounds), publishes, publish }
}

/// Sends media to all shows at once. Returns the microseconds of a worker per player and second of media.
fn media(shows: &mut [Show], workers: &[Process]) -> f64 {
    let before = used(workers);
    let (count, start) = (shows.len(), Barrier::new(shows.len()));
    std::thread::scope(|scope| {
        for (nth, show) in shows.iter_mut().enumerate() {
            let start = &start;
            scope.spawn(move || {
                super::pin(0, load_core(nth, count));
                start.wait();
                show.run();
            });
        }
    });
    (used(workers) - before) / (count * PLAYERS) as f64 / f64::from(SECONDS)
}

/// Publishes from one thread per worker. Returns the publishes per second, and the microseconds of the workers for one.
fn storm(nginx: &Nginx, workers: &[Process], names: fn(u64) -> String) -> (f64, f64) {
    let before = used(workers);
    let (begin, end) = (Instant::now(), AtomicBool::new(false));
    let share = KEYS / workers.len() as u64;
    let done: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers.len())
            .map(|nth| {
                let end = &end;
                scope.spawn(move || {
                    super::pin(0, load_core(nth, workers.len()));
                    let mut done = 0;
                    while !end.load(Ordering::Relaxed) {
                        publish(nginx.rtmp(), &names(nth as u64 * share + done % share), Acknowledge::AtOnce);
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        std::thread::sleep(PUBLISHES);
        end.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    (done as f64 / begin.elapsed().as_secs_f64(), (used(workers) - before) / done as f64)
}

/// The core of the load beside a worker: the workers have the first cores.
fn load_core(nth: usize, workers: usize) -> usize {
    let cores = super::cores();
    cores[(workers + nth) % cores.len()]
}

fn used(workers: &[Process]) -> f64 {
    workers.iter().map(|worker| worker.time_used().as_secs_f64() * 1e6).sum()
}
