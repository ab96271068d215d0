//! Text of other people is only text, on every page that shows it: thirty payloads as notes of keys and targets, as the reason with which a
//! target refuses a stream, as names and messages in the chat, as titles of events, and as errors that the server answers. None of them runs,
//! and none violates the policy of a page.

use serde_json::{Value, json};
use weir_rtmp::message::Message;
use weir_tests::harness::browser::Browser;
use weir_tests::harness::ports::Port;
use weir_tests::harness::{Manners, Peer, Publisher, Sidecar, WebSocket, until};

use super::look::{complaints, go, log_in, wait_for};
use super::{Visitor, WEB, add, nginx};

/// Payloads that would run or break a page if a page took them for more than text: markup, attributes, addresses, templates, and ends of a
/// script, a style, a comment or a string (after OWASP's cheat sheet).
pub(super) const HOSTILE: [&str; 30] = [
    "<script>window.broken=1</script>",
    "<img src=x onerror=window.broken=1>",
    "\"><svg onload=window.broken=1>",
    "'-window.broken=1-'",
    "javascript:window.broken=1",
    "{{constructor.constructor('window.broken=1')()}}",
    "</title><body onload=window.broken=1>",
    "${window.broken=1}",
    "</script><script>window.broken=1</script>",
    "</style><svg/onload=window.broken=1>",
    "--><img src=x onerror=window.broken=1>",
    "]]><img src=x onerror=window.broken=1>",
    "\" onmouseover=window.broken=1 autofocus onfocus=window.broken=1 x=\"",
    "' autofocus onfocus='window.broken=1",
    "`-window.broken=1-`",
    "\\\";window.broken=1;//",
    "<iframe srcdoc=\"<script>parent.broken=1</script>\">",
    "<a href=\"javascript:window.broken=1\" autofocus>x</a>",
    "<math><mtext></form><form><mglyph><svg><mtext><img src=x onerror=window.broken=1>",
    "<details open ontoggle=window.broken=1>",
    "<video><source onerror=window.broken=1></video>",
    "<input autofocus onfocus=window.broken=1>",
    "<object data=\"javascript:window.broken=1\"></object>",
    "<meta http-equiv=refresh content=\"0;url=javascript:window.broken=1\">",
    "<base href=\"https://evil.example/\">",
    "<link rel=stylesheet href=\"https://evil.example/x.css\">",
    "<noscript><p title=\"</noscript><img src=x onerror=window.broken=1>\">",
    "&lt;img src=x onerror=window.broken=1&gt;",
    "%3Cscript%3Ewindow.broken=1%3C/script%3E",
    "__proto__[broken]=1 constructor[prototype][broken]=1",
];

fn config() -> String {
    let mut text = "[web]\nadmins_file = \"@MEDIA@/state/admins\"\ntrusted_proxies = [\"127.0.0.1\"]\n[chat]\nenabled = true\n".to_owned();
    for (nth, payload) in HOSTILE.iter().enumerate() {
        let [title, description] = [json!(payload), json!(format!("about {payload}"))];
        text.push_str(&format!(
            "[[event]]\napp = \"live\"\nstream = \"later{nth}\"\ntitle = {title}\ndescription = {description}\nstart = \"2099-12-24T18:00:00Z\"\n"
        ));
    }
    text
}

/// Characters of a payload that fit into a name of 32 characters, after a number and a space.
const NAME: usize = 29;

/// Asserts that each payload is shown unchanged below `selector`, cut to `most` characters.
#[track_caller]
fn shows(browser: &Browser, what: &str, selector: &str, most: usize) {
    let all: Vec<String> = HOSTILE.iter().map(|text| cut(text, most)).collect();
    let script = format!(
        "const texts = [...document.querySelectorAll('{selector}')].map((one) => one.textContent);
         return {}.filter((text) => !texts.some((shown) => shown.includes(text)))",
        json!(all)
    );
    until(what, 15.0, || browser.run(&script) == json!([]));
    let made = browser.run(
        "return [window.broken ?? Object.prototype.broken ?? null, document.querySelectorAll('main :is(script, iframe, object, math, base, link, meta, source, [onerror], [onload], [onfocus])').length]",
    );
    assert_eq!(made, json!([null, 0]), "{what}");
}

/// Starts a server that refuses streams with this reason; returns the server and its URL.
fn refusing(words: &str, nth: usize) -> (Peer, String) {
    let answer = Message::command(1, "onStatus", 0.0, |to| {
        let to = to.null().begin_object().key("level").string(b"error");
        let to = to.key("code").string(b"NetStream.Publish.Denied");
        to.key("description").string(words.as_bytes()).end()
    });
    let peer = Peer::start(Manners::Answers(Some(answer)));
    let url = peer.url(&format!("app/key-of-target-{nth}"));
    (peer, url)
}

/// Returns the text as the chat accepts it for a name.
fn cut(text: &str, most: usize) -> String {
    let cut: String = text.chars().take(most).collect();
    cut.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn texts_are_texts_on_every_page() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, &config());
    add(&sidecar, "ana", "admin");
    let ana = Visitor::logged_in(&sidecar, "ana");
    let (mut secret, mut peers) = (String::new(), Vec::new());
    for (nth, text) in HOSTILE.into_iter().enumerate() {
        let (status, key) =
            ana.ask("POST", "keys", &json!({ "app": "live", "stream": "show", "note": text }));
        assert_eq!(status, 201, "{key}");
        secret = key["key"].as_str().unwrap().to_owned();
        let (peer, url) = refusing(text, nth);
        peers.push(peer);
        let target = json!({ "app": "live", "stream": "*", "url": url, "note": text });
        assert_eq!(ana.ask("POST", "targets", &target).0, 201);
    }
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{secret}")).start().started();
    let say = |nth: usize, text: &str| {
        let header = format!("X-Forwarded-For: 192.0.2.{nth}");
        // The number tells names apart that look alike, such as with another quotation mark.
        let mut socket = WebSocket::connect(sidecar.web(), "/v1/ws", &[&header]).unwrap();
        let join = json!({ "type": "join", "app": "live", "stream": "show", "name": cut(&format!("{nth} {text}"), 32) });
        socket.send(&join.to_string()).unwrap();
        socket.send(&json!({ "type": "chat", "text": text }).to_string()).unwrap();
        socket
    };
    let _people: Vec<_> = HOSTILE.iter().enumerate().map(|(nth, text)| say(nth, text)).collect();
    let said = || ana.get("chat/room?app=live&stream=show").1;
    until("all is said", 15.0, || {
        said()["messages"].as_array().is_some_and(|all| all.len() == HOSTILE.len())
    });

    let browser = Browser::start();
    log_in(&browser, &sidecar, "ana");
    go(&browser, "keys");
    shows(&browser, "notes of keys", "tr[data-key] td", 500);
    go(&browser, "targets");
    shows(&browser, "notes of targets", "[data-target] h2", 500);
    shows(&browser, "errors of targets", "[data-target] :not(h2):not(h2 *)", 500);
    browser.run("location.hash = '#chat/live/show'");
    wait_for(&browser, "the room", 10.0, "document.querySelector('.said .line')");
    shows(&browser, "messages", ".said .text", 500);
    shows(&browser, "names", ".said strong", NAME);
    go(&browser, "events");
    wait_for(&browser, "events", 10.0, "document.querySelector('table.events tr')");
    drop(publisher);
    let id = until("it is in the history", 20.0, || {
        let one = ana.get("history").1["sessions"][0].clone();
        one["reason"].is_string().then(|| one["session"].as_str().unwrap().to_owned())
    });
    browser.run(&format!("location.hash = '#history/{id}'"));
    shows(&browser, "notes of targets in the report", ".report tbody th", 500);
    assert_eq!(complaints(&browser), [""; 0]);

    let page = |path: &str| format!("http://127.0.0.1:{}{path}", sidecar.web());
    browser.open(&page("/"));
    shows(&browser, "titles", "#events *", 500);
    browser.open(&page("/watch/live/show"));
    shows(&browser, "messages for viewers", "#chat-list span", 500);
    shows(&browser, "names for viewers", "#chat-list strong", NAME);
    for nth in [0, 6, 8, 24] {
        browser.open(&page(&format!("/watch/live/later{nth}")));
        let shown = browser.run(
            "return [document.title, document.getElementById('title').textContent, window.broken ?? null]",
        );
        let [title, heading] =
            [&shown[0], &shown[1]].map(|text| text.as_str().unwrap().contains(HOSTILE[nth]));
        assert!(title && heading && shown[2] == Value::Null, "{shown}");
    }
    let mut lines = browser.console();
    lines.retain(|line| line.contains("Content Security Policy") || line.contains("Refused to"));
    assert_eq!(lines, [""; 0]);
}

/// Makes each answer for the player contain the text in the address after `#`: names of streams, and errors.
const ANSWERS: &str = "
    const hostile = decodeURIComponent(location.hash.slice(1));
    const native = window.fetch;
    const stream = { app: hostile, name: hostile, kind: hostile, viewers: {}, source: { app: hostile, name: hostile }, rung: hostile };
    window.fetch = (url, options) => {
      const { pathname } = new URL(url, location.href);
      if (pathname === '/v1/live') {
        const [app, name] = decodeURIComponent(location.pathname).split('/').slice(-2);
        return Promise.resolve(Response.json({ streams: [stream, { ...stream, app, name }], on_demand: [stream] }));
      }
      if (pathname === '/edge') return Promise.resolve(Response.json({ error: { code: hostile, message: hostile } }, { status: 503 }));
      if (pathname.startsWith('/stream/')) return Promise.resolve(Response.json({ error: { code: hostile, message: hostile } }, { status: 500 }));
      return native(url, options);
    };
    window.WebSocket = class extends EventTarget {
      readyState = 1;
      send() {}
      close() { this.onclose?.(); }
      constructor() {
        super();
        const tell = (event) => this.onmessage?.({ data: JSON.stringify(event) });
        setTimeout(() => { this.onopen?.(); tell({ type: 'init', codecs: hostile }); tell({ type: hostile, message: hostile }); }, 50);
      }
    };";

#[test]
fn texts_are_texts_in_the_embedded_player() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, &config());
    let page = |path: &str| format!("http://127.0.0.1:{}{path}", sidecar.web());
    let client = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
    let encoded = |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
    let browser = Browser::start();
    browser.begin_with(ANSWERS);
    for (nth, text) in HOSTILE.into_iter().enumerate() {
        // In the name of a stream, there is no page.
        for path in [format!("/embed/live/{}", encoded(text)), format!("/embed/{}/show", encoded(text))] {
            let answer = client.get(page(&path)).send().unwrap();
            let (status, kind) =
                (answer.status(), answer.headers()["content-type"].to_str().unwrap().to_owned());
            assert!(status == 404 && kind.starts_with("application/json"), "{path}: {status} {kind}");
        }
        // In the title, in each argument, and in each answer of the server.
        let value = encoded(text);
        let arguments = ["lang", "tech", "token", "autoplay", "muted", "chat_token"];
        let query: Vec<String> = arguments.iter().map(|name| format!("{name}={value}")).collect();
        for query in [query.join("&"), "tech=whep,ws,llhls,hls".to_owned(), "tech=ws".to_owned()] {
            browser.open("about:blank");
            browser.open(&page(&format!("/embed/live/later{nth}?{query}#{value}")));
            wait_for(&browser, "the player's state", 10.0, "document.body.dataset.state");
            let shown = browser.run(
                "return [document.title, document.querySelector('h1').textContent, window.broken ?? Object.prototype.broken ?? null,
                   document.querySelectorAll('body :is(iframe, object, math, base, meta, link, source, a, svg, img, input, details, form, [onerror], [onload], [onfocus], [autofocus])').length,
                   document.getElementById('status').textContent]",
            );
            assert_eq!(
                shown.as_array().unwrap()[..4],
                [json!(text), json!(text), Value::Null, json!(0)],
                "{query}"
            );
            assert!(
                !shown[4].as_str().unwrap().contains(text),
                "the page has its own texts for errors: {shown}"
            );
        }
    }
    let mut lines = browser.console();
    lines.retain(|line| line.contains("Content Security Policy") || line.contains("Uncaught"));
    assert_eq!(lines, [""; 0]);
}

/// Makes the server refuse each change with the text in `window.hostile`, if there is one.
const REFUSE: &str = "
    window.hostile = null;
    const real = window.fetch;
    window.fetch = (url, options = {}) => window.hostile === null || (options.method ?? 'GET') === 'GET'
        ? real(url, options)
        : Promise.resolve(Response.json({ error: { code: 'conflict', message: window.hostile } }, { status: 409 }));";

/// Asserts that a page shows each payload as text after `act`.
#[track_caller]
fn shows_refusals(browser: &Browser, shown: &str, act: impl Fn()) {
    for text in HOSTILE {
        browser.run(&format!("window.hostile = {}", json!(text)));
        act();
        let is_shown = format!(
            // The first letter of an error may be a capital there.
            "[...document.querySelectorAll('{shown}')].some(({{ textContent }}) => textContent.toLowerCase().includes({}))",
            json!(text.to_lowercase())
        );
        wait_for(browser, text, 10.0, &is_shown);
    }
    let made = browser.run(
        "return [window.broken ?? Object.prototype.broken ?? null, document.querySelectorAll('body :is(iframe, object, math, base, meta, source, [onerror], [onload], [onfocus])').length]",
    );
    assert_eq!(made, json!([null, 0]), "{shown}");
}

#[test]
fn answers_of_the_server_are_texts() {
    let nginx = nginx();
    let port = Port::reserve();
    let webrtc = format!("[webrtc]\nlisten = \"127.0.0.1:{}\"\n", port.number());
    let sidecar = Sidecar::start(&nginx, &format!("{WEB}{webrtc}"));
    add(&sidecar, "ana", "admin");
    let key = nginx.api().create_key("live", "show").key;
    let _publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    let browser = Browser::with_camera();
    browser.begin_with(REFUSE);
    log_in(&browser, &sidecar, "ana");
    // In a dialog.
    go(&browser, "keys");
    browser.click("main .primary");
    wait_for(&browser, "the application", 5.0, "document.querySelector('dialog input[name=app]')?.value");
    browser.fill("dialog input[name=stream]", "other");
    shows_refusals(&browser, "dialog [role=alert]", || browser.click("dialog .primary"));
    browser.run("window.hostile = null; document.querySelector('dialog').close()");
    // In the message that appears for some seconds.
    go(&browser, "air");
    wait_for(&browser, "the card", 10.0, "document.querySelector('.card .danger')");
    browser.click("[aria-label='Share live/show']");
    wait_for(&browser, "the dialog", 5.0, "document.querySelector('dialog .primary')");
    shows_refusals(&browser, ".toast span", || browser.click("dialog .primary"));
    // On the page that publishes.
    browser.open(&format!("http://127.0.0.1:{}/publish?app=live&name=other", sidecar.web()));
    wait_for(&browser, "the form", 10.0, "document.getElementById('key')");
    browser.fill("#key", "wk_none");
    shows_refusals(&browser, "#state", || {
        wait_for(&browser, "the button", 10.0, "!document.getElementById('start').disabled");
        browser.click("#start");
    });
    let mut lines = browser.console();
    lines.retain(|line| line.contains("Content Security Policy") || line.contains("Refused to"));
    assert_eq!(lines, [""; 0]);
}
