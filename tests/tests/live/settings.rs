//! `[web]` of weir.toml: the pages that are served, below a path or behind a proxy, and the error for an address that is in use.

use std::net::TcpListener;
use std::process::Command;

use weir_tests::harness::ports::Port;
use weir_tests::harness::{Sidecar, products, until};

use super::{ask, open, publish};

#[test]
fn what_is_live_is_listed_and_nothing_private_with_it() {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    assert_eq!(ask(sidecar.web(), "/v1/live", &[]).json()["streams"], serde_json::json!([]));
    let publisher = publish(&nginx, "show");
    let list = until("the stream is listed", 10.0, || {
        let list = ask(sidecar.web(), "/v1/live", &[]).json();
        (list["streams"].as_array().unwrap().len() == 1).then_some(list)
    });
    let stream = &list["streams"][0];
    assert_eq!((&stream["app"], &stream["name"]), (&"live".into(), &"show".into()), "{list}");
    assert_eq!(stream["video"]["codec"], "H264", "{list}");
    assert_eq!(
        serde_json::json!([stream["ready"], stream["renditions"]]),
        serde_json::json!([true, ["source"]]),
        "{list}"
    );
    assert_eq!(stream["watch"], "http://live.example.org/watch/live/show", "{list}");
    assert!(!list.to_string().contains("127.0.0.1"), "{list}");
    publisher.close();
    until("it is no longer listed", 10.0, || {
        ask(sidecar.web(), "/v1/live", &[]).json()["streams"] == serde_json::json!([])
    });
}

#[test]
fn errors_are_json_and_a_base_is_kept_to() {
    let nginx = open().start();
    let config = "[web]\nbase = \"/tv/\"\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let sidecar = Sidecar::start(&nginx, config);
    let _publisher = publish(&nginx, "show");
    let answer = ask(sidecar.web(), "/tv", &[]);
    assert_eq!((answer.status, answer.header("location")), (308, Some("tv/")), "{answer:?}");
    let posters = ["/tv/poster/99999999999999999999", "/tv/poster/x"];
    for path in ["/", "/v1/live", "/tv/none", "/tv/v1/live/x", "/tvx/v1/live"].into_iter().chain(posters) {
        let answer = ask(sidecar.web(), path, &[]);
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.json()["error"]["code"], "not_found", "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    let page = ask(sidecar.web(), "/tv/none", &["Accept: text/html"]);
    assert!(String::from_utf8_lossy(&page.body).contains("href=\"./?lang=en\""), "{page:?}");
    // A browser takes this address for one folder.
    let page = ask(sidecar.web(), "/tv/watch/..%2f..%2fetc", &["Accept: text/html"]);
    assert!(String::from_utf8_lossy(&page.body).contains("href=\"../?lang=en\""), "{page:?}");
    let watch = |headers: &[&str]| {
        let list = ask(sidecar.web(), "/tv/v1/live", headers).json();
        list["streams"][0]["watch"].as_str().map(str::to_owned)
    };
    let direct = until("the stream is listed", 10.0, || watch(&[]));
    assert_eq!(direct, "http://live.example.org/tv/watch/live/show");
    let proxied = watch(&["X-Forwarded-Proto: https", "X-Forwarded-Prefix: /shows"]).unwrap();
    assert_eq!(proxied, "https://live.example.org/shows/watch/live/show");
    sidecar.reload("[web]\nbase = \"/tv/\"\nurl = \"https://example.org/tv\"\n");
    until("the new settings hold", 10.0, || {
        watch(&["X-Forwarded-Proto: https", "X-Forwarded-Prefix: /shows"])
            == Some("https://example.org/tv/watch/live/show".into())
    });
}

#[test]
fn an_address_that_is_taken_is_an_error_where_the_file_names_it() {
    let (port, folder) = (Port::reserve(), tempfile::tempdir().unwrap());
    let _taken = TcpListener::bind(("127.0.0.1", port.number())).unwrap();
    let (place, config) = (folder.path().display(), folder.path().join("weir.toml"));
    let text = format!(
        "[daemon]\nlisten = \"off\"\nsocket = \"{place}/s\"\n[web]\nlisten = \"127.0.0.1:{}\"\n",
        port.number()
    );
    std::fs::write(&config, text).unwrap();
    let output = Command::new(products::weir()).args(["serve", "--config"]).arg(&config).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), errors.lines().count()), (Some(1), 1), "{errors}");
    let expected = format!("[web] listen 127.0.0.1:{}: Address already in use", port.number());
    assert!(errors.contains(&expected), "{errors}");
}
