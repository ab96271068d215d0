//! The state file on the disk: Weir syncs the file before the rename and the folder after it, creates the file itself with mode 0600, and
//! can rewrite it from memory. An error after the rename is only a warning.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::process::Command;

use serde_json::{Value, json};
use weir_model::State;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::trace::traced;
use weir_tests::harness::{Nginx, Publisher, products};

const NOBODY: &str = "nobody nogroup";
const NOBODY_ID: u32 = 65_534;

fn with_state(path: &str) -> Config {
    let config = Config::weir().main(&format!("weir_zone 2m state={path};"));
    config.http("location /api { weir_api; }").app("live", "weir_publish key; weir_push on;")
}

fn keys_in(nginx: &Nginx) -> Vec<String> {
    let state = State::decode(&fs::read(nginx.path("state")).unwrap()).unwrap();
    state.keys.iter().map(|key| key.stream.to_string()).collect()
}

fn listed(nginx: &Nginx) -> Vec<String> {
    let answer = nginx.api().get("/v1/keys").expect(200);
    answer["keys"].as_array().unwrap().iter().map(|key| key["stream"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn file_and_folder_are_synced_in_this_order() {
    let nginx = with_state("@DIR@/state").start();
    let api = nginx.api();
    let first = api.create_key("live", "first");
    let target = json!({"app": "live", "stream": "*", "url": "rtmp://127.0.0.1:9/app/key"});
    let changes: [&dyn Fn(); 4] = [
        &|| drop(api.create_key("live", "second")),
        &|| drop(api.post(&format!("/v1/keys/{}/rotate", first.id), &json!({})).expect(200)),
        &|| drop(api.post("/v1/targets", &target).expect(201)),
        &|| drop(api.delete(&format!("/v1/keys/{}", first.id)).expect(200)),
    ];
    for change in changes {
        let lines = traced(&nginx, nginx.workers()[0], "fsync,fdatasync,rename,renameat,renameat2", change);
        let folder = nginx.folder().display();
        let at = |what: &str, parts: [String; 2]| {
            let found = lines.iter().position(|line| parts.iter().all(|part| line.contains(part)));
            found.unwrap_or_else(|| panic!("{what} is missing:\n{}", lines.join("\n")))
        };
        let file = at("fsync of the file", ["sync(".into(), format!("<{folder}/state.tmp>")]);
        let rename = at("the rename", ["rename".into(), format!("{folder}/state.tmp")]);
        let synced = at("fsync of the folder", ["sync(".into(), format!("<{folder}>")]);
        assert!(file < rename && rename < synced, "{}", lines.join("\n"));
    }
}

#[test]
fn a_temporary_file_of_somebody_else_is_never_opened() {
    let nginx = with_state("@DIR@/state").start();
    let (temporary, victim) = (nginx.path("state.tmp"), nginx.path("victim"));
    fs::write(&victim, "precious").unwrap();
    let make: [&dyn Fn(); 3] = [
        &|| {
            fs::write(&temporary, "left over").unwrap();
            fs::set_permissions(&temporary, Permissions::from_mode(0o666)).unwrap();
        },
        &|| symlink(&victim, &temporary).unwrap(),
        &|| fs::hard_link(&victim, &temporary).unwrap(),
    ];
    for (n, make) in make.iter().enumerate() {
        make();
        nginx.api().create_key("live", &format!("s{n}"));
        let facts = fs::symlink_metadata(nginx.path("state")).unwrap();
        assert!(facts.is_file() && facts.permissions().mode() & 0o7777 == 0o600);
        assert_eq!(
            (fs::read_to_string(&victim).unwrap().as_str(), keys_in(&nginx).len()),
            ("precious", n + 1)
        );
        assert!(fs::symlink_metadata(&temporary).is_err());
    }
    // If the temporary file cannot be removed, Weir refuses the change.
    fs::create_dir(&temporary).unwrap();
    nginx.api().post("/v1/keys", &json!({"app": "live", "stream": "no"})).error(503, "not_persisted");
    assert_eq!((listed(&nginx).len(), keys_in(&nginx).len()), (3, 3));
}

#[test]
fn a_lock_file_that_is_a_link_is_not_followed() {
    let nginx = with_state("@DIR@/state").start();
    nginx.api().create_key("live", "first");
    fs::remove_file(nginx.path("state.lock")).unwrap();
    symlink(nginx.path("made"), nginx.path("state.lock")).unwrap();
    nginx.api().post("/v1/keys", &json!({"app": "live", "stream": "no"})).error(503, "not_persisted");
    assert!(!nginx.path("made").exists() && listed(&nginx) == ["first"]);
}

#[test]
fn a_folder_that_cannot_be_synced_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    chown(folder.path(), Some(0), Some(NOBODY_ID)).unwrap();
    // The folder has the mode of cron's spool: the group may create files in it, but may not read it.
    fs::set_permissions(folder.path(), Permissions::from_mode(0o1730)).unwrap();
    let state = folder.path().join("state");
    let mut config = with_state(&state.display().to_string());
    config.user = NOBODY.to_owned();
    let nginx = config.start();
    let warned = nginx.wait_log("\"weir_zone\": the workers (user id 65534) cannot read the folder ");
    assert!(warned.contains("[warn]"), "{warned}");
    let api = nginx.api();
    let doubt = |answer: Value| {
        let warning = answer["warning"].as_str().unwrap_or_else(|| panic!("no warning: {answer}")).to_owned();
        assert!(warning.starts_with("the change is in force, but may be lost if the machine loses power: "));
        assert!(warning.contains("cannot be synced"), "{warning}");
    };
    let count = || {
        let state = State::decode(&fs::read(&state).unwrap()).unwrap();
        let targets = api.get("/v1/targets").expect(200)["targets"].as_array().unwrap().len();
        assert_eq!((state.keys.len(), state.targets.len()), (listed(&nginx).len(), targets));
        (state.keys.len(), targets)
    };
    let key = api.post("/v1/keys", &json!({"app": "live", "stream": "show"})).expect(201);
    doubt(key.clone());
    assert_eq!(count(), (1, 0));
    let target = json!({"app": "live", "stream": "*", "url": "rtmp://127.0.0.1:9/app/key"});
    let target = api.post("/v1/targets", &target).expect(201);
    doubt(target.clone());
    assert_eq!(count(), (1, 1));
    Publisher::to(nginx.rtmp(), &format!("live/{}", key["key"].as_str().unwrap())).start().started().close();
    let path = |list: &str, of: &Value| format!("/v1/{list}/{}", of["id"].as_str().unwrap());
    doubt(api.send(api.request("PATCH", &path("targets", &target)).json(&json!({"note": "x"}))).expect(200));
    doubt(api.post(&format!("{}/rotate", path("keys", &key)), &json!({})).expect(200));
    nginx.reload();
    assert_eq!(count(), (1, 1));
    doubt(api.delete(&path("targets", &target)).expect(200));
    let said = Command::new(products::weir())
        .args(["key", "revoke", key["id"].as_str().unwrap(), "--api", &nginx.url("/api")])
        .output()
        .unwrap();
    let warned = String::from_utf8(said.stderr).unwrap();
    assert!(said.status.success() && warned.starts_with("weir: warning: the change is in force"), "{warned}");
    assert_eq!(count(), (0, 0));
    assert!(!nginx.log_lines("weir: a change was made, and may be lost").is_empty());
    assert_eq!(api.get("/v1/health").expect(200)["status"], "ok");
}

#[test]
fn a_file_that_the_workers_cannot_read_is_a_warning() {
    let text = State::default().encode();
    let mut config = with_state("@DIR@/state").file("state", text);
    config.user = NOBODY.to_owned();
    // root owns the test's folder: other users cannot write to it, and all users can read the file.
    let said = config.clone().accepted();
    assert!(said.contains("(user id 65534) cannot write to") && !said.contains("cannot read"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    chown(folder.path(), Some(NOBODY_ID), None).unwrap();
    let state = folder.path().join("state");
    fs::write(&state, State::default().encode()).unwrap();
    fs::set_permissions(&state, Permissions::from_mode(0o600)).unwrap();
    let mut config = with_state(&state.display().to_string());
    config.user = NOBODY.to_owned();
    let said = config.accepted();
    let wanted = format!("cannot read {0}; run chown 65534:65534 {0}", state.display());
    assert!(said.contains(&wanted), "{said}");
}

#[test]
fn a_damaged_file_is_written_anew_from_memory() {
    let mut nginx = with_state("@DIR@/state").start();
    // `nginx -t` writes to the log as well.
    nginx.allow("\"weir state save\" writes them");
    let api = nginx.api();
    let key = api.create_key("live", "show");
    let save = || api.post("/v1/state/save", &json!({})).expect(200);
    // A valid file is not rewritten.
    let inode = fs::metadata(nginx.path("state")).unwrap().ino();
    let path = nginx.path("state").display().to_string();
    assert_eq!(save(), json!({"file": path, "keys": 1, "targets": 0, "set_aside": null}));
    assert_eq!(fs::metadata(nginx.path("state")).unwrap().ino(), inode);
    for (damaged, aside) in [("", "state.damaged"), ("weir-state 1 1 x\n", "state.damaged.1")] {
        fs::write(nginx.path("state"), damaged).unwrap();
        let said = api.post("/v1/keys", &json!({"app": "live", "stream": "no"})).error(503, "not_persisted");
        assert!(said.contains("\"weir state save\" writes them"), "{said}");
        assert_eq!(nginx.test_rejected().matches("weir state save").count(), 1);
        let saved = save();
        assert_eq!(saved["set_aside"], nginx.path(aside).display().to_string(), "{saved}");
        assert_eq!(fs::read_to_string(nginx.path(aside)).unwrap(), damaged);
        assert_eq!((keys_in(&nginx), listed(&nginx)), (vec!["show".to_owned()], vec!["show".to_owned()]));
    }
    // One that is missing is made.
    fs::remove_file(nginx.path("state")).unwrap();
    let said =
        Command::new(products::weir()).args(["state", "save", "--api", &nginx.url("/api")]).output().unwrap();
    assert_eq!(String::from_utf8(said.stdout).unwrap(), format!("saved: {path}, keys: 1, targets: 0\n"));
    nginx.restart(|_| {});
    Publisher::to(nginx.rtmp(), &format!("live/{}", key.key)).start().started();
}

#[test]
fn without_a_state_file_there_is_nothing_to_save() {
    let nginx = super::keyed().start();
    let said = nginx.api().post("/v1/state/save", &json!({})).error(409, "conflict");
    assert!(said.contains("state=FILE"), "{said}");
}
