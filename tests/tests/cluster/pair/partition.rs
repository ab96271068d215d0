//! Both nodes are edited while they cannot reach each other; afterwards they agree, and a key has one publisher.

use serde_json::json;

use super::{A, B, Pair, within};

#[test]
fn both_sides_of_a_partition_are_edited_and_agree_when_it_heals() {
    let pair = Pair::start();
    let keys: Vec<_> = (0..4).map(|n| pair.api(A).create_key("live", &format!("s{n}"))).collect();
    let url = |n: u32| format!("rtmp://127.0.0.1:1/in/{n}?key=k{n}");
    let target = |nth: usize, n: u32| {
        let body = json!({ "app": "live", "stream": "show", "url": url(n), "note": format!("of {nth}") });
        pair.api(nth).post("/v1/targets", &body).expect(201)["id"].as_str().unwrap().to_owned()
    };
    let change = |nth: usize, id: &str, body: &serde_json::Value| {
        let api = pair.api(nth);
        api.send(api.request("PATCH", &format!("/v1/targets/{id}")).json(body)).expect(200);
    };
    let (one, two) = (target(A, 1), target(A, 2));
    pair.wait_in_step();

    pair.cut();
    within("it is noticed", 8.0, || pair.view(A)["state"] == "away" && pair.view(B)["state"] == "away");
    // The node still serves, and reports the fault.
    let health = pair.nodes[A].daemon.get("/healthz").unwrap();
    assert!(health.contains("the other node of the pair") && health.contains("degraded"), "{health}");

    pair.api(A).delete(&format!("/v1/keys/{}", keys[0].id)).expect(200);
    let rotated = pair.api(B).post(&format!("/v1/keys/{}/rotate", keys[0].id), &json!({})).expect(200);
    pair.api(B).delete(&format!("/v1/keys/{}", keys[1].id)).expect(200);
    let (of_a, of_b) = (pair.api(A).create_key("live", "of-a"), pair.api(B).create_key("live", "of-b"));
    change(A, &one, &json!({ "note": "changed on A" }));
    pair.api(B).delete(&format!("/v1/targets/{one}")).expect(200);
    change(A, &two, &json!({ "note": "earlier" }));
    // An edit has the time at which the daemon saw it. To send are two keys and two targets.
    within("the edits of A are seen", 8.0, || pair.view(A)["to_send"] == 4);
    change(B, &two, &json!({ "note": "later" }));
    // Both nodes get the same URL.
    target(A, 3);
    target(B, 3);

    pair.heal();
    pair.wait_in_step();
    let key = rotated["key"].as_str().unwrap();
    for nth in [A, B] {
        assert!(pair.try_publish(nth, key).is_none(), "a revoked key came back");
        assert!(pair.try_publish(nth, &keys[1].key).is_none());
        drop((pair.publish(nth, &of_a.key), pair.publish(nth, &of_b.key)));
        let targets = pair.api(nth).get("/v1/targets").expect(200)["targets"].clone();
        let notes: Vec<_> = targets
            .as_array()
            .unwrap()
            .iter()
            .map(|target| target["note"].as_str().unwrap().to_owned())
            .collect();
        assert!(
            notes.contains(&"later".to_owned()) && !notes.contains(&"changed on A".to_owned()),
            "{notes:?}"
        );
        assert_eq!(notes.len(), 2, "one target for the URL that both were given: {notes:?}");
    }
}

#[test]
fn after_a_partition_a_key_has_one_publisher_and_only_the_active_node_pushes() {
    let pair = Pair::start();
    let key = pair.api(A).create_key("live", "show");
    let url = format!("rtmp://127.0.0.1:{}/in/out", pair.nodes[A].nginx.rtmp());
    pair.api(A).post("/v1/targets", &json!({ "app": "live", "stream": "show", "url": url })).expect(201);
    pair.wait_in_step();
    pair.notify(A, "MASTER");
    pair.notify(B, "BACKUP");
    let pushes =
        |nth: usize| pair.api(nth).get("/v1/targets").json["targets"][0]["sessions"][0]["state"] == "live";

    let at_a = pair.publish(A, &key.key);
    within("A pushes", 5.0, || pushes(A));
    // The nodes cannot reach each other, so keepalived makes each of them the master.
    pair.cut();
    pair.notify(B, "MASTER");
    let at_b = pair.publish(B, &key.key);
    at_b.send_more(500);
    assert!(!at_a.is_closed(), "each side has its publisher while they are apart");
    pair.heal();
    pair.notify(A, "BACKUP");
    within("A pushes no more", 2.0, || !pushes(A));
    within("one publisher is left", 10.0, || at_a.is_closed());
    // The platform still had the stream of A, so B was refused and waits until its next attempt.
    within("B pushes", 30.0, || pushes(B));
    at_b.send_more(2500);
    assert!(!at_b.is_closed(), "the publisher of the active node stays");
    pair.nodes[A].daemon.wait_log("publisher dropped: the other node of the pair has the same key on air");
    // keepalived's notification changed no target on either node, and stays in force when nginx restarts.
    for nth in [A, B] {
        assert_eq!(pair.api(nth).get("/v1/targets").json["targets"][0]["enabled"], true);
    }
    assert_eq!(pair.api(A).get("/v1/pushes").expect(200), json!({ "held": true, "paired": true }));
    pair.wait_in_step();
    let (_, text, _) = pair.nodes[B].daemon.command(&["pair"]);
    assert!(text.contains("active") && text.contains("standby") && text.contains("in step"), "{text}");
}
