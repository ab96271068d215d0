//! Logs that are rotated as logrotate does it: Weir's lines go to the new file, from old workers too, and no client is disconnected.

use std::fs::{self, OpenOptions};

use nix::sys::signal::Signal;
use weir_tests::harness::{Nginx, Publisher, files, until};

use super::{keyed, wait_live, worker_of};

/// Renames the log, and waits until the master and each worker write to a new file. Returns the length of the old file.
#[track_caller]
fn rotate(nginx: &Nginx, old_name: &str) -> u64 {
    let (log, old) = (nginx.path("error.log"), nginx.path(old_name));
    fs::rename(&log, &old).unwrap();
    nginx.master().signal(Signal::SIGUSR1);
    let name = log.to_string_lossy().into_owned();
    until("all processes have the new file", 10.0, || {
        let all = [nginx.workers(), nginx.draining(), vec![nginx.master()]].concat();
        all.iter().all(|process| process.open_files().contains(&name))
    });
    fs::metadata(old).unwrap().len()
}

#[track_caller]
fn refuse(nginx: &Nginx, digit: char) {
    let key = format!("wk_{}", digit.to_string().repeat(32));
    Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().wait_closed(5.0);
}

#[test]
fn lines_go_to_the_new_file() {
    let nginx = keyed().app("pushed", "weir_publish open; weir_push on;").workers(2).start();
    let api = nginx.api();
    let key = api.create_key("live", "show").key;
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    let pushed = Publisher::to(nginx.rtmp(), "pushed/show").start().started();

    let length = rotate(&nginx, "error.log.1");
    refuse(&nginx, 'b');
    nginx.wait_log("publish refused: unknown key");
    let target = serde_json::json!({ "app": "pushed", "stream": "show", "url": "rtmp://127.0.0.1:1/app/x" });
    api.post("/v1/targets", &target).expect(201);
    nginx.wait_log("connection refused");

    // logrotate's `copytruncate` empties the file in the same way.
    OpenOptions::new().write(true).open(nginx.path("error.log")).unwrap().set_len(0).unwrap();
    refuse(&nginx, 'c');
    nginx.wait_log("publish refused: unknown key");
    assert!(!nginx.log().contains('\0'));

    // A worker that drains reopens the file too.
    let worker = worker_of(&nginx, "show");
    nginx.reload();
    assert!(nginx.draining().iter().any(|draining| draining.0 == worker));
    let length_of_second = rotate(&nginx, "error.log.2");
    assert!(!publisher.is_closed() && !pushed.is_closed());
    wait_live(&api, "live", "show");
    api.delete("/v1/streams/live/show").expect(200);
    publisher.wait_closed(5.0);
    let line = nginx.wait_log("publisher disconnected by an administrator or a takeover");
    assert!(line.contains(&format!(" {worker}#{worker}: ")), "{line}");
    for (name, length) in [("error.log.1", length), ("error.log.2", length_of_second)] {
        let old = nginx.path(name);
        assert_eq!(fs::metadata(&old).unwrap().len(), length, "{}", files::text(&old));
        assert_eq!(Nginx::complaints(&files::text(&old)), [""; 0]);
    }
}
