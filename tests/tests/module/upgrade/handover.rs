//! After an upgrade, the new master has the zone of the old one: it lists the streams of the old workers, drops them, and knows their
//! names. If the zone does not fit, the new master begins with an empty one, and both serve.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use weir_tests::harness::nginx::Config;
use weir_tests::harness::peer::assert_unbroken;
use weir_tests::harness::process::Process;
use weir_tests::harness::{Api, Nginx, Peer, Player, Publisher, until};

use super::super::{BAD_NAME, DENIED, wait_gone, wait_live};

const NAME: &str = "/memfd:weir_zone (deleted)";
/// Length of the description at the end of a zone's file.
const DESCRIPTION: u64 = 4096;

fn config() -> Config {
    let mut config = Config::weir()
        .with_api()
        .http("location /stat { weir_stat json; }")
        .main("weir_secret @DIR@/secret;")
        .file("secret", b"0123456789abcdef0123456789abcdef")
        .app("live", "weir_publish key;")
        .app("take", "weir_publish key; weir_duplicate takeover;")
        .app("paid", "weir_publish open; weir_play token;")
        .app("out", "weir_publish open; weir_push on;");
    config.daemon = true;
    config
}

/// Returns the old workers, without the new master.
fn workers_of(old: Process, new: Process) -> Vec<Process> {
    old.children().into_iter().filter(|child| *child != new).collect()
}

/// Upgrades, and makes the old workers take no more connections. Returns the old master.
#[track_caller]
fn upgrade(nginx: &mut Nginx) -> Process {
    let old = nginx.upgrade();
    retire(old, nginx.master());
    old
}

/// Makes the workers of a master take no more connections (SIGWINCH).
#[track_caller]
fn retire(old: Process, new: Process) {
    old.signal(Signal::SIGWINCH);
    until("the old workers take no connections", 10.0, || {
        workers_of(old, new).iter().all(|worker| worker.title().contains("shutting down"))
    });
}

/// Returns how often a process has mapped a zone.
fn mapped(process: Process) -> usize {
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", process.0)).unwrap();
    maps.lines().filter(|line| line.contains("weir_zone")).count()
}

/// Opens the file of the zone of a master.
fn zone_file(master: Process) -> File {
    let links = std::fs::read_dir(format!("/proc/{}/fd", master.0)).unwrap();
    let mut links = links.map(|link| link.unwrap().path());
    let is_zone = |link: &PathBuf| std::fs::read_link(link).is_ok_and(|it| it.to_str() == Some(NAME));
    let link = links.find(is_zone).expect("the master has a file of its zone");
    OpenOptions::new().read(true).write(true).open(link).unwrap()
}

#[track_caller]
fn worker_pid(stream: &Value) -> i64 {
    stream["publisher"]["worker_pid"].as_i64().unwrap()
}

#[test]
fn old_streams_are_listed_and_dropped() {
    let mut nginx = config().start();
    let api = nginx.api();
    let key = api.create_key("live", "show").key;
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    let player = Player::start(nginx.rtmp(), "live/show");
    player.wait_video(3);
    let before = wait_live(&api, "live", "show");
    let old = upgrade(&mut nginx);
    nginx.wait_log(&format!("took over the zone of the old master {}", old.0));
    let after = api.get("/v1/streams/live/show").expect(200);
    assert_eq!(after["session"], before["session"]);
    assert_eq!(workers_of(old, nginx.master()), [Process(worker_pid(&after) as i32)]);
    assert_eq!(after["viewers"]["rtmp"], 1);
    assert_eq!(api.get("/v1/keys").expect(200)["keys"].as_array().unwrap().len(), 1, "the key is lost");
    let statistics = Api::new(&nginx.url("/stat")).get("").expect(200);
    assert_eq!(statistics["streams"].as_array().unwrap().len(), 1, "{statistics}");
    // Each worker says whose it is.
    let health = api.get("/v1/health").expect(200);
    let masters: Vec<_> = health["workers"].as_array().unwrap().iter().map(|it| &it["master_pid"]).collect();
    assert_eq!(masters, [&json!(old.0), &json!(nginx.master().0)], "{health}");
    let players = api.get("/v1/streams/live/show/players").expect(200);
    let id = players["players"][0]["id"].as_str().unwrap();
    api.delete(&format!("/v1/streams/live/show/players/{id}")).expect(200);
    player.wait_closed(2.0);
    publisher.send_more(300);
    assert!(!publisher.is_closed());
    let dropped = api.delete("/v1/streams/live/show?ban_s=60").expect(200);
    assert_eq!(dropped["dropped"], 1);
    publisher.wait_closed(2.0);
    wait_gone(&api, "live", "show");
    Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().refused(DENIED);
}

#[test]
fn revocations_drop_old_publishers_and_players() {
    let mut nginx = config().start();
    let api = nginx.api();
    let key = api.create_key("live", "show");
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{}", key.key)).start().started();
    let open = Publisher::to(nginx.rtmp(), "paid/film").start().started();
    let body = json!({"app": "paid", "stream": "film", "action": "play", "ttl_s": 600});
    let token = api.post("/v1/tokens", &body).expect(201)["token"].as_str().unwrap().to_owned();
    let player = Player::start(nginx.rtmp(), &format!("paid/film?token={token}"));
    player.wait_video(3);
    upgrade(&mut nginx);
    let answer = api.delete(&format!("/v1/keys/{}", key.id)).expect(200);
    assert_eq!(answer["dropped"], 1);
    publisher.wait_closed(2.0);
    api.post("/v1/tokens/revoke", &json!({"app": "paid", "stream": "film"})).expect(200);
    player.wait_closed(2.0);
    assert!(!open.is_closed());
}

#[test]
fn old_names_are_not_free() {
    let mut nginx = config().start();
    let api = nginx.api();
    let key = |app| api.create_key(app, "show").key;
    let (live, other, take) = (key("live"), key("live"), key("take"));
    let publish = |app: &str, key: &str| Publisher::to(nginx.rtmp(), &format!("{app}/{key}")).start();
    let (kept, replaced) = (publish("live", &live).started(), publish("take", &take).started());
    let rtmp = nginx.rtmp();
    upgrade(&mut nginx);
    let publish = |app: &str, key: &str| Publisher::to(rtmp, &format!("{app}/{key}")).start();
    for key in [&live, &other] {
        let reason = publish("live", key).refused(BAD_NAME);
        assert!(reason.contains("already publishing"), "{reason}");
    }
    let newcomer = publish("take", &take).started();
    replaced.wait_closed(3.0);
    until("the newcomer alone is listed", 5.0, || {
        api.streams().iter().filter(|stream| stream["app"] == "take").count() == 1
    });
    kept.send_more(300);
    assert!(!kept.is_closed() && !newcomer.is_closed());
    // The name is free as soon as the old publisher has gone.
    kept.close();
    wait_gone(&api, "live", "show");
    publish("live", &other).started();
}

#[test]
fn old_pushes_continue_alone() {
    let mut nginx = config().start();
    let (api, target) = (nginx.api(), Peer::takes());
    let body = json!({"app": "out", "stream": "show", "url": target.url("app/key")});
    let id = api.post("/v1/targets", &body).expect(201)["id"].as_str().unwrap().to_owned();
    let publisher = Publisher::to(nginx.rtmp(), "out/show").start().started();
    target.wait_media("key");
    upgrade(&mut nginx);
    let shown = || api.get(&format!("/v1/targets/{id}")).expect(200)["sessions"].clone();
    assert_eq!((&shown()[0]["state"], shown().as_array().unwrap().len()), (&json!("live"), 1));
    let frames = target.frames();
    target.wait_frames("key", frames + 20);
    assert_eq!(target.calls().len(), 1, "the stream was pushed twice");
    assert_unbroken(&target.open("key")[0].frames);
    // What is changed at the new master takes effect in the old worker.
    api.send(api.request("PATCH", &format!("/v1/targets/{id}")).json(&json!({"enabled": false}))).expect(200);
    target.wait_closed("key");
    assert!(!publisher.is_closed());
}

#[test]
fn old_streams_reach_the_players_of_the_new_master() {
    let mut nginx = config().main("rtmp_auto_push on;").start();
    let key = nginx.api().create_key("live", "show").key;
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    upgrade(&mut nginx);
    let player = Player::start(nginx.rtmp(), "live/show");
    player.wait_video(3);
    let stream = wait_live(&nginx.api(), "live", "show");
    assert_eq!(stream["viewers"]["rtmp"], 1);
    assert!(!publisher.is_closed());
}

#[test]
fn a_reload_and_the_end_of_the_old_master_leave_one_zone() {
    let mut nginx = config().workers(2).start();
    let api = nginx.api();
    let key = api.create_key("live", "show").key;
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    let old = upgrade(&mut nginx);
    nginx.reload();
    assert_eq!(api.streams().len(), 1);
    assert_eq!(api.delete("/v1/streams/live/show").expect(200)["dropped"], 1);
    publisher.wait_closed(2.0);
    old.signal(Signal::SIGQUIT);
    until("the old master ends", 10.0, || !old.is_alive());
    let next = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    nginx.reload();
    assert_eq!(api.streams().len(), 1);
    for process in nginx.workers().into_iter().chain([nginx.master()]) {
        assert_eq!(mapped(process), 1);
    }
    // Another process of the workers' user could open it.
    for worker in nginx.workers() {
        assert!(!worker.open_files().iter().any(|file| file == NAME));
    }
    until("the rows of the old workers are gone", 5.0, || {
        let health = api.get("/v1/health").expect(200);
        health["workers"].as_array().unwrap().iter().all(|worker| worker["master_pid"] == nginx.master().0)
    });
    assert!(!next.is_closed());
}

#[test]
fn two_upgrades_even_if_the_first_master_was_killed() {
    let mut nginx = config().start();
    let api = nginx.api();
    let key = |name| api.create_key("live", name).key;
    let (first, second) = (key("first"), key("second"));
    let rtmp = nginx.rtmp();
    let publish = |key: &str| Publisher::to(rtmp, &format!("live/{key}")).start().started();
    let oldest = publish(&first);
    let master = upgrade(&mut nginx);
    let orphans = workers_of(master, nginx.master());
    let old = publish(&second);
    master.signal(Signal::SIGKILL);
    until("the first master is gone", 5.0, || !master.is_alive());
    upgrade(&mut nginx);
    assert_eq!(api.streams().len(), 2);
    for (name, publisher) in [("first", &oldest), ("second", &old)] {
        assert_eq!(api.delete(&format!("/v1/streams/live/{name}")).expect(200)["dropped"], 1);
        publisher.wait_closed(2.0);
    }
    until("the workers of the first master end", 10.0, || orphans.iter().all(|worker| !worker.is_alive()));
    publish(&first);
}

#[test]
fn a_lock_that_no_master_breaks_is_broken() {
    let mut nginx = config().start();
    let api = nginx.api();
    let key = api.create_key("live", "show").key;
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    let old = upgrade(&mut nginx);
    // A worker of a master that was killed dies while it has the lock: the number at the start of the zone is its process id.
    let mut gone = std::process::Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    let everyone = [workers_of(old, nginx.master()), nginx.workers()].concat();
    for worker in &everyone {
        stop_at_rest(*worker);
    }
    zone_file(nginx.master()).write_all_at(&u64::from(gone.id()).to_ne_bytes(), 0).unwrap();
    everyone.iter().for_each(|worker| worker.signal(Signal::SIGCONT));
    assert_eq!(api.delete("/v1/streams/live/show").expect(200)["dropped"], 1);
    publisher.wait_closed(2.0);
    nginx.wait_log(&format!("process {} died with the lock of the zone", gone.id()));
}

/// Stops a worker that waits for events, so that it does not have the lock of the zone.
#[track_caller]
fn stop_at_rest(worker: Process) {
    until("the worker stops at its rest", 10.0, || {
        worker.signal(Signal::SIGSTOP);
        until("the worker stops", 20.0, || worker.is_stopped());
        let rests = worker.waits_for_events();
        if !rests {
            worker.signal(Signal::SIGCONT);
        }
        rests
    });
}

#[test]
fn the_old_master_takes_the_streams_of_the_new_one_back() {
    let mut nginx = config().start();
    let api = nginx.api();
    let key = |name| api.create_key("live", name).key;
    let (first, second) = (key("first"), key("second"));
    let rtmp = nginx.rtmp();
    let publish = |key: &str| Publisher::to(rtmp, &format!("live/{key}")).start().started();
    let before = publish(&first);
    let old = upgrade(&mut nginx);
    let during = publish(&second);
    let new = nginx.master();
    old.signal(Signal::SIGHUP);
    until("the old master has workers again", 10.0, || {
        workers_of(old, new).iter().any(|worker| !worker.title().contains("shutting down"))
    });
    new.signal(Signal::SIGQUIT);
    until("the new workers take no connections", 10.0, || nginx.workers().is_empty());
    assert_eq!(api.streams().len(), 2);
    Publisher::to(rtmp, &format!("live/{second}")).start().refused(BAD_NAME);
    for (name, publisher) in [("first", &before), ("second", &during)] {
        assert_eq!(api.delete(&format!("/v1/streams/live/{name}")).expect(200)["dropped"], 1);
        publisher.wait_closed(2.0);
    }
    until("the new master ends", 10.0, || !new.is_alive());
    publish(&second);
}

/// Changes the zone of a master with a live stream, upgrades, and returns why the new master begins with an empty zone. Both serve.
#[track_caller]
fn refused(nginx: &mut Nginx, change: impl FnOnce(&mut Nginx)) -> String {
    let api = nginx.api();
    let key = api.create_key("live", "show").key;
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    change(nginx);
    let old = upgrade(nginx);
    let line = nginx.wait_log(&format!("the zone of the old master {} is not taken over", old.0));
    assert_eq!(api.streams().len(), 0);
    publisher.send_more(300);
    assert!(!publisher.is_closed());
    let key = api.create_key("live", "other").key;
    Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    for process in nginx.workers().into_iter().chain([nginx.master()]) {
        assert_eq!(mapped(process), 1);
    }
    // The next master takes over the new zone.
    drop(publisher);
    old.signal(Signal::SIGQUIT);
    until("the old master ends", 10.0, || !old.is_alive());
    let again = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    let second = upgrade(nginx);
    nginx.wait_log(&format!("took over the zone of the old master {}", second.0));
    assert_eq!(api.streams().len(), 1);
    assert!(!again.is_closed());
    let (_, reason) = line.split_once("its streams are not listed: ").unwrap();
    reason.split_once(" in /").unwrap().0.to_owned()
}

#[test]
fn another_layout_is_not_taken_over() {
    let reason = refused(&mut config().start(), |nginx| {
        let file = zone_file(nginx.master());
        let place = file.metadata().unwrap().len() - DESCRIPTION;
        file.write_all_at(&4711_u64.to_le_bytes(), place + 8).unwrap();
    });
    assert!(reason.starts_with("the zone has layout 4711, this module has layout "), "{reason}");
}

#[test]
fn another_size_is_not_taken_over() {
    let reason = refused(&mut config().start(), |nginx| {
        nginx.edit(|mut config| {
            config.main = config.main.replace("weir_zone 2m;", "weir_zone 4m;");
            config
        });
    });
    assert_eq!(reason, "the zone has 2048k and the configuration 4096k");
}

#[test]
fn a_zone_of_another_state_file_is_not_taken_over() {
    let reason = refused(&mut config().start(), |nginx| {
        nginx.edit(|mut config| {
            config.main = config.main.replace("weir_zone 2m;", "weir_zone 2m state=@DIR@/other;");
            config
        });
    });
    assert_eq!(reason, "the configuration has another \"state=\"");
}

#[test]
fn a_damaged_zone_is_not_taken_over() {
    let reason = refused(&mut config().start(), |nginx| {
        let file = zone_file(nginx.master());
        let mut zone = vec![0; 64 * 1024];
        file.read_exact_at(&mut zone, 0).unwrap();
        // The first word of what Weir laid out.
        let place = zone.windows(8).position(|word| word == b"weirzone").unwrap();
        file.write_all_at(b"????????", place as u64).unwrap();
    });
    assert_eq!(reason, "the zone is damaged");
}

#[test]
fn a_zone_whose_allocator_is_damaged_is_not_taken_over() {
    let reason = refused(&mut config().start(), |nginx| {
        let file = zone_file(nginx.master());
        let mut pool = [0; 512];
        file.read_exact_at(&mut pool, 0).unwrap();
        // The address of the zone, which nginx's pool notes too.
        let place = file.metadata().unwrap().len() - DESCRIPTION;
        let mut address = [0; 8];
        file.read_exact_at(&mut address, place + 32).unwrap();
        let own: Vec<_> = (0..pool.len() / 8).filter(|at| pool[8 * at..][..8] == address).collect();
        let last = own.last().expect("the pool notes where it is");
        file.write_all_at(&1_u64.to_le_bytes(), 8 * *last as u64).unwrap();
    });
    assert_eq!(reason, "the zone is damaged");
}
