//! The secrets of a target's URL (its last part and the password) appear in no log at level `info`, no answer, no event, no page of
//! statistics, no listing of `weir`, and no process list.

use std::process::Command;

use serde_json::json;
use weir_tests::harness::peer::{Account, Method};
use weir_tests::harness::shown::{events, processes};
use weir_tests::harness::{Api, Manners, Peer, files, products, until};

use super::{Stage, patch, source};

const KEY: &str = "sk_4711-secret";
const PASSWORD: &str = "pw-4711-secret";

#[test]
fn keys_and_passwords_of_targets_are_shown_nowhere() {
    let formats = ["html", "xml", "json", "prometheus"];
    let pages: String =
        formats.iter().map(|name| format!("location /{name} {{ weir_stat {name} full; }} ")).collect();
    let stage = Stage::set(source("").http(&pages));
    let account = Account { method: Method::Adobe, user: "me".to_owned(), password: PASSWORD.to_owned() };
    let asks = Peer::start(Manners::Asks(account));
    let rejects = Peer::start(Manners::Rejects("NetStream.Publish.Denied".to_owned(), "no".to_owned()));
    let port = weir_tests::harness::ports::Port::reserve();
    let live = stage.add(&format!("rtmp://me:{PASSWORD}@{}/app/{KEY}?a={KEY}", asks.address()));
    let refused = stage.add(&format!("rtmp://me:{PASSWORD}@127.0.0.1:{}/app/{KEY}", port.number()));
    let rejected = stage.add(&rejects.url(&format!("app/{KEY}")));
    stage.wait_state(&live, "live");
    stage.wait_error(&refused, "connection refused");
    stage.wait_error(&rejected, "rejected: ");
    asks.wait_frames(&format!("{KEY}?a={KEY}"), 10);
    let mut shown = vec![processes()];
    patch(&stage.api, &live, &json!({"enabled": false}));
    until("it has left", 5.0, || asks.playing() == 0);
    for path in ["/v1/targets".to_owned(), "/v1/streams".to_owned(), format!("/v1/targets/{live}")] {
        shown.push(stage.api.get(&path).text);
    }
    let web = Api::new(&stage.nginx.url(""));
    shown.extend(formats.iter().map(|name| web.get(&format!("/{name}")).text));
    shown.push(events(&stage.nginx));
    assert!(shown.last().unwrap().contains("target.state"));
    for arguments in ["target list", "target list --json", "stream list --json"] {
        let output = Command::new(products::weir())
            .args(arguments.split(' '))
            .args(["--api", &stage.nginx.url("/api")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        shown.push(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    for secret in [KEY, PASSWORD] {
        for text in &shown {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        let found = files::that_mention(stage.nginx.folder(), secret);
        assert!(found.is_empty(), "{secret} is in {found:?}");
    }
    stage.is_undisturbed();
}
