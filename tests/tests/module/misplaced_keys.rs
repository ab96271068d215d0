//! A key or a token in the wrong field reaches no log, no hook and no player. A publisher with a key in the server's address is told the
//! right field for it.

use std::path::PathBuf;

use weir_rtmp::amf0::{Value, Writer};
use weir_rtmp::flv::{Tag, TagKind};
use weir_rtmp::message::{Message, MessageKind};
use weir_tests::harness::hook::Answer;
use weir_tests::harness::media::sample;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Api, Hook, Manners, Nginx, Peer, Player, Publisher, files, until};

use super::{BAD_NAME, keyed, wait_gone, wait_live};

/// Starts nginx with all hooks of nginx-rtmp, and with its access log at level `info`.
fn start(hook: &Hook) -> Nginx {
    let url = hook.url();
    let app = format!("on_publish {url}; on_play {url}; on_done {url};");
    let server = format!("access_log @DIR@/rtmp.log; on_connect {url}; on_disconnect {url};");
    Config::weir()
        .with_api()
        .main("weir_secret @DIR@/secret;")
        .file("secret", "s".repeat(40))
        .server(&server)
        .app("live", &format!("weir_publish key; {app}"))
        .app("plain", &app)
        .app("open", &format!("weir_publish open; {app}"))
        .start()
}

#[track_caller]
fn is_nowhere(nginx: &Nginx, hook: &Hook, what: &str, secret: &str) {
    assert_eq!(files::that_mention(nginx.folder(), secret), Vec::<PathBuf>::new(), "{what}");
    assert_eq!(hook.count(secret), 0, "{what}: {:?}", hook.bodies());
}

/// Returns a `connect` command with these fields.
fn connect(fields: &[(&str, &str)]) -> Vec<u8> {
    let fields: Vec<_> = fields.iter().map(|(key, value)| (*key, Value::String(value.as_bytes()))).collect();
    let mut writer = Writer::new();
    writer.string(b"connect").number(1.0).object(&fields);
    writer.into_bytes()
}

/// Returns a command with a name.
fn command(command: &str, name: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.string(command.as_bytes()).number(5.0).null().string(name);
    writer.into_bytes()
}

fn send(publisher: &Publisher, kind: MessageKind, payload: Vec<u8>) {
    let message = Message { kind, stream_id: 1, timestamp: 0, payload };
    publisher.manually(move |connection| connection.client.send_message(8, &message));
}

/// Sends `payload` as the connect command, and publishes an unknown key. No application accepts the key, so the connection ends.
fn connected_with(nginx: &Nginx, kind: MessageKind, payload: Vec<u8>) -> Publisher {
    let publisher = Publisher::to(nginx.rtmp(), "live/none").unconnected().start();
    publisher.wait_handshaken();
    send(&publisher, kind, payload);
    send(&publisher, MessageKind::COMMAND, command("publish", b"wk_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    publisher.wait_closed(5.0);
    publisher
}

#[test]
fn a_key_in_the_servers_address_is_refused_with_the_remedy() {
    let hook = Hook::start(Answer::Yes);
    let nginx = start(&hook);
    let key = nginx.api().create_key("live", "show").key;
    let apps = [
        format!("live/{key}"),
        format!("live/{key}/"),
        key.clone(),
        format!("live?key={key}"),
        format!("live?a=b&streamkey={key}"),
        format!("live/{}", key.to_uppercase()),
        format!("live?key={}", key.replace('w', "%77")),
    ];
    for (nth, app) in apps.iter().enumerate() {
        let tc_url = format!("rtmp://127.0.0.1/{app}");
        let publisher = connected_with(
            &nginx,
            MessageKind::COMMAND,
            connect(&[("app", app.as_str()), ("tcUrl", &tc_url)]),
        );
        let told = publisher.statuses();
        assert!(
            told.iter().any(|status| status.code == "NetConnection.Connect.Rejected"
                && status.description.contains("Server is rtmp://HOST/APP, Stream Key is the key")),
            "{nth}: {told:?}"
        );
        assert!(!nginx.log().contains(&key.to_uppercase()));
        is_nowhere(&nginx, &hook, &nth.to_string(), &key);
    }
    assert_eq!(nginx.log_lines("connect refused: the stream key is in the Server field").len(), apps.len());
}

#[test]
fn other_fields_of_connect_are_masked() {
    let hook = Hook::start(Answer::Yes);
    let nginx = start(&hook);
    let key = nginx.api().create_key("live", "show").key;
    let url = format!("rtmp://user:{key}@127.0.0.1/live/{key}?key={key}");
    for app in ["live", "plain", "open"] {
        for field in ["tcUrl", "pageUrl", "swfUrl", "flashVer", "other"] {
            let payload = connect(&[("app", app), (field, url.as_str()), (field, url.as_str())]);
            connected_with(&nginx, MessageKind::COMMAND, payload.clone());
            connected_with(&nginx, MessageKind(17), [&[0], &payload[..]].concat());
            is_nowhere(&nginx, &hook, field, &key);
        }
    }
    assert!(nginx.log().contains("tc_url='rtmp://user:***@127.0.0.1/live/***?key=***'"), "{}", nginx.log());
}

#[test]
fn what_strangers_call_themselves_is_cleaned() {
    let nginx = keyed().start();
    connected_with(
        &nginx,
        MessageKind::COMMAND,
        connect(&[("app", "live"), ("flashVer", "a\u{202e}b\u{1b}[31m\nc")]),
    );
    let line = nginx.log_lines("connect: app='live'").pop().unwrap();
    assert!(line.contains("flashver='a\u{fffd}b\u{fffd}[31m c'"), "{line}");
}

#[test]
fn what_is_played_shows_no_secret() {
    let hook = Hook::start(Answer::Yes);
    let nginx = start(&hook);
    let api = nginx.api();
    let key = api.create_key("live", "show").key;
    let minted = api.post(
        "/v1/tokens",
        &serde_json::json!({"app": "live", "stream": "show", "action": "publish", "ttl_s": 60}),
    );
    let token = minted.expect(201)["token"].as_str().unwrap().to_owned();
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    let other = Publisher::to(nginx.rtmp(), "plain/show").start().started();
    for app in ["live", "plain"] {
        for secret in [&key, &token] {
            let player = Player::start(nginx.rtmp(), &format!("{app}/show?a=1&token={secret}&b=2"));
            player.wait_video(1);
            drop(player);
        }
        for path in [format!("{app}/{key}"), format!("{app}/{key}?a=1"), format!("{app}/x{key}")] {
            let player = Player::start(nginx.rtmp(), &path);
            until("the player is sent away", 5.0, || player.seen().closed);
            let told = player.seen().statuses;
            assert!(told.iter().any(|status| status.code == "NetStream.Play.StreamNotFound"), "{told:?}");
        }
        let two = |first: &str, second: &str| {
            let fields = [
                ("streamName", Value::String(first.as_bytes())),
                ("streamName", Value::String(second.as_bytes())),
            ];
            let mut writer = Writer::new();
            writer.string(b"play2").number(5.0).null().object(&fields);
            writer.into_bytes()
        };
        // nginx-rtmp uses the last name, and Weir passes only that name on.
        for (payload, is_refused) in [
            (two("show", &key), true),
            (two(&key, "show"), false),
            (two(&format!("show?key={key}"), &key), true),
        ] {
            let player = Publisher::to(nginx.rtmp(), &format!("{app}/none")).manual().start();
            player.wait_stream_created();
            send(&player, MessageKind::COMMAND, payload);
            match is_refused {
                true => player.wait_closed(5.0),
                false => until("it plays", 5.0, || {
                    player.statuses().iter().any(|status| status.code == "NetStream.Play.Start")
                }),
            }
        }
    }
    assert_eq!(
        hook.count("call=play&name=show&start=4294965296&duration=0&reset=0&a=1&b=2"),
        4,
        "{:?}",
        hook.bodies()
    );
    publisher.close();
    other.close();
    wait_gone(&api, "live", "show");
    is_nowhere(&nginx, &hook, "a key", &key);
    is_nowhere(&nginx, &hook, "a token", &token);
}

#[test]
fn a_connect_that_nginx_rtmp_reads_in_its_own_way_shows_no_key() {
    let hook = Hook::start(Answer::Yes);
    let nginx = start(&hook);
    let key = nginx.api().create_key("live", "show").key;
    let url = format!("rtmp://h/live/{key}");
    let fields = |writer: &mut Writer| {
        writer.key("app").string(b"live").key("tcUrl").string(url.as_bytes()).end();
    };
    // A 0x09 as a value, inside the object and before it; and an empty field name that does not end the object.
    for (before, first) in
        [(&[][..], &[0, 1, b'a', 9][..]), (&[3, 0, 1, b'a', 9, 0, 0, 9], &[]), (&[], &[0, 0, 5])]
    {
        let mut writer = Writer::new();
        writer.string(b"connect");
        if before.is_empty() {
            writer.number(1.0)
        } else {
            writer.raw(before)
        };
        writer.begin_object().raw(first);
        fields(&mut writer);
        let publisher = Publisher::to(nginx.rtmp(), "live/none").unconnected().start();
        publisher.wait_handshaken();
        send(&publisher, MessageKind::COMMAND, writer.into_bytes());
        publisher.wait_closed(5.0);
    }
    is_nowhere(&nginx, &hook, "a key", &key);
}

#[test]
fn what_is_published_without_a_key_shows_none() {
    let hook = Hook::start(Answer::Yes);
    let nginx = start(&hook);
    let api = nginx.api();
    let key = api.create_key("live", "show").key;
    for app in ["plain", "open"] {
        for name in [key.clone(), format!("{key}?a=1")] {
            let reason = Publisher::to(nginx.rtmp(), &format!("{app}/{name}")).start().refused(BAD_NAME);
            assert_eq!(reason, "a stream key is not a stream's name");
        }
        let publisher =
            Publisher::to(nginx.rtmp(), &format!("{app}/show?a=1&key={key}&b=2")).start().started();
        wait_live(&api, app, "show");
        publisher.close();
        wait_gone(&api, app, "show");
    }
    let publisher =
        Publisher::to(nginx.rtmp(), &format!("live/show?key={key}&x={key}&b=2")).start().started();
    wait_live(&api, "live", "show");
    publisher.close();
    wait_gone(&api, "live", "show");
    for name in
        [format!("show/{key}"), format!("/{key}"), format!("mp4:{key}"), format!("show?streamkey={key}")]
    {
        Publisher::to(nginx.rtmp(), "live/x").name(name.as_bytes()).start().refused(BAD_NAME);
    }
    is_nowhere(&nginx, &hook, "published", &key);
}

/// Without keys, names, arguments and tokens have nothing to do with Weir: nginx-rtmp and its hooks get them unchanged.
#[test]
fn an_application_without_keys_is_left_alone() {
    let hook = Hook::start(Answer::Yes);
    let nginx = start(&hook);
    let foreign = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl";
    let args = format!("key=abc&token={foreign}&sign=0f%2B&x=%7C");
    let publisher = Publisher::to(nginx.rtmp(), &format!("plain/wk_mine?{args}")).start().started();
    Player::start(nginx.rtmp(), &format!("plain/wk_mine?{args}")).wait_video(1);
    for call in ["call=publish&name=wk_mine", "call=play&name=wk_mine"] {
        let told = |body: &String| body.contains(call) && body.ends_with(&format!("&{args}"));
        assert!(hook.bodies().iter().any(told), "{call}: {:?}", hook.bodies());
    }
    publisher.close();
}

/// With the ticket, the daemon's own players are not counted. nginx-rtmp logs the arguments of `play` and sends them to `on_play`, so the
/// module removes the ticket first.
#[test]
fn the_ticket_of_the_daemons_players_is_passed_to_nobody() {
    let hook = Hook::start(Answer::Yes);
    let nginx = start(&hook);
    let api = nginx.api();
    let ticket = api.get("/v1/ticket").expect(200)["ticket"].as_str().unwrap().to_owned();
    for app in ["plain", "open"] {
        let publisher = Publisher::to(nginx.rtmp(), &format!("{app}/show")).start().started();
        wait_live(&api, app, "show");
        let player = Player::start(nginx.rtmp(), &format!("{app}/show?a=1&weir_ticket={ticket}&b=2"));
        player.wait_video(1);
        let alone = Player::start(nginx.rtmp(), &format!("{app}/show?weir_ticket={ticket}"));
        alone.wait_video(1);
        assert_eq!(api.stream(app, "show").unwrap()["viewers"]["rtmp"], 0);
        publisher.close();
        wait_gone(&api, app, "show");
    }
    let played = "call=play&name=show&start=4294965296&duration=0&reset=0";
    assert_eq!(hook.count(&format!("{played}&a=1&b=2")), 2, "{:?}", hook.bodies());
    assert_eq!(hook.count(played), 4);
    is_nowhere(&nginx, &hook, "a ticket", &ticket);
}

/// nginx-rtmp logs the complete URL, and shows it as the address of the connection.
#[test]
fn the_key_of_a_redirect_to_another_server_is_shown_nowhere() {
    let (push, pull) = (Peer::takes(), Peer::start(Manners::Says(media())));
    let secret = "averyprivatekeyofanotherserver";
    let hook = |peer: &Peer| Hook::start(Answer::Redirect(peer.url(&format!("app/{secret}?x=1"))));
    let (on_publish, on_play) = (hook(&push), hook(&pull));
    let apps = [("open", "weir_publish open;"), ("plain", "")];
    let mut config = Config::weir().with_api().http("location /rtmp_stat { rtmp_stat all; }");
    for (app, policy) in apps {
        config = config
            .app(app, &format!("{policy} on_publish {};", on_publish.url()))
            .app(&format!("{app}-pulled"), &format!("{policy} on_play {};", on_play.url()));
    }
    let nginx = config.start();
    let shown = || Api::new(&nginx.url("")).get("/rtmp_stat").text;
    for (nth, (app, _)) in apps.iter().enumerate() {
        let publisher = Publisher::to(nginx.rtmp(), &format!("{app}/show")).start().started();
        until("it is pushed", 10.0, || push.calls().len() > nth);
        let player = Player::start(nginx.rtmp(), &format!("{app}-pulled/show"));
        player.wait_video(5);
        until("both relays are listed", 5.0, || shown().matches("ngx-local-relay").count() >= 2);
        assert!(!shown().contains(secret), "{}", shown());
        assert_eq!(
            nginx.log_lines(&format!("notify: push 'show' to 'rtmp://127.0.0.1:{}/***'", push.port())).len(),
            nth + 1
        );
        drop(player);
        publisher.close();
        until("both relays are gone", 10.0, || !shown().contains("ngx-local-relay"));
    }
    // The other server gets the key.
    assert!(push.calls().iter().chain(&pull.calls()).all(|call| call.name == format!("{secret}?x=1")));
    assert_eq!(files::that_mention(nginx.folder(), secret), Vec::<PathBuf>::new());
}

/// Returns a stream, as a server sends it.
pub(super) fn media() -> Vec<Message> {
    let tags = sample().headers.iter().chain(&sample().frames);
    let message = |tag: &Tag| {
        let kind = match tag.kind {
            TagKind::Audio => MessageKind(8),
            TagKind::Video => MessageKind::VIDEO,
            TagKind::Script => MessageKind(18),
        };
        Message { kind, stream_id: 1, timestamp: tag.timestamp, payload: tag.payload.clone() }
    };
    tags.map(message).collect()
}

#[test]
fn commands_that_nobody_knows_and_metadata_show_no_key() {
    let hook = Hook::start(Answer::Yes);
    let nginx = start(&hook);
    let api = nginx.api();
    let key = api.create_key("live", "show").key;
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    wait_live(&api, "live", "show");
    for name in ["releaseStream", "FCPublish", "FCUnpublish", "getStreamLength", "whatever"] {
        send(&publisher, MessageKind::COMMAND, command(name, key.as_bytes()));
    }
    let mut metadata = Writer::new();
    metadata
        .string(b"@setDataFrame")
        .string(b"onMetaData")
        .object(&[("title", Value::String(key.as_bytes()))]);
    send(&publisher, MessageKind(18), metadata.into_bytes());
    Player::start(nginx.rtmp(), "live/show").wait_video(1);
    publisher.close();
    wait_gone(&api, "live", "show");
    is_nowhere(&nginx, &hook, "other commands", &key);
}
