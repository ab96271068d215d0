//! A finished recording is uploaded. A large one is uploaded in parts, and no part is sent again after a `kill -9`. If the server fails,
//! the upload is retried.

use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use weir_tests::harness::hook::Answer;
use weir_tests::harness::s3::BUCKET;
use weir_tests::harness::{Hook, Nginx, S3, Sidecar, until};

use super::{entries, files, open, publish};

fn config(endpoint: &str, credentials: &Path, more: &str) -> String {
    format!(
        "[upload.store]\nendpoint = \"{endpoint}\"\nbucket = \"{BUCKET}\"\nprefix = \"weir/\"\npart_size = \"5m\"\n\
         credentials_file = {credentials:?}\n\
         [[record]]\napp = \"live\"\nstream = \"*\"\nfolder = \"@MEDIA@\"\nmin_free = \"1m\"\nupload = \"store\"\n{more}"
    )
}

/// Creates a folder with credentials.
fn credentials() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials");
    std::fs::write(&path, "[default]\naws_access_key_id = testing\naws_secret_access_key = not-to-be-seen\n")
        .unwrap();
    (folder, path)
}

#[test]
fn a_recording_is_uploaded_and_then_removed() {
    let (nginx, s3, (_folder, credentials)) = (open().start(), S3::start(), credentials());
    let mut sidecar = Sidecar::start(&nginx, &config(&s3.url(), &credentials, "delete_uploaded = true\n"));
    let publisher = publish(&nginx, "show");
    sidecar.wait_running("live/show/record", 20.0);
    let folder = sidecar.media();
    until("a file is there", 20.0, || !entries(&folder).is_empty());
    let name = entries(&folder)[0]["file"].as_str().unwrap().to_owned();
    publisher.close();
    sidecar.wait_log("uploaded, file: ");
    let object = s3.object(&format!("weir/{name}")).expect("the object");
    assert_eq!(&object[4..8], b"ftyp");
    until("it is removed here", 15.0, || files(&folder, "mp4").is_empty() && entries(&folder).is_empty());
    assert!(!sidecar.log().contains("not-to-be-seen") && !sidecar.log().contains("X-Amz-Signature"));
}

/// Puts a file of this size into a daemon's folder, as if it had been recorded.
fn leave_behind(sidecar: &mut Sidecar, megabytes: usize) -> Vec<u8> {
    let folder = sidecar.media();
    sidecar.kill();
    std::fs::create_dir_all(folder.join(".recordings")).unwrap();
    let bytes: Vec<u8> =
        (0..megabytes << 18).flat_map(|n| (n as u32).wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    std::fs::write(folder.join("large.mp4"), &bytes).unwrap();
    let upload = json!({ "to": "store", "key": "weir/large.mp4", "part_size": 5 << 20, "id": null, "parts": [], "done": null });
    let entry = json!({ "file": "large.mp4", "app": "live", "stream": "show", "session": "s1", "bytes": bytes.len(),
        "started": "2026-11-20T18:00:00Z", "ended": "2026-11-20T19:00:00Z", "upload": upload });
    std::fs::write(folder.join(".recordings/00000000000000000001.json"), entry.to_string()).unwrap();
    bytes
}

fn transfer(sidecar: &Sidecar) -> Value {
    entries(&sidecar.media()).first().map(|entry| entry["upload"].clone()).unwrap_or_default()
}

fn start(nginx: &Nginx, endpoint: &str, credentials: &Path) -> Sidecar {
    Sidecar::start(nginx, &config(endpoint, credentials, ""))
}

#[test]
fn a_large_recording_goes_on_where_it_was_interrupted() {
    let (nginx, s3, (_folder, credentials)) = (open().start(), S3::start(), credentials());
    let mut sidecar = start(&nginx, &s3.url(), &credentials);
    let bytes = leave_behind(&mut sidecar, 64);
    sidecar.start_again();
    let parts = |sidecar: &Sidecar| transfer(sidecar)["parts"].as_array().map_or(0, Vec::len);
    until("two parts are there", 30.0, || parts(&sidecar) >= 2);
    s3.process().signal(Signal::SIGSTOP);
    sidecar.kill();
    let before = parts(&sidecar);
    assert!(before < 13, "it was too fast to be interrupted");
    s3.process().signal(Signal::SIGCONT);
    sidecar.start_again();
    until("all of it is there", 60.0, || !transfer(&sidecar)["done"].is_null());
    assert!(s3.object("weir/large.mp4").unwrap() == bytes);
    let log = s3.log();
    let sent = |part: usize| {
        log.lines()
            .filter(|line| line.contains("PUT ") && line.contains(&format!("partNumber={part}&")))
            .count()
    };
    for part in 1..=before {
        assert_eq!(sent(part), 1, "part {part}:\n{log}");
    }
    assert_eq!(
        log.lines().filter(|line| line.contains("POST ") && line.contains("uploads=")).count(),
        1,
        "{log}"
    );
}

#[test]
fn a_server_that_has_forgotten_a_transfer_gets_all_of_it() {
    let (nginx, s3, (_folder, credentials)) = (open().start(), S3::start(), credentials());
    let mut sidecar = start(&nginx, &s3.url(), &credentials);
    let bytes = leave_behind(&mut sidecar, 11);
    let entry = sidecar.media().join(".recordings/00000000000000000001.json");
    let text = std::fs::read_to_string(&entry).unwrap();
    std::fs::write(&entry, text.replace("\"id\":null,", "\"id\":\"forgotten\",")).unwrap();
    sidecar.start_again();
    until("all of it is there", 60.0, || !transfer(&sidecar)["done"].is_null());
    assert!(s3.object("weir/large.mp4").unwrap() == bytes);
}

#[test]
fn a_server_in_trouble_is_tried_again() {
    let (nginx, hook, (_folder, credentials)) = (open().start(), Hook::start(Answer::Trouble), credentials());
    let mut sidecar = start(&nginx, hook.url().trim_end_matches('/'), &credentials);
    leave_behind(&mut sidecar, 1);
    sidecar.start_again();
    until("it was tried twice", 30.0, || hook.requests().len() >= 2);
    sidecar.wait_log("upload failed: upload: 503 Service Unavailable");
    assert!(transfer(&sidecar)["done"].is_null());
    assert_eq!(sidecar.log().matches("upload failed: ").count(), 1);
}
