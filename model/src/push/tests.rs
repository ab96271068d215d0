use std::collections::HashSet;

use super::*;
use proptest::prelude::*;

const START: u64 = 1_000_000;

/// A machine and its clock.
struct Run {
    machine: Machine,
    now: u64,
}

impl Run {
    fn new() -> Run {
        Run { machine: Machine::new(START, 7), now: START }
    }

    fn step(&mut self, input: Input) -> Vec<Output> {
        self.machine.step(self.now, input)
    }

    fn tick(&mut self, millis: u64) -> Vec<Output> {
        self.flow(millis, 0, 0)
    }

    fn flow(&mut self, millis: u64, bytes_in: u64, bytes_out: u64) -> Vec<Output> {
        self.now += millis;
        self.step(Input::Tick { bytes_in, bytes_out })
    }

    /// Runs up to the connect.
    fn dialing(addresses: usize) -> Run {
        let mut run = Run::new();
        assert_eq!(run.step(Input::Wanted), [Output::Resolve, changed(PushState::Connecting)]);
        assert_eq!(run.step(Input::Resolved(addresses)), [Output::Connect(0)]);
        run
    }

    fn live() -> Run {
        let mut run = Run::dialing(1);
        assert_eq!((run.step(Input::Connected), run.step(Input::Handshaken)), (vec![], vec![]));
        assert_eq!(run.step(Input::Published), [changed(PushState::Live)]);
        run
    }

    fn error(&self) -> String {
        self.machine.last_error().map(LastError::to_string).unwrap_or_default()
    }
}

fn changed(state: PushState) -> Output {
    Output::Changed(state)
}

/// The outputs when a connection fails and a retry is scheduled.
fn gives_up() -> Vec<Output> {
    vec![Output::Abort, changed(PushState::Waiting)]
}

#[test]
fn goes_live_and_leaves_politely() {
    let mut run = Run::live();
    assert_eq!(run.step(Input::Wanted), []);
    run.now += 5;
    assert_eq!(run.step(Input::NotWanted), [Output::Leave, changed(PushState::Off)]);
    assert_eq!((run.machine.is_idle(), run.machine.since()), (false, START + 5));
    assert_eq!(run.step(Input::Failed(LastError::Closed)), [Output::Abort]);
    assert!(run.machine.is_idle());
    assert_eq!((run.error(), run.machine.reconnects()), (String::new(), 0));
}

#[test]
fn a_leave_that_does_not_end_is_ended() {
    let mut run = Run::live();
    run.step(Input::NotWanted);
    assert_eq!(run.tick(LEAVE_MS - 1), []);
    assert_eq!(run.tick(1), [Output::Abort]);
    assert!(run.machine.is_idle());
}

#[test]
fn wanted_again_waits_for_the_leave() {
    let mut run = Run::live();
    run.step(Input::NotWanted);
    assert_eq!(run.step(Input::Wanted), []);
    let again = [Output::Abort, Output::Resolve, changed(PushState::Connecting)];
    assert_eq!(run.step(Input::Failed(LastError::Closed)), again);
}

#[test]
fn each_silence_has_its_name() {
    for (steps, timeout, error) in [
        (&[][..], CONNECT_MS, "timed out connecting"),
        (&[Input::Connected][..], EXCHANGE_MS, "timed out in the handshake"),
        (
            &[Input::Connected, Input::Handshaken][..],
            EXCHANGE_MS,
            "timed out waiting for the answer to publish",
        ),
    ] {
        let mut run = Run::dialing(1);
        for step in steps {
            assert_eq!(run.step(step.clone()), []);
        }
        assert_eq!(run.tick(timeout - 1), [], "{error}");
        assert_eq!(run.tick(1), gives_up(), "{error}");
        assert_eq!(run.error(), error);
    }
    let mut run = Run::new();
    run.step(Input::Wanted);
    assert_eq!(run.tick(EXCHANGE_MS), gives_up());
    assert_eq!(run.error(), "the resolver does not answer");
}

/// Runs up to the media of a target that has not answered `publish`.
fn unanswered() -> Run {
    let mut run = Run::dialing(1);
    for step in [Input::Connected, Input::Handshaken, Input::Sending] {
        assert_eq!(run.step(step), []);
    }
    run
}

#[test]
fn who_takes_the_stream_without_a_word_is_live() {
    let mut run = unanswered();
    for second in 1..UNANSWERED_MS / 1000 {
        assert_eq!(run.flow(1000, second * 900, second * 800), []);
    }
    assert_eq!(run.flow(999, 4500, 4000), []);
    assert_eq!(run.flow(1, 4500, 4000), [changed(PushState::Live)]);
    assert_eq!(run.flow(1000, 5400, 4800), []);
    // The target is checked for stalls like any other.
    assert_eq!(run.flow(1000, 6300, 4800), []);
    assert_eq!(run.flow(STALL_MS, 7200, 4800), gives_up());
    assert_eq!(run.error(), "does not read: 0 bit/s for 10 s");
}

#[test]
fn who_takes_nothing_and_says_nothing_is_given_up() {
    let mut run = unanswered();
    assert_eq!(run.flow(1000, 900, 800), []);
    assert_eq!(run.flow(1000, 900, 800), []);
    assert_eq!(run.flow(EXCHANGE_MS - 2001, 9000, 800), []);
    assert_eq!(run.flow(1, 9000, 800), gives_up());
    assert_eq!(run.error(), "timed out waiting for the answer to publish");
    // Acknowledged commands alone do not make a target live.
    let mut run = Run::dialing(1);
    run.step(Input::Handshaken);
    for second in 1..EXCHANGE_MS / 1000 {
        assert_eq!(run.flow(1000, second, second), []);
    }
    assert_eq!(run.flow(1000, 10, 10), gives_up());
}

#[test]
fn a_late_no_of_one_that_counted_as_live_is_a_failure_all_the_same() {
    let mut run = unanswered();
    for second in 1..=5 {
        run.flow(1000, second, second);
    }
    assert_eq!(run.machine.state(), PushState::Live);
    assert_eq!(run.step(Input::Failed(LastError::rejected("NetStream.Publish.BadName", ""))), gives_up());
    assert_eq!(run.error(), "rejected: NetStream.Publish.BadName");
}

#[test]
fn tries_the_next_address() {
    let mut run = Run::dialing(9);
    for address in 1..MAX_ADDRESSES {
        let next = [Output::Abort, Output::Connect(address)];
        let outputs = match address {
            1 => run.tick(CONNECT_MS),
            _ => run.step(Input::Failed(LastError::Refused)),
        };
        assert_eq!(outputs, next);
    }
    assert_eq!(run.step(Input::Failed(LastError::Refused)), gives_up());
    // If an address answered and then refused, no other address is tried.
    let mut run = Run::dialing(2);
    run.step(Input::Connected);
    assert_eq!(run.step(Input::Failed(LastError::Closed)), gives_up());
}

#[test]
fn a_challenge_is_answered_at_once_and_not_for_ever() {
    let mut run = Run::dialing(2);
    for _ in 0..MAX_CHALLENGES {
        run.step(Input::Connected);
        run.tick(CONNECT_MS);
        assert_eq!(run.step(Input::Challenged), [Output::Abort, Output::Connect(0)]);
    }
    assert_eq!(run.step(Input::Challenged), gives_up());
    assert_eq!((run.error(), run.machine.reconnects()), ("rejected: wrong user or password".into(), 0));
}

#[test]
fn what_is_permanent_is_tried_again_too() {
    let mut run = Run::dialing(1);
    let rejected = LastError::rejected("NetStream.Publish.BadName", "Already publishing");
    assert_eq!(run.step(Input::Failed(rejected)), gives_up());
    assert_eq!(run.error(), "rejected: NetStream.Publish.BadName: Already publishing");
    let wait = run.machine.retry_in_ms(run.now).unwrap();
    assert_eq!(run.tick(wait - 1), []);
    assert_eq!(run.tick(1), [Output::Resolve, changed(PushState::Connecting)]);
    assert_eq!((run.machine.reconnects(), run.machine.retry_in_ms(run.now)), (1, None));
}

#[test]
fn waits_longer_with_each_failure_until_a_healthy_run() {
    let mut run = Run::live();
    let mut waits = Vec::new();
    for health in [0, 0, 0, 0, 0, 0, 0, HEALTHY_MS - 1, HEALTHY_MS] {
        run.now += health;
        assert_eq!(run.step(Input::Failed(LastError::Closed)), gives_up());
        let wait = run.machine.retry_in_ms(run.now).unwrap();
        waits.push(wait);
        run.tick(wait);
        run.step(Input::Resolved(1));
        run.step(Input::Published);
    }
    let bounds = [
        (1000, 1500),
        (2000, 3000),
        (4000, 6000),
        (8000, 12_000),
        (16_000, 24_000),
        (32_000, 48_000),
        (40_000, 60_000),
        (40_000, 60_000),
        (1000, 1500),
    ];
    for (wait, (least, most)) in waits.iter().zip(bounds) {
        assert!((least..=most).contains(wait), "{wait} of {waits:?}");
    }
}

#[test]
fn a_target_that_does_not_read_is_found_out() {
    let mut run = Run::live();
    let mut bytes = 0;
    for _ in 0..20 {
        bytes += 1000;
        assert_eq!(run.flow(1000, bytes, bytes), []);
    }
    assert_eq!(run.flow(1000, bytes + 1, bytes), []);
    assert_eq!(run.flow(STALL_MS - 1, bytes + 2, bytes), []);
    assert_eq!(run.flow(1, bytes + 3, bytes), gives_up());
    assert_eq!(run.error(), "does not read: 0 bit/s for 10 s");
}

#[test]
fn a_publisher_that_sends_nothing_is_not_the_targets_fault() {
    let mut run = Run::live();
    assert_eq!(run.flow(1000, 1000, 1000), []);
    for _ in 0..30 {
        assert_eq!(run.flow(1000, 1000, 1000), []);
    }
    // The stream restarts, and the target continues to read.
    assert_eq!(run.flow(1000, 2000, 1000), []);
    assert_eq!(run.flow(1000, 2000, 2000), []);
    assert_eq!(run.flow(STALL_MS, 2000, 2000), []);
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let inputs = [
        Input::NotWanted,
        Input::Resolved(1),
        Input::Connected,
        Input::Handshaken,
        Input::Sending,
        Input::Published,
        Input::Challenged,
        Input::Failed(LastError::Closed),
        Input::Tick { bytes_in: 1, bytes_out: 0 },
    ];
    let mut run = Run::new();
    for input in inputs {
        assert_eq!(run.step(input), []);
        assert!(run.machine.is_idle());
    }
    assert_eq!(run.error(), "");
}

#[test]
fn many_targets_of_one_server_come_back_at_different_times() {
    let waits: HashSet<u64> = (0..50)
        .map(|seed| {
            let mut machine = Machine::new(0, seed);
            machine.step(0, Input::Wanted);
            machine.step(0, Input::Failed(LastError::HostNotFound));
            machine.retry_in_ms(0).unwrap()
        })
        .collect();
    assert!(waits.len() > 40, "{waits:?}");
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        3 => Just(Input::Wanted),
        1 => Just(Input::NotWanted),
        3 => (1_usize..6).prop_map(Input::Resolved),
        3 => Just(Input::Connected),
        2 => Just(Input::Handshaken),
        3 => Just(Input::Sending),
        3 => Just(Input::Published),
        1 => Just(Input::Challenged),
        2 => Just(Input::Failed(LastError::Closed)),
        6 => (0_u64..3, 0_u64..3).prop_map(|(bytes_in, bytes_out)| Input::Tick { bytes_in, bytes_out }),
    ]
}

/// The state of one push in a worker, derived from the outputs only.
#[derive(Default)]
struct World {
    looking_up: bool,
    connections: u32,
}

impl World {
    fn take(&mut self, output: Output) {
        match output {
            Output::Resolve => {
                assert!(!self.looking_up && self.connections == 0, "a look-up beside something else");
                self.looking_up = true;
            }
            Output::Connect(_) => {
                assert_eq!(self.connections, 0, "two connections at once");
                self.looking_up = false;
                self.connections = 1;
            }
            Output::Abort => *self = World::default(),
            Output::Leave => assert_eq!(self.connections, 1, "nobody to leave"),
            Output::Changed(_) => {}
        }
    }

    fn is_empty(&self) -> bool {
        !self.looking_up && self.connections == 0
    }
}

proptest! {
    /// For any sequence of events: at most one connection, no try before its time, each wait within its bounds, and a
    /// report for each change and only then.
    #[test]
    fn whatever_happens_it_keeps_its_rules(
        seed: u64, steps in prop::collection::vec((any_input(), 0_u64..20_000), 0..200)
    ) {
        let mut run = Run { machine: Machine::new(START, seed), now: START };
        let mut world = World::default();
        let mut not_before = 0;
        for (input, millis) in steps {
            run.now += millis;
            let before = run.machine.state();
            let outputs = run.step(input.clone());
            for &output in &outputs {
                world.take(output);
            }
            let after = run.machine.state();
            prop_assert_eq!(outputs.contains(&changed(after)), before != after);
            prop_assert_eq!(outputs.iter().filter(|output| matches!(output, Output::Changed(_))).count(), usize::from(before != after));
            match after {
                PushState::Connecting if before == PushState::Waiting => prop_assert!(run.now >= not_before),
                PushState::Waiting if before != PushState::Waiting => {
                    let wait = run.machine.retry_in_ms(run.now).unwrap();
                    prop_assert!((backoff::MIN_MS..=backoff::MAX_MS).contains(&wait), "{}", wait);
                    prop_assert!(world.is_empty() && run.machine.last_error().is_some());
                    not_before = run.now + wait;
                }
                PushState::Live => prop_assert_eq!(world.connections, 1),
                PushState::Off if run.machine.is_idle() => prop_assert!(world.is_empty()),
                _ => {}
            }
            if input == Input::NotWanted {
                prop_assert_eq!(after, PushState::Off);
            }
        }
        run.step(Input::NotWanted).into_iter().for_each(|output| world.take(output));
        run.tick(LEAVE_MS).into_iter().for_each(|output| world.take(output));
        prop_assert!(run.machine.is_idle() && world.is_empty());
    }
}
