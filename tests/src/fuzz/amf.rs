//! AMF 0 values of any shape, valid and invalid.

use weir_rtmp::amf0::Writer;

use crate::harness::Random;

/// Depths of nesting: on both sides of the limit, and far beyond.
const DEPTHS: &[usize] = &[1, 2, 3, 4, 8, 30, 31, 32, 33, 34, 64, 500, 4_000];

/// Lengths that strings announce or have.
const LENGTHS: &[usize] = &[0, 1, 2, 63, 64, 127, 128, 129, 254, 255, 256, 257, 1_000, 5_000];

/// Numbers with a special meaning, and arbitrary ones.
const NUMBERS: &[f64] = &[
    0.0,
    1.0,
    2.0,
    -1.0,
    -2000.0,
    0.5,
    255.0,
    65_536.0,
    2_147_483_648.0,
    4_294_967_296.0,
    1e300,
    -1e300,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
];

/// Appends a few values.
pub(super) fn values(random: &mut Random, out: &mut Vec<u8>) {
    for _ in 0..random.below(5) {
        value(random, out);
    }
}

/// Appends one value, which may contain others.
pub(super) fn value(random: &mut Random, out: &mut Vec<u8>) {
    match random.below(12) {
        0 | 1 => out.extend(Writer::new().number(random.pick(NUMBERS)).as_bytes()),
        2 => out.extend(Writer::new().boolean(random.one_in(2)).as_bytes()),
        3..6 => {
            let text = text(random);
            out.extend(Writer::new().string(&text).as_bytes());
        }
        6 => out.push(random.pick(&[5, 6])),
        7 | 8 => object(random, out),
        9 => nested(random, out),
        10 => cut_short(random, out),
        _ => {
            let count = random.below(16);
            out.push(random.byte() % 0x14);
            out.extend(random.bytes(count));
        }
    }
}

/// Appends a string: a name, or bytes with a length at a limit.
fn text(random: &mut Random) -> Vec<u8> {
    let length = random.pick(LENGTHS);
    match random.below(4) {
        0 => vec![b'a'; length],
        1 => random.bytes(length),
        2 => b"show?key=x&name=y\0z".to_vec(),
        _ => b"live".to_vec(),
    }
}

fn object(random: &mut Random, out: &mut Vec<u8>) {
    let mut writer = Writer::new();
    if random.one_in(2) {
        writer.begin_object();
    } else {
        writer.begin_ecma_array(random.pick(&[0, 1, 3, u32::MAX]));
    }
    for _ in 0..random.below(6) {
        let key = random.pick(&["app", "tcUrl", "flashVer", "width", "videocodecid", "", "code", "duration"]);
        writer.key(key);
        if random.one_in(2) {
            writer.number(random.pick(NUMBERS));
        } else {
            writer.string(&text(random));
        }
    }
    if !random.one_in(8) {
        writer.end();
    }
    out.extend(writer.as_bytes());
}

/// Appends nested objects and arrays, most of them closed again.
fn nested(random: &mut Random, out: &mut Vec<u8>) {
    let depth = random.pick(DEPTHS);
    let closes = !random.one_in(4);
    let strict = random.below(3);
    let mut writer = Writer::new();
    for level in 0..depth {
        let is_array = strict == 1 || strict == 2 && level % 2 == 0;
        if is_array {
            writer.begin_strict_array(1);
        } else {
            writer.begin_object().key("a");
        }
    }
    writer.null();
    if closes && strict != 1 {
        for _ in 0..depth / if strict == 2 { 2 } else { 1 } {
            writer.end();
        }
    }
    out.extend(writer.as_bytes());
}

/// Appends a string or an array that announces more than it contains.
fn cut_short(random: &mut Random, out: &mut Vec<u8>) {
    match random.below(3) {
        0 => out.extend([2, 0xff, random.byte(), b'a']),
        1 => out.extend([0x0c, random.byte() & 0x7f, 0xff, 0xff, 0xff, b'a']),
        _ => out.extend([0x0a, random.byte(), 0xff, 0xff, 0xff, 5]),
    }
}
