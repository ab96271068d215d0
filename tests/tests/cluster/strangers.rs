//! Without the cluster's secret, nobody joins, reads or replays a request. An edge that reports a false load gets no more than its share, and
//! strangers who ask for edges make no edge full.

use serde_json::{Value, json};
use weir_tests::harness::{Ffmpeg, Sidecar, until};

use super::{ORIGIN, SECRET, client, edge, idle, nginx, now, report, signed, take};

#[test]
fn only_signed_requests_join_and_none_twice() {
    let nginx = nginx();
    let origin = Sidecar::start(&nginx, ORIGIN);
    let time = now();
    for (header, expected) in [
        (String::new(), 401),
        ("Bearer x".into(), 401),
        (signed("x".repeat(32), time, &idle("evil")).0, 401),
        (signed(SECRET, time, &idle("other")).0, 401),
    ] {
        let answer = report(&origin, &(header, idle("evil").to_string()));
        assert_eq!((answer.status, answer.header("weir-signature")), (expected, ""), "{answer:?}");
    }
    let url = format!("http://127.0.0.1:{}/v1/edges", origin.web());
    assert_eq!(take(client().get(url).send().unwrap()).status, 405);
    assert_eq!(edge(&origin, "a", "").status, 503);

    let good = signed(SECRET, time, &idle("one"));
    let answer = report(&origin, &good);
    assert_eq!((answer.status, answer.json()["drained"].as_bool()), (200, Some(false)), "{answer:?}");
    assert!(answer.header("weir-signature").starts_with("Weir-Cluster time="));
    assert_eq!(report(&origin, &good).status, 409, "a replay");
    assert_eq!(report(&origin, &signed(SECRET, time - 1, &idle("one"))).status, 409, "an older one");
    // A replayed goodbye, and a replayed report from before the goodbye.
    let mut leaving = idle("one");
    leaving["leaving"] = true.into();
    assert_eq!(report(&origin, &signed(SECRET, time + 1, &leaving)).status, 200);
    until("it is gone", 2.0, || edge(&origin, "a", "").status == 503);
    assert_eq!(report(&origin, &good).status, 409, "a replay behind a goodbye");
    // A request of another era of the origin's clock is refused once, with the present era.
    let mut of_era = idle("era");
    of_era["era"] = "0".into();
    let old = report(&origin, &signed(SECRET, now(), &of_era));
    assert_eq!((old.status, old.json()["error"]["code"].as_str()), (409, Some("era")), "{old:?}");
    assert!(!old.header("weir-signature").is_empty());
    of_era["era"] = old.json()["era"].clone();
    assert_eq!(report(&origin, &signed(SECRET, now(), &of_era)).status, 200);
    // A clock that is ten seconds off is accepted; one that is a minute off is reported, together with the origin's time if the sender has
    // the secret.
    assert_eq!(report(&origin, &signed(SECRET, now() + 10_000, &idle("fast"))).status, 200);
    let slow = report(&origin, &signed(SECRET, now() - 60_000, &idle("slow")));
    assert_eq!((slow.status, slow.json()["error"]["code"].as_str()), (401, Some("clock")), "{slow:?}");
    assert!(
        slow.json()["now"].as_u64().unwrap().abs_diff(now()) < 5000
            && !slow.header("weir-signature").is_empty()
    );
    // Strangers cannot fill the log with tickets either.
    for n in 0..5 {
        let body = json!({ "ticket": format!("ticket{n}"), "user": "a" }).to_string();
        let url = format!("http://127.0.0.1:{}/v1/edges/join", origin.web());
        assert_eq!(take(client().post(url).body(body).send().unwrap()).status, 403);
    }
    assert_eq!(origin.log().matches(" WARN ").count(), 1, "{}", origin.log());
    // An invalid value is refused with the name of the field.
    for (field, value) in
        [("address", json!("javascript:alert(1)")), ("bandwidth", json!(0)), ("load", json!(-1))]
    {
        let mut bad = idle("bad");
        bad[field] = value;
        let answer = report(&origin, &signed(SECRET, now(), &bad));
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.json()["error"]["message"].as_str().unwrap().contains(field), "{answer:?}");
    }
}

#[test]
fn a_liar_gets_no_more_viewers_than_it_can_serve() {
    let nginx = nginx();
    let origin = Sidecar::start(
        &nginx,
        &format!("{ORIGIN}[[region]]\nname = \"here\"\nnetworks = [\"127.0.0.0/8\"]\n"),
    );
    // The liar reports, again and again, that it sends nothing.
    let renew = |egress: [u64; 2]| {
        for (id, egress) in ["liar", "other"].iter().zip(egress) {
            let mut body = idle(id);
            (body["bandwidth"], body["egress"]) = (10_000_000.into(), egress.into());
            assert_eq!(report(&origin, &signed(SECRET, now(), &body)).status, 200);
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    };
    // Returns how many of 120 viewers the liar gets. No viewer is told that all edges are full.
    let of_liar = |first: u32| {
        let mut of_liar = 0;
        for viewer in first..first + 120 {
            if viewer % 20 == 0 {
                renew([0, 5_000_000]);
                // In this time the origin counts the viewers that it has sent to the edges.
                std::thread::sleep(std::time::Duration::from_millis(220));
            }
            let answer = edge(&origin, &viewer.to_string(), "");
            assert_eq!(answer.status, 200, "{answer:?}");
            of_liar += u32::from(answer.json()["edge"] == "liar");
        }
        of_liar
    };
    assert_eq!(of_liar(0), 120, "nobody watches a stream that is not live, so nobody counts");
    let publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()));
    origin.wait_log("stream is live");
    let of_liar = of_liar(1000);
    assert!((1..80).contains(&of_liar), "{of_liar} of 120 viewers for an edge with no more bandwidth");
    // Only the edges themselves say that they are full.
    renew([9_600_000, 9_600_000]);
    until("all edges are full", 2.0, || edge(&origin, "x", "").json()["error"]["code"] == "full");
    // An edge of the viewer's region comes first, and the origin uses the load that the edge reports.
    let mut near = idle("near");
    near["region"] = "here".into();
    assert_eq!(report(&origin, &signed(SECRET, now(), &near)).status, 200);
    until("the near one is chosen", 2.0, || edge(&origin, "x", "").json()["edge"] == "near");
    near["egress"] = Value::from(96_000_000);
    assert_eq!(report(&origin, &signed(SECRET, now(), &near)).status, 200);
    until("a full one is not", 2.0, || edge(&origin, "x", "").json()["edge"] != "near");
    drop(publisher);
}
