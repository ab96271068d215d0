//! Players of files (nginx-rtmp's directive `play`): `weir_stat xml` lists them as `rtmp_stat` does, for all workers.

use weir_rtmp::flv::{Tag, write_header, write_tag};
use weir_tests::harness::media::sample;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Api, Nginx, Player, Xml, until};

/// Returns a file of ten minutes: the sample again and again.
fn film() -> Vec<u8> {
    let mut file = Vec::new();
    write_header(&mut file);
    sample().headers.iter().for_each(|tag| write_tag(tag, &mut file));
    for round in 0..300 {
        for tag in &sample().frames {
            let timestamp = tag.timestamp + round * sample().duration;
            write_tag(&Tag { timestamp, ..tag.clone() }, &mut file);
        }
    }
    file
}

/// Returns a configuration with two files, and both kinds of statistics.
fn films() -> Config {
    Config::weir()
        .with_api()
        .server("application films { play @DIR@; }")
        .server("application both { live on; play @DIR@; }")
        .server("application neither { }")
        .http("location = /stock { rtmp_stat all; }")
        .http("location = /weir { weir_stat xml full; }")
        .http("location = /public { weir_stat xml; }")
        .file("a.flv", film())
        .file("b.flv", film())
}

fn get(nginx: &Nginx, path: &str) -> String {
    let answer = Api::new(&nginx.url("")).get(path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.text
}

/// Returns the elements of an application, with the files in the order of their names, and without the values that both kinds of
/// statistics define differently.
fn application(text: &str, name: &str) -> Vec<String> {
    let start = format!("<name>{name}</name>\r\n");
    let found = text.split("<application>\r\n").find_map(|app| app.strip_prefix(start.as_str()));
    let mut text = found.unwrap().split("</application>").next().unwrap().to_owned();
    for element in ["id", "time", "flashver", "timestamp"] {
        let (begin, end) = (format!("<{element}>"), format!("</{element}>"));
        let parts: Vec<&str> = text.split(&begin).collect();
        let emptied = parts[1..].iter().map(|part| part.split_once(end.as_str()).unwrap().1);
        text = std::iter::once(parts[0]).chain(emptied).collect::<Vec<_>>().join(&format!("{begin}{end}"));
    }
    let mut streams: Vec<String> = text.split("<stream>").map(str::to_owned).collect();
    // The last one is followed by the sum.
    let rest = streams.last().and_then(|last| last.split_once("</stream>")).map(|(_, rest)| rest.to_owned());
    if let (Some(rest), Some(last)) = (rest, streams.last_mut()) {
        last.truncate(last.len() - rest.len());
        streams.push(rest);
    }
    streams.sort();
    streams
}

/// Waits until `weir_stat` lists this many players of files.
#[track_caller]
fn wait_listed(nginx: &Nginx, count: u32) -> Xml {
    until("the players of files are listed", 10.0, || {
        let xml = Xml::read(&get(nginx, "/weir"));
        (xml.at("/rtmp/server/application[name='films']/play/nclients") == count.to_string()).then_some(xml)
    })
}

#[test]
fn players_of_files_are_listed_as_rtmp_stat_lists_them() {
    let nginx = films().start();
    for app in ["films", "both", "neither"] {
        assert_eq!(
            application(&get(&nginx, "/weir"), app),
            application(&get(&nginx, "/stock"), app),
            "{app}"
        );
    }
    let players = ["a", "b", "b"].map(|name| Player::start(nginx.rtmp(), &format!("films/{name}")));
    players.iter().for_each(|player| player.wait_video(20));
    let xml = wait_listed(&nginx, 3);
    assert_eq!(application(&get(&nginx, "/weir"), "films"), application(&get(&nginx, "/stock"), "films"));
    let client = "/rtmp/server/application[name='films']/play/stream[name='a']/client";
    assert_eq!(xml.at(&format!("{client}/address")), "127.0.0.1");
    let timestamp = format!("{client}/timestamp");
    let before = xml.number(&timestamp);
    until("the position moves", 10.0, || Xml::read(&get(&nginx, "/weir")).number(&timestamp) > before);
    // nginx-rtmp sends a file ahead of time, and the two programs read the position at different moments.
    let both = ["/weir", "/stock"].map(|path| Xml::read(&get(&nginx, path)).number(&timestamp));
    assert!((both[0] - both[1]).abs() < 10_000.0, "{both:?}");
    assert_eq!(get(&nginx, "/public").matches("<address></address>").count(), 3);
    drop(players);
    wait_listed(&nginx, 0);
}

#[test]
fn players_of_files_stay_listed_over_a_reload() {
    let nginx = films().workers(2).start();
    let players = ["a", "a", "b", "b"].map(|name| Player::start(nginx.rtmp(), &format!("films/{name}")));
    players.iter().for_each(|player| player.wait_video(20));
    wait_listed(&nginx, 4);
    nginx.reload();
    let newcomer = Player::start(nginx.rtmp(), "films/a");
    newcomer.wait_video(20);
    let xml = wait_listed(&nginx, 5);
    assert_eq!(xml.at("/rtmp/server/application[name='films']/play/stream[name='a']/nclients"), "3");
    assert!(players.iter().all(|player| !player.seen().closed));
}
