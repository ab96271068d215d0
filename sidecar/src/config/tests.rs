use std::path::Path;

use super::*;

fn read(text: &str) -> Result<Config, Error> {
    parse(Path::new("weir.toml"), text)
}

const LADDER: &str = "[ladder.two]\nrungs = [\"source\", \"360p\"]\n";

#[test]
fn an_empty_file_is_a_daemon_that_does_nothing() {
    let config = read("").unwrap();
    assert_eq!(config.nginx.api.to_string(), "http://127.0.0.1:8080/api");
    assert_eq!(config.nginx.rtmp.to_string(), "rtmp://127.0.0.1:1935");
    assert_eq!(config.daemon.listen, Some("127.0.0.1:8091".parse().unwrap()));
    assert!(config.rules.is_empty());
}

#[test]
fn a_ladder_takes_presets_and_rungs_of_the_file() {
    let text = "[rung.tiny]\nheight = 90\nbitrate = \"100k\"\nmax_fps = 15\n[rung.360p]\nheight = 360\nbitrate = \"500k\"\n\
        [ladder.l]\nrungs = [\"source\", \"360p\", \"tiny\", \"audio\"]\n[[stream]]\napp = \"live\"\nstream = \"cam*\"\nladder = \"l\"\n";
    let config = read(text).unwrap();
    let rule = &config.rules[0];
    assert!(rule.stream.fits("cam1") && !rule.stream.fits("show"));
    let kinds: Vec<_> = rule.ladder.rungs.iter().map(|rung| rung.kind.clone()).collect();
    let video = |height, bitrate, max_fps| RungKind::Video { height, bitrate, max_fps };
    let expected = [
        RungKind::Source,
        video(360, 500_000, None),
        video(90, 100_000, Some(15)),
        RungKind::Audio { bitrate: 64_000 },
    ];
    assert_eq!(kinds, expected);
    let Delivery::Files(files) = &rule.delivery else { panic!("{:?}", rule.delivery) };
    assert_eq!(files.folder, Path::new("/var/lib/weir/media"));
}

#[test]
fn what_is_wrong_is_said_with_place_key_and_remedy() {
    let stream =
        |more: &str| format!("{LADDER}[[stream]]\napp = \"live\"\nstream = \"*\"\nladder = \"two\"\n{more}");
    for (text, expected) in [
        (
            "[nginx]\napi = \"ftp://x\"".to_owned(),
            "weir.toml:2: api = \"ftp://x\": write it as http://127.0.0.1:8080/api",
        ),
        (
            "[nginx]\nrtmp = \"rtmp://h/live\"".into(),
            "weir.toml:2: rtmp = \"rtmp://h/live\": write it as rtmp://127.0.0.1:1935",
        ),
        ("[nginx]\napis = 1".into(), "weir.toml:2: unknown field `apis`, expected one of `api`"),
        (
            "[daemon]\n\nlisten = \"8091\"".into(),
            "weir.toml:3: listen = \"8091\": write it as 127.0.0.1:8091",
        ),
        (
            "[daemon]\nlog = 7".into(),
            "weir.toml:2: log: invalid type: integer `7`, expected a text in quotes",
        ),
        (
            "[jobs]\nnice = \"5\"".into(),
            "weir.toml:2: nice: invalid type: string \"5\", expected a whole number",
        ),
        (
            "[stream]\napp = \"live\"".into(),
            "weir.toml:1: [stream]: invalid type: table, expected a list in [ ]; write [[stream]]",
        ),
        (
            "[web]\nplay = token".into(),
            "weir.toml:2: play = token: put the value in quotes: play = \"token\"",
        ),
        (
            "[web]\n\nlisten = 127.0.0.1:8090   # pages".into(),
            "weir.toml:3: listen = 127.0.0.1:8090: put the value in quotes: listen = \"127.0.0.1:8090\"",
        ),
        ("[jobs]\nstall = 10s".into(), "weir.toml:2: stall = 10s: put the value in quotes: stall = \"10s\""),
        ("[daemon]\nsocket = /run/x".into(), "socket = /run/x: put the value in quotes: socket = \"/run/x\""),
        (
            "[nginx]\napi = http://h/api".into(),
            "api = http://h/api: put the value in quotes: api = \"http://h/api\"",
        ),
        (
            "[ladder.l]\nrungs = [source, 360p]".into(),
            "put the value in quotes: rungs = [\"source\", \"360p\"]",
        ),
        ("[web]\nlisten = off".into(), "put the value in quotes: listen = \"off\""),
        ("[web]\nplay = \"token".into(), "weir.toml:2: play: "),
        ("nginx = 1".into(), "weir.toml:1: nginx: invalid type: integer `1`, expected a table"),
        ("[[nginx]]\n".into(), "weir.toml:1: [[nginx]]: there is one of these; write [nginx]"),
        ("[daemon]\nsocket = \"run\"".into(), "write a path that begins with /"),
        ("[jobs]\nstall = \"1s\"".into(), "weir.toml:2: stall = \"1s\": must be from 2s to 10m"),
        ("[jobs]\nnice = 20".into(), "weir.toml:2: nice = 20: must be from 0 to 19"),
        ("[rung.x]\nheight = 90".into(), "[rung.x]: bitrate is missing, such as \"1400k\""),
        ("[rung.x]\nbitrate = \"9k\"".into(), "[rung.x]: height is missing"),
        ("[rung.source]\nheight = 90".into(), "choose another one"),
        ("[rung.\"a/b\"]\nheight = 90".into(), "a name has 1 to 32 of"),
        ("[ladder.l]\nrungs = [\"4k\"]".into(), "weir.toml:2: rungs: no rung \"4k\"; there are \"1080p\""),
        ("[ladder.l]\nrungs = []".into(), "at least one is needed"),
        ("[ladder.l]\nrungs = [\"360p\", \"360p\"]".into(), "is listed twice"),
        ("[ladder.l]\nrungs = [\"360p\"]\nencoder = \"x265\"".into(), "must be one of \"libx264\""),
        (
            "[[stream]]\nstream = \"*\"".into(),
            "weir.toml:1: [[stream]]: app is missing, such as app = \"live\"",
        ),
        ("[[stream]]\napp = \"live\"\nstream = \"a b\"".into(), "weir.toml:3: stream = \"a b\": "),
        (stream("ladders = 1"), "unknown field `ladders`"),
        (stream("deliver = \"ftp\""), "weir.toml:7: deliver = \"ftp\": must be \"files\" or \"rtmp\""),
        (stream("to_app = \"x\""), "to_app: only goes with deliver = \"rtmp\""),
        (stream("window = \"5s\""), "window: must be at least three times segment"),
        (stream("deliver = \"rtmp\""), "[[stream]]: to_app is missing"),
        (
            stream("deliver = \"rtmp\"\nto_app = \"live\"\nsecret_file = \"/s\""),
            "another application is needed",
        ),
        ("[nginx\n".into(), "weir.toml:1: "),
    ] {
        let error = read(&text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}\n{error}\n{expected}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_load_balancer_follows_nginx_only_if_the_file_names_the_api() {
    const API: &str = "[nginx]\napi = \"http://127.0.0.1:8080/api\"\n";
    const BALANCER: &str =
        "[cluster]\nsecret_file = \"/s\"\n[loadbalancer]\nupstream_file = \"/var/lib/weir/upstream.conf\"\n";
    let jobs = ["[[record]]", "[[thumbnail]]"]
        .map(|table| format!("{table}\napp = \"live\"\nstream = \"*\"\n"))
        .concat();
    for (text, follows, tables) in [
        (jobs.clone(), true, None),
        (format!("{API}{jobs}"), true, None),
        (format!("{API}{BALANCER}{jobs}"), true, None),
        (BALANCER.to_owned(), false, None),
        (format!("{BALANCER}{jobs}"), false, Some("[[record]], [[thumbnail]]: set api in [nginx]: ")),
        (
            format!("{BALANCER}{LADDER}[[stream]]\napp = \"live\"\nstream = \"*\"\nladder = \"two\"\n"),
            false,
            Some("[[stream]]: set api in [nginx]: "),
        ),
    ] {
        let config = read(&text).unwrap();
        assert_eq!(config.follows_nginx(), follows, "{text}");
        let said = config.without_streams();
        match (&said, tables) {
            (None, None) => {}
            (Some(said), Some(tables)) => assert!(said.starts_with(tables), "{said}"),
            _ => panic!("{text}: {said:?}"),
        }
    }
}
