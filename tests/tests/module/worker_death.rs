//! A killed worker affects only its own connections: its streams leave the list and their names are free. The zone is neither locked nor
//! broken, even if the worker died while it changed the zone.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;
use weir_tests::harness::process::Process;
use weir_tests::harness::{Api, Outcome, Publisher, until};

use super::{keyed, wait_live, worker_of};

#[test]
fn killed_while_publishing() {
    let mut nginx = keyed().workers(2).start();
    let api = nginx.api();
    let path = format!("live/{}", api.create_key("live", "show").key);
    for _ in 0..3 {
        let publisher = Publisher::to(nginx.rtmp(), &path).start().started();
        publisher.send_more(200);
        let worker = worker_of(&nginx, "show");
        nginx.kill_worker(Process(worker));
        publisher.wait_closed(5.0);
        // A valid key is accepted immediately, and does not wait for a clean-up.
        let again = Publisher::to(nginx.rtmp(), &path).start();
        assert_eq!(again.outcome(), Outcome::Started);
        assert_ne!(wait_live(&api, "live", "show")["publisher"]["worker_pid"], worker);
        again.close();
        super::wait_gone(&api, "live", "show");
    }
    until("health lists the workers that are there", 5.0, || {
        let health = api.get("/v1/health").expect(200);
        let pids = health["workers"].as_array().unwrap().iter().map(|worker| worker["pid"].as_i64().unwrap());
        pids.collect::<HashSet<_>>() == nginx.workers().iter().map(|worker| i64::from(worker.0)).collect()
    });
}

#[test]
fn its_streams_leave_the_list() {
    let mut nginx = keyed().workers(2).app("open", "weir_publish open;").start();
    let publishers: Vec<_> =
        (0..6).map(|n| Publisher::to(nginx.rtmp(), &format!("open/show{n}")).start().started()).collect();
    let victim = nginx.workers()[0];
    nginx.kill_worker(victim);
    let api = nginx.api();
    until("the dead worker's streams leave the list", 5.0, || {
        let streams = api.streams();
        streams.len() == publishers.iter().filter(|p| !p.is_closed()).count()
            && streams.iter().all(|stream| stream["publisher"]["worker_pid"] != victim.0)
    });
}

#[test]
fn killed_while_the_zone_is_changed() {
    let mut nginx = keyed().workers(2).app("open", "weir_publish open;").start();
    // nginx frees the lock of a dead worker, and logs it. The worker holds the lock only in some runs.
    nginx.allow("shared memory zone \"weir\" was locked by");
    let stop = Arc::new(AtomicBool::new(false));
    let changes = Arc::new(AtomicUsize::new(0));
    let base = nginx.url("/api");
    // A request to a worker that dies gets no answer; a change that was answered must hold for ever.
    let writers: Vec<_> = (0..3)
        .map(|n| {
            let (api, stop, changes) = (Api::new(&base), stop.clone(), changes.clone());
            std::thread::spawn(move || {
                let (mut created, mut revoked) = (Vec::new(), Vec::new());
                while !stop.load(Ordering::Relaxed) {
                    let body = json!({"app": "live", "stream": format!("s{n}"), "note": "n".repeat(created.len() % 100)});
                    let Ok(answer) = Api::try_send(api.request("POST", "/v1/keys").json(&body)) else { continue };
                    changes.fetch_add(1, Ordering::Relaxed);
                    created.push(answer.expect(201)["id"].as_str().unwrap().to_owned());
                    if created.len() % 3 == 0 {
                        let id = created.pop().unwrap();
                        let request = api.request("DELETE", &format!("/v1/keys/{id}"));
                        if Api::try_send(request.header("Content-Type", "application/json")).is_ok() {
                            revoked.push(id);
                        }
                    }
                }
                (created, revoked)
            })
        })
        .collect();
    for round in 0..8 {
        let publisher = Publisher::to(nginx.rtmp(), &format!("open/show{round}")).start();
        publisher.outcome();
        let goal = changes.load(Ordering::Relaxed) + 50;
        until("the zone is changed", 10.0, || changes.load(Ordering::Relaxed) >= goal);
        let victim = nginx.workers()[round % 2];
        nginx.kill_worker(victim);
    }
    stop.store(true, Ordering::Relaxed);
    let (mut created, mut revoked) = (HashSet::new(), HashSet::new());
    for writer in writers {
        let (c, r) = writer.join().unwrap();
        created.extend(c);
        revoked.extend(r);
    }
    let api = nginx.api();
    let listed: HashSet<String> = api.get("/v1/keys").expect(200)["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["id"].as_str().unwrap().to_owned())
        .collect();
    assert!(created.is_subset(&listed), "{:?} are lost", created.difference(&listed));
    assert!(revoked.is_disjoint(&listed), "{:?} are back", revoked.intersection(&listed));
    let key = api.create_key("live", "after").key;
    Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
}
