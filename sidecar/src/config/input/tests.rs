use std::path::Path;

use super::*;
use crate::config::{Error, parse};

fn read(text: &str) -> Result<Vec<Input>, Error> {
    let text = format!("[nginx]\nsecret_file = \"/s\"\n{text}");
    parse(Path::new("weir.toml"), &text).map(|config| config.inputs)
}

fn of_url(url: &str) -> Result<Source, Error> {
    read(&format!("[[input]]\napp = \"live\"\nstream = \"a\"\nurl = \"{url}\"\n"))
        .map(|mut all| all.remove(0).source)
}

fn start_of(text: &str) -> Result<Start, Error> {
    let line = format!("start = \"{text}\"");
    read(&format!("[[input]]\napp = \"live\"\nstream = \"a\"\nurl = \"udp://:5000\"\n{line}\n"))
        .map(|mut all| all.remove(0).start)
}

#[test]
fn every_kind_of_source_is_understood() {
    let remote = |url: &str| match of_url(url).unwrap() {
        Source::Remote(remote) => (remote.transport.word(), remote.waits, remote.url.expose().to_owned()),
        other => panic!("{other:?}"),
    };
    for (url, word, waits, given) in [
        ("rtsp://u:p@192.0.2.10:554/s1", "rtsp", false, "rtsp://u:p@192.0.2.10:554/s1"),
        ("rtmps://h/live/show", "rtmp", false, "rtmps://h/live/show"),
        ("https://h/a/index.m3u8?x=1", "hls", false, "https://h/a/index.m3u8?x=1"),
        (
            "srt://:9000?mode=listener&passphrase=0123456789",
            "srt",
            true,
            "srt://0.0.0.0:9000?mode=listener&passphrase=0123456789",
        ),
        ("srt://h:9000?streamid=x", "srt", false, "srt://h:9000?streamid=x"),
        ("rist://:8193", "rist", true, "rist://@0.0.0.0:8193"),
        ("rist://192.0.2.1:8193?secret=x", "rist", true, "rist://192.0.2.1:8193?secret=x"),
        ("RTSP://h/S1", "rtsp", false, "rtsp://h/S1"),
        ("http://h/live.M3U8", "hls", false, "http://h/live.M3U8"),
        ("udp://:5000", "udp", true, "udp://0.0.0.0:5000?overrun_nonfatal=1&fifo_size=50000"),
        ("udp://@239.0.0.1:5000", "udp", true, "udp://239.0.0.1:5000?overrun_nonfatal=1&fifo_size=50000"),
    ] {
        assert_eq!(remote(url), (word, waits, given.to_owned()), "{url}");
    }
    assert_eq!(of_url("file:/a b.mp4").unwrap(), Source::File("/a b.mp4".into()));
    assert_eq!(of_url("playlist:/a/b c.m3u").unwrap(), Source::Playlist("/a/b c.m3u".into()));
}

#[test]
fn two_inputs_receive_at_one_address_only_at_different_times() {
    let two = |one: &str, other: &str| {
        read(&format!(
            "[[input]]\napp = \"live\"\nstream = \"a\"\n{one}\n[[input]]\napp = \"live\"\nstream = \"b\"\n{other}\n"
        ))
    };
    let error = two("url = \"udp://:5000\"", "url = \"udp://:5000?x=1\"").unwrap_err().to_string();
    let expected =
        "weir.toml:7: [[input]]: url: the input of \"a\" of app = \"live\" receives at the same address";
    assert!(error.contains(expected), "{error}");
    assert!(two("url = \"udp://:5000\"", "url = \"udp://:5001\"").is_ok());
    let (day, night) = ("start = \"08:00..18:00\"", "start = \"18:00..08:00\"");
    assert!(
        two(&format!("url = \"udp://:5000\"\n{day}"), &format!("url = \"udp://:5000\"\n{night}")).is_ok()
    );
}

#[test]
fn times_may_pass_midnight() {
    assert_eq!(start_of("always").unwrap(), Start::Always);
    assert_eq!(start_of("on-demand").unwrap(), Start::OnDemand);
    let day = start_of("08:00..18:30").unwrap();
    assert_eq!(start_of("18:00..24:00").unwrap(), start_of("18:00..00:00").unwrap());
    let is_due = |start: Start, minutes: [u16; 4]| minutes.map(|minute| start.is_due(minute));
    assert_eq!(is_due(day, [479, 480, 1109, 1110]), [false, true, true, false]);
    let night = start_of("22:00..02:00").unwrap();
    assert_eq!(is_due(night, [1319, 1320, 119, 120]), [false, true, true, false]);
}

#[test]
fn what_is_wrong_is_named_and_secrets_are_not_repeated() {
    for (url, why) in [
        ("ftp://h/x", "weir.toml:6: url: must begin with rtsp://"),
        ("camera", "must begin with rtsp://"),
        ("rtsp:///x", "needs a host, such as rtsp://"),
        ("rtmp://hidden:hidden@h/live", "needs an application and a stream"),
        ("http://h/x.mp4", "must be of a playlist"),
        ("srt://:9000", "needs mode=listener, or a host to call"),
        ("srt://?mode=listener", "needs a port"),
        ("srt://:9000?mode=listener&passphrase=hidden", "passphrase: has 10 to 79 characters"),
        ("srt://:9000?mode=listener&streamid=hidden", "streamid: is the sender's to give"),
        ("rist://h", "needs a port"),
        ("udp://:0", "needs a port"),
        ("file:movie.mp4", "needs a path that begins with /, such as file:/srv"),
        ("playlist:a.m3u", "needs a path that begins with /, such as playlist:/srv"),
        ("rtsp://h/a b", "has a space or a control character in it"),
    ] {
        let error = of_url(url).unwrap_err().to_string();
        assert!(error.contains(why), "{url}: {error}");
        assert!(!error.contains("hidden") && !error.contains('\n'), "{error}");
    }
    for start in ["sometimes", "8:00..9:00", "24:00..25:00", "10:00..10:00", "10:00-12:00", "08:60..09:00"] {
        assert!(start_of(start).unwrap_err().to_string().starts_with("weir.toml:7: start = "), "{start}");
    }
    let whole = "[[input]]\napp = \"live\"\nstream = \"a\"\nurl = \"udp://:5000\"\n";
    for key in ["app", "stream", "url"] {
        let without: String =
            whole.lines().filter(|line| !line.starts_with(key)).map(|l| format!("{l}\n")).collect();
        let error = read(&without).unwrap_err().to_string();
        assert!(error.contains(&format!("[[input]]: {key} is missing, such as {key} = ")), "{error}");
    }
    let error = read(&whole.repeat(2)).unwrap_err().to_string();
    assert!(
        error.starts_with("weir.toml:7: [[input]]: stream = \"a\" of app = \"live\" has an input"),
        "{error}"
    );
    let error = parse(Path::new("weir.toml"), whole).unwrap_err().to_string();
    assert!(
        error.contains("secret_file is missing: write secret_file = \"/etc/weir/secret\" under [nginx]"),
        "{error}"
    );
}

#[test]
fn a_stream_of_another_node_is_named_in_two_ways() {
    let node = |url: &str| match of_url(url).unwrap() {
        Source::Node(origin) => {
            let token = origin.token.map(|token| token.expose().to_owned());
            let stream = origin.stream.map(|(app, name)| format!("{app}/{name}")).unwrap_or_default();
            (origin.url.to_string(), stream, token)
        }
        other => panic!("{other:?}"),
    };
    let (url, stream, token) = node("weir+wss://h:8443/tv/stream/eu/live/show/ws?token=a.b.c");
    assert_eq!(url, "https://h:8443/tv/stream/eu/live/show/ws");
    assert_eq!((stream.as_str(), token.as_deref()), ("eu/live/show", Some("a.b.c")));
    let own = ("http://h/stream/live/a/ws".to_owned(), "live/a".to_owned(), None);
    assert_eq!([node("weir+ws://h"), node("weir+ws://h/")], [own.clone(), own]);
    let whep = node("whep+https://h/stream/live/show/whep?token=a.b.c");
    assert_eq!(whep, ("https://h/stream/live/show/whep".into(), "live/show".into(), Some("a.b.c".into())));
    assert_eq!(node("whep+http://h").0, "http://h/stream/live/a/whep");
    // The URL is of another server and has an argument besides `token`.
    let foreign = node("whep+https://h/show/whep?user=a&token=b");
    assert_eq!(foreign, ("https://h/show/whep?user=a".into(), String::new(), Some("b".into())));
    for (url, why) in [
        ("weir+ws://h/live/show", "url: write it as weir+wss://live.example.org/stream/APP/NAME/ws"),
        ("weir+wss://hidden:hidden@h", "write it as weir+wss://"),
        ("weir+ws://h?key=hidden", "has an argument that is not token=TOKEN"),
        ("weir+ws://h/stream/-x/ws", "write it as weir+wss://"),
        ("whep+https://hidden@h", "url: write it as whep+https://live.example.org/stream/APP/NAME/whep"),
        ("whep+https://h/stream/-x/whep", "write it as whep+https://"),
        ("whep+https://h?token=", "token= is empty"),
        ("whep+httpx://h", "write it as whep+https://"),
    ] {
        let error = of_url(url).unwrap_err().to_string();
        assert!(error.contains(why) && !error.contains("hidden"), "{url}: {error}");
    }
    let text = "[[input]]\napp = \"live\"\nstream = \"a\"\nurl = \"weir+ws://h\"\ntranscode = true\n";
    assert!(
        read(text)
            .unwrap_err()
            .to_string()
            .contains("transcode = true: a stream of another node comes as it is")
    );
}
