//! A publisher that ends its stream, or that an administrator disconnects, is not replaced by the slate; a publisher that falls silent is.
//! A slate has a time limit.

use weir_tests::harness::{Sidecar, until};

use super::{keyed, publish, session, slate, wait_clip};

#[test]
fn only_who_is_lost_is_filled_in_for() {
    let nginx = keyed("").start();
    let sidecar = Sidecar::start(&nginx, &slate("60s"));
    let keys = ["polite", "dropped", "lost"].map(|name| nginx.api().create_key("live", name));
    let [polite, dropped, lost] = keys.each_ref().map(|key| publish(&nginx, key));
    wait_clip(&nginx, "slate");
    polite.close();
    nginx.api().delete("/v1/streams/live/dropped").expect(200);
    dropped.wait_closed(10.0);
    for name in ["polite", "dropped"] {
        until("the stream is gone", 10.0, || session(&nginx, name).is_none());
    }
    let first = session(&nginx, "lost");
    lost.kill();
    until("the slate is live", 10.0, || session(&nginx, "lost").is_some_and(|now| Some(now) != first));
    let log = sidecar.log();
    assert_eq!(log.matches("showing the slate").count(), 1, "{log}");
    assert!(session(&nginx, "polite").is_none() && session(&nginx, "dropped").is_none());
}

#[test]
fn who_falls_silent_is_lost() {
    let nginx = keyed("weir_idle_publisher 2s;").start();
    let sidecar = Sidecar::start(&nginx, &slate("60s"));
    let key = nginx.api().create_key("live", "show");
    let publisher = publish(&nginx, &key);
    let first = session(&nginx, "show");
    publisher.stall();
    publisher.wait_closed(15.0);
    until("the slate is live", 10.0, || session(&nginx, "show").is_some_and(|now| Some(now) != first));
    sidecar.wait_log("publisher lost: showing the slate");
}

#[test]
fn a_worker_that_dies_loses_its_publishers() {
    let mut nginx = keyed("").start();
    let sidecar = Sidecar::start(&nginx, &slate("60s"));
    let key = nginx.api().create_key("live", "show");
    let _publisher = publish(&nginx, &key);
    wait_clip(&nginx, "slate");
    let first = session(&nginx, "show");
    let worker = nginx.workers()[0];
    nginx.kill_worker(worker);
    until("the slate is live", 15.0, || session(&nginx, "show").is_some_and(|now| Some(now) != first));
    sidecar.wait_log("publisher lost: showing the slate");
}

#[test]
fn a_slate_ends_when_its_time_is_over() {
    let nginx = keyed("").start();
    let sidecar = Sidecar::start(&nginx, &slate("3s"));
    let key = nginx.api().create_key("live", "show");
    let publisher = publish(&nginx, &key);
    wait_clip(&nginx, "slate");
    publisher.kill();
    sidecar.wait_log("publisher lost: showing the slate");
    sidecar.wait_log("the slate's time is over");
    until("the stream is gone", 10.0, || session(&nginx, "show").is_none());
    let told = sidecar.told("slate.ended");
    assert_eq!((&told["name"], &told["reason"]), (&"show".into(), &"time".into()), "{told}");
    // A later publisher is treated like any other, and is replaced by the slate again.
    let publisher = publish(&nginx, &key);
    let second = session(&nginx, "show");
    publisher.kill();
    until("the slate is live", 10.0, || session(&nginx, "show").is_some_and(|now| Some(now) != second));
    assert_eq!(sidecar.log().matches("showing the slate").count(), 2, "{}", sidecar.log());
}
