//! A rejected reload does not change the running workers, nor the workers that start after it.

use serde_json::json;
use weir_tests::harness::Publisher;

use super::{BAD_NAME, keyed, wait_gone};

#[test]
fn a_rejected_reload_and_then_a_killed_worker() {
    let mut nginx = keyed().start();
    let api = nginx.api();
    let key = api.create_key("live", "show");
    let path = format!("live/{}", key.key);
    // These configurations fail after all modules have read their directives and set up.
    for bad in ["rtmp_nonsense;", "location /x { proxy_pass http://127.0.0.1:1; return 200; bogus; }"] {
        nginx.edit(|config| config.http(bad));
        nginx.reload_rejected();
        let worker = nginx.workers()[0];
        nginx.kill_worker(worker);
        Publisher::to(nginx.rtmp(), &path).start().started().close();
        wait_gone(&api, "live", "show");
        Publisher::to(nginx.rtmp(), "live/wk_wrong").start().refused(BAD_NAME);
        assert_eq!(api.get("/v1/keys").expect(200)["keys"][0]["id"], key.id.as_str());
        api.create_key("live", "other");
    }
    api.post(&format!("/v1/keys/{}/rotate", key.id), &json!({})).expect(200);
    Publisher::to(nginx.rtmp(), &path).start().refused_somehow();
}

#[test]
fn a_reload_that_fails_late_and_then_a_killed_worker() {
    let mut nginx = keyed().start();
    let path = format!("live/{}", nginx.api().create_key("live", "show").key);
    // The configuration is valid, but nginx cannot open its log file.
    nginx.edit(|config| config.http("error_log /nonexistent/folder/error.log;"));
    nginx.reload_rejected();
    let worker = nginx.workers()[0];
    nginx.kill_worker(worker);
    Publisher::to(nginx.rtmp(), &path).start().started();
    Publisher::to(nginx.rtmp(), "live/wk_wrong").start().refused(BAD_NAME);
}
