//! A full file system stops the recording, not the stream. The operator is notified, and the recording resumes when there is free space
//! again.

use weir_tests::harness::{Hook, Sidecar, Tmpfs, hook::Answer, until};

use super::{complaints, files, open, publish, wait_ended};

#[test]
fn a_full_disk_stops_the_recording_and_not_the_stream() {
    let (nginx, disk, hook) = (open().start(), Tmpfs::mount(6 << 10), Hook::start(Answer::Yes));
    let keys = tempfile::tempdir().unwrap();
    let secret = keys.path().join("secret");
    std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let config = format!(
        "[[record]]\napp = \"live\"\nstream = \"*\"\nfolder = {:?}\nmin_free = \"1m\"\n[hooks]\nqueue = {:?}\n\
         [hooks.webhook.admin]\nurl = \"{}\"\nsecret_files = [{secret:?}]\nallow_private = true\nevents = [\"recording.*\"]\n",
        disk.path(),
        keys.path().join("queue"),
        hook.url()
    );
    let mut sidecar = Sidecar::start(&nginx, &config);
    let publisher = publish(&nginx, "show");
    sidecar.wait_running("live/show/record", 20.0);
    // A file may exist without any media yet, and then there is no recording.
    sidecar.wait_log("recording, file: ");
    disk.fill();
    sidecar.wait_log("recording stopped: ");
    until("the operator is told", 10.0, || hook.count("recording.stopped") == 1);
    publisher.send_more(2000);
    assert!(nginx.api().stream("live", "show").is_some() && !publisher.is_closed());
    assert_eq!(sidecar.find("live/show/record").unwrap()["restarts"], 0);
    assert_eq!(hook.count("recording.stopped"), 1);
    disk.empty();
    sidecar.wait_log("recording resumed");
    until("the operator is told", 10.0, || hook.count("recording.resumed") == 1);
    publisher.close();
    wait_ended(disk.path(), 2);
    for file in files(disk.path(), "mp4") {
        assert_eq!(complaints(&file), "", "{file:?}");
    }
}
