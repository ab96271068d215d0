//! Names and arguments of every length and kind: measured as they were sent, and refused rather than cut or mended.

use weir_tests::harness::{Nginx, Outcome, Publisher};

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
        assert!(said == "unknown key" || said == reason, "{length}: {said}");
    }
    // As a long string of AMF 0, which no encoder sends.
    refused(&nginx, "open", &[b'n'; 70_000]);
    refused(&nginx, "live", &[b'n'; 70_000]);
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
    let fill = |length: usize| {
        let head = format!("show?key={key}&a=");
        let tail = "x".repeat(length - head.len());
        format!("{head}{tail}")
    };
    Publisher::to(nginx.rtmp(), &format!("live/{}", fill(255))).start().started().close();
    wait_gone(&nginx.api(), "live", "show");
    refused(&nginx, "live", fill(256).as_bytes());
    // What is measured is what nginx-rtmp gets: the public name may be longer than the key, or shorter.
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
        // A right key does not make the rest right.
        let with_key = [name, b"?key=", key.as_bytes(), b"&a=\0"].concat();
        refused(&nginx, "live", &with_key);
    }
    assert!(!nginx.log().contains('\0'));
    // Cut at the NUL it would be the key.
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
