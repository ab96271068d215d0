//! The numbers of viewers are the same in the API, in each format of `weir_stat` and in `weir top`. A full table forgets the viewers who
//! were silent for the longest time, and the API says that the counts are too low.

use std::process::Command;

use serde_json::json;
use weir_tests::harness::{Player, products, until};

use super::{Client, Config, config, counting, get, publish, start};

#[test]
fn each_page_shows_the_same_numbers() {
    let pages = ["html", "xml", "json", "prometheus"]
        .map(|name| format!("location /stat/{name} {{ weir_stat {name}; }}"));
    let nginx = start(config().app("live", "").http(&pages.concat()));
    let api = nginx.api();
    let _publisher = publish(&nginx, "live/show");
    let _player = Player::start(nginx.rtmp(), "live/show");
    for n in 0..7 {
        get(&nginx, "/hls/show.m3u8", &format!("agent-{n}"));
    }
    for n in 0..3 {
        get(&nginx, "/dash/show.mpd", &format!("agent-{n}"));
    }
    let numbers = json!({ "rtmp": 1, "hls": 7, "dash": 3, "llhls": 0, "ws": 0, "webrtc": 0 });
    until("all are counted", 5.0, || api.stream("live", "show").unwrap()["viewers"] == numbers);
    let page = |name: &str| {
        let answer = reqwest::blocking::get(nginx.url(&format!("/stat/{name}"))).unwrap();
        answer.text().unwrap()
    };
    let xml = page("xml");
    let of_xml = "<viewers><rtmp>1</rtmp><hls>7</hls><dash>3</dash><llhls>0</llhls><ws>0</ws><webrtc>0</webrtc><peak>11</peak><total>11</total></viewers>";
    assert!(xml.contains(of_xml), "{xml}");
    let metrics = page("prometheus");
    for (kind, number) in [("rtmp", 1), ("hls", 7), ("dash", 3), ("ws", 0)] {
        let line = format!("weir_stream_viewers{{app=\"live\",stream=\"show\",kind=\"{kind}\"}} {number}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    for line in ["weir_stream_viewers_peak", "weir_stream_viewers_total"] {
        assert!(metrics.contains(&format!("{line}{{app=\"live\",stream=\"show\"}} 11\n")), "{metrics}");
    }
    let of_json: serde_json::Value = serde_json::from_str(&page("json")).unwrap();
    let stream = &of_json["streams"][0];
    assert_eq!(
        (&stream["viewers"], &stream["viewers_peak"], &stream["viewers_total"]),
        (&numbers, &json!(11), &json!(11))
    );
    let html = page("html");
    for part in ["rtmp 1, ", "hls 7, ", "dash 3, ", "peak 11, total 11"] {
        assert!(html.contains(part), "{part}: {html}");
    }
    let top = |more: &[&str]| {
        let mut command = Command::new(products::weir());
        command.args(["top", "--once"]).args(more).args(["--api", &nginx.url("/api")]);
        String::from_utf8(command.env_remove("WEIR_API").output().unwrap().stdout).unwrap()
    };
    assert!(top(&[]).contains("viewers 11"), "{}", top(&[]));
    let told: serde_json::Value = serde_json::from_str(&top(&["--json"])).unwrap();
    assert_eq!(told["streams"][0]["viewers"], numbers);
}

#[test]
fn a_full_table_forgets_the_oldest_and_says_so() {
    let config = counting("app=live window=10m");
    let nginx = start(Config { main: config.main.replace("2m", "1m"), ..config });
    let api = nginx.api();
    let table = || api.get("/v1/viewers").expect(200)["table"].clone();
    let rows = table()["rows"].as_u64().unwrap();
    assert_eq!(table()["saturated"], false);
    let mut client = Client::new(nginx.http());
    let mut watch = |n: u64| {
        let addr = format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255);
        assert_eq!(client.watch("/hls/show.m3u8", &addr, "agent"), 200);
    };
    // The table notes times in tenths of a second, and among equals it may forget the newest.
    let newest = rows * 3 / 2 - 100;
    for part in [0..rows / 2, rows / 2..newest, newest..rows * 3 / 2] {
        part.for_each(&mut watch);
        let begun = std::time::Instant::now();
        until("a tenth of a second is over", 5.0, || begun.elapsed().as_millis() > 200);
    }
    let counts = || {
        let all = api.get("/v1/viewers").expect(200);
        let one = &all["streams"][0];
        (one["viewers"]["hls"].as_u64().unwrap(), one["viewers_total"].as_u64().unwrap())
    };
    let (now, total) = counts();
    assert!(now <= rows && now * 100 >= rows * 98, "{now} of {rows}");
    assert_eq!((total, &table()["used"], &table()["saturated"]), (rows * 3 / 2, &json!(now), &json!(true)));
    let health = api.get("/v1/health").expect(200);
    assert_eq!(health["status"], "degraded");
    assert!(
        health["reasons"][0].as_str().unwrap().starts_with("more viewers than the zone can count"),
        "{health}"
    );
    // The table knows the newest viewers, and does not count them again. It has forgotten nearly all of the oldest.
    (newest..rows * 3 / 2).for_each(&mut watch);
    assert_eq!(counts().1, total);
    (0..100).for_each(&mut watch);
    assert!(counts().1 >= total + 90, "{} of 100", counts().1 - total);
}
