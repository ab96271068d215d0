//! A connection has one publish at a time.

use weir_tests::harness::{Publisher, until};

use super::{keyed, wait_gone, wait_live};

#[test]
fn a_second_publish_on_the_same_connection_closes_it() {
    let nginx = keyed().start();
    let api = nginx.api();
    let (one, two) = (api.create_key("live", "one").key, api.create_key("live", "two").key);
    for second in [one.clone(), two] {
        let publisher = Publisher::to(nginx.rtmp(), &format!("live/{one}")).start().started();
        publisher.manually(move |connection| {
            connection.client.set_name(second.as_bytes());
            connection.client.send_publish();
        });
        publisher.wait_closed(5.0);
        let last = publisher.statuses().pop().unwrap();
        assert_eq!((&*last.code, &*last.level), (super::BAD_NAME, "error"));
        assert!(last.description.contains("this connection already publishes"), "{}", last.description);
        wait_gone(&api, "live", "one");
        assert!(api.stream("live", "two").is_none());
    }
}

#[test]
fn another_publish_after_delete_stream_is_fine() {
    let nginx = keyed().start();
    let api = nginx.api();
    let (one, two) = (api.create_key("live", "one").key, api.create_key("live", "two").key);
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{one}")).silent().start().started();
    publisher.manually(move |connection| {
        connection.client.finish();
        connection.client.set_name(two.as_bytes());
        connection.client.send_create_stream();
    });
    wait_live(&api, "live", "two");
    wait_gone(&api, "live", "one");
    until("the second start", 5.0, || {
        publisher.statuses().iter().filter(|status| status.code == "NetStream.Publish.Start").count() == 2
    });
    assert!(!publisher.is_closed());
}

#[test]
fn another_publish_after_close_stream_is_fine() {
    let nginx = keyed().start();
    let api = nginx.api();
    let key = api.create_key("live", "show").key;
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).silent().start().started();
    publisher.manually(|connection| {
        connection.client.send_close_stream();
        connection.client.send_publish();
    });
    until("the second start", 5.0, || {
        publisher.statuses().iter().filter(|status| status.code == "NetStream.Publish.Start").count() == 2
    });
    wait_live(&api, "live", "show");
    assert!(!publisher.is_closed());
}

#[test]
fn a_publisher_may_come_back_at_once() {
    let nginx = keyed().workers(2).start();
    let path = format!("live/{}", nginx.api().create_key("live", "show").key);
    for round in 0..10 {
        let publisher = Publisher::to(nginx.rtmp(), &path).silent().start().started();
        if round % 2 == 0 {
            publisher.close();
        } else {
            publisher.kill();
        }
        wait_gone(&nginx.api(), "live", "show");
    }
}
