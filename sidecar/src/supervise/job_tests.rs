use proptest::prelude::*;

use super::*;

const POLICY: Policy = Policy {
    stall: Duration::from_secs(10),
    starve: Duration::from_secs(40),
    warm_up: Duration::from_secs(20),
    grace: Duration::from_secs(5),
    backoff: Backoff { first: Duration::from_secs(1), max: Duration::from_secs(8) },
    healthy: Duration::from_secs(60),
};

/// Progress of a process that reports `at` and has written no bytes.
fn told(at: i64) -> Work {
    Work { told: Some(at), bytes: 0 }
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Returns a job whose process has just started.
fn started(at: Duration) -> Job {
    let mut job = Job::new(POLICY);
    assert_eq!(job.step(at, Input::Tick, 0), Some(Action::Start));
    assert_eq!(job.step(at, Input::Started, 0), None);
    assert_eq!(job.state(), State::Running);
    job
}

#[test]
fn what_fails_is_started_again_later_and_later() {
    let mut job = started(s(0));
    let mut now = s(1);
    for wait in [1, 2, 4, 8, 8] {
        assert_eq!(job.step(now, Input::Exited(Exit::Failed), 0), None);
        assert_eq!((job.state(), job.deadline()), (State::Waiting, Some(now + s(wait))));
        assert_eq!(job.step(now, Input::Tick, 0), None);
        now += s(wait);
        assert_eq!(job.step(now, Input::Tick, 0), Some(Action::Start));
        job.step(now, Input::Started, 0);
    }
    assert_eq!(job.restarts(), 5);
    // After a healthy run of a minute, the wait is short again.
    job.step(now + s(60), Input::Exited(Exit::Failed), 0);
    assert_eq!(job.deadline(), Some(now + s(61)));
}

#[test]
fn what_cannot_be_started_is_tried_again() {
    let mut job = Job::new(POLICY);
    assert_eq!(job.step(s(0), Input::Tick, 0), Some(Action::Start));
    job.step(s(0), Input::Exited(Exit::Failed), 0);
    assert_eq!(job.deadline(), Some(s(1)));
    assert_eq!(job.step(s(1), Input::Tick, 0), Some(Action::Start));
    job.step(s(1), Input::Exited(Exit::Failed), 0);
    assert_eq!(job.deadline(), Some(s(3)));
}

#[test]
fn what_makes_no_progress_is_killed() {
    let mut job = started(s(0));
    assert_eq!(job.deadline(), Some(s(20)));
    job.step(s(15), Input::Progress(told(1)), 0);
    assert_eq!(job.step(s(20), Input::Tick, 0), None);
    // The process reports, but reports no progress.
    job.step(s(22), Input::Progress(told(1)), 0);
    job.step(s(24), Input::Progress(Work::default()), 0);
    assert!(matches!(job.step(s(25), Input::Tick, 0), Some(Action::Kill(_))));
    assert_eq!((job.state(), job.deadline()), (State::Stopping, None));
    job.step(s(26), Input::Exited(Exit::Failed), 0);
    assert_eq!((job.state(), job.deadline()), (State::Waiting, Some(s(27))));
}

#[test]
fn what_is_stopped_has_its_grace() {
    let mut job = started(s(0));
    assert_eq!(job.step(s(3), Input::Stop, 0), Some(Action::Interrupt));
    assert_eq!(job.deadline(), Some(Duration::from_millis(3700)));
    assert_eq!(job.step(Duration::from_millis(3600), Input::Tick, 0), None);
    assert_eq!(job.step(s(4), Input::Tick, 0), Some(Action::Interrupt));
    assert_eq!((job.step(s(7), Input::Tick, 0), job.deadline()), (None, Some(s(8))));
    assert!(matches!(job.step(s(8), Input::Tick, 0), Some(Action::Kill(_))));
    assert_eq!(job.step(s(8), Input::Exited(Exit::Failed), 0), Some(Action::End));
    assert_eq!(job.step(s(9), Input::Tick, 0), None);
}

#[test]
fn what_waits_is_stopped_at_once_and_restarted_at_once() {
    let mut job = started(s(0));
    job.step(s(1), Input::Exited(Exit::Clean), 0);
    assert_eq!(job.step(s(1), Input::Restart, 0), Some(Action::Start));
    job.step(s(1), Input::Exited(Exit::Failed), 0);
    assert_eq!(job.step(s(1), Input::Stop, 0), Some(Action::End));
}

#[test]
fn a_restart_that_was_asked_for_waits_for_nothing() {
    let mut job = started(s(0));
    assert_eq!(job.step(s(3), Input::Restart, 0), Some(Action::Interrupt));
    job.step(s(4), Input::Exited(Exit::Failed), 0);
    assert_eq!(job.step(s(4), Input::Tick, 0), Some(Action::Start));
}

#[test]
fn a_stop_during_a_restart_is_a_stop() {
    let mut job = started(s(0));
    job.step(s(3), Input::Restart, 0);
    job.step(s(3), Input::Stop, 0);
    assert_eq!(job.step(s(4), Input::Exited(Exit::Clean), 0), Some(Action::End));
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        3 => Just(Input::Tick),
        2 => (any::<Option<i64>>(), 0..3_u64).prop_map(|(told, bytes)| Input::Progress(Work { told, bytes })),
        2 => Just(Input::Exited(Exit::Failed)),
        1 => Just(Input::Exited(Exit::Clean)),
        1 => Just(Input::Restart),
    ]
}

proptest! {
    /// After any inputs: at most one process, no signal without a process, an end after a stop, and always a deadline or a process to
    /// wait for.
    #[test]
    fn there_is_one_process_at_most(inputs in proptest::collection::vec((input(), 0_u64..30, any::<u32>()), 0..100)) {
        let mut job = Job::new(POLICY);
        let (mut now, mut alive) = (Duration::ZERO, false);
        let feed = |job: &mut Job, now: Duration, input: Input, jitter: u32, alive: &mut bool| {
            if matches!(input, Input::Exited(_) | Input::Progress(_)) && !*alive {
                return None;
            }
            if matches!(input, Input::Exited(_)) {
                *alive = false;
            }
            let action = job.step(now, input, jitter);
            match action {
                Some(Action::Start) => {
                    assert!(!*alive);
                    *alive = true;
                    job.step(now, Input::Started, jitter);
                }
                Some(Action::Interrupt | Action::Kill(_)) => assert!(*alive),
                Some(Action::End) => assert!(!*alive),
                None => {}
            }
            action
        };
        for (input, wait, jitter) in inputs {
            now += Duration::from_secs(wait);
            feed(&mut job, now, input, jitter, &mut alive);
            prop_assert!(alive || job.deadline().is_some());
        }
        if feed(&mut job, now, Input::Stop, 0, &mut alive) != Some(Action::End) {
            prop_assert_eq!(feed(&mut job, now, Input::Exited(Exit::Failed), 0, &mut alive), Some(Action::End));
        }
        prop_assert_eq!(job.state(), State::Ended);
    }
}

#[test]
fn a_clock_that_goes_on_without_output_is_no_progress() {
    let mut job = started(s(0));
    for second in 1..50 {
        assert_eq!(job.step(s(second), Input::Progress(told(second as i64)), 0), None, "{second}");
        assert_eq!(job.step(s(second), Input::Tick, 0), None, "{second}");
    }
    assert_eq!(job.deadline(), Some(s(50)));
    assert_eq!(job.step(s(50), Input::Tick, 0), Some(Action::Kill("no progress")));
    // Output keeps the job alive, whatever progress the process reports.
    let mut job = started(s(0));
    for second in 1..200 {
        job.step(s(second), Input::Progress(Work { told: None, bytes: second }), 0);
        assert_eq!(job.step(s(second), Input::Tick, 0), None, "{second}");
    }
}

#[test]
fn another_run_of_the_input_begins_without_a_pause() {
    let mut job = started(s(0));
    assert_eq!(job.step(s(30), Input::Exited(Exit::Renewed), 0), None);
    assert_eq!(job.step(s(30), Input::Tick, 0), Some(Action::Start));
    job.step(s(30), Input::Started, 0);
    // A second new run within a second is a failure: somebody plays with the input.
    assert_eq!(job.step(s(31), Input::Exited(Exit::Renewed), 0), None);
    assert_eq!(job.deadline(), Some(s(32)));
}
