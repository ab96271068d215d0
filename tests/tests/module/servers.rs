//! `server` blocks: each block has its own streams, players, keys and targets, even if another block uses the same names. The API names the
//! block, and accepts it as an argument.

use std::net::SocketAddr;

use serde_json::{Value, json};
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Api, Nginx, Player, Publisher, until};

use super::{BAD_NAME, DENIED, HLS, wait_gone};

/// Returns a configuration of two blocks, on the same port of two addresses, each with an application `live`.
fn two(first: &str, second: &str) -> Config {
    Config::weir()
        .with_api()
        .app("live", first)
        .rtmp(&format!("server {{ listen 127.0.0.2:@RTMP@; application live {{ live on; {second} }} }}"))
}

/// Returns the address of a block; block 1 comes second in the file.
fn address(nginx: &Nginx, block: usize) -> SocketAddr {
    // Directives of `rtmp` come before the harness's own block.
    format!("127.0.0.{}:{}", [2, 1][block], nginx.rtmp()).parse().unwrap()
}

#[track_caller]
fn publish(nginx: &Nginx, block: usize, path: &str) -> Publisher {
    Publisher::to(nginx.rtmp(), path).at(address(nginx, block)).start().started()
}

fn play(nginx: &Nginx, block: usize, path: &str) -> Player {
    let player = Player::start_at(address(nginx, block), path);
    player.wait_video(3);
    player
}

/// Returns the streams of this name, in the order of the list.
fn named(api: &Api, name: &str) -> Vec<Value> {
    api.streams().into_iter().filter(|stream| stream["name"] == name).collect()
}

#[track_caller]
fn wait_both(api: &Api, name: &str) -> Vec<Value> {
    until("both streams are on the list", 5.0, || Some(named(api, name)).filter(|found| found.len() == 2))
}

#[test]
fn one_name_at_two_blocks_is_two_streams() {
    for policy in ["", "weir_publish open;"] {
        let nginx = two(policy, policy).http("location /stat { weir_stat xml; }").start();
        let api = nginx.api();
        let publishers = [0, 1].map(|block| publish(&nginx, block, "live/show"));
        let listed = wait_both(&api, "show");
        let servers: Vec<&str> = listed.iter().map(|stream| stream["server"].as_str().unwrap()).collect();
        let addresses = [0, 1].map(|block| address(&nginx, block).to_string());
        assert_eq!(servers, addresses, "{policy}");
        // A second publisher is a duplicate only at its own block.
        Publisher::to(nginx.rtmp(), "live/show").at(address(&nginx, 1)).start().refused(BAD_NAME);
        let _players =
            [play(&nginx, 0, "live/show"), play(&nginx, 1, "live/show"), play(&nginx, 1, "live/show")];
        until("players count for their own stream", 5.0, || {
            let viewers = |at: usize| named(&api, "show")[at]["viewers"]["rtmp"].as_u64();
            (viewers(0), viewers(1)) == (Some(1), Some(2))
        });
        let second = address(&nginx, 1);
        let one =
            |query: &str| api.get(&format!("/v1/streams/live/show{query}")).expect(200)["session"].clone();
        assert_eq!(one(""), listed[0]["session"]);
        assert_eq!(one(&format!("?server={second}")), listed[1]["session"]);
        let players = api.get(&format!("/v1/streams/live/show/players?server={second}")).expect(200);
        assert_eq!(players["players"].as_array().unwrap().len(), 2);
        assert_eq!(
            api.get(&format!("/v1/streams?server={second}")).expect(200)["streams"].as_array().unwrap().len(),
            1
        );
        let unknown = api.get("/v1/streams/live/show?server=1").error(404, "not_found");
        assert!(unknown.contains(&second.to_string()), "{unknown}");
        api.get("/v1/streams/live/show?server=here").error(400, "bad_request");
        let stat = reqwest::blocking::get(nginx.url("/stat")).unwrap().text().unwrap();
        let blocks: Vec<&str> = stat.split("<server>").skip(1).collect();
        assert_eq!(blocks.len(), 2, "{stat}");
        for (block, clients) in blocks.iter().zip(["2", "3"]) {
            assert!(block.contains(&format!("<nclients>{clients}</nclients>")), "{block}");
        }
        // A drop of one publisher does not affect the media of the other.
        assert_eq!(api.delete(&format!("/v1/streams/live/show?server={second}")).expect(200)["dropped"], 1);
        publishers[1].wait_closed(2.0);
        assert!(!publishers[0].is_closed());
        let _again = publish(&nginx, 1, "live/show");
        wait_both(&api, "show");
        assert_eq!(api.delete("/v1/streams/live/show").expect(200)["dropped"], 2);
        publishers[0].wait_closed(2.0);
        wait_gone(&api, "live", "show");
    }
}

#[test]
fn a_key_opens_its_stream_at_each_block_unless_it_is_limited() {
    let nginx = two("weir_publish key;", "weir_publish key;").start();
    let api = nginx.api();
    let free = format!("live/{}", api.create_key("live", "free").key);
    let _both = [0, 1].map(|block| publish(&nginx, block, &free));
    wait_both(&api, "free");
    let second = address(&nginx, 1).to_string();
    let made = api.post("/v1/keys", &json!({"app": "live", "stream": "show", "server": second})).expect(201);
    assert_eq!(made["server"], *second);
    let path = format!("live/{}", made["key"].as_str().unwrap());
    let reason = Publisher::to(nginx.rtmp(), &path).at(address(&nginx, 0)).start().refused(DENIED);
    assert_eq!(reason, "key of another server block");
    let _limited = publish(&nginx, 1, &path);
    let listed = api.get("/v1/keys").expect(200);
    let servers: Vec<&Value> = listed["keys"].as_array().unwrap().iter().map(|key| &key["server"]).collect();
    assert_eq!(servers, [&Value::Null, &json!(second)]);
    let wrong = |server: &str, app: &str| {
        api.post("/v1/keys", &json!({"app": app, "stream": "show", "server": server}))
            .error(400, "bad_request")
    };
    assert!(wrong("1", "live").contains("known are 127.0.0.2:"), "{}", wrong("1", "live"));
    assert!(wrong(&second, "other").contains("no application \"other\""));
}

#[test]
fn keys_of_a_file_are_for_the_block_where_it_stands() {
    let digest = weir_model::Digest::of(b"file-key-of-the-first").to_hex();
    let nginx = two("weir_publish key; weir_key_file keys;", "weir_publish key;")
        .file("keys", format!("show {digest}\n"))
        .start();
    let _there = publish(&nginx, 1, "live/file-key-of-the-first");
    let other = Publisher::to(nginx.rtmp(), "live/file-key-of-the-first").at(address(&nginx, 0)).start();
    assert_eq!(other.refused(DENIED), "key of another server block");
}

#[test]
fn a_stream_is_pushed_from_one_block_to_another() {
    let push = "push rtmp://127.0.0.1:@RTMP@/live;";
    let target = "weir_push_to rtmp://127.0.0.1:@RTMP@/live;";
    for (mine, theirs) in [("", push), ("weir_publish open;", push), ("weir_publish open;", target)] {
        // The first block pushes to the second.
        let nginx = two(mine, &format!("{mine} {theirs}")).start();
        let publisher = publish(&nginx, 0, "live/show");
        wait_both(&nginx.api(), "show");
        play(&nginx, 1, "live/show");
        assert_eq!(nginx.log_lines("refused"), Vec::<String>::new(), "{theirs}");
        assert_eq!(nginx.log_lines("waits"), Vec::<String>::new(), "{theirs}");
        publisher.close();
        wait_gone(&nginx.api(), "live", "show");
    }
}

#[test]
fn a_target_that_leads_back_to_its_own_block_is_a_loop() {
    let nginx = two("weir_publish open; weir_push on;", "weir_publish open; weir_push on;").start();
    let api = nginx.api();
    let [first, second] = [0, 1].map(|block| address(&nginx, block));
    let body = json!({"app": "live", "stream": "*", "server": first.to_string(), "url": format!("rtmp://{second}/live")});
    let onward = api.post("/v1/targets", &body).expect(201);
    assert_eq!(onward["server"], first.to_string());
    let back = json!({"app": "live", "stream": "*", "server": first.to_string(), "url": format!("rtmp://{first}/live")});
    let back = api.post("/v1/targets", &back).expect(201);
    let _publisher = publish(&nginx, 0, "live/show");
    wait_both(&api, "show");
    let sessions = |target: &Value| {
        let id = target["id"].as_str().unwrap();
        api.get(&format!("/v1/targets/{id}")).expect(200)["sessions"].as_array().unwrap().clone()
    };
    until("the target of the other block is live", 5.0, || {
        sessions(&onward).iter().any(|session| session["state"] == "live")
    });
    // That target applies only to streams of the first block.
    assert_eq!(sessions(&onward).len(), 1);
    let loops = |session: &Value| session["last_error"].as_str().is_some_and(|error| error.contains("loop"));
    until("the other target is a loop", 5.0, || sessions(&back).iter().any(loops));
}

#[test]
fn two_blocks_that_write_to_one_folder_share_their_names() {
    for policy in ["", "weir_publish open;"] {
        // With `hls_cleanup on`, nginx refuses to start if two applications share a folder.
        let app = format!("{policy} {HLS} hls_cleanup off;");
        let nginx = two(&app, &app).start();
        let _first = publish(&nginx, 0, "live/show");
        until("the first is on the list", 5.0, || named(&nginx.api(), "show").len() == 1);
        Publisher::to(nginx.rtmp(), "live/show").at(address(&nginx, 1)).start().refused(BAD_NAME);
        let _other = publish(&nginx, 1, "live/other");
    }
    let own = |folder: &str| format!("hls on; hls_path @DIR@/{folder};");
    let nginx = two(&own("one"), &own("two")).start();
    let _both = [0, 1].map(|block| publish(&nginx, block, "live/show"));
    wait_both(&nginx.api(), "show");
}

#[test]
fn a_block_stays_itself_over_a_reload_that_reorders_the_file() {
    let mut nginx = two("weir_publish open;", "weir_publish open;").start();
    let api = nginx.api();
    let publishers = [0, 1].map(|block| publish(&nginx, block, "live/show"));
    let before = wait_both(&api, "show");
    let addresses = [0, 1].map(|block| address(&nginx, block));
    nginx.edit(|mut config| {
        // The harness's block comes last, and gets an address before its own.
        config.rtmp = config
            .rtmp
            .replace("listen 127.0.0.2:@RTMP@;", "listen 127.0.0.4:@RTMP@; listen 127.0.0.2:@RTMP@;");
        config.rtmp("server { listen 127.0.0.3:@RTMP@; application live { live on; weir_publish open; } }")
    });
    nginx.reload();
    for (at, to) in addresses.into_iter().enumerate() {
        Publisher::to(nginx.rtmp(), "live/show").at(to).start().refused(BAD_NAME);
        assert_eq!(named(&api, "show")[at]["session"], before[at]["session"]);
    }
    let third = format!("127.0.0.3:{}", nginx.rtmp()).parse().unwrap();
    let _third = Publisher::to(nginx.rtmp(), "live/show").at(third).start().started();
    assert!(publishers.iter().all(|publisher| !publisher.is_closed()));
}

#[test]
fn streams_of_two_blocks_are_not_mixed_between_workers() {
    let policy = "weir_publish open;";
    let mut nginx = two(policy, policy).workers(3).main("rtmp_auto_push on;").start();
    let workers = nginx.workers();
    // The other workers are stopped in the meantime, so the test waits for media later.
    let play_on = |nginx: &Nginx, worker, block: usize| {
        nginx.on_worker(worker, || {
            let player = Player::start_at(address(nginx, block), "live/show");
            player.wait_playing();
            player
        })
    };
    let one = nginx.on_worker(workers[0], || publish(&nginx, 0, "live/show"));
    let api = nginx.api();
    until("the first is on the list", 5.0, || named(&api, "show").len() == 1);
    let players = |block| workers.iter().map(|worker| play_on(&nginx, *worker, block)).collect::<Vec<_>>();
    let (first, second) = (players(0), players(1));
    first.iter().for_each(|player| player.wait_video(5));
    assert!(second.iter().all(|player| player.seen().video == 0));
    let other = nginx.on_worker(workers[1], || publish(&nginx, 1, "live/show"));
    second.iter().for_each(|player| player.wait_video(5));
    wait_both(&api, "show");
    until("each stream has its players", 5.0, || {
        named(&api, "show").iter().all(|stream| stream["viewers"]["rtmp"] == 3)
    });
    drop((first, second));
    // This starts a worker with another configuration, in which the blocks have another order.
    nginx.edit(|mut config| {
        let third = "server { listen 127.0.0.3:@RTMP@; application live { live on; } }";
        config.rtmp = format!("{third}\n{}", config.rtmp);
        config
    });
    nginx.reload();
    for block in [0, 1] {
        play(&nginx, block, "live/show");
    }
    let third = Player::start_at(format!("127.0.0.3:{}", nginx.rtmp()).parse().unwrap(), "live/show");
    third.wait_playing();
    one.close();
    until("the first is gone", 5.0, || named(&api, "show").len() == 1);
    assert!(!other.is_closed() && third.seen().video == 0);
}
