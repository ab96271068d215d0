//! Changes that arrive while nginx reads, refuses or takes over a configuration, and while a worker ends: a change that was answered with
//! 2xx holds, a revoked key stays revoked, a refused configuration changes nothing, and API, state file and answer agree.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use nix::libc;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use serde_json::{Value, json};
use weir_model::State;
use weir_tests::harness::api::Answer;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Api, Nginx, Publisher, until};

fn with_state() -> Config {
    let config = Config::weir().main("weir_zone 2m state=@DIR@/state;").http("location /api { weir_api; }");
    config.app("live", "weir_publish key; weir_push on;")
}

fn target(stream: &str) -> Value {
    json!({"app": "live", "stream": stream, "url": "rtmp://127.0.0.1:9/app/key"})
}

/// Returns the keys and targets that the API lists, by stream.
fn listed(api: &Api) -> (Vec<String>, Vec<String>) {
    let list = |name: &str| {
        let answer = api.get(&format!("/v1/{name}")).expect(200);
        let streams = answer[name].as_array().unwrap().iter();
        let mut streams: Vec<_> = streams.map(|item| item["stream"].as_str().unwrap().to_owned()).collect();
        streams.sort();
        streams
    };
    (list("keys"), list("targets"))
}

/// Returns the keys and targets in the state file, by stream.
fn saved(nginx: &Nginx) -> (Vec<String>, Vec<String>) {
    let state = State::decode(&fs::read(nginx.path("state")).unwrap()).unwrap();
    let mut keys: Vec<_> = state.keys.iter().map(|key| key.stream.to_string()).collect();
    let mut targets: Vec<_> = state.targets.iter().map(|target| target.stream.to_string()).collect();
    keys.sort();
    targets.sort();
    (keys, targets)
}

#[track_caller]
fn agree(nginx: &Nginx) {
    until("the API and the file say the same", 5.0, || listed(&nginx.api()) == saved(nginx));
}

/// A named pipe that nginx includes: nginx waits in the read until the test opens the gate.
struct Gate {
    open: Arc<AtomicBool>,
    end: Arc<AtomicBool>,
    keeper: Option<JoinHandle<()>>,
}

impl Gate {
    fn make(path: PathBuf) -> Self {
        nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        let (open, end) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (is_open, is_over) = (open.clone(), end.clone());
        let keeper = std::thread::spawn(move || {
            until("the gate is given up", 60.0, || {
                if is_open.load(Ordering::Relaxed) {
                    // An error means that no process reads the pipe at the moment.
                    let _ = File::options().write(true).custom_flags(libc::O_NONBLOCK).open(&path);
                }
                is_over.load(Ordering::Relaxed)
            });
        });
        Self { open, end, keeper: Some(keeper) }
    }

    fn open(&self) {
        self.open.store(true, Ordering::Relaxed);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        let _ = self.keeper.take().map(JoinHandle::join);
    }
}

#[test]
fn changes_while_a_configuration_is_read() {
    let mut nginx = with_state().workers(2).start();
    let api = nginx.api();
    let (gone, turned) = (api.create_key("live", "gone"), api.create_key("live", "turned"));
    let away = api.post("/v1/targets", &target("away")).expect(201)["id"].as_str().unwrap().to_owned();
    let gate = Gate::make(nginx.path("gate"));
    // The gate comes after `weir_zone`, so nginx has read the state file by then.
    nginx.edit(|config| config.main("include @DIR@/gate;"));
    let old = nginx.workers();
    nginx.master().signal(Signal::SIGHUP);
    nginx.wait_log("reconfiguring");
    api.delete(&format!("/v1/keys/{}", gone.id)).expect(200);
    let new = api.post(&format!("/v1/keys/{}/rotate", turned.id), &json!({})).expect(200);
    let late = api.create_key("live", "late");
    api.delete(&format!("/v1/targets/{away}")).expect(200);
    api.post("/v1/targets", &target("late")).expect(201);
    assert_eq!(nginx.workers(), old, "the reload is over too early");
    gate.open();
    until("the new workers serve", 15.0, || {
        let workers = nginx.workers();
        workers.len() == 2 && !workers.iter().any(|worker| old.contains(worker))
    });
    let named = |names: [&str; 2]| names.map(str::to_owned).to_vec();
    assert_eq!(listed(&api), (named(["late", "turned"]), vec!["late".to_owned()]));
    agree(&nginx);
    for key in [late.key.as_str(), new["key"].as_str().unwrap()] {
        Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started().close();
    }
    for key in [&gone.key, &turned.key] {
        Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().refused_somehow();
    }
}

#[test]
fn a_configuration_that_is_refused_late_changes_nothing() {
    let mut nginx = with_state().file("other", State::default().encode()).start();
    let api = nginx.api();
    let key = api.create_key("live", "show");
    api.post("/v1/targets", &target("show")).expect(201);
    let before = listed(&api);
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port();
    nginx.allow("bind() to 127.0.0.1");
    nginx.allow("still could not bind");
    let late = [format!("listen 127.0.0.1:{port};"), "error_log /nonexistent/folder/error.log;".to_owned()];
    for (state, bad) in
        ["other", "made/state"].iter().flat_map(|state| late.iter().map(move |bad| (state, bad)))
    {
        nginx.edit(|mut config| {
            config.main = format!("weir_zone 2m state=@DIR@/{state};\n");
            config.http(bad)
        });
        let refusals = nginx.log_lines("[emerg]").len();
        nginx.reload_rejected();
        if bad.starts_with("listen") {
            until("nginx gives up", 20.0, || {
                nginx.log_lines("[emerg]")[refusals..]
                    .iter()
                    .any(|line| line.contains("still could not bind"))
            });
        }
        nginx.edit(|mut config| {
            config.http = config.http.replace(bad.as_str(), "");
            config
        });
        assert_eq!(listed(&api), before, "{state}, {bad}");
        assert!(!nginx.path("made").exists(), "the folder was made");
        // The next change is written to the file that is in force.
        let added = api.create_key("live", "more").id;
        agree(&nginx);
        api.delete(&format!("/v1/keys/{added}")).expect(200);
    }
    Publisher::to(nginx.rtmp(), &format!("live/{}", key.key)).start().started();
}

#[test]
fn a_test_of_a_configuration_makes_no_folder() {
    let text = Config::weir().main("weir_zone 2m state=@DIR@/made/state;").accepted_without(&["made"]);
    assert!(!text.contains("[warn]"), "{text}");
    let said = Config::weir().main("weir_zone 2m state=@DIR@/a/b/state;").rejected();
    assert!(said.starts_with("\"weir_zone\": the folder @DIR@/a/b cannot be made: "), "{said}");
}

/// Locks `FILE.lock` as another process would.
fn hold(nginx: &Nginx) -> File {
    let lock = File::options().write(true).open(nginx.path("state.lock")).unwrap();
    lock.lock().unwrap();
    lock
}

/// Sends a request whose answer does not come yet, and returns when the zone has the change.
fn ask(
    nginx: &Nginx,
    method: &'static str,
    path: String,
    body: Value,
) -> JoinHandle<reqwest::Result<Answer>> {
    let api = nginx.api();
    // The zone already counts a new key, secret or target that is pending, and no longer lists a revoked key.
    let seen = || {
        let health = nginx.api().get("/v1/health").expect(200);
        (health["zone"]["used"].clone(), listed(&nginx.api()))
    };
    let before = seen();
    let asked = std::thread::spawn(move || Api::try_send(api.request(method, &path).json(&body)));
    until("the request is there", 5.0, || seen() != before);
    asked
}

#[test]
fn a_worker_that_quits_answers_what_it_has_begun() {
    let nginx = with_state().start();
    let api = nginx.api();
    let first = api.create_key("live", "first");
    let requests = [
        ("POST", "/v1/keys".to_owned(), json!({"app": "live", "stream": "second"}), 201),
        ("POST", format!("/v1/keys/{}/rotate", first.id), json!({}), 200),
        ("POST", "/v1/targets".to_owned(), target("first"), 201),
        ("DELETE", format!("/v1/keys/{}", first.id), json!({}), 200),
    ];
    for (method, path, body, status) in requests {
        let lock = hold(&nginx);
        let asked = ask(&nginx, method, path, body);
        nginx.reload();
        assert!(!asked.is_finished(), "it was answered before it was written");
        drop(lock);
        asked.join().unwrap().unwrap().expect(status);
        agree(&nginx);
        until("the old worker ends", 10.0, || nginx.draining().is_empty());
    }
    assert_eq!(listed(&api), (vec!["second".to_owned()], vec!["first".to_owned()]));
}

#[test]
fn a_change_for_a_file_that_a_reload_put_away_is_not_made() {
    let mut nginx = with_state().start();
    nginx.api().create_key("live", "first");
    let lock = hold(&nginx);
    let asked = ask(&nginx, "POST", "/v1/keys".to_owned(), json!({"app": "live", "stream": "second"}));
    nginx.edit(|mut config| {
        config.main = config.main.replace("@DIR@/state", "@DIR@/other");
        config
    });
    nginx.reload();
    drop(lock);
    let said = asked.join().unwrap().unwrap().error(503, "not_persisted");
    assert!(said.contains("another state file"), "{said}");
    assert_eq!(listed(&nginx.api()).0, ["first"]);
    nginx.api().create_key("live", "third");
    let other = State::decode(&fs::read(nginx.path("other")).unwrap()).unwrap();
    assert_eq!(other.keys.len(), 2);
}

#[test]
fn nginx_that_quits_answers_what_it_has_begun() {
    let mut nginx = with_state().start();
    nginx.api().create_key("live", "first");
    let lock = hold(&nginx);
    let asked = ask(&nginx, "POST", "/v1/keys".to_owned(), json!({"app": "live", "stream": "second"}));
    nginx.quit_and_restart(|nginx| {
        until("the worker quits", 5.0, || nginx.log().contains("gracefully shutting down"));
        drop(lock);
        asked.join().unwrap().unwrap().expect(201);
    });
    assert_eq!(listed(&nginx.api()).0, ["first", "second"]);
}

#[test]
fn a_change_of_a_killed_worker_is_made_or_not() {
    let mut nginx = with_state().start();
    let api = nginx.api();
    let first = api.create_key("live", "first");
    let lock = hold(&nginx);
    let asked = ask(&nginx, "POST", "/v1/keys".to_owned(), json!({"app": "live", "stream": "second"}));
    let worker = nginx.workers()[0];
    nginx.kill_worker(worker);
    assert!(asked.join().unwrap().is_err());
    drop(lock);
    assert_eq!(listed(&api).0, ["first"]);
    agree(&nginx);
    // The file is written but not yet renamed, as if the worker had died between the two steps.
    let mut state = State::decode(&fs::read(nginx.path("state")).unwrap()).unwrap();
    state.keys.clear();
    fs::write(nginx.path("state.new"), state.encode()).unwrap();
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{}", first.key)).start().started();
    fs::rename(nginx.path("state.new"), nginx.path("state")).unwrap();
    until("the workers follow the file", 5.0, || listed(&api).0.is_empty());
    publisher.wait_closed(3.0);
    nginx.wait_log("weir: the state file was replaced: 0 keys, 0 targets");
}

#[test]
fn a_file_that_cannot_be_read_is_not_followed() {
    let mut nginx = with_state().start();
    let api = nginx.api();
    api.create_key("live", "first");
    let good = fs::read(nginx.path("state")).unwrap();
    fs::write(nginx.path("state"), &good[..good.len() - 5]).unwrap();
    nginx.wait_log("weir: the state file is not taken over: ");
    assert_eq!(listed(&api).0, ["first"]);
    fs::remove_file(nginx.path("state")).unwrap();
    api.create_key("live", "second");
    agree(&nginx);
    assert_eq!(nginx.log_lines("is not taken over").len(), 1);
    nginx.restart(|_| {});
    assert_eq!(listed(&api).0, ["first", "second"]);
}

#[test]
fn a_change_waits_no_longer_than_its_patience() {
    let nginx = with_state().start();
    let api = nginx.api();
    let first = api.create_key("live", "first");
    let lock = hold(&nginx);
    let begin = std::time::Instant::now();
    let asked: Vec<_> = (0..4)
        .map(|n| {
            ask(&nginx, "POST", "/v1/keys".to_owned(), json!({"app": "live", "stream": format!("s{n}")}))
        })
        .collect();
    for asked in asked {
        let said = asked.join().unwrap().unwrap().error(503, "not_persisted");
        assert!(said.ends_with("is locked by another process"), "{said}");
    }
    // One after the other, the changes would take four times five seconds.
    assert!(begin.elapsed().as_secs_f64() < 15.0, "{:?}", begin.elapsed());
    assert_eq!(listed(&api).0, ["first"]);
    // A revocation is in force all the same, and is written as soon as possible.
    let revoked = ask(&nginx, "DELETE", format!("/v1/keys/{}", first.id), json!({}));
    until("the key is revoked", 2.0, || listed(&api).0.is_empty());
    revoked.join().unwrap().unwrap().error(503, "not_persisted");
    assert_eq!(saved(&nginx).0, ["first"]);
    nginx.reload();
    assert!(listed(&api).0.is_empty(), "a reload brought a revoked key back");
    drop(lock);
    until("the revocation is written", 15.0, || saved(&nginx).0.is_empty());
    until("all is well again", 5.0, || api.get("/v1/health").expect(200)["status"] == "ok");
    let there = fs::symlink_metadata(nginx.path("state.tmp")).map_err(|error| error.kind());
    assert!(matches!(there, Err(ErrorKind::NotFound)));
}

/// The rotation is requested first and may be written first; the key that it creates must be revoked, too.
#[test]
fn a_key_that_is_revoked_while_its_rotation_is_written_opens_nothing() {
    let nginx = with_state().start();
    // Each of the two has a connection of its own.
    let (api, rotating) = (nginx.api(), nginx.api());
    let mut made = Vec::new();
    for round in 0..60_u32 {
        let key = api.create_key("live", &format!("s{round}"));
        let rotate = format!("/v1/keys/{}/rotate", key.id);
        let rotated = std::thread::scope(|scope| {
            let rotation = scope.spawn(|| rotating.post(&rotate, &json!({})));
            // Each round revokes at another moment of the write.
            (0..round * 2000).for_each(|_| std::hint::spin_loop());
            api.delete(&format!("/v1/keys/{}", key.id)).expect(200);
            rotation.join().unwrap()
        });
        made.extend(rotated.json["key"].as_str().map(str::to_owned));
        assert_eq!(listed(&api).0, [""; 0], "round {round}, the rotation answered {}", rotated.status);
    }
    for key in made.iter().take(5) {
        Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().refused("NetStream.Publish.BadName");
    }
}
