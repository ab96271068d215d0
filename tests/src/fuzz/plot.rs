//! Sessions of real peers, message by message, as the start of a mutation.

use weir_rtmp::amf0::Writer;
use weir_rtmp::flv::TagKind;
use weir_rtmp::message::{Message, MessageKind};

use super::amf;
use crate::harness::Random;
use crate::harness::media::sample;

/// One action of a connection after the handshake.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// Sends a message.
    Say {
        /// The chunk stream.
        chunk_stream: u32,
        #[allow(missing_docs)]
        message: Message,
    },
    /// Waits for an answer.
    Listen,
    /// Does nothing for this many milliseconds.
    Wait(u64),
}

/// Published and played names: few, so that sessions meet. The first is that of the publisher that must not be
/// disturbed.
const NAMES: &[&str] = &["show", "a", "b", "c", "d", "e?x=1", "f?key=wk_wrong", ".bad", "b/c", "$name", ""];

/// The applications of the server, and one that it does not have.
const APPS: &[&str] = &["live", "live", "live", "keyed", "open", "none", "live/inst?x=1"];

/// Kinds of messages that have no function of their own below.
const SHARED_OBJECT_AMF3: MessageKind = MessageKind(16);
const COMMAND_AMF3: MessageKind = MessageKind(17);
const DATA_AMF3: MessageKind = MessageKind(15);
const SHARED_OBJECT: MessageKind = MessageKind(19);

/// Returns a whole valid session.
pub(super) fn plot(random: &mut Random) -> Vec<Act> {
    let name = random.pick(NAMES);
    let app = random.pick(APPS);
    let mut acts = Vec::new();
    match random.below(10) {
        0..5 => publisher(random, app, name, &mut acts),
        5 | 6 => player(random, app, name, &mut acts),
        7 => stranger(random, app, &mut acts),
        8 => (0..random.below(12)).for_each(|_| acts.push(anything(random))),
        _ => {
            connect(random, app, &mut acts);
            (0..random.below(12)).for_each(|_| acts.push(anything(random)));
        }
    }
    acts
}

/// Returns an action from the middle of a session.
pub(super) fn anything(random: &mut Random) -> Act {
    match random.below(10) {
        0 => control(random),
        1 | 2 => media(random, 1),
        3 => aggregate(random),
        4 => metadata(random),
        5 => {
            let name = random.pick(&[
                "connect",
                "createStream",
                "publish",
                "play",
                "play2",
                "pause",
                "seek",
                "closeStream",
                "deleteStream",
                "releaseStream",
                "FCPublish",
                "FCUnpublish",
                "FCSubscribe",
                "getStreamLength",
                "receiveAudio",
                "receiveVideo",
                "_result",
                "_error",
                "onStatus",
                "onMetaData",
                "@setDataFrame",
                "@clearDataFrame",
                "",
            ]);
            let stream = random.pick(&[0, 1, 1, 2, 255, u32::MAX]);
            let mut arguments = Vec::new();
            amf::values(random, &mut arguments);
            say(3, Message::command(stream, name, 1.0, |w| w.raw(&arguments)))
        }
        6 => {
            let kind = random.pick(&[
                SHARED_OBJECT,
                SHARED_OBJECT_AMF3,
                COMMAND_AMF3,
                DATA_AMF3,
                MessageKind(7),
                MessageKind(0),
                MessageKind(255),
            ]);
            let mut payload = Vec::new();
            amf::values(random, &mut payload);
            say(3, Message { kind, stream_id: 1, timestamp: 0, payload })
        }
        7 => command("createStream", 0, |w| w.null()),
        8 => publish(random.pick(NAMES)),
        _ => play(random.pick(NAMES)),
    }
}

fn say(chunk_stream: u32, message: Message) -> Act {
    Act::Say { chunk_stream, message }
}

fn command(name: &str, stream: u32, arguments: impl FnOnce(&mut Writer) -> &mut Writer) -> Act {
    say(if stream == 0 { 3 } else { 8 }, Message::command(stream, name, 2.0, arguments))
}

fn publish(name: &str) -> Act {
    command("publish", 1, |w| w.null().string(name.as_bytes()).string(b"live"))
}

fn play(name: &str) -> Act {
    command("play", 1, |w| w.null().string(name.as_bytes()).number(-2000.0))
}

fn connect(random: &mut Random, app: &str, acts: &mut Vec<Act>) {
    acts.push(command("connect", 0, |w| {
        w.begin_object();
        w.key("app").string(app.as_bytes());
        w.key("flashVer").string(b"FMLE/3.0");
        w.key("tcUrl").string(b"rtmp://127.0.0.1/live");
        w.key("videoCodecs").number(252.0);
        w.end()
    }));
    if random.one_in(2) {
        acts.push(Act::Listen);
    }
    if random.one_in(2) {
        let size = random.pick(&[128, 256, 4_096, 4_096, 60_000, 65_536, 1 << 20, 1]);
        acts.push(say(2, Message::number(MessageKind::SET_CHUNK_SIZE, size)));
    }
}

fn publisher(random: &mut Random, app: &str, name: &str, acts: &mut Vec<Act>) {
    connect(random, app, acts);
    for hint in ["releaseStream", "FCPublish"] {
        acts.push(command(hint, 0, |w| w.null().string(name.as_bytes())));
    }
    acts.extend([command("createStream", 0, |w| w.null()), Act::Listen, publish(name)]);
    if random.one_in(2) {
        acts.push(Act::Listen);
    }
    acts.push(metadata(random));
    for tag in &sample().headers {
        acts.push(tag_of(tag.kind, 0, tag.payload.clone()));
    }
    let (most, pause, speed) =
        (random.pick(&[5, 20, 20, 100]), random.pick(&[0, 0, 0, 10, 60]), random.pick(&[1, 1, 20]));
    for nth in 0..random.below(most) {
        let frame = &sample().frames[nth % sample().frames.len()];
        acts.push(tag_of(frame.kind, frame.timestamp * speed, frame.payload.clone()));
        if pause > 0 && random.one_in(2) {
            acts.push(Act::Wait(pause));
        }
        match random.below(12) {
            0 => acts.push(media(random, nth as u32)),
            1 => acts.push(aggregate(random)),
            2 => acts.push(control(random)),
            _ => {}
        }
    }
    if random.one_in(2) {
        acts.push(command("closeStream", 1, |w| w.null()));
    }
    acts.push(command("FCUnpublish", 0, |w| w.null().string(name.as_bytes())));
    acts.push(command("deleteStream", 0, |w| w.null().number(1.0)));
}

fn player(random: &mut Random, app: &str, name: &str, acts: &mut Vec<Act>) {
    connect(random, app, acts);
    acts.push(say(2, Message::number(MessageKind::WINDOW_SIZE, 2_500_000)));
    acts.extend([command("createStream", 0, |w| w.null()), Act::Listen, play(name)]);
    acts.push(say(2, Message::user_control(3, &[1, 1000])));
    acts.push(Act::Listen);
    for _ in 0..random.below(6) {
        acts.push(match random.below(5) {
            0 => command("pause", 1, |w| w.null().boolean(true).number(0.0)),
            1 => command("seek", 1, |w| w.null().number(1000.0)),
            2 => command("receiveVideo", 1, |w| w.null().boolean(false)),
            3 => command("receiveAudio", 1, |w| w.null().boolean(true)),
            _ => control(random),
        });
    }
    acts.push(command("closeStream", 1, |w| w.null()));
}

/// Connects, and uses streams that do not exist.
fn stranger(random: &mut Random, app: &str, acts: &mut Vec<Act>) {
    connect(random, app, acts);
    for _ in 0..random.below(5) {
        let stream = random.pick(&[0.0, 1.0, 2.0, 31.0, 32.0, 1e9, -1.0, f64::NAN]);
        acts.push(match random.below(4) {
            0 => command("deleteStream", 0, |w| w.null().number(stream)),
            1 => command("createStream", 0, |w| w.null()),
            2 => media(random, 5),
            _ => control(random),
        });
    }
}

fn control(random: &mut Random) -> Act {
    let number = random.pick(&[0, 1, 2, 127, 128, 4_096, 5_000_000, 0x7fff_ffff, 0x8000_0000, u32::MAX]);
    say(
        2,
        match random.below(8) {
            0 => Message::number(MessageKind::SET_CHUNK_SIZE, number),
            1 => Message::number(MessageKind::ABORT, random.pick(&[0, 2, 3, 4, 8, 64, number])),
            2 => Message::number(MessageKind::ACKNOWLEDGEMENT, number),
            3 => Message::number(MessageKind::WINDOW_SIZE, number),
            4 => {
                let mut payload = number.to_be_bytes().to_vec();
                payload.push(random.byte() % 4);
                Message::control(MessageKind::PEER_BANDWIDTH, payload)
            }
            5 => Message::user_control(3, &[number, 1000]),
            6 => Message::user_control(random.pick(&[6, 7]), &[number]),
            _ => Message::user_control(random.pick(&[0, 1, 2, 4, 5, 31, 32, 0xffff]), &[number]),
        },
    )
}

fn metadata(random: &mut Random) -> Act {
    let mut writer = Writer::new();
    if !random.one_in(4) {
        writer.string(b"@setDataFrame");
    }
    writer.string(b"onMetaData").begin_ecma_array(4);
    writer.key("width").number(160.0).key("height").number(90.0);
    writer.key("videocodecid").number(7.0).key("audiocodecid").number(10.0);
    writer.key("encoder").string(b"Lavf").end();
    let payload = writer.into_bytes();
    say(5, Message { kind: MessageKind::DATA, stream_id: 1, timestamp: 0, payload })
}

/// Returns a frame or a sequence header of any codec, audio or video.
fn media(random: &mut Random, timestamp: u32) -> Act {
    let kind = if random.one_in(2) { TagKind::Audio } else { TagKind::Video };
    tag_of(kind, timestamp * 40, frame(random, kind))
}

fn frame(random: &mut Random, kind: TagKind) -> Vec<u8> {
    let length = random.pick(&[0, 0, 1, 2, 4, 5, 11, 40, 120]);
    let (any, other) = (random.byte(), random.byte());
    let mut payload = match kind {
        TagKind::Audio => vec![random.pick(&[0xaf, 0xaf, 0x2f, 0x90, any]), random.pick(&[0, 1, other])],
        _ => {
            let codec = random.pick(&[0x17, 0x17, 0x27, 0x57, 0x12, 0x90, any]);
            vec![codec, random.pick(&[0, 1, 2, other]), 0, 0, 0]
        }
    };
    if kind == TagKind::Video && payload[1] == 0 && random.one_in(2) {
        payload.extend([1, 0x64, 0, 0x1e, 0xff, 0xe1, 0, any]);
    }
    payload.extend(random.bytes(length));
    payload.truncate(random.pick(&[0, 1, 2, 4, usize::MAX, usize::MAX, usize::MAX]));
    payload
}

fn tag_of(kind: TagKind, timestamp: u32, payload: Vec<u8>) -> Act {
    let (chunk_stream, payload) = match kind {
        TagKind::Audio => (4, payload),
        TagKind::Video => (6, payload),
        TagKind::Script => {
            let mut writer = Writer::new();
            writer.string(b"@setDataFrame").raw(&payload);
            (5, writer.into_bytes())
        }
    };
    say(chunk_stream, Message { kind: kind.into(), stream_id: 1, timestamp, payload })
}

/// Returns an aggregate of messages as FLV tags; their content is not always media.
fn aggregate(random: &mut Random) -> Act {
    let mut payload = Vec::new();
    for nth in 0..random.below(8) {
        let (kind, part) = match random.below(4) {
            0 => (MessageKind::AUDIO.0, frame(random, TagKind::Audio)),
            1 | 2 => (MessageKind::VIDEO.0, frame(random, TagKind::Video)),
            _ => match control(random) {
                Act::Say { message, .. } => (message.kind.0, message.payload),
                Act::Listen | Act::Wait(_) => continue,
            },
        };
        let length = if random.one_in(8) { random.next_u64() as u32 } else { part.len() as u32 };
        payload.push(kind);
        payload.extend(&length.to_be_bytes()[1..]);
        payload.extend(&(nth as u32 * 40).to_be_bytes()[1..]);
        payload.extend([0, 0, 0, 0]);
        payload.extend(&part);
        payload.extend((part.len() as u32 + 11).to_be_bytes());
    }
    say(6, Message { kind: MessageKind::AGGREGATE, stream_id: 1, timestamp: 0, payload })
}
