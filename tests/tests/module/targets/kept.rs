//! Targets survive everything that keys survive, are written before they are shown, and none is lost.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use weir_model::State;
use weir_model::target::{NewTarget, Target, TargetId};
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Api, Publisher, files, until};

use super::{KEY, PASSWORD, body, create, id, keeps_its_secrets, list, patch};
use crate::{keyed, wait_live};

fn with_state() -> Config {
    Config::weir()
        .main("weir_zone 2m state=@DIR@/state;")
        .http("location /api { weir_api; }")
        .app("live", "weir_publish open;")
}

/// Returns a state file of 1,000 targets: target number `nth` is for `show-<nth>`, and has a URL of 100 bytes.
fn thousand() -> String {
    let target = |nth| {
        let url = format!("rtmp://ingest.example.org/live/{}{nth:04}", "k".repeat(65));
        assert_eq!(url.len(), 100);
        let body = json!({"app": "live", "stream": format!("show-{nth}"), "url": url});
        NewTarget::from_json(body.to_string().as_bytes()).unwrap().into_target(TargetId(nth))
    };
    let targets: Vec<Target> = (0..1000).map(target).collect();
    State { generation: 1, targets, ..State::default() }.encode()
}

#[test]
fn targets_outlive_restart_reload_and_worker_death() {
    let mut nginx = with_state().workers(2).start();
    let api = nginx.api();
    let (first, gone, last) = (create(&api, "show"), create(&api, "gone"), create(&api, "*"));
    patch(&api, &first, &json!({"enabled": false, "note": "caf\u{e9}"})).expect(200);
    api.delete(&format!("/v1/targets/{gone}")).expect(200);
    let before = list(&api);
    assert_eq!(before.iter().map(id).collect::<Vec<_>>(), [first, last]);

    nginx.reload();
    assert_eq!(list(&nginx.api()), before);
    let victim = nginx.workers()[0];
    nginx.kill_worker(victim);
    assert_eq!(list(&nginx.api()), before);
    nginx.restart(|nginx| {
        let mode = fs::metadata(nginx.path("state")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = files::text(&nginx.path("state"));
        assert!(text.contains(KEY) && text.contains(PASSWORD), "{text}");
    });
    assert_eq!(list(&nginx.api()), before);
    keeps_its_secrets(&nginx);
}

#[test]
fn without_a_state_file_they_outlive_reloads() {
    let mut nginx = keyed().workers(2).start();
    let api = nginx.api();
    create(&api, "show");
    let before = list(&api);
    nginx.reload();
    let victim = nginx.workers()[1];
    nginx.kill_worker(victim);
    assert_eq!(list(&api), before);
    nginx.restart(|_| {});
    assert!(list(&nginx.api()).is_empty());
}

#[test]
fn a_key_does_not_forget_the_targets() {
    let mut nginx = with_state().start();
    let api = nginx.api();
    let first = create(&api, "show");
    let key = api.create_key("live", "show");
    // The same happens when an admin moves a damaged file away: the next change writes everything to a new file.
    fs::remove_file(nginx.path("state")).unwrap();
    api.create_key("live", "other");
    api.delete(&format!("/v1/keys/{}", key.id)).expect(200);
    nginx.restart(|_| {});
    assert_eq!(list(&nginx.api()).iter().map(id).collect::<Vec<_>>(), [first]);
}

#[test]
fn another_state_file_brings_its_own() {
    let nginx = with_state().start();
    let api = nginx.api();
    let first = create(&api, "show");
    let backup = fs::read(nginx.path("state")).unwrap();
    let second = create(&api, "*");
    patch(&api, &first, &json!({"enabled": false})).expect(200);
    fs::write(nginx.path("state"), &backup).unwrap();
    nginx.reload();
    let listed = list(&api);
    assert_eq!((listed.len(), id(&listed[0])), (1, first.clone()));
    assert_eq!(listed[0]["enabled"], true);
    // The file returns without a reload, and the next change reads it.
    api.delete(&format!("/v1/targets/{first}")).expect(200);
    fs::write(nginx.path("state"), &backup).unwrap();
    let third = create(&api, "third");
    assert_eq!(list(&api).iter().map(id).collect::<Vec<_>>(), [first, third.clone()]);
    api.get(&format!("/v1/targets/{second}")).error(404, "not_found");
    // A target that is not in the file cannot be changed; the file itself is valid.
    fs::write(nginx.path("state"), &backup).unwrap();
    patch(&api, &third, &json!({"enabled": false})).error(404, "not_found");
    assert_eq!(api.get("/v1/health").expect(200)["status"], "ok");
}

#[test]
fn what_cannot_be_written_does_not_happen() {
    let folder = tempfile::tempdir().unwrap();
    let set = |mode| fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
    set(0o777);
    let mut config = Config::weir()
        .main(&format!("weir_zone 2m state={}/state;", folder.path().display()))
        .http("location /api { weir_api; }");
    config.user = "nobody nogroup".to_owned();
    let nginx = config.start();
    let api = nginx.api();
    let first = create(&api, "show");
    let before = list(&api);
    set(0o555);
    api.post("/v1/targets", &body("other")).error(503, "not_persisted");
    patch(&api, &first, &json!({"enabled": false})).error(503, "not_persisted");
    api.delete(&format!("/v1/targets/{first}")).error(503, "not_persisted");
    assert_eq!(list(&api), before);
    assert_eq!(api.get("/v1/health").expect(200)["status"], "degraded");
    set(0o777);
    api.delete(&format!("/v1/targets/{first}")).expect(200);
    assert_eq!(api.get("/v1/health").expect(200)["status"], "ok");
    keeps_its_secrets(&nginx);
}

#[test]
fn a_thousand_targets() {
    let mut nginx = with_state().file("state", thousand()).workers(2).start();
    let api = nginx.api();
    let listed = list(&api);
    assert_eq!(listed.len(), 1000);
    assert_eq!(id(&listed[999]), TargetId(999).to_string());
    let publisher = Publisher::to(nginx.rtmp(), "live/show-7").start().started();
    let stream = wait_live(&api, "live", "show-7");
    assert_eq!(
        stream["targets"].as_array().unwrap().iter().map(id).collect::<Vec<_>>(),
        [TargetId(7).to_string()]
    );
    publisher.close();
    let last = create(&api, "*");
    for nth in [0, 500] {
        let id = TargetId(nth).to_string();
        patch(&api, &id, &json!({"enabled": false})).expect(200);
    }
    nginx.restart(|_| {});
    let listed = list(&nginx.api());
    assert_eq!((listed.len(), id(&listed[1000])), (1001, last));
    assert_eq!(listed.iter().filter(|target| target["enabled"] == false).count(), 2);
    assert_eq!(nginx.api().get("/v1/health").expect(200)["status"], "ok");
}

#[test]
fn a_state_file_that_does_not_fit_is_told() {
    let config = Config::weir().main("weir_zone 128k state=@DIR@/state;").file("state", thousand());
    let said = config.rejected();
    assert!(
        said.contains("1000 targets of the state file do not fit beside 0 keys: a larger zone is needed"),
        "{said}"
    );
}

#[test]
fn a_worker_that_dies_while_it_changes_targets_loses_none() {
    let mut nginx = with_state().workers(2).start();
    nginx.allow("shared memory zone \"weir\" was locked by");
    let base = nginx.url("/api");
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..2)
        .map(|n| {
            let (api, stop) = (Api::new(&base), stop.clone());
            std::thread::spawn(move || {
                let mut made = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let request = api.request("POST", "/v1/targets").json(&body(&format!("s{n}")));
                    if let Ok(answer) = Api::try_send(request) {
                        made.push(id(&answer.expect(201)));
                    }
                }
                made
            })
        })
        .collect();
    let api = nginx.api();
    for round in 1..=4 {
        until("targets are made", 20.0, || {
            Api::try_send(api.request("GET", "/v1/targets")).is_ok_and(|answer| {
                answer.json["targets"].as_array().is_some_and(|all| all.len() >= 8 * round)
            })
        });
        let victim = nginx.workers()[round % 2];
        nginx.kill_worker(victim);
    }
    stop.store(true, Ordering::Relaxed);
    let made: Vec<String> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
    let listed: Vec<String> = list(&api).iter().map(id).collect();
    let lost: Vec<_> = made.iter().filter(|id| !listed.contains(id)).collect();
    assert!(lost.is_empty(), "{lost:?} are lost");
    nginx.restart(|_| {});
    assert!(made.iter().all(|id| list(&nginx.api()).iter().any(|target| target["id"] == **id)));
}
