//! `[health] restart_stuck_worker`: the daemon kills an nginx worker whose event loop hangs, the master starts another one, and the other
//! workers continue. Without the setting, the daemon kills no worker.

use nix::sys::signal::Signal;
use weir_tests::harness::process::Process;
use weir_tests::harness::{Nginx, Sidecar, until};

use super::{open, publish};

const RESTART: &str = "[health]\nrestart_stuck_worker = \"5s\"\n";

/// Stops a worker at a point where it holds no lock that another worker waits for.
#[track_caller]
fn hang(worker: Process) {
    until("the worker stops at its rest", 10.0, || {
        worker.signal(Signal::SIGSTOP);
        until("the worker stops", 10.0, || worker.is_stopped());
        let rests = worker.waits_for_events();
        if !rests {
            worker.signal(Signal::SIGCONT);
        }
        rests
    });
}

/// Waits until the daemon has killed the worker and the master has started another one.
#[track_caller]
fn wait_replaced(nginx: &mut Nginx, sidecar: &Sidecar, worker: Process) {
    let count = nginx.workers().len();
    nginx.allow(&format!("worker process {} exited on signal 9", worker.0));
    nginx.allow(&format!("was locked by {}", worker.0));
    until("the worker is killed", 30.0, || !worker.is_alive());
    until("the master has another", 10.0, || {
        let workers = nginx.workers();
        !workers.contains(&worker) && workers.len() == count
    });
    assert_eq!(sidecar.told("worker.killed")["pid"], worker.0, "{}", sidecar.log());
}

#[test]
fn a_worker_that_hangs_is_replaced_and_the_others_go_on() {
    let mut nginx = open().workers(2).start();
    let sidecar = Sidecar::start(&nginx, RESTART);
    let idle = Sidecar::start(&nginx, "");
    let [stuck, other] = nginx.workers()[..] else { panic!("{:?}", nginx.workers()) };
    let _lost = nginx.on_worker(stuck, || publish(&nginx, "lost"));
    let stays = nginx.on_worker(other, || publish(&nginx, "stays"));
    let session = || nginx.api().stream("live", "stays").map(|stream| stream["session"].clone());
    let before = until("the stream is live", 5.0, session);
    hang(stuck);
    wait_replaced(&mut nginx, &sidecar, stuck);
    let api = nginx.api();
    until("the lost stream is gone", 10.0, || api.stream("live", "lost").is_none());
    assert_eq!(api.stream("live", "stays").unwrap()["session"], before);
    assert!(!stays.is_closed() && other.is_alive());
    stays.send_more(1000);
    // The encoder reconnects.
    let _back = publish(&nginx, "lost");
    assert_eq!(sidecar.log().matches("nginx worker killed").count(), 1, "{}", sidecar.log());
    assert!(!idle.log().contains("killed"), "{}", idle.log());
}

#[test]
fn the_only_worker_that_hangs_is_replaced() {
    let mut nginx = open().start();
    let sidecar = Sidecar::start(&nginx, RESTART);
    let worker = nginx.workers()[0];
    // The daemon must know the worker first.
    until("the daemon knows the streams", 10.0, || sidecar.get("/healthz").is_some());
    hang(worker);
    wait_replaced(&mut nginx, &sidecar, worker);
    let _publisher = publish(&nginx, "show");
    until("the daemon hears nginx again", 15.0, || sidecar.get("/healthz").is_some());
}
