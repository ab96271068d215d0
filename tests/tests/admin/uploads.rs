//! The card of a live stream shows how far the uploads of its recordings are, and why an upload fails, without a reload of the page.

use nix::sys::signal::Signal;
use weir_tests::harness::browser::Browser;
use weir_tests::harness::s3::BUCKET;
use weir_tests::harness::{Publisher, S3, Sidecar};

use super::look::{complaints, go, log_in, look_at, wait_for};
use super::{Visitor, WEB, add, nginx};

#[test]
fn the_card_shows_the_uploads_of_the_stream() {
    let (nginx, s3) = (nginx(), S3::start());
    let folder = tempfile::tempdir().unwrap();
    let credentials = folder.path().join("credentials");
    std::fs::write(
        &credentials,
        "[default]\naws_access_key_id = testing\naws_secret_access_key = not-to-be-seen\n",
    )
    .unwrap();
    let config = format!(
        "{WEB}[upload.store]\nendpoint = \"{}\"\nbucket = \"{BUCKET}\"\ncredentials_file = {credentials:?}\n\
         [[record]]\napp = \"live\"\nstream = \"*\"\nfolder = \"@MEDIA@/recordings\"\nmin_free = \"1m\"\nsplit = \"12s\"\n\
         upload = \"store\"\n",
        s3.url()
    );
    let sidecar = Sidecar::start(&nginx, &config);
    add(&sidecar, "ana", "admin");
    let key = Visitor::logged_in(&sidecar, "ana");
    let (_, key) = key.ask("POST", "keys", &serde_json::json!({ "app": "live", "stream": "show" }));
    let browser = Browser::start();
    log_in(&browser, &sidecar, "ana");
    let _publisher =
        Publisher::to(nginx.rtmp(), &format!("live/{}", key["key"].as_str().unwrap())).start().started();
    let row = "[...document.querySelectorAll('[data-stream=\"live/show\"] dl div')]
        .find((row) => row.firstChild.textContent === 'Upload')?.lastChild";
    let wait = |what: &str, words: &str| {
        wait_for(&browser, what, 40.0, &format!("({row})?.textContent.includes('{words}')"));
    };
    wait("the upload comes later", "to store, after the recording");
    wait("a file is uploaded", "uploaded to store");
    assert!(s3.log().contains("PUT "), "{}", s3.log());

    // The server hangs, then it is gone.
    s3.process().signal(Signal::SIGSTOP);
    wait("a file waits", "1 file to store, 0 B of ");
    s3.process().signal(Signal::SIGKILL);
    wait("the failure is shown", "; Weir tries again");
    assert_eq!(browser.run(&format!("return ({row}).className")), "bad");
    look_at(&browser, "uploads");
    go(&browser, "recordings");
    wait_for(
        &browser,
        "the list shows it, too",
        10.0,
        "document.querySelector('td .bad')?.textContent.includes('to store: ')",
    );
    assert!(!browser.run("return document.body.textContent").as_str().unwrap().contains("not-to-be-seen"));
    assert_eq!(complaints(&browser), [""; 0]);
}
