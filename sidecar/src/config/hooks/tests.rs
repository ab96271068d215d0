use std::path::Path;

use super::super::{Error, parse};
use super::*;

fn read(text: &str) -> Result<Hooks, Error> {
    parse(Path::new("weir.toml"), text).map(|config| config.hooks)
}

#[test]
fn what_is_not_written_has_sane_values() {
    let hooks = read("").unwrap();
    assert_eq!((hooks.webhooks.len(), hooks.commands.len(), hooks.admission), (0, 0, None));
    let text = "[hooks.webhook.backend]\nurl = \"https://b.example.org/weir\"\nsecret_files = [\"/s\"]\n\
                [hooks.admission]\nurl = \"http://127.0.0.1/x\"\nsecret_files = [\"/s\"]\nallow_private = true";
    let hooks = read(text).unwrap();
    let webhook = &hooks.webhooks[0];
    assert!(webhook.events.include("stream.started") && webhook.events.include("daemon.ended"));
    assert!(!webhook.events.include("viewers"));
    assert_eq!((webhook.endpoint.timeout, webhook.max_queue), (Duration::from_secs(10), 10_000));
    assert_eq!(hooks.admission.unwrap().when_down, WhenDown::Deny);
}

#[test]
fn events_are_named_whole_or_by_their_beginning() {
    let events = Events(vec!["stream.started".into(), "target.*".into()]);
    for (kind, expected) in
        [("stream.started", true), ("stream.started2", false), ("target.state", true), ("key.changed", false)]
    {
        assert_eq!(events.include(kind), expected, "{kind}");
    }
}

#[test]
fn what_is_wrong_is_said_with_place_key_and_remedy() {
    let webhook = |more: &str| format!("[hooks.webhook.b]\nsecret_files = [\"/s\"]\n{more}");
    for (text, expected) in [
        (webhook(""), "weir.toml:1: [hooks.webhook.b]: url is missing"),
        (
            webhook("url = \"http://b.example.org/\""),
            "weir.toml:3: url = \"http://b.example.org/\": must be https://",
        ),
        (webhook("url = \"https://10.0.0.1/\""), "allow_private = true if that is meant"),
        (webhook("url = \"https://localhost/\""), "allow_private = true if that is meant"),
        (webhook("url = \"https://u:p@b.example.org/\""), "must have no password"),
        (
            webhook("url = \"https://b.example.org/\"\nevents = [\"Stream\"]"),
            "weir.toml:4: events: \"Stream\"",
        ),
        (webhook("url = \"https://b.example.org/\"\nevents = []"), "at least one is needed"),
        (webhook("url = \"https://b.example.org/\"\ntimeout = \"1h\""), "must be from 1s to 2m"),
        ("[hooks.webhook.b]\nurl = \"https://b.example.org/\"".into(), "secret_files are missing"),
        ("[hooks.webhook.\"a/b\"]".into(), "a name has 1 to 32 of"),
        ("[hooks.command.c]".into(), "[hooks.command.c]: run is missing"),
        ("[hooks.command.c]\nrun = []".into(), "run: the first word is the program"),
        ("[hooks.command.c]\nrun = \"a b\"".into(), "run: invalid type"),
        ("[hooks.admission]\nwhen_down = \"ask\"".into(), "url is missing"),
        ("[hooks]\nqueue = \"q\"".into(), "write a path that begins with /"),
    ] {
        let error = read(&text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}\n{error}\n{expected}");
    }
}
