//! Mutates a valid session: the order, the messages, their values, the chunks, the bytes, and the times.

use std::net::Ipv4Addr;
use std::time::Duration;

use weir_rtmp::handshake;
use weir_rtmp::message::{Message, MessageKind};

use super::amf;
use super::plot::{Act, anything, plot};
use super::sequence::{Sequence, Step};
use super::wire::{CHUNK_STREAMS, Wire};
use crate::harness::Random;

/// How long to wait for a handshake, and for an answer.
const PATIENCE: Duration = Duration::from_millis(300);

/// The most bytes of a connection, because the test is about content, not about volume.
const MOST: usize = 300_000;

/// Lengths of long pauses: on both sides of the server's deadlines.
const PAUSES: &[u64] = &[1, 5, 20, 100, 400, 1_200, 3_000, 6_000];

/// Returns a sequence. Each level is mutated in a separate share of the sequences, so that an error on one level does
/// not always hide errors on another.
pub(super) fn sequence(random: &mut Random) -> Sequence {
    let mut acts = plot(random);
    for _ in 0..random.pick(&[0, 0, 1, 2, 4]) {
        reorder(random, &mut acts);
    }
    for _ in 0..random.pick(&[0, 0, 1, 1, 3]) {
        change_message(random, &mut acts);
    }
    let mut steps = Vec::new();
    handshake(random, &mut steps);
    encode(random, acts, &mut steps);
    if random.one_in(3) {
        change_bytes(random, &mut steps);
    }
    change_times(random, &mut steps);
    // A new address each time, because the server's tables of addresses fill quickly.
    let [_, a, b, c] = (random.next_u64() as u32).to_be_bytes();
    Sequence { from: Ipv4Addr::new(127, a, b, c | 1), steps }
}

fn reorder(random: &mut Random, acts: &mut Vec<Act>) {
    if acts.is_empty() {
        return;
    }
    let (nth, other) = (random.below(acts.len()), random.below(acts.len()));
    match random.below(6) {
        0 => drop(acts.remove(nth)),
        1 => acts.insert(other, acts[nth].clone()),
        2 => acts.swap(nth, other),
        3 => acts.insert(nth, anything(random)),
        4 => acts.truncate(nth + 1),
        // Repeats the same messages.
        _ => {
            let again = vec![acts[nth].clone(); random.pick(&[2, 4, 9, 40])];
            acts.splice(nth..nth, again);
        }
    }
}

fn change_message(random: &mut Random, acts: &mut [Act]) {
    let mut said: Vec<_> = acts
        .iter_mut()
        .filter_map(|act| match act {
            Act::Say { chunk_stream, message } => Some((chunk_stream, message)),
            Act::Listen | Act::Wait(_) => None,
        })
        .collect();
    if said.is_empty() {
        return;
    }
    let nth = random.below(said.len());
    let (chunk_stream, message) = &mut said[nth];
    match random.below(9) {
        0 => **chunk_stream = random.pick(CHUNK_STREAMS),
        1 => message.kind = MessageKind(random.byte() % 24),
        2 => message.stream_id = random.pick(&[0, 1, 2, 31, 32, 33, 255, 0x00ff_ffff, u32::MAX]),
        3 => {
            message.timestamp =
                random.pick(&[0, 0x00ff_fffe, 0x00ff_ffff, 0x0100_0000, 0x7fff_ffff, u32::MAX])
        }
        4 => message.payload.truncate(random.below(message.payload.len() + 1)),
        5 => {
            let count = random.pick(&[1, 2, 20, 300, 20_000]);
            message.payload.extend(random.bytes(count));
        }
        6 => change(random, &mut message.payload),
        7 => amf::values(random, &mut message.payload),
        // The name stays, with other values after it.
        _ => {
            message.payload.truncate(random.pick(&[12, 19, 25, 40]));
            amf::value(random, &mut message.payload);
        }
    }
}

/// The handshake, which is correct in most cases.
fn handshake(random: &mut Random, steps: &mut Vec<Step>) {
    let mut hello = vec![3];
    hello.extend([0; 8]);
    hello.extend(random.bytes(handshake::PACKET - 8));
    let answer = random.bytes(handshake::PACKET);
    match random.below(16) {
        0 => hello[0] = random.byte(),
        1 => hello.truncate(random.below(handshake::PACKET)),
        // The version of a client that expects a digest.
        2 => hello[5..9].copy_from_slice(&[128, 0, 7, 2]),
        // In pieces.
        3 => {
            let rest = hello.split_off(random.below(handshake::PACKET));
            steps.extend([Step::Send(hello), Step::Pause(Duration::from_millis(5))]);
            hello = rest;
        }
        // Without waiting for the answer.
        4 => {
            hello.extend(answer);
            steps.push(Step::Send(hello));
            return;
        }
        _ => {}
    }
    steps.extend([Step::Send(hello), Step::Await(PATIENCE)]);
    match random.below(24) {
        0 => {}
        1 => steps.push(Step::Send(answer[..random.below(handshake::PACKET)].to_vec())),
        _ => steps.push(Step::Send(answer)),
    }
}

fn encode(random: &mut Random, acts: Vec<Act>, steps: &mut Vec<Step>) {
    let wrong = random.pick(&[0, 0, 0, 40, 8]);
    let mixes = random.one_in(4);
    let mut wire = Wire::new(wrong);
    let mut waiting: Vec<(u32, Message)> = Vec::new();
    let mut bytes = Vec::new();
    for act in acts {
        match act {
            Act::Say { chunk_stream, message } => {
                // The messages of one chunk stream must not overlap.
                let is_free = waiting.iter().all(|(other, _)| *other != chunk_stream);
                if !(mixes && is_free && random.one_in(2)) {
                    wire.write(random, &std::mem::take(&mut waiting), &mut bytes);
                }
                waiting.push((chunk_stream, message));
            }
            Act::Listen | Act::Wait(_) => {
                wire.write(random, &std::mem::take(&mut waiting), &mut bytes);
                let wait = match act {
                    Act::Wait(millis) => Step::Pause(Duration::from_millis(millis)),
                    _ => Step::Await(PATIENCE),
                };
                steps.extend([Step::Send(std::mem::take(&mut bytes)), wait]);
            }
        }
    }
    wire.write(random, &waiting, &mut bytes);
    bytes.truncate(MOST);
    steps.push(Step::Send(bytes));
    steps.push(Step::Await(Duration::from_millis(20)));
}

/// Changes some of the last bytes, after the handshake.
fn change_bytes(random: &mut Random, steps: &mut [Step]) {
    if let Some(Step::Send(bytes)) = steps.iter_mut().rev().find(|step| matches!(step, Step::Send(_))) {
        for _ in 0..=random.below(4) {
            change(random, bytes);
        }
    }
}

fn change(random: &mut Random, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let at = random.below(bytes.len());
    match random.below(6) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.pick(&[0, 1, 0x7f, 0x80, 0xfe, 0xff]),
        2 => bytes.insert(at, random.byte()),
        3 => drop(bytes.remove(at)),
        4 => {
            let until = (at + 1 + random.below(64)).min(bytes.len());
            let again = bytes[at..until].to_vec();
            bytes.splice(at..at, again);
        }
        _ => {
            let until = (at + 1 + random.below(64)).min(bytes.len());
            bytes.drain(at..until);
        }
    }
}

/// Inserts pauses, ends in the middle, and ends of sending.
fn change_times(random: &mut Random, steps: &mut Vec<Step>) {
    match random.below(40) {
        0..4 => {
            let at = random.below(steps.len());
            if let Step::Send(bytes) = &mut steps[at]
                && !bytes.is_empty()
            {
                let rest = bytes.split_off(random.below(bytes.len()));
                let pause = Duration::from_millis(random.pick(PAUSES));
                steps.splice(at + 1..at + 1, [Step::Pause(pause), Step::Send(rest)]);
            }
        }
        4..8 => steps.truncate(random.below(steps.len()) + 1),
        _ => {}
    }
    match random.below(40) {
        0 | 1 => steps.extend([Step::HalfClose, Step::Pause(Duration::from_millis(random.pick(PAUSES)))]),
        2 => steps.push(Step::Pause(Duration::from_millis(random.pick(PAUSES)))),
        3..10 => steps.push(Step::Reset),
        _ => {}
    }
}
