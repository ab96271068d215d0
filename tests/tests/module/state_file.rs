//! `state=FILE`: a confirmed change is on disk, and a change that cannot be written is refused. If the file cannot be read, `nginx -t`
//! reports it, and Weir never overwrites the file.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::json;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Api, Publisher, Tmpfs, files};

use super::{BAD_NAME, wait_live};

/// A user for the workers that may not write everywhere.
const NOBODY: &str = "nobody nogroup";

fn with_state(path: &str) -> Config {
    Config::weir()
        .main(&format!("weir_zone 2m state={path};"))
        .http("location /api { weir_api; }")
        .app("live", "weir_publish key;")
}

fn ids(api: &Api) -> Vec<String> {
    let keys = api.get("/v1/keys").expect(200);
    keys["keys"].as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn keys_outlive_a_restart() {
    let mut nginx = with_state("@DIR@/state").start();
    let api = nginx.api();
    let body = json!({"app": "live", "stream": "show", "note": "caf\u{e9}", "publish_from": ["127.0.0.0/8"]});
    let kept = api.create_key_with(&body);
    let revoked = api.create_key("live", "gone");
    let rotated = api.create_key("live", "turn");
    let new = api.post(&format!("/v1/keys/{}/rotate", rotated.id), &json!({"overlap_s": 600})).expect(200);
    api.delete(&format!("/v1/keys/{}", revoked.id)).expect(200);
    let before = api.get("/v1/keys").expect(200);

    nginx.restart(|nginx| {
        let state = fs::metadata(nginx.path("state")).unwrap();
        assert_eq!(state.permissions().mode() & 0o777, 0o600);
        for secret in [&kept.key, &revoked.key, &rotated.key] {
            assert!(files::that_mention(nginx.folder(), secret).is_empty());
        }
    });
    assert_eq!(api.get("/v1/keys").expect(200), before);
    for path in [&kept.key, &rotated.key, new["key"].as_str().unwrap()] {
        Publisher::to(nginx.rtmp(), &format!("live/{path}")).start().started().close();
    }
    Publisher::to(nginx.rtmp(), &format!("live/{}", revoked.key)).start().refused(BAD_NAME);
    // The write leaves only the file and its lock behind.
    let left: Vec<_> = files::below(nginx.folder())
        .into_iter()
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("state"))
        .filter(|path| !path.ends_with("state") && !path.ends_with("state.lock"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn each_change_replaces_the_file_as_a_whole() {
    let nginx = with_state("@DIR@/state").workers(2).start();
    let mut seen = 0;
    for n in 0..5 {
        nginx.api().create_key("live", &format!("s{n}"));
        let inode = fs::metadata(nginx.path("state")).unwrap().ino();
        assert_ne!(inode, seen);
        seen = inode;
        let state = weir_model::state_file::State::decode(&fs::read(nginx.path("state")).unwrap()).unwrap();
        assert_eq!(state.keys.len(), n + 1, "the answer came before the file");
    }
}

#[test]
fn changes_at_the_same_time_are_all_kept() {
    let mut nginx = with_state("@DIR@/state").workers(2).start();
    let base = nginx.url("/api");
    let threads: Vec<_> = (0..6)
        .map(|n| {
            let api = Api::new(&base);
            std::thread::spawn(move || {
                (0..10).map(|_| api.create_key("live", &format!("s{n}")).id).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut made: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    nginx.restart(|_| {});
    let mut kept = ids(&nginx.api());
    made.sort();
    kept.sort();
    assert_eq!(kept, made);
}

#[test]
fn a_reload_does_not_bring_back_what_was_revoked() {
    let nginx = with_state("@DIR@/state").start();
    let api = nginx.api();
    let (gone, stays) = (api.create_key("live", "gone"), api.create_key("live", "stays"));
    api.delete(&format!("/v1/keys/{}", gone.id)).expect(200);
    nginx.reload();
    assert_eq!(ids(&api), [stays.id]);
}

#[test]
fn files_that_cannot_be_read_stop_the_configuration_and_stay_as_they_are() {
    let good = weir_model::state_file::State::default().encode();
    let flipped = good.replace("\"generation\": 0", "\"generation\": 1");
    let newer = good.replacen("weir-state 1", "weir-state 4", 1);
    for (content, message) in [
        (
            "",
            "the state file is empty: if nginx runs, it still has the keys and targets in memory, and \"weir state save\" writes them; \
             otherwise restore a backup, or remove the file to start without keys and targets",
        ),
        ("{}", "this is not a state file of weir: check the path, or move the file away"),
        (
            flipped.as_str(),
            "the state file is damaged (checksum does not match): if nginx runs, it still has the keys and targets in memory, and \
             \"weir state save\" writes them; otherwise restore a backup, or move the file away to start without keys and targets",
        ),
        (
            &good[..good.len() - 3],
            "the state file is damaged (checksum does not match): if nginx runs, it still has the keys and targets in memory, and \
             \"weir state save\" writes them; otherwise restore a backup, or move the file away to start without keys and targets",
        ),
        (
            newer.as_str(),
            "the state file has version 4, this weir reads up to 3: install a newer weir, or move the file away",
        ),
    ] {
        let config = with_state("@DIR@/state").file("state", content);
        let said = config.rejected_leaving("state", content.as_bytes());
        assert_eq!(said, format!("\"weir_zone\": @DIR@/state: {message}"));
    }
}

/// The zone of these tests has 2 MB.
#[test]
fn no_more_of_a_file_is_read_than_the_zone_could_hold() {
    let mut nginx = with_state("@DIR@/state").start();
    let kept = nginx.api().create_key("live", "show");
    fs::rename(nginx.path("state"), nginx.path("good")).unwrap();
    // The file is sparse, and takes no space on the disk.
    fs::File::create(nginx.path("state")).unwrap().set_len(200 << 20).unwrap();
    nginx.allow("the state file is not taken over");
    let said = nginx.reload_rejected();
    let expected = "state: the file has more than 8388608 bytes, more than a state file for this size of \"weir_zone\": check the path, \
                    or set a larger zone";
    assert!(said.contains(expected), "{said}");
    // The running workers keep their keys, and can write them.
    assert_eq!(ids(&nginx.api()), std::slice::from_ref(&kept.id));
    nginx.wait_log("the state file is not taken over");
    let saved = nginx.api().post("/v1/state/save", &json!({})).expect(200);
    assert!(saved["set_aside"].as_str().unwrap().ends_with("state.damaged"), "{saved}");
    nginx.restart(|_| {});
    assert_eq!(ids(&nginx.api()), [kept.id]);
    // A file without an end is not read for ever.
    let said = with_state("/dev/zero").rejected();
    assert!(said.contains("/dev/zero: the file has more than 8388608 bytes"), "{said}");
}

#[test]
fn a_damaged_file_does_not_stop_what_runs() {
    let mut nginx = with_state("@DIR@/state").start();
    let api = nginx.api();
    let key = api.create_key("live", "show").key;
    let good = fs::read(nginx.path("state")).unwrap();
    fs::write(nginx.path("state"), &good[..good.len() - 9]).unwrap();
    let message = nginx.reload_rejected();
    assert!(message.contains("damaged"), "{message}");
    Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    assert_eq!(fs::read(nginx.path("state")).unwrap().len(), good.len() - 9);
}

#[test]
fn the_folder_is_made_for_the_user_of_the_workers() {
    let mut config = with_state("@DIR@/folder/state");
    config.user = NOBODY.to_owned();
    let nginx = config.start();
    nginx.api().create_key("live", "show");
    let folder = fs::metadata(nginx.path("folder")).unwrap();
    let state = fs::metadata(nginx.path("folder/state")).unwrap();
    assert_eq!((folder.permissions().mode() & 0o777, state.permissions().mode() & 0o777), (0o700, 0o600));
    assert_eq!((folder.uid(), state.uid()), (65_534, 65_534));
}

#[test]
fn a_folder_that_is_read_only_makes_changes_503() {
    let folder = tempfile::tempdir().unwrap();
    let set = |mode| fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
    set(0o777);
    let mut config = with_state(&format!("{}/state", folder.path().display()));
    config.user = NOBODY.to_owned();
    let nginx = config.start();
    let api = nginx.api();
    let key = api.create_key("live", "show");
    set(0o555);
    refuses_changes(&nginx, &api, &key);
    set(0o777);
    api.create_key("live", "again");
    assert_eq!(api.get("/v1/health").expect(200)["status"], "ok");
}

#[test]
fn a_full_disk_makes_changes_503() {
    let tmpfs = Tmpfs::mount(64);
    let nginx = with_state(&format!("{}/state", tmpfs.path().display())).start();
    let api = nginx.api();
    let key = api.create_key("live", "show");
    let before = fs::read(tmpfs.path().join("state")).unwrap();
    tmpfs.fill();
    refuses_changes(&nginx, &api, &key);
    assert_eq!(fs::read(tmpfs.path().join("state")).unwrap(), before);
    tmpfs.empty();
    api.create_key("live", "again");
    assert_eq!(api.get("/v1/health").expect(200)["status"], "ok");
    drop(nginx);
}

/// Asserts that no change happens while nothing can be written, except that a revoked key is refused immediately all the same.
#[track_caller]
fn refuses_changes(nginx: &weir_tests::harness::Nginx, api: &Api, key: &weir_tests::harness::api::Key) {
    let before = api.get("/v1/keys").expect(200);
    api.post("/v1/keys", &json!({"app": "live", "stream": "other"})).error(503, "not_persisted");
    api.post(&format!("/v1/keys/{}/rotate", key.id), &json!({})).error(503, "not_persisted");
    assert_eq!(api.get("/v1/keys").expect(200), before);
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{}", key.key)).start().started();
    wait_live(api, "live", "show");
    let health = api.get("/v1/health").expect(200);
    assert_eq!(health["status"], "degraded", "{health}");
    let reason = health["reasons"][0].as_str().unwrap();
    assert!(reason.starts_with("the state file cannot be written"), "{reason}");
    api.delete(&format!("/v1/keys/{}", key.id)).error(503, "not_persisted");
    publisher.wait_closed(2.0);
    Publisher::to(nginx.rtmp(), &format!("live/{}", key.key)).start().refused_somehow();
}
