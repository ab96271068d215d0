//! Chromium plays a page from an edge, and continues from another edge when that edge dies, killed or frozen: on a page of the origin, and
//! on a page of the edge that dies. It stays while only the publisher pauses, and on a slow network.

use std::time::Instant;

use nix::sys::signal::Signal;
use weir_tests::harness::browser::Browser;
use weir_tests::harness::ports::Port;
use weir_tests::harness::process::Process;
use weir_tests::harness::{Ffmpeg, Nginx, Sidecar, took, until};

use super::{ORIGIN, nginx, nginx_of_edge};

/// An edge whose pages have a port of their own.
struct Edge {
    name: String,
    daemon: Sidecar,
    _nginx: Nginx,
    front: Port,
}

fn start_edge(name: &str, origin: &Sidecar, at_origin: &Nginx) -> Edge {
    let front = Port::reserve();
    let nginx = nginx_of_edge();
    let (own, pages) = (front.number(), origin.web());
    let text = format!(
        "[nginx]\nsecret_file = \"{dir}/secret\"\napi = \"{api}\"\nrtmp = \"rtmp://127.0.0.1:{rtmp}\"\n[web]\nlisten = \"127.0.0.1:{own}\"\n\
         [cluster]\nsecret_file = \"{dir}/cluster.secret\"\n[edge]\norigin = \"http://127.0.0.1:{pages}\"\nname = \"{name}\"\n\
         address = \"http://127.0.0.1:{own}\"\nbandwidth = \"1g\"\nrtmp = \"rtmp://127.0.0.1:{from}\"\n",
        dir = nginx.folder().display(),
        api = nginx.url("/api"),
        rtmp = nginx.rtmp(),
        from = at_origin.rtmp(),
    );
    let daemon = Sidecar::start_whole(&nginx, own, &text);
    daemon.wait_log("edge joined");
    Edge { name: name.to_owned(), daemon, _nginx: nginx, front }
}

fn data(browser: &Browser, name: &str) -> String {
    browser.run(&format!("return document.body.dataset.{name} ?? ''")).as_str().unwrap().to_owned()
}

fn time(browser: &Browser) -> f64 {
    browser.run("return document.getElementById('video').currentTime").as_f64().unwrap()
}

/// Waits until the page plays from an edge that is not in `not`. Returns the index of that edge.
#[track_caller]
fn wait_playing(what: &str, browser: &Browser, edges: &[Edge], not: &[usize], seconds: f64) -> usize {
    let begin = Instant::now();
    let found = until(&format!("it plays from an edge other than {not:?}"), seconds, || {
        let from = data(browser, "edge");
        let at = edges.iter().position(|edge| edge.name == from && data(browser, "state") == "PLAYING")?;
        (!not.contains(&at)).then_some(at)
    });
    took(what, begin, seconds);
    let at = time(browser);
    until("the video moves", 10.0, || (time(browser) - at).abs() > 0.5);
    found
}

#[test]
fn a_page_moves_to_another_edge_when_its_edge_dies() {
    let at_origin = nginx();
    let origin = Sidecar::start(&at_origin, ORIGIN);
    let _publisher = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", at_origin.rtmp()));
    let mut edges = ["one", "two", "three"].map(|name| start_edge(name, &origin, &at_origin));
    let browser = Browser::start();
    browser.open(&format!("http://127.0.0.1:{}/watch/live/show", origin.web()));
    browser.run("window.sameDocument = true");
    let first = wait_playing("the page plays", &browser, &edges, &[], 40.0);
    // Apart from the page, nothing comes from the origin.
    let loaded =
        browser.run("return performance.getEntriesByType('resource').map((entry) => entry.name)").to_string();
    assert!(!loaded.contains(&format!(":{}/stream/", origin.web())), "{loaded}");

    // A stopped edge sends nothing more, like a machine without power.
    edges[first].daemon.process().signal(Signal::SIGSTOP);
    let second = wait_playing("an edge without power: on another one", &browser, &edges, &[first], 3.0);
    edges[second].daemon.kill();
    let third = wait_playing("a killed edge: on another one", &browser, &edges, &[first, second], 4.0);
    edges[first].daemon.process().signal(Signal::SIGCONT);
    edges[second].daemon.start_again();
    assert_eq!(browser.run("return window.sameDocument"), true, "the page was not loaded anew");

    // A page of an edge; the edge knows the origin and the other edges.
    let page = format!("http://127.0.0.1:{}/embed/live/show", edges[third].front.number());
    let others = [first, second].map(|other| format!("\"http://127.0.0.1:{}\"", edges[other].front.number()));
    until("the edge knows the others", 10.0, || {
        let html = super::take(super::client().get(&page).send().unwrap()).text;
        others.iter().all(|other| html.contains(other))
    });
    browser.open(&page);
    browser.run("window.sameDocument = true");
    wait_playing("the edge's page plays", &browser, &edges, &[first, second], 40.0);
    edges[third].daemon.kill();
    wait_playing("the edge of the page is killed: on another one", &browser, &edges, &[third], 4.0);
    edges[third].daemon.start_again();
    assert_eq!(browser.run("return window.sameDocument"), true, "the page was not loaded anew");
    let console = browser.console();
    assert!(!console.iter().any(|line| line.contains("Content Security Policy")), "{console:?}");
}

/// Counts the requests and WebSockets of a page. If `slow` is set, `/v1/live` always answers that the stream is live: immediately if it
/// is `false`, otherwise as late as on a slow network, where `/edge` is even later.
const WATCH: &str = "
    const [native, Native] = [window.fetch, window.WebSocket];
    const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    Object.assign(window, { looks: 0, asks: 0, opened: 0, slow: null });
    window.WebSocket = class extends Native { constructor(...all) { super(...all); window.opened += 1; } };
    window.fetch = async (url, options) => {
      const path = new URL(url, location.href).pathname;
      if (path === '/edge') {
        window.asks += 1;
        if (window.slow) await wait(1500);
      }
      if (path !== '/v1/live' || window.slow === null) return native(url, options);
      if (window.slow) await wait(1200);
      window.looks += 1;
      options.signal.throwIfAborted();
      return Response.json({ streams: [{ app: 'live', name: 'show' }] });
    };";

#[test]
fn a_page_stays_on_an_edge_that_answers() {
    let at_origin = nginx();
    let origin = Sidecar::start(&at_origin, ORIGIN);
    let ffmpeg = Ffmpeg::publish(&format!("rtmp://127.0.0.1:{}/live/show", at_origin.rtmp()));
    let publisher = Process(ffmpeg.id() as i32);
    let edges = ["one", "two"].map(|name| start_edge(name, &origin, &at_origin));
    let browser = Browser::start();
    browser.begin_with(WATCH);
    browser.open(&format!("http://127.0.0.1:{}/embed/live/show", origin.web()));
    let first = wait_playing("the page plays", &browser, &edges, &[], 40.0);
    let count = |name: &str| browser.run(&format!("return {name}")).as_u64().unwrap();
    for (slow, most_asks) in [(false, 0), (true, 1)] {
        let at = time(&browser);
        until("the video moves", 10.0, || time(&browser) > at + 0.5);
        browser.run(&format!("[looks, asks, slow] = [0, 0, {slow}]"));
        let opened = count("opened");
        publisher.signal(Signal::SIGSTOP);
        until("the page has asked three times whether the edge is there", 20.0, || count("looks") >= 3);
        let asks = count("asks");
        assert!(asks <= most_asks, "slow: {slow}: the page asked the origin {asks} times");
        assert_eq!(data(&browser, "edge"), edges[first].name, "slow: {slow}");
        assert_eq!(count("opened"), opened, "slow: {slow}: the page has not connected again");
        publisher.signal(Signal::SIGCONT);
    }
}
