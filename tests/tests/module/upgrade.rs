//! An upgrade of the binary (SIGUSR2), as Debian's packages do it: for a while two masters serve, and share the zone and the state file.

mod handover;

use nix::sys::signal::Signal;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Nginx, Publisher, until};

use super::BAD_NAME;

fn start() -> Nginx {
    let mut config = Config::weir()
        .main("weir_zone 2m state=@DIR@/state;")
        .http("location /api { weir_api; }")
        .app("live", "weir_publish key;");
    config.daemon = true;
    config.start()
}

#[test]
fn keys_and_publishers_survive() {
    let mut nginx = start();
    let key = nginx.api().create_key("live", "show").key;
    let other = nginx.api().create_key("live", "other").key;
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    let old = nginx.upgrade();
    old.signal(Signal::SIGQUIT);
    publisher.send_more(500);
    assert!(!publisher.is_closed());
    until("only the new workers listen", 10.0, || {
        old.children().iter().all(|child| child.title() != "nginx: worker process")
    });
    let second = Publisher::to(nginx.rtmp(), &format!("live/{other}")).start().started();
    Publisher::to(nginx.rtmp(), "live/wk_wrong").start().refused(BAD_NAME);
    publisher.close();
    until("the old master ends", 10.0, || !old.is_alive());
    second.send_more(300);
    assert!(!second.is_closed());
}

#[test]
fn no_key_is_lost_while_both_serve() {
    let mut nginx = start();
    let before = nginx.api().create_key("live", "before");
    let old = nginx.upgrade();
    // Each connection reaches the worker, of either master, that accepts it first.
    let during: Vec<_> = (0..20).map(|n| nginx.api().create_key("live", &format!("s{n}"))).collect();
    old.signal(Signal::SIGQUIT);
    until("the old master ends", 10.0, || !old.is_alive());
    nginx.reload();
    let listed = nginx.api().get("/v1/keys").expect(200).to_string();
    for key in during.iter().chain([&before]) {
        assert!(listed.contains(&key.id), "{} is lost", key.id);
    }
    Publisher::to(nginx.rtmp(), &format!("live/{}", during[7].key)).start().started();
}

#[test]
fn a_key_revoked_by_one_master_is_not_brought_back_by_the_other() {
    let mut nginx = start();
    let (gone, stays) = (nginx.api().create_key("live", "gone"), nginx.api().create_key("live", "stays"));
    let old = nginx.upgrade();
    nginx.api().delete(&format!("/v1/keys/{}", gone.id)).expect(200);
    for n in 0..6 {
        nginx.api().create_key("live", &format!("s{n}"));
    }
    old.signal(Signal::SIGQUIT);
    until("the old master ends", 10.0, || !old.is_alive());
    nginx.restart(|_| {});
    Publisher::to(nginx.rtmp(), &format!("live/{}", gone.key)).start().refused(BAD_NAME);
    Publisher::to(nginx.rtmp(), &format!("live/{}", stays.key)).start().started();
}

#[test]
fn what_one_master_revokes_is_revoked_at_the_other() {
    let mut nginx = start();
    let (used, spare) = (nginx.api().create_key("live", "used"), nginx.api().create_key("live", "spare"));
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{}", used.key)).start().started();
    let old = nginx.upgrade();
    // Whichever master answers, both know of the revocation soon.
    nginx.api().delete(&format!("/v1/keys/{}", spare.id)).expect(200);
    let lists = |id: &str| nginx.api().get("/v1/keys").expect(200).to_string().contains(id);
    until("both masters know of the revocation", 5.0, || (0..20).all(|_| !lists(&spare.id)));
    // After SIGWINCH, the old workers only finish the connections that they have.
    old.signal(Signal::SIGWINCH);
    until("the old workers take no connections", 10.0, || {
        old.children()
            .iter()
            .all(|child| child.0 == nginx.master().0 || child.title().contains("shutting down"))
    });
    let answer = nginx.api().delete(&format!("/v1/keys/{}", used.id)).expect(200);
    assert_eq!(answer["dropped"], 1);
    publisher.wait_closed(5.0);
    let new = nginx.api().create_key("live", "new");
    assert!(lists(&new.id));
    old.signal(Signal::SIGQUIT);
    until("the old master ends", 10.0, || !old.is_alive());
}
