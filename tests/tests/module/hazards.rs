//! nginx-rtmp's own faults with refused, renamed or duplicate publishers (see `stock/hazards.rs`) do not occur in streams that Weir
//! watches.

use weir_tests::harness::hook::Answer;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Hook, Publisher, files, until};

use super::{BAD_NAME, HLS, keyed, wait_live};

#[test]
fn nothing_of_a_refused_publisher_is_ever_public() {
    let app = format!(
        "weir_publish key; {HLS} dash on; dash_path @DIR@/dash; record all; record_path @DIR@/rec; \
         exec_push /bin/sh -c \"echo $name >> @DIR@/exec.txt\";"
    );
    let nginx = Config::weir().with_api().app("live", &app).start();
    Publisher::to(nginx.rtmp(), "live/wk_wrong").hasty().start().refused(BAD_NAME);
    for folder in ["hls", "dash", "rec"] {
        assert!(files::below(&nginx.path(folder)).is_empty());
    }
    assert!(!nginx.path("exec.txt").exists());
}

#[test]
fn hooks_are_not_asked_about_a_refused_publisher() {
    let hook = Hook::start(Answer::Yes);
    let app = format!(
        "weir_publish key; on_publish {url}; on_publish_done {url}; on_done {url};",
        url = hook.url()
    );
    let nginx = keyed().app("hooked", &app).start();
    Publisher::to(nginx.rtmp(), "hooked/wk_wrong").start().refused(BAD_NAME);
    let key = nginx.api().create_key("hooked", "show").key;
    let publisher = Publisher::to(nginx.rtmp(), &format!("hooked/{key}")).start().started();
    assert_eq!(hook.count("call=publish&"), 1, "{:?}", hook.bodies());
    publisher.close();
    until("on_publish_done", 5.0, || hook.count("call=publish_done") == 1);
    assert_eq!(hook.count("wk_"), 0, "{:?}", hook.bodies());
}

#[test]
fn hooks_may_still_refuse() {
    let hook = Hook::start(Answer::No);
    let app = format!("weir_publish key; on_publish {};", hook.url());
    let nginx = keyed().app("hooked", &app).start();
    let api = nginx.api();
    let key = api.create_key("hooked", "show").key;
    Publisher::to(nginx.rtmp(), &format!("hooked/{key}")).start().wait_closed(5.0);
    until("the name is free again", 5.0, || api.stream("hooked", "show").is_none());
}

#[test]
fn the_end_of_a_duplicate_is_not_the_end_of_the_stream() {
    let hook = Hook::start(Answer::Yes);
    let app = format!("weir_publish key; on_publish_done {};", hook.url());
    let nginx = keyed().app("hooked", &app).start();
    let path = format!("hooked/{}", nginx.api().create_key("hooked", "show").key);
    let first = Publisher::to(nginx.rtmp(), &path).start().started();
    Publisher::to(nginx.rtmp(), &path).start().refused(BAD_NAME);
    first.send_more(500);
    assert_eq!(hook.count("call=publish_done"), 0);
    assert!(nginx.api().stream("hooked", "show").is_some());
    first.close();
    until("on_publish_done", 5.0, || hook.count("call=publish_done") == 1);
}

#[test]
fn deny_publish_still_counts() {
    let nginx = keyed().app("closed", "weir_publish key; deny publish all;").start();
    let api = nginx.api();
    let key = api.create_key("closed", "show").key;
    let publisher = Publisher::to(nginx.rtmp(), &format!("closed/{key}")).start();
    publisher.wait_closed(5.0);
    until("the name is free again", 5.0, || api.stream("closed", "show").is_none());
}

#[test]
fn arguments_cannot_pose_as_what_hooks_are_told() {
    let hook = Hook::start(Answer::Yes);
    let app = format!("on_publish {};", hook.url());
    let nginx = keyed()
        .app("hooked", &format!("weir_publish key; {app}"))
        .app("open", &format!("weir_publish open; {app}"))
        .start();
    let key = nginx.api().create_key("hooked", "show").key;
    for argument in ["name=other", "NAME=other", "addr=127.0.0.1", "app=x", "call=x", "tcurl=x", "flashver=x"]
    {
        for path in [format!("hooked/{key}?{argument}"), format!("open/show?a=1&{argument}")] {
            let reason = Publisher::to(nginx.rtmp(), &path).start().refused(BAD_NAME);
            assert!(reason.contains("is reserved"), "{argument}: {reason}");
        }
    }
    for argument in ["a=b;c", "a=$(b)", "a=b c", "%6eame=x", "a=<b>", "a=\"b\"", "a=b\\c"] {
        Publisher::to(nginx.rtmp(), "open/x")
            .name(format!("show?{argument}").as_bytes())
            .start()
            .refused(BAD_NAME);
    }
    assert_eq!(hook.bodies(), Vec::<String>::new());
    Publisher::to(nginx.rtmp(), &format!("hooked/{key}?who=me&n=1")).start().started();
    assert_eq!(hook.count("&who=me&n=1"), 1, "{:?}", hook.bodies());
}

#[test]
fn names_cannot_mean_anything_to_exec() {
    let app = "exec_push /bin/echo $name; exec_push /bin/sh -c \"echo ran >> @DIR@/ran.txt\";";
    let nginx = keyed().app("open", &format!("weir_publish open; {app}")).start();
    let file = nginx.path("written");
    for name in
        [format!(">{}", file.display()), "<x".into(), "-n".into(), "$(x)".into(), "a;b".into(), "..".into()]
    {
        Publisher::to(nginx.rtmp(), "open/x").name(name.as_bytes()).start().refused(BAD_NAME);
    }
    assert!(!file.exists() && !nginx.path("ran.txt").exists());
}

#[test]
fn a_stream_renamed_by_a_redirecting_hook_does_not_slip_through() {
    let hook = Hook::start(Answer::Redirect("other".to_owned()));
    let app = format!("weir_publish key; {HLS} on_publish {};", hook.url());
    let nginx = keyed().app("hooked", &app).start();
    let api = nginx.api();
    let key = api.create_key("hooked", "show").key;
    let publisher = Publisher::to(nginx.rtmp(), &format!("hooked/{key}")).start();
    publisher.outcome();
    publisher.wait_closed(10.0);
    until("the name is free again", 5.0, || api.stream("hooked", "show").is_none());
    assert!(api.stream("hooked", "other").is_none());
    assert!(files::that_mention(nginx.folder(), &key).is_empty());
}

#[test]
fn hls_bears_the_public_name_alone() {
    let nginx = Config::weir().with_api().app("live", &format!("weir_publish key; {HLS}")).start();
    let api = nginx.api();
    let key = api.create_key("live", "show").key;
    let _publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    wait_live(&api, "live", "show");
    until("a segment", 10.0, || files::segments(&nginx.path("hls/show.m3u8")).len() >= 2);
    let names: Vec<_> = files::below(&nginx.path("hls"));
    assert!(
        names.iter().all(|path| path.file_name().unwrap().to_string_lossy().starts_with("show")),
        "{names:?}"
    );
}
