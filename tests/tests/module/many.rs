//! Hundreds of publishers: every worker lists all of them, and they leave nothing behind. A full zone refuses more publishers with a
//! reason, and the live ones are not affected. A worker finds its row among any number of rows.

use std::collections::HashSet;

use serde_json::Value;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Api, Crowd, Nginx, Outcome, Publisher, Xml, keys, metrics, until};

use super::DENIED;

fn names(streams: &[Value]) -> HashSet<String> {
    streams.iter().map(|stream| stream["name"].as_str().unwrap().to_owned()).collect()
}

fn used(api: &Api) -> u64 {
    api.get("/v1/health").expect(200)["zone"]["used"].as_u64().unwrap()
}

/// Starts 250 publishers on each of two workers, each with a key of its own.
fn five_hundred(nginx: &Nginx) -> Vec<Crowd> {
    let halves = [0..250, 250..500].into_iter().zip(nginx.workers());
    halves
        .map(|(half, worker)| {
            let paths = half.map(|nth| format!("live/{}", keys::secret(nth).expose()));
            nginx.on_worker(worker, || Crowd::start(nginx.rtmp(), paths).started())
        })
        .collect()
}

#[test]
fn five_hundred_on_two_workers_are_listed_by_both_and_leave_nothing() {
    let formats = "location /xml { weir_stat xml full; } location /metrics { weir_stat prometheus; }";
    let nginx = Config::weir()
        .workers(2)
        .connections(1024)
        .main("weir_zone 1m state=@DIR@/state;")
        .file("state", keys::state(500))
        .http(&format!("location /api {{ weir_api; }} {formats}"))
        .app("live", "weir_publish key;")
        .start();
    let wanted: HashSet<_> = (0..500).map(|nth| format!("show-{nth}")).collect();
    let mut left = Vec::new();
    // The first round fills the list of events, whose memory stays in use.
    for _ in 0..2 {
        let crowds = five_hundred(&nginx);
        for turn in 0..20 {
            let worker = nginx.workers()[turn % 2];
            let streams = nginx.on_worker(worker, || nginx.api().streams());
            assert_eq!(streams.len(), 500);
            assert_eq!(names(&streams), wanted);
        }
        for worker in nginx.workers() {
            let (xml, text) = nginx.on_worker(worker, || {
                let root = Api::new(&nginx.url(""));
                (root.get("/xml").text, root.get("/metrics").text)
            });
            assert_eq!(Xml::read(&xml).number("count(//stream[publishing]/client[publishing])"), 500.0);
            let samples = metrics::read(&text);
            let publishing = samples.iter().filter(|((name, _), _)| name == "weir_stream_publishing");
            assert_eq!(publishing.map(|(_, value)| value).sum::<f64>(), 500.0);
            assert_eq!(samples[&("nginx_rtmp_server_current_streams".to_owned(), vec![])], 500.0);
        }
        until("media from each", 10.0, || crowds.iter().all(|crowd| crowd.sent() >= 2));
        assert_eq!(crowds.iter().map(Crowd::broken).sum::<usize>(), 0);
        drop(crowds);
        until("all are gone", 10.0, || nginx.api().streams().is_empty());
        left.push(used(&nginx.api()));
    }
    assert!(nginx.log_lines("refused").is_empty());
    // The length of an event depends on the numbers in it.
    assert!(left[0].abs_diff(left[1]) < 8192, "{left:?}");
}

#[test]
fn a_full_zone_refuses_the_rest_of_a_thousand() {
    let nginx = Config::weir()
        .workers(2)
        .connections(2048)
        .main("weir_zone 128k;")
        .http("location /api { weir_api; } location /metrics { weir_stat prometheus; }")
        .app("live", "weir_publish open;")
        .start();
    let api = nginx.api();
    let before = used(&api);
    let crowd = Crowd::start(nginx.rtmp(), (0..1000).map(|nth| format!("live/show-{nth}")));
    let (mut live, mut refused) = (HashSet::new(), 0);
    for (nth, outcome) in crowd.outcomes().into_iter().enumerate() {
        match outcome {
            Outcome::Started => {
                live.insert(format!("show-{nth}"));
            }
            Outcome::Refused { code, description } => {
                assert_eq!(code, DENIED);
                assert!(description.contains("zone full"), "{description}");
                refused += 1;
            }
            Outcome::Closed => panic!("publisher {nth} was sent away without a word"),
        }
    }
    assert!((200..900).contains(&live.len()), "{} fit", live.len());
    // The log has ten lines per minute and reason, and one line that sums up the others; the metrics count all refusals.
    let lines = nginx.log_lines("publish refused: zone full").len();
    assert!(lines >= 10 && lines * 5 < refused, "{lines} lines for {refused} refusals");
    let metrics = Api::new(&nginx.url("")).get("/metrics").text;
    assert!(
        metrics.contains(&format!("weir_publish_refused_total{{reason=\"zone_full\"}} {refused}\n")),
        "{metrics}"
    );
    let streams = api.streams();
    assert_eq!((streams.len(), names(&streams)), (live.len(), live));
    let health = api.get("/v1/health").expect(200);
    assert_eq!(health["status"], "degraded");
    assert!(health["reasons"][0].as_str().unwrap().contains("% full"), "{health}");
    // The live publishers continue.
    let goal = crowd.sent() + 2;
    until("media from each", 10.0, || crowd.sent() >= goal);
    let bytes = |streams: &[Value]| {
        streams.iter().map(|stream| stream["bytes_in"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let earlier = bytes(&streams);
    until("all of it is counted", 5.0, || {
        let now = bytes(&api.streams());
        now.len() == earlier.len() && now.iter().zip(&earlier).all(|(now, earlier)| now > earlier)
    });
    assert_eq!(crowd.broken(), 0);

    drop(crowd);
    until("all are gone", 10.0, || api.streams().is_empty());
    Publisher::to(nginx.rtmp(), "live/another").start().started();
    until("it is gone", 5.0, || api.streams().is_empty());
    assert_eq!(api.get("/v1/health").expect(200)["status"], "ok");
    // The rest is the memory of the last events.
    let kept = used(&api) - before;
    assert!(kept < 16 * 1024, "{kept} bytes of the zone did not come back");
}

#[test]
fn a_hundred_and_sixty_workers_serve() {
    let nginx =
        Config::weir().workers(160).connections(64).with_api().app("live", "weir_publish key;").start();
    let api = nginx.api();
    let listed = || api.get("/v1/health").expect(200)["workers"].as_array().unwrap().len();
    until("each worker has its row", 30.0, || listed() == 160);
    let workers = nginx.workers();
    let publishers: Vec<_> = [0, 64, 127, 128, 129, 159]
        .map(|nth| {
            let key = api.create_key("live", &format!("show-{nth}")).key;
            let path = format!("live/{key}");
            nginx.on_worker(workers[nth], || Publisher::to(nginx.rtmp(), &path).start().started())
        })
        .into_iter()
        .collect();
    let streams = until("all are listed", 5.0, || Some(api.streams()).filter(|streams| streams.len() == 6));
    assert!(streams.iter().any(|stream| stream["publisher"]["worker_pid"] == workers[159].0));
    assert!(nginx.log_lines("no row").is_empty());
    assert!(publishers.iter().all(|publisher| !publisher.is_closed()));
}
