//! A connection has one publish at a time, and its name is not cut.

use weir_rtmp::amf0::Writer;
use weir_rtmp::flv::{Tag, TagKind};
use weir_rtmp::message::Message;
use weir_tests::harness::media::sample;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Nginx, Player, Publisher, until, until_ok};

use super::{Bystanders, Stranger, assert_refused, server, unguarded};

const DASH: &str = "dash on; dash_path @DIR@/dash; dash_fragment 1s;";
const START: &str = "NetStream.Publish.Start";

fn starts(stranger: &mut Stranger) -> usize {
    stranger.statuses().iter().filter(|status| status.code == START).count()
}

#[test]
fn a_second_publish_on_a_connection_is_refused() {
    assert_refused(server(""), "second_publish", "second publish on a connection", |nginx| {
        let mut stranger = Stranger::connects(nginx).publishes(b"one");
        until("the first publish", 5.0, || starts(&mut stranger) == 1);
        stranger.publishes(b"two")
    });
}

#[test]
fn without_the_guard_every_publish_on_a_connection_is_taken() {
    let nginx = unguarded().start();
    let mut stranger = Stranger::connects(&nginx);
    for name in [b"a", b"b", b"c", b"d"] {
        stranger = stranger.publishes(name);
    }
    until("all of them are answered", 5.0, || starts(&mut stranger) == 4);
}

/// Returns names that nginx-rtmp would cut: at the end of its buffers, or at a NUL.
fn names() -> [Vec<u8>; 3] {
    [vec![b'a'; 300], b"show\0x".to_vec(), [b"show?", [b'b'; 300].as_slice()].concat()]
}

#[test]
fn names_that_would_be_cut_are_refused() {
    for name in names() {
        assert_refused(server(""), "name", "name longer than", |nginx| {
            Stranger::connects(nginx).publishes(&name)
        });
    }
}

/// Sends a `publish` with the given value as its name.
fn publishes_values(nginx: &Nginx, name: impl Fn(&mut Writer) -> &mut Writer) -> Stranger {
    let message = Message::command(1, "publish", 4.0, |w| name(w.null()).string(b"live"));
    Stranger::connects(nginx).says(8, &message)
}

#[test]
fn a_publish_without_a_name_that_can_be_read_is_refused() {
    // This name is longer than any command that the guard reads.
    assert_refused(server(""), "name", "name longer than", |nginx| {
        publishes_values(nginx, |w| w.string(&[b'a'; 60_000]))
    });
    assert_refused(server(""), "name", "name longer than", |nginx| publishes_values(nginx, |w| w.null()));
    assert_refused(server(""), "name", "name longer than", |nginx| {
        publishes_values(nginx, |w| w.number(7.0))
    });
}

#[test]
fn without_the_guard_a_publish_without_a_name_that_can_be_read_is_taken() {
    let nginx = unguarded().start();
    let mut strangers =
        [publishes_values(&nginx, |w| w.string(&[b'a'; 60_000])), publishes_values(&nginx, |w| w.null())];
    strangers.iter_mut().for_each(|stranger| until("it is taken", 5.0, || starts(stranger) == 1));
}

#[test]
fn a_play_at_more_length_than_any_name_is_refused() {
    let play = Message::command(1, "play", 4.0, |w| w.null().string(&[b'a'; 60_000]));
    assert_refused(server(""), "name", "name longer than", |nginx| Stranger::connects(nginx).says(8, &play));
}

#[test]
fn without_the_guard_names_are_cut() {
    let nginx = unguarded().start();
    for name in names() {
        let _publisher = Publisher::to(nginx.rtmp(), "live/x").name(&name).start().started();
    }
    let cut = nginx.log_lines("publish: name='show' ");
    assert!(!cut.is_empty(), "{cut:?}");
    let whole = String::from_utf8(vec![b'a'; 300]).unwrap();
    assert!(nginx.log_lines(&whole).is_empty());
}

/// Starts two publishers of a name on which Weir leaves the decision to nginx-rtmp, with DASH, and bystanders in another application.
fn two_publishers_of_a_name(rtmp: &str) -> (Nginx, Bystanders, [Publisher; 2]) {
    let nginx = server(rtmp).app("dash", DASH).start();
    let bystanders = Bystanders::of(&nginx);
    let first = Publisher::to(nginx.rtmp(), "dash/show").start().started();
    let publishers = [first, Publisher::to(nginx.rtmp(), "dash/show").hasty().start()];
    publishers[0].send_more(5_000);
    (nginx, bystanders, publishers)
}

#[test]
fn a_second_publisher_of_a_name_is_kept_from_dash() {
    let (nginx, bystanders, publishers) = two_publishers_of_a_name("");
    bystanders.are_undisturbed(&nginx);
    assert!(!publishers[0].is_closed());
}

#[test]
fn without_the_guard_a_second_publisher_of_a_name_stops_the_worker_of_dash() {
    let (mut nginx, bystanders, _publishers) = two_publishers_of_a_name("weir_guard off;");
    until("nothing comes any more", 20.0, || {
        let before = bystanders.player.seen().video;
        until_ok(3.0, || bystanders.player.seen().video > before).is_none()
    });
    // The worker is stuck and does not react to a quit signal.
    nginx.kill_worker(bystanders.worker);
}

/// Sends tags of the sample, as if they were published on stream 1.
fn sends<'a>(stranger: Stranger, tags: impl IntoIterator<Item = &'a Tag>, later: u32) -> Stranger {
    tags.into_iter().filter(|tag| tag.kind != TagKind::Script).fold(stranger, |stranger, tag| {
        let payload = tag.payload.clone();
        let message =
            Message { kind: tag.kind.into(), stream_id: 1, timestamp: tag.timestamp + later, payload };
        stranger.says(if tag.kind == TagKind::Video { 6 } else { 4 }, &message)
    })
}

#[test]
fn media_after_a_close_is_kept_from_dash() {
    let nginx = server("").app("dash", DASH).start();
    let bystanders = Bystanders::of(&nginx);
    let mut stranger = Stranger::connects_to(&nginx, "dash").publishes(b"show");
    until("it is published", 5.0, || starts(&mut stranger) == 1);
    stranger = sends(stranger, sample().headers.iter().chain(&sample().frames[..60]), 0);
    stranger = stranger.says(8, &Message::command(1, "closeStream", 9.0, |w| w.null()));
    let second = Publisher::to(nginx.rtmp(), "dash/show").start().started();
    second.send_more(500);
    stranger = sends(stranger, &sample().frames[60..], 0);
    second.send_more(300);
    stranger = sends(stranger, &sample().frames, 4_000);
    second.send_more(2_000);
    drop((second, stranger));
    bystanders.are_undisturbed(&nginx);
}

/// Returns three names that share one bucket in the table of nginx-rtmp's relay (ngx_hash_key, 1024 buckets).
fn neighbours() -> [String; 3] {
    let place = |name: &str| {
        name.bytes().fold(0_u64, |key, byte| key.wrapping_mul(31).wrapping_add(byte.into())) % 1024
    };
    let first = "n0".to_owned();
    let mut others = (1..).map(|nth| format!("n{nth}")).filter(|name| place(name) == place(&first));
    [first.clone(), others.next().unwrap(), others.next().unwrap()]
}

/// A stranger publishes, closes its stream and publishes again, while another stream is pushed and played; then a third publisher connects.
fn publishes_again_beside_others(nginx: &Nginx) -> (Stranger, [Publisher; 2], Player) {
    let [first, second, third] = neighbours();
    let mut stranger = Stranger::connects(nginx).publishes(first.as_bytes());
    until("it is published", 5.0, || starts(&mut stranger) == 1);
    let other = Publisher::to(nginx.rtmp(), &format!("live/{second}")).start().started();
    let player = Player::start(nginx.rtmp(), &format!("sink/{second}"));
    player.wait_video(5);
    stranger = stranger.says(8, &Message::command(1, "closeStream", 9.0, |w| w.null()));
    stranger = stranger.publishes(first.as_bytes());
    until("it is published again", 5.0, || starts(&mut stranger) == 2);
    let last = Publisher::to(nginx.rtmp(), &format!("live/{third}")).start();
    (stranger, [other, last], player)
}

fn pushing(config: Config) -> Nginx {
    config.app("live", "push rtmp://127.0.0.1:@RTMP@/sink;").app("sink", "").start()
}

#[test]
fn who_publishes_again_beside_others_leaves_pushes_as_they_are() {
    let nginx = pushing(Config::weir().main("weir_zone 1m;"));
    let (_stranger, publishers, player) = publishes_again_beside_others(&nginx);
    player.wait_video(20);
    Player::start(nginx.rtmp(), &format!("sink/{}", neighbours()[2])).wait_video(10);
    assert!(!publishers.iter().any(Publisher::is_closed));
}

#[test]
fn without_the_module_who_publishes_again_beside_others_stops_the_worker() {
    let mut nginx = pushing(Config::stock());
    let worker = nginx.workers()[0];
    let (_stranger, _publishers, player) = publishes_again_beside_others(&nginx);
    until("nothing comes any more", 20.0, || {
        let before = player.seen().video;
        until_ok(3.0, || player.seen().video > before).is_none()
    });
    // The worker is stuck and does not react to a quit signal.
    nginx.kill_worker(worker);
}
