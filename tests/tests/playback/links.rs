//! `weir link` and `POST /v1/links`: each printed link opens the stream until the printed command revokes it.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use serde_json::{Value, json};
use weir_tests::harness::{Nginx, Player, Publisher, products};

use super::{SECRET, config, get, start};

fn served() -> Nginx {
    start(
        config()
            .app("live", "weir_publish open; weir_play token; hls on; hls_path @DIR@/hls; dash on; dash_path @DIR@/dash;")
            .app("free", "weir_publish open;")
            .http(
                "root @DIR@/www; location /hls/ { weir_play token app=live; }
                 location /dash/ { weir_play token app=live; }",
            ),
    )
}

fn weir(nginx: &Nginx, arguments: &[&str]) -> Output {
    let mut command = Command::new(products::weir());
    command.args(arguments).args(["--api", &nginx.url("/api")]).env_remove("WEIR_API").output().unwrap()
}

fn path_of<'l>(nginx: &Nginx, link: &'l str) -> &'l str {
    link.strip_prefix(&nginx.url("")).unwrap_or_else(|| panic!("{link}"))
}

#[test]
fn each_link_opens_the_stream_until_it_is_revoked() {
    let nginx = served();
    let _publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    let out = weir(&nginx, &["link", "live", "show", "--ttl", "2h"]);
    assert!(out.status.success(), "{out:?}");
    let text = String::from_utf8(out.stdout).unwrap();
    let line = |name: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(name));
        found.unwrap_or_else(|| panic!("{name}: {text}")).trim().to_owned()
    };
    let (hls, dash, rtmp) = (line("HLS:"), line("DASH:"), line("RTMP:"));
    let token = hls.split_once("token=").unwrap().1.to_owned();
    assert_eq!(line("Watch:"), nginx.url(&format!("/?stream=show&token={token}")));
    assert_eq!(get(&nginx, path_of(&nginx, &hls)).status, 200);
    assert_eq!(get(&nginx, path_of(&nginx, &dash)).status, 200);
    let (server, name) = rtmp.strip_prefix("rtmp://").unwrap().split_once('/').unwrap();
    assert_eq!(server, format!("127.0.0.1:{}", nginx.rtmp()));
    let player = Player::start(nginx.rtmp(), name);
    player.wait_video(3);
    // The printed command is complete, and revokes the link.
    let revoke = line("Revoke:");
    let words: Vec<&str> = revoke.split(' ').collect();
    assert_eq!(words[0], "weir");
    let out = Command::new(products::weir()).args(&words[1..]).env_remove("WEIR_API").output().unwrap();
    assert!(out.status.success(), "{out:?}");
    assert_eq!(get(&nginx, path_of(&nginx, &hls)).status, 403);
    player.wait_closed(1.0);
}

#[test]
fn addresses_are_those_of_the_configuration_or_the_option() {
    let nginx = served();
    let file = nginx.path("weir.toml");
    std::fs::write(
        &file,
        "[web]\nurl = \"https://live.example.org\"\n[nginx]\nwatch_url = \"{url}/watch/{app}/{stream}\"\n\
         hls_url = \"{url}/ladder/{app}/{stream}/master.m3u8\"\nrtmp_url = \"rtmp://{host}/{app}/{stream}\"\n",
    )
    .unwrap();
    let json = |more: &[&str]| -> Value {
        let words = [&["link", "live", "show", "--json", "--config", file.to_str().unwrap()], more].concat();
        serde_json::from_slice(&weir(&nginx, &words).stdout).unwrap()
    };
    let links = json(&[]);
    let token = links["token"].as_str().unwrap();
    assert_eq!(links["watch"], format!("https://live.example.org/watch/live/show?token={token}"));
    assert_eq!(links["hls"], format!("https://live.example.org/ladder/live/show/master.m3u8?token={token}"));
    assert_eq!(links["dash"], format!("https://live.example.org/dash/show.mpd?token={token}"));
    assert_eq!(links["rtmp"], format!("rtmp://live.example.org/live/show?token={token}"));
    let claims = weir_model::token::Signer::new(SECRET).unwrap().verify(token).unwrap();
    assert_eq!((claims.sub.to_string(), claims.act.to_string()), ("live/show".into(), "play".into()));
    assert_eq!(links["expires_at"], claims.exp.to_string());
    assert_eq!(links["jti"], claims.jti.unwrap().as_str());
    let other = json(&["--url", "http://192.0.2.1:8080/tv"]);
    assert!(other["watch"].as_str().unwrap().starts_with("http://192.0.2.1:8080/tv/watch/live/show?token="));
    // A configuration file that is named must exist, and a URL pattern must be valid.
    assert_eq!(weir(&nginx, &["link", "live", "show", "--config", "/nonexistent"]).status.code(), Some(1));
    std::fs::write(&file, "[nginx]\nhls_url = \"/hls\"\n").unwrap();
    let out = weir(&nginx, &["link", "live", "show", "--config", file.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&out.stderr).contains("weir.toml:2: hls_url"), "{out:?}");
}

#[test]
fn addresses_that_are_none_are_refused_with_their_field() {
    let nginx = served();
    let api = nginx.api();
    for (field, value) in [
        ("url", "https://live.example.org:99999"),
        ("url", "https://[::1"),
        ("url", "javascript:alert(1)"),
        ("hls_url", "rtmp://{host}/{stream}"),
        ("rtmp_url", "{url}/{stream}"),
        ("watch_url", "https://a/{url}"),
        ("watch_url", "https:///{stream}"),
    ] {
        let said = api
            .post("/v1/links", &json!({ "app": "live", "stream": "show", field: value }))
            .error(400, "bad_request");
        assert!(said.starts_with(&format!("field \"{field}\": ")), "{value}: {said}");
    }
}

#[test]
fn the_page_is_that_of_weir_serve_where_web_has_a_url() {
    let nginx = served();
    let file = nginx.path("weir.toml");
    std::fs::write(&file, "[web]\nurl = \"https://live.example.org/tv\"\n").unwrap();
    let watch = |more: &[&str]| {
        let words = [&["link", "live", "show", "--json", "--config", file.to_str().unwrap()], more].concat();
        let links: Value = serde_json::from_slice(&weir(&nginx, &words).stdout).unwrap();
        links["watch"].as_str().unwrap().split('?').next().unwrap().to_owned()
    };
    assert_eq!(watch(&[]), "https://live.example.org/tv/watch/live/show");
    assert_eq!(watch(&["--url", "https://other.example.org"]), "https://other.example.org/watch/live/show");
}

#[test]
fn hls_is_that_of_nginx_or_of_weir_serve() {
    let nginx = served();
    let file = nginx.path("weir.toml");
    let hls = |app: &str, config: &str| {
        std::fs::write(&file, config).unwrap();
        let words = ["link", app, "show", "--json", "--config", file.to_str().unwrap()];
        let links: Value = serde_json::from_slice(&weir(&nginx, &words).stdout).unwrap();
        links["hls"].as_str().map(|hls| hls.split('?').next().unwrap().to_owned())
    };
    let pages = "[web]\nurl = \"https://live.example.org/tv\"\n";
    let of_daemon =
        |app: &str| Some(format!("https://live.example.org/tv/stream/{app}/show/llhls/master.m3u8"));
    assert_eq!(hls("live", pages).as_deref(), Some("https://live.example.org/hls/show.m3u8"));
    assert_eq!(hls("free", pages), of_daemon("free"));
    assert_eq!(hls("free", ""), Some(nginx.url("/stream/free/show/llhls/master.m3u8")));
    assert_eq!(hls("free", "[web]\nlisten = \"off\"\n"), Some(nginx.url("/hls/show.m3u8")));
}

#[test]
fn a_check_of_hls_needs_a_token_where_viewers_do() {
    let nginx = start(
        config().http("root @DIR@/www; location /hls/ { weir_play token app=live; weir_viewers app=live; }"),
    );
    let playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:60\n#EXTINF:2.000,\nshow-17.ts\n";
    std::fs::write(nginx.path("www/hls/show.m3u8"), playlist).unwrap();
    let (url, file) = (nginx.url("/hls/show.m3u8"), nginx.path("token"));
    let check = |file: &std::path::Path| {
        weir(&nginx, &["check", "hls", &url, "--timeout", "10s", "--token-file", file.to_str().unwrap()])
    };
    let plain = weir(&nginx, &["check", "hls", &url, "--timeout", "10s"]);
    assert!(
        String::from_utf8_lossy(&plain.stderr)
            .contains("answered 403 Forbidden: if it is protected, give a play token with --token-file"),
        "{plain:?}"
    );
    std::fs::write(&file, format!("{}\n", super::token("show"))).unwrap();
    let out = check(&file);
    assert!(out.status.success(), "{out:?}");
    std::fs::write(&file, super::token("other")).unwrap();
    assert!(
        String::from_utf8_lossy(&check(&file).stderr).contains("the token of --token-file does not open it")
    );
    for content in ["", "two words"] {
        std::fs::write(&file, content).unwrap();
        let said = String::from_utf8(check(&file).stderr).unwrap();
        assert!(said.contains("--token-file ") && said.contains("must hold one token"), "{said}");
    }
    let missing = String::from_utf8(check(&nginx.path("nothing")).stderr).unwrap();
    assert!(missing.contains("--token-file ") && missing.contains("No such file"), "{missing}");
    // A check does not count as a viewer.
    assert_eq!(nginx.api().get("/v1/viewers").expect(200)["streams"], json!([]));
}

#[test]
fn the_command_line_says_what_people_need() {
    let nginx = served();
    let _publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
    let said = |words: &[&str]| {
        let out = weir(&nginx, words);
        (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap(), out.status.code())
    };
    // The output has nginx's port, as links have it.
    let (out, ..) = said(&["key", "add", "live", "studio", "--server", "live.example.org"]);
    assert!(out.contains(&format!("Server:     rtmp://live.example.org:{}/live\n", nginx.rtmp())), "{out}");
    let (out, ..) = said(&["key", "add", "live", "studio", "--server", "live.example.org:1937"]);
    assert!(out.contains("Server:     rtmp://live.example.org:1937/live\n"), "{out}");
    // `--key-file` keeps the key off the screen.
    let file = nginx.path("studio.key");
    let name = file.to_str().unwrap();
    let (out, ..) = said(&["key", "add", "live", "studio2", "--key-file", name]);
    let key = std::fs::read_to_string(&file).unwrap();
    assert!(key.starts_with("wk_") && out.ends_with(&format!("Stream key: in {name}\n")), "{out}");
    assert!(!out.contains(key.trim()));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let keys = || nginx.api().get("/v1/keys").expect(200)["keys"].as_array().unwrap().len();
    let before = keys();
    let (_, error, status) = said(&["key", "add", "live", "studio3", "--key-file", name]);
    assert!(error.contains("exists; remove it") && status == Some(1) && keys() == before, "{error}");
    // A name without a live stream and without a key is usually a mistake.
    for (stream, is_told) in [("show", false), ("studio", false), ("sohw", true), ("*", false)] {
        let (_, error, _) = said(&["token", "revoke", "live", stream]);
        assert_eq!(
            error.contains("no stream \"sohw\" of \"live\" is live and no key is for it"),
            is_told,
            "{error}"
        );
    }
    let (out, ..) = said(&["top", "--once", "--json"]);
    let top: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&top["streams"][0]["name"], &top["health"]["status"]),
        (&json!("show"), &json!("ok")),
        "{out}"
    );
    for (words, message) in [
        (&["link", "live", "show", "--ttl", "400d"][..], "--ttl 400d: at most 365d"),
        (&["token", "mint", "live", "show", "--ttl", "400d"], "--ttl 400d: at most 365d"),
        (&["stream", "drop", "live", "show", "--ban", "2d"], "--ban 2d: at most 1d"),
        (&["key", "rotate", "k0000000000000000", "--overlap", "400d"], "--overlap 400d: at most 365d"),
    ] {
        let (_, error, status) = said(words);
        assert!(error.contains(message) && status == Some(2), "{words:?}: {error}");
    }
    let (_, error, status) =
        said(&["token", "mint", "live", "show", "--action", "play", "--secret", "/nowhere"]);
    assert!(error.contains("--secret /nowhere: No such file") && status == Some(1), "{error}");
}

#[test]
fn without_a_secret_the_remedy_is_said() {
    let nginx =
        weir_tests::harness::nginx::Config::weir().with_api().app("live", "weir_publish key;").start();
    let body = json!({ "app": "live", "stream": "show", "action": "play", "ttl_s": 60 });
    let said = nginx.api().post("/v1/tokens", &body).error(409, "conflict");
    assert!(said.contains("run \"weir secret new FILE\", and add \"weir_secret FILE;\""), "{said}");
    Publisher::to(nginx.rtmp(), "live/show?token=eyJhbGciOiJIUzI1NiJ9.e30.AAAA")
        .start()
        .refused("NetStream.Publish.Denied");
    let line = nginx.wait_log("publish refused: no weir_secret to check the token with");
    assert!(line.contains("remedy: \"weir secret new FILE\""), "{line}");
}

#[test]
fn a_terminal_gets_a_code_and_an_open_application_a_warning() {
    let nginx = served();
    let command = format!("{} link live show --api {}", products::weir().display(), nginx.url("/api"));
    let out = Command::new("script").args(["-qec", &command, "/dev/null"]).output().unwrap();
    assert!(String::from_utf8_lossy(&out.stdout).contains('\u{2588}'), "{out:?}");
    let out = weir(&nginx, &["link", "free", "show"]);
    assert!(String::from_utf8_lossy(&out.stderr).contains("has no \"weir_play token;\""), "{out:?}");
    // Another program that reads the lines gets the code beside them.
    assert!(!String::from_utf8_lossy(&out.stdout).contains('\u{2588}'));
    assert!(String::from_utf8_lossy(&out.stderr).contains('\u{2588}'));
}

#[test]
fn a_token_is_for_what_is_protected() {
    let nginx = served();
    let act = |words: &[&str]| {
        let out = weir(&nginx, words);
        let token = String::from_utf8(out.stdout).unwrap();
        let claims = weir_model::token::Signer::new(SECRET).unwrap().verify(token.trim_end());
        claims.map(|claims| claims.act.to_string()).map_err(|_| out.status.code())
    };
    assert_eq!(act(&["token", "mint", "live", "show"]), Ok("play".into()));
    assert_eq!(act(&["token", "mint", "live", "show", "--action", "publish"]), Ok("publish".into()));
    assert_eq!(act(&["token", "mint", "free", "show"]), Err(Some(2)));
    let listed = nginx.api().get("/v1/applications").expect(200);
    let play = |name: &str| {
        let all = listed["applications"].as_array().unwrap();
        let found = all.iter().find(|app| app["name"] == name).unwrap();
        json!([found["play"], found["play_http"]])
    };
    assert_eq!((play("live"), play("free")), (json!(["token", "token"]), json!(["off", "off"])));
}
