//! Measures the time from a request to the first byte of media at the target, and the losses of other targets
//! meanwhile.

use std::fmt::Write;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::bench::report::{Report, Verdict};
use crate::bench::table::median;
use crate::harness::nginx::Config;
use crate::harness::peer::assert_unbroken;
use crate::harness::ports::Port;
use crate::harness::{Api, Manners, Nginx, Peer, Publisher, until};

const TIMES: usize = 60;
/// For the first media, in milliseconds: with `weir_gop_cache`, and without.
const TARGETS: [f64; 2] = [15.0, 300.0];
/// Targets that are not changed.
const OTHERS: usize = 10;
/// How long a target is dead or slow.
const LONG_MS: u32 = 15_000;

fn source(app: &str) -> (Nginx, Api, Publisher) {
    let app = format!("weir_publish open; weir_push on; {app}");
    let nginx = Config::weir().with_api().app("live", &app).start();
    super::super::part(std::iter::once(&nginx));
    let publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    let api = nginx.api();
    (nginx, api, publisher)
}

fn add(api: &Api, url: &str) -> String {
    let body = json!({"app": "live", "stream": "show", "url": url});
    api.post("/v1/targets", &body).expect(201)["id"].as_str().unwrap().to_owned()
}

/// Measures `POST /v1/targets` to the first media at the target, and `DELETE` to the end of its connection.
pub(crate) fn soon() -> Report {
    super::super::part(std::iter::empty());
    let mut text = String::from("| | median | 90 % are below | longest |\n|---|---|---|---|\n");
    let mut verdicts = Vec::new();
    for (app, target) in ["weir_gop_cache 8m;", "weir_gop_cache off;"].into_iter().zip(TARGETS) {
        let (mut first, mut last) = changes(app);
        for (name, values) in
            [("from POST to the first media", &mut first), ("from DELETE to the end", &mut last)]
        {
            values.sort_by(f64::total_cmp);
            let at = |part: usize| values[(values.len() - 1) * part / 100];
            writeln!(text, "| {name}, `{app}` | {:.1} ms | {:.1} ms | {:.1} ms |", at(50), at(90), at(100))
                .unwrap();
        }
        verdicts.push(Verdict::of_value(&format!("first media with `{app}`"), median(&first), target, "ms"));
    }
    writeln!(text, "\n{TIMES} times each.").unwrap();
    let mut report = Report::of(text);
    verdicts.into_iter().for_each(|verdict| report.judge(verdict));
    report
}

/// Adds and removes targets. Returns the milliseconds until the first media, and until the end.
fn changes(app: &str) -> (Vec<f64>, Vec<f64>) {
    let (_nginx, api, publisher) = source(app);
    publisher.send_more(2000);
    let peer = Peer::takes();
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for nth in 0..TIMES {
        let name = format!("key-{nth}");
        // The change comes at varying times between two ticks of the worker.
        publisher.send_more(50 + nth as u32 * 37 % 100);
        let begin = Instant::now();
        let id = add(&api, &peer.url(&format!("app/{name}")));
        first.push(ms(peer.wait_media(&name).first_media.unwrap() - begin));
        let begin = Instant::now();
        api.delete(&format!("/v1/targets/{id}")).expect(200);
        last.push(ms(peer.wait_closed(&name).closed.unwrap() - begin));
    }
    (first, last)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Counts the frames that ten targets lose while another one is added and removed, is dead, is silent, or does not
/// read.
pub(crate) fn lost() -> Report {
    super::super::part(std::iter::empty());
    let (nginx, api, publisher) = source("");
    let others = Peer::takes();
    for nth in 0..OTHERS {
        add(&api, &others.url(&format!("app/other-{nth}")));
    }
    until("all have media", 10.0, || others.playing() == OTHERS);
    publisher.send_more(1000);
    let mut text = String::from("| the other target | frames at ten targets | lost |\n|---|---|---|\n");
    let port = Port::reserve();
    let (takes, silent, deaf) = (Peer::takes(), Peer::start(Manners::Silent), Peer::start(Manners::Deaf));
    let dead = format!("rtmp://127.0.0.1:{}/app/key", port.number());
    for (name, url, times) in [
        ("is added and removed 20 times", takes.url("app/key"), 20),
        ("refuses connections", dead, 1),
        ("accepts and says nothing", silent.url("app/key"), 1),
        ("takes the stream and reads nothing", deaf.url("app/key"), 1),
    ] {
        let before = others.frames();
        for _ in 0..times {
            let id = add(&api, &url);
            publisher.send_more(if times == 1 { LONG_MS } else { 500 });
            api.delete(&format!("/v1/targets/{id}")).expect(200);
        }
        for call in others.calls() {
            assert!(call.closed.is_none(), "a target was left");
            assert_unbroken(&call.frames);
        }
        writeln!(text, "| {name} | {} | 0 |", others.frames() - before).unwrap();
    }
    assert_eq!((others.calls().len(), nginx.workers().len()), (OTHERS, 1));
    let mut report = Report::of(text);
    // Checked above: each frame came once, in its order and at its time.
    report.judge(Verdict::of_value("lost frames", 0.0, 0.0, "frames"));
    report
}
