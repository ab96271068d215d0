//! Checks that the guard accepts the messages of common encoders and players.

use super::super::*;
use super::build::*;

/// A message, and whether `connect` was accepted before it.
type Sent = (bool, u8, Vec<u8>);

const SET_CHUNK_SIZE: u8 = 1;
const USER_CONTROL: u8 = 4;
const WINDOW_SIZE: u8 = 5;

fn command(name: &str, transaction: f64, rest: &[Vec<u8>]) -> Sent {
    (name != "connect", 20, [string(name), number(transaction), rest.concat()].concat())
}

fn control(connected: bool, kind: u8, value: u32) -> Sent {
    (connected, kind, value.to_be_bytes().to_vec())
}

fn media() -> Vec<Sent> {
    let video = [&[0x17, 1, 0, 0, 0][..], &[0; 20_000]].concat();
    vec![
        (true, 8, vec![0xaf, 0, 0x11, 0x90]),
        (true, 9, vec![0x17, 0, 0, 0, 0]),
        (true, 9, video),
        (true, 8, vec![0xaf, 1, 2]),
    ]
}

fn meta(array: Vec<u8>) -> Sent {
    (true, 18, [string("@setDataFrame"), string("onMetaData"), array].concat())
}

/// The metadata that most encoders send, about twenty fields.
fn facts() -> Vec<(&'static str, Vec<u8>)> {
    let numbers = ["duration", "fileSize", "width", "height", "videodatarate", "framerate", "audiodatarate"];
    let more = ["audiosamplerate", "audiosamplesize", "audiochannels", "videocodecid", "audiocodecid"];
    let flags = ["stereo", "2.1", "3.1", "4.0", "4.1", "5.1", "7.1"];
    let numbers = numbers.into_iter().chain(more).map(|name| (name, number(30.0)));
    let flags = flags.into_iter().map(|name| (name, boolean(false)));
    numbers.chain(flags).chain([("encoder", string("an encoder of a version"))]).collect()
}

fn publish_as_fmle(version: &str, app_fields: &[(&str, Vec<u8>)]) -> Vec<Sent> {
    let mut app = vec![
        ("app", string("live")),
        ("type", string("nonprivate")),
        ("flashVer", string(version)),
        ("swfUrl", string("rtmp://192.0.2.1/live")),
        ("tcUrl", string("rtmp://192.0.2.1/live")),
    ];
    app.extend_from_slice(app_fields);
    vec![
        command("connect", 1.0, &[object(&app)]),
        control(true, WINDOW_SIZE, 2_500_000),
        command("releaseStream", 2.0, &[null(), string("show")]),
        command("FCPublish", 3.0, &[null(), string("show")]),
        command("createStream", 4.0, &[null()]),
        command("publish", 5.0, &[null(), string("show"), string("live")]),
    ]
}

fn leave() -> Vec<Sent> {
    vec![
        command("FCUnpublish", 6.0, &[null(), string("show")]),
        command("deleteStream", 7.0, &[null(), number(1.0)]),
    ]
}

fn obs() -> Vec<Sent> {
    let tracks =
        || object(&[("0", object(&[("width", number(1280.0))])), ("1", object(&[("width", number(640.0))]))]);
    let fields =
        [facts(), vec![("videoTrackIdInfoMap", tracks()), ("audioTrackIdInfoMap", tracks())]].concat();
    let codecs = [
        ("fourCcList", strict_array(&["av01", "avc1", "hvc1"].map(string))),
        ("videoFourCcInfoMap", object(&[("*", number(1.0))])),
        ("capsEx", number(3.0)),
    ];
    [
        vec![control(false, SET_CHUNK_SIZE, 4096)],
        publish_as_fmle("FMLE/3.0 (compatible; FMSc/1.0)", &codecs),
        vec![meta(ecma_array(&fields))],
        media(),
        leave(),
    ]
    .concat()
}

fn ffmpeg() -> Vec<Sent> {
    [
        vec![control(false, SET_CHUNK_SIZE, 60_000)],
        publish_as_fmle("FMLE/3.0 (compatible; Lavf60.16.100)", &[]),
        vec![command("_checkbw", 6.0, &[null()]), meta(ecma_array(&facts()))],
        media(),
        leave(),
    ]
    .concat()
}

fn librtmp() -> Vec<Sent> {
    let buffer = [&[0, 3][..], &[0, 0, 0, 1], &[0, 0, 0x0b, 0xb8]].concat();
    [
        publish_as_fmle("LNX 10,0,32,18", &[("fpad", boolean(false)), ("capabilities", number(15.0))]),
        vec![(true, USER_CONTROL, buffer), meta(ecma_array(&facts()))],
        media(),
        leave(),
    ]
    .concat()
}

fn gstreamer() -> Vec<Sent> {
    let app = [("fpad", boolean(false)), ("audioCodecs", number(4071.0)), ("videoFunction", number(1.0))];
    [
        vec![control(false, SET_CHUNK_SIZE, 0x0010_0000), control(false, WINDOW_SIZE, 2_500_000)],
        publish_as_fmle("LNX 10,0,32,18", &app),
        vec![meta(object(&facts()))],
        media(),
        leave(),
    ]
    .concat()
}

/// Messages of the older encoders that follow Flash: cue points, index, date, text of any length, aggregates.
fn flash() -> Vec<Sent> {
    let cue = object(&[
        ("name", string("scene")),
        ("time", number(1.5)),
        ("parameters", ecma_array(&[("chapters", strict_array(&[object(&[("at", number(1.0))]), null()]))])),
    ]);
    let index = object(&[
        ("times", strict_array(&vec![number(2.0); 500])),
        ("filepositions", strict_array(&vec![number(2e6); 500])),
    ]);
    let fields = [
        facts(),
        vec![
            ("creationdate", date(1.795e12)),
            ("keyframes", index),
            ("xmp", long_string(&"<x:xmpmeta/>".repeat(8000))),
            ("owner", typed_object("Owner", &[("name", string("someone"))])),
        ],
    ];
    let aggregate = [part(9, &[0x27, 1, 0]), part(8, &[0xaf, 1]), part(18, &string("onTextData"))].concat();
    [
        publish_as_fmle("FMLE/3.0 (compatible; FMSc/1.0)", &[("objectEncoding", number(0.0))]),
        vec![meta(ecma_array(&fields.concat()))],
        vec![(true, 18, [string("onCuePoint"), cue].concat())],
        vec![(true, 22, aggregate)],
        media(),
        leave(),
    ]
    .concat()
}

/// The same with AMF 3 messages and with the AMF 3 marker inside.
fn flash_with_amf_3() -> Vec<Sent> {
    let mut session = publish_as_fmle("WIN 32,0,0,101", &[("objectEncoding", number(3.0))]);
    for (connected, kind, body) in &mut session {
        if *connected && *kind == 20 {
            (*kind, *body) = (17, [&[0][..], body].concat());
        }
    }
    let inside = [&[0][..], &string("onMetaData"), &[0x11, 0x0a, 0x0b, 1, 3], b"a", &[4, 1, 1]].concat();
    [session, vec![(true, 15, inside)], media()].concat()
}

/// The arrays of this encoder have no end.
fn envivio() -> Vec<Sent> {
    [publish_as_fmle("Envivio", &[]), vec![meta(unfinished_ecma_array(&facts()))], media()].concat()
}

fn player() -> Vec<Sent> {
    let buffer = [&[0, 3][..], &[0, 0, 0, 1], &[0, 0, 0x0b, 0xb8]].concat();
    vec![
        command(
            "connect",
            1.0,
            &[object(&[("app", string("live")), ("tcUrl", string("rtmp://192.0.2.1/live"))])],
        ),
        control(true, WINDOW_SIZE, 2_500_000),
        command("createStream", 2.0, &[null()]),
        (true, USER_CONTROL, buffer),
        command("getStreamLength", 3.0, &[null(), string("show")]),
        command("play", 4.0, &[null(), string("show"), number(-2000.0)]),
        command("pause", 5.0, &[null(), boolean(true), number(0.0)]),
        command("closeStream", 0.0, &[null()]),
    ]
}

#[test]
fn nobody_legitimate_notices() {
    for (name, session) in [
        ("obs", obs()),
        ("ffmpeg", ffmpeg()),
        ("librtmp", librtmp()),
        ("gstreamer", gstreamer()),
        ("flash", flash()),
        ("flash with amf 3", flash_with_amf_3()),
        ("envivio", envivio()),
        ("player", player()),
    ] {
        // Whole, in chunks of a common size, and byte by byte.
        for piece in [usize::MAX, 4096, 128, 1] {
            let mut gate = Gate::accepted();
            assert_eq!(gate.received(false, 3073), Ok(()), "{name}");
            for (connected, kind, body) in &session {
                assert_eq!(gate.received(*connected, body.len() + 12), Ok(()), "{name}, {kind}");
                assert_eq!(gate.message(*connected, *kind, body.chunks(piece)), Ok(()), "{name}, {kind}");
            }
        }
    }
}
