use super::super::tests::build::{null, number, object, string};
use super::*;
use proptest::prelude::*;

fn ask(role: Role, kind: u8, body: &[u8]) -> bool {
    admits(role, kind, body.chunks(5))
}

fn command(name: &str) -> Vec<u8> {
    [string(name), number(1.0), null(), object(&[("code", string("x"))])].concat()
}

#[test]
fn answers_and_protocol_control_pass() {
    for role in [Role::Push, Role::Pull] {
        for kind in [1, 2, 3, 5, 6] {
            assert!(ask(role, kind, &[0, 0, 16, 0]), "{kind}");
        }
        for name in ["_result", "_error", "onStatus", "ONSTATUS"] {
            assert!(ask(role, 20, &command(name)), "{name}");
            assert!(ask(role, 17, &[&[0][..], &command(name)].concat()), "{name}");
        }
        assert!(
            ask(role, 18, &command("onStatus")) && ask(role, 15, &[&[0][..], &command("onStatus")].concat())
        );
        for event in [6, 7] {
            assert!(ask(role, 4, &[0, event, 0, 0, 0, 1]), "{event}");
        }
    }
}

#[test]
fn nobody_there_is_a_client_of_ours() {
    for role in [Role::Push, Role::Pull] {
        for name in [
            "connect",
            "createStream",
            "play",
            "play2",
            "publish",
            "closeStream",
            "CLOSESTREAM",
            "closeStream\0x",
            "deleteStream",
            "pause",
            "pauseraw",
            "seek",
            "FCPublish",
            "FCUnpublish",
            "releaseStream",
            "",
            "close",
        ] {
            for kind in [15, 16, 17, 18, 19, 20] {
                let prefix: &[u8] = if [15, 17].contains(&kind) { &[0] } else { &[] };
                assert!(!ask(role, kind, &[prefix, &command(name)].concat()), "{name} {kind}");
            }
        }
        // A name that nginx-rtmp cuts, and a name that is not text.
        assert!(!ask(role, 20, &command(&format!("onStatus{}", "x".repeat(200)))));
        assert!(!ask(role, 20, &number(1.0)) && !ask(role, 20, &[]));
        for kind in [0, 7, 10, 16, 19, 21, 23, 255] {
            assert!(!ask(role, kind, &command("onStatus")), "{kind}");
        }
        // A buffer length, and events without a defined number.
        for event in [3, 5, 8, 31] {
            assert!(!ask(role, 4, &[0, event, 0, 0, 0, 1, 0, 0, 0, 0]), "{event}");
        }
        assert!(!ask(role, 4, &[0]));
        assert!(!ask(role, 18, &command("_result")), "an answer is a command");
    }
}

#[test]
fn media_comes_from_where_it_is_pulled_alone() {
    for kind in [8, 9, 22] {
        assert!(ask(Role::Pull, kind, &[0x17, 0]) && !ask(Role::Push, kind, &[0x17, 0]), "{kind}");
    }
    for name in ["onMetaData", "@setDataFrame", "onTextData", "onCuePoint"] {
        assert!(ask(Role::Pull, 18, &command(name)) && !ask(Role::Push, 18, &command(name)), "{name}");
    }
    for event in [0, 1, 2, 4] {
        let body = [0, event, 0, 0, 0, 1];
        assert!(ask(Role::Pull, 4, &body) && !ask(Role::Push, 4, &body), "{event}");
    }
}

#[test]
fn no_more_comes_back_than_answers() {
    let mut balance = Balance::default();
    assert_eq!(balance.received(100_000, 0), Ok(()));
    assert_eq!(balance.received(31_072, 0), Ok(()));
    assert_eq!({ balance }.received(1, 7), Err(Violation::Answers));
    // The target acknowledges every 1400 bytes with 28 bytes, and the counter wraps.
    let mut counter = 0_u32;
    for _ in 0..4_000_000 {
        counter = counter.wrapping_add(1400);
        assert_eq!(balance.received(28, counter), Ok(()));
    }
    assert_eq!(balance.received(usize::MAX, counter), Err(Violation::Answers));
    assert_eq!((length(MAX_ANSWER), length(MAX_ANSWER + 1)), (Ok(()), Err(Violation::Answers)));
}

#[test]
fn each_step_is_taken_once() {
    let mut exchange = Exchange::default();
    assert_eq!(exchange.result(Some(2.0)), Answered::Nothing);
    assert_eq!(exchange.result(Some(1.0)), Answered::Connect);
    assert_eq!(exchange.result(Some(1.0)), Answered::Nothing);
    assert_eq!(exchange.result(Some(7.0)), Answered::Nothing);
    assert_eq!(exchange.result(Some(2.0)), Answered::CreateStream);
    for transaction in [Some(1.0), Some(2.0), Some(f64::NAN), None] {
        assert_eq!(exchange.result(transaction), Answered::Nothing, "{transaction:?}");
    }
    assert_eq!((exchange.result(Some(0.0)), exchange), (Answered::Publish, Exchange::Begun));
    let mut vague = Exchange::default();
    assert_eq!((vague.result(None), vague.result(None)), (Answered::Connect, Answered::CreateStream));
}

proptest! {
    #[test]
    fn it_is_the_same_however_it_is_cut(kind in 0_u8..24, body: Vec<u8>, size in 1_usize..9, pull: bool) {
        let role = if pull { Role::Pull } else { Role::Push };
        prop_assert_eq!(
            admits(role, kind, body.chunks(size)),
            admits(role, kind, [body.as_slice()].into_iter())
        );
    }
}
