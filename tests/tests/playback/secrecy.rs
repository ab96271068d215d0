//! A token, valid or not, appears in no log at level `info`, no answer of the API, no event, no page of `weir_stat`, no hook, no program
//! and no process list, wherever a viewer or a publisher presents it.

use std::process::Command;

use serde_json::json;
use weir_model::token::{Action, Claims, Signer};
use weir_tests::harness::hook::Answer;
use weir_tests::harness::shown::{events, processes};
use weir_tests::harness::{Api, Hook, Player, Publisher, Sidecar, files, products, until};

use super::{ask, ask_port, claims, config, get, signed, start};

const FORMATS: [&str; 4] = ["html", "xml", "json", "prometheus"];

#[test]
fn a_token_is_shown_nowhere() {
    let hook = Hook::start(Answer::Yes);
    let pages: String =
        FORMATS.iter().map(|name| format!("location /stat/{name} {{ weir_stat {name} full; }} ")).collect();
    let mut nginx = start(
        config()
            .app(
                "live",
                &format!(
                    "weir_publish open; weir_play token; hls on; hls_path @DIR@/rtmp-hls; dash on; dash_path @DIR@/rtmp-dash;
                     on_publish {url}; on_play {url}; on_update {url}; notify_update_timeout 1s;
                     exec_push /bin/sh -c \"echo name=$name args=$args >> @DIR@/exec.txt; exec sleep 60\";",
                    url = hook.url()
                ),
            )
            .http("location /hls/ { root @DIR@/www; weir_play token app=live; weir_viewers app=live; }")
            .http(&pages),
    );
    // nginx-rtmp kills the program that it started, and nginx does not know of this process.
    nginx.allow("unknown process");
    let mut sidecar = Sidecar::start(
        &nginx,
        "[web]\n[[record]]\napp = \"live\"\nstream = \"*\"\nfolder = \"@MEDIA@/recordings\"\nmin_free = \"1m\"\n",
    );
    let named = |jti: &str, act| signed(&Claims { jti: Some(jti.parse().unwrap()), act, ..claims() });
    let (publish, play, revoked) =
        (named("a", Action::Publish), named("b", Action::Play), named("c", Action::Play));
    let foreign = Signer::new(&[9; 32]).unwrap().mint(&claims()).expose().to_owned();

    let publisher = Publisher::to(nginx.rtmp(), &format!("live/show?token={publish}&a=1")).start().started();
    Publisher::to(nginx.rtmp(), &format!("live/show?token={foreign}")).start().refused_somehow();
    let player = Player::start(nginx.rtmp(), &format!("live/show?token={play}&a=1"));
    player.wait_video(3);
    let leaves = Player::start(nginx.rtmp(), &format!("live/show?token={revoked}"));
    leaves.wait_video(3);
    nginx.api().post("/v1/tokens/revoke", &json!({ "jti": "c" })).expect(200);
    leaves.wait_closed(5.0);
    for token in [&publish, &revoked, &foreign] {
        Player::start(nginx.rtmp(), &format!("live/show?token={token}")).wait_closed(10.0);
    }
    for (token, status) in [(&play, 200), (&publish, 403), (&revoked, 403), (&foreign, 403)] {
        assert_eq!(get(&nginx, &format!("/hls/show.m3u8?token={token}")).status, status);
        for header in [format!("Cookie: weir_token={token}"), format!("Authorization: Bearer {token}")] {
            assert_eq!(ask(&nginx, "GET", "/hls/show.m3u8", &[&header]).status, status);
        }
        let path = format!("/stream/live/show/llhls/master.m3u8?token={token}");
        let answered = || ask_port(sidecar.web(), "GET", &path, &[]).status == status;
        until("the daemon answers", 20.0, answered);
    }
    until("a program has run", 10.0, || files::text(&nginx.path("exec.txt")).contains("name=show"));
    until("an update", 10.0, || hook.count("call=update") > 0);
    sidecar.wait_running("live/show/record", 20.0);

    let mut shown = vec![processes(), events(&nginx), nginx.log(), sidecar.log(), hook.bodies().join("\n")];
    shown.push(files::text(&nginx.path("exec.txt")));
    let (api, web) = (nginx.api(), Api::new(&nginx.url("")));
    for path in [
        "/v1/streams",
        "/v1/streams/live/show",
        "/v1/streams/live/show/players",
        "/v1/viewers",
        "/v1/tokens/revocations",
        "/v1/health",
    ] {
        shown.push(api.get(path).text);
    }
    shown.extend(FORMATS.map(|name| web.get(&format!("/stat/{name}")).text));
    shown.extend(
        ["/v1/live", "/v1/node"].map(|path| {
            String::from_utf8_lossy(&ask_port(sidecar.web(), "GET", path, &[]).body).into_owned()
        }),
    );
    for words in [&["stream", "list", "--json"][..], &["top", "--once"], &["token", "revoked", "--json"]] {
        let mut command = Command::new(products::weir());
        command.args(words).args(["--api", &nginx.url("/api")]).env_remove("WEIR_API");
        shown.push(String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned());
    }
    assert!(shown[1].contains("stream.started") && shown[2].contains("play refused: "), "{shown:?}");
    for token in [&publish, &play, &revoked, &foreign] {
        // The signature is the secret part.
        let signature = token.rsplit('.').next().unwrap();
        for text in &shown {
            assert!(!text.contains(signature), "{token} in {text}");
        }
        let found = files::that_mention(nginx.folder(), signature);
        assert!(found.is_empty(), "{token} is in {found:?}");
        let found = files::that_mention(sidecar.media().parent().unwrap(), signature);
        assert!(found.is_empty(), "{token} is in {found:?}");
    }
    drop(player);
    publisher.close();
}
