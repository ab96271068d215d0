//! Names and arguments of every length and kind: Weir measures them as sent, and refuses a bad one instead of cutting or repairing it.

use weir_tests::harness::{Nginx, Outcome, Publisher, until};

use super::{BAD_NAME, keyed, wait_gone, wait_live};

fn start() -> Nginx {
    keyed().app("open", "weir_publish open;").start()
}

#[track_caller]
fn refused(nginx: &Nginx, app: &str, name: &[u8]) -> String {
    let refused = Publisher::to(nginx.rtmp(), &format!("{app}/x")).name(name).start().refused(BAD_NAME);
    assert!(nginx.api().streams().is_empty());
    refused
}

#[test]
fn lengths_of_names() {
    let nginx = start();
    for length in [1, 128] {
        let name = "n".repeat(length);
        let publisher = Publisher::to(nginx.rtmp(), &format!("open/{name}")).start().started();
        wait_live(&nginx.api(), "open", &name);
        publisher.close();
        wait_gone(&nginx.api(), "open", &name);
    }
    for (length, reason) in [
        (0, "bad stream name: empty name, expected 1 to 128 characters"),
        (129, "bad stream name: name of 129 bytes, at most 128 are allowed"),
        (255, "bad stream name: name of 255 bytes, at most 128 are allowed"),
        (256, "name and arguments of 256 bytes, at most 255 are allowed"),
    ] {
        let said = refused(&nginx, "open", "n".repeat(length).as_bytes());
        assert_eq!(said, reason, "{length}");
        let said = refused(&nginx, "live", "n".repeat(length).as_bytes());
        assert!(said.starts_with("unknown key") || said == reason, "{length}: {said}");
    }
    // The name comes as a long string of AMF 0, which no encoder sends: the guard closes the connection before the name is complete.
    for app in ["open", "live"] {
        let publisher = Publisher::to(nginx.rtmp(), &format!("{app}/x")).name(&[b'n'; 70_000]).start();
        publisher.wait_closed(5.0);
        assert!(nginx.api().streams().is_empty());
    }
}

#[test]
fn lengths_of_names_with_arguments() {
    let nginx = start();
    let path = |length: usize| format!("show?a={}", "x".repeat(length - "show?a=".len()));
    Publisher::to(nginx.rtmp(), &format!("open/{}", path(255))).start().started().close();
    wait_gone(&nginx.api(), "open", "show");
    assert_eq!(
        refused(&nginx, "open", path(256).as_bytes()),
        "name and arguments of 256 bytes, at most 255 are allowed"
    );
    let key = nginx.api().create_key("live", "show").key;
    // Weir removes the key, so the key does not count.
    let fill = |length: usize| format!("show?key={key}&a={}", "x".repeat(length - "show?a=".len()));
    Publisher::to(nginx.rtmp(), &format!("live/{}", fill(255))).start().started().close();
    wait_gone(&nginx.api(), "live", "show");
    refused(&nginx, "live", fill(256).as_bytes());
    // Weir measures the result that nginx-rtmp gets: the public name may be longer or shorter than the key.
    let key = nginx.api().create_key("live", &"n".repeat(128)).key;
    let path = |length: usize| format!("{key}?a={}", "x".repeat(length - 128 - "?a=".len()));
    assert_eq!(
        refused(&nginx, "live", path(256).as_bytes()),
        "name and arguments of 256 bytes, at most 255 are allowed"
    );
    Publisher::to(nginx.rtmp(), &format!("live/{}", path(255))).start().started().close();
    wait_gone(&nginx.api(), "live", &"n".repeat(128));
}

#[test]
fn bytes_that_no_name_may_hold() {
    let nginx = start();
    let key = nginx.api().create_key("live", "show").key;
    let names: [&[u8]; 15] = [
        b"sh\0w",
        b"\0",
        b"show\0",
        b"\xff\xfe",
        b"caf\xc3\xa9",
        b"sh\nw",
        b"sh\tw",
        b"sh w",
        b"a/b",
        b"../x",
        b".x",
        b"-x",
        b"..",
        b"show\x7f",
        b"a:b",
    ];
    for name in names {
        refused(&nginx, "open", name);
        refused(&nginx, "live", name);
        // A valid key does not make the rest of the name valid.
        let with_key = [name, b"?key=", key.as_bytes(), b"&a=\0"].concat();
        refused(&nginx, "live", &with_key);
    }
    assert!(!nginx.log().contains('\0'));
    // A program that cuts at the NUL would see the key.
    refused(&nginx, "live", format!("{key}\0").as_bytes());
    refused(&nginx, "live", format!("show?key={key}\0x").as_bytes());
}

#[test]
fn names_that_the_rule_allows() {
    let nginx = start();
    for name in ["a", "_", "A-b_c.d", "0..", "show.m3u8"] {
        let publisher = Publisher::to(nginx.rtmp(), &format!("open/{name}")).start();
        assert_eq!(publisher.outcome(), Outcome::Started, "{name}");
        publisher.close();
        wait_gone(&nginx.api(), "open", name);
    }
}

/// If nginx-rtmp alone decides on names, the API lists every published name, and accepts each listed name.
#[test]
fn every_name_that_is_listed_can_be_dropped() {
    let app = "application cust/room/0 { live on; }";
    let nginx = keyed().app("plain", "").server(app).start();
    let api = nginx.api();
    let long = [b'n'; 200];
    let names: [&[u8]; 14] = [
        "直播间一".as_bytes(),
        "канал 1".as_bytes(),
        b"TEST%20STREAM",
        b"a'b\"c",
        b"<script>",
        b"a&b=c+d",
        b"a\tb",
        b"a\nb",
        b"x\x1b[31m\x07",
        b"\xff\xfe\xc3",
        b"a/b",
        b"..",
        b"",
        &long,
    ];
    for app in ["plain", "cust/room/0"] {
        for name in names {
            let publisher = Publisher::to(nginx.rtmp(), &format!("{app}/x")).name(name).start().started();
            let listed = until("it is listed", 5.0, || api.streams().pop());
            let shown = listed["name"].as_str().unwrap();
            assert_eq!((listed["app"].as_str().unwrap(), shown), (app, &*String::from_utf8_lossy(name)));
            let coded = |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
            // The HTTP client removes a `..` from a path.
            let asked = match name {
                b".." => format!("/v1/streams?app={}&name={}", coded(app), coded(shown)),
                _ => format!("/v1/streams/{}/{}", coded(app), coded(shown)),
            };
            if name != b".." {
                assert_eq!(api.get(&asked).expect(200)["session"], listed["session"], "{shown:?}");
            }
            assert_eq!(api.delete(&asked).expect(200)["dropped"], 1, "{shown:?}");
            publisher.wait_closed(2.0);
            until("it is gone", 5.0, || api.streams().is_empty());
        }
    }
    api.delete("/v1/streams?app=plain").error(400, "bad_request");
    api.delete("/v1/streams?app=plain&name=x").error(404, "not_found");
}

#[test]
fn a_path_of_many_parts_finds_its_stream() {
    let app = "application cust/room/0 { live on; }";
    let nginx = keyed().app("plain", "").server(app).start();
    let api = nginx.api();
    let _deep = Publisher::to(nginx.rtmp(), "cust/room/0/show").start().started();
    let _slash = Publisher::to(nginx.rtmp(), "plain/x").name(b"a/players").start().started();
    until("both are listed", 5.0, || api.streams().len() == 2);
    for (path, name) in [
        ("cust/room/0/show", "show"),
        ("cust%2Froom%2F0/show", "show"),
        ("cust/room/0/show/", "show"),
        ("plain/a%2Fplayers", "a/players"),
    ] {
        assert_eq!(api.get(&format!("/v1/streams/{path}")).expect(200)["name"], name, "{path}");
    }
    assert!(api.get("/v1/streams/cust%2Froom%2F0/show/players").expect(200)["players"].is_array());
}
