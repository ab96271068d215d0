//! Waits for a condition. This is the only place of the tests that sleeps.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::{sanitized, valgrind};

/// The result of a condition: a `bool`, or the expected value.
pub trait Condition {
    /// The expected value.
    type Found;

    /// Returns the value, or `None` if the condition does not hold yet.
    fn found(self) -> Option<Self::Found>;
}

impl Condition for bool {
    type Found = ();

    fn found(self) -> Option<()> {
        self.then_some(())
    }
}

impl<T> Condition for Option<T> {
    type Found = T;

    fn found(self) -> Self {
        self
    }
}

/// Other work on the machine makes everything slower. `WEIR_EXACT=1` takes this factor away, for a machine without other work.
const SLACK: f64 = 3.0;

/// Returns the limit for a time that a test measures itself: `seconds` on a machine without other work.
pub fn limit(seconds: f64) -> Duration {
    Duration::from_secs_f64(patience(slack(seconds)))
}

fn slack(seconds: f64) -> f64 {
    static EXACT: LazyLock<bool> =
        LazyLock::new(|| std::env::var_os("WEIR_EXACT").is_some_and(|it| it == "1"));
    if *EXACT { seconds } else { seconds * SLACK }
}

/// Checks `condition` until it holds. Panics with `what` if it does not hold within `seconds` on a machine without
/// other work.
#[track_caller]
pub fn until<C: Condition>(what: &str, seconds: f64, condition: impl FnMut() -> C) -> C::Found {
    let seconds = slack(seconds);
    match until_ok(seconds, condition) {
        Some(found) => found,
        None => panic!("waited {seconds} s in vain: {what}"),
    }
}

/// Checks `condition` until it holds. Returns `None` if it does not within `seconds`, or several times as long under
/// valgrind or sanitizers.
pub fn until_ok<C: Condition>(seconds: f64, mut condition: impl FnMut() -> C) -> Option<C::Found> {
    let deadline = Instant::now() + Duration::from_secs_f64(patience(seconds));
    loop {
        if let Some(found) = condition().found() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Prints and returns the time since `begin`. Panics if it is more than `seconds` on a machine without other work.
#[track_caller]
pub fn took(what: &str, begin: Instant, seconds: f64) -> Duration {
    let took = begin.elapsed();
    println!("{what}: {took:?}");
    assert!(took.as_secs_f64() < patience(slack(seconds)), "{what}: {took:?}, and not {seconds} s");
    took
}

fn patience(seconds: f64) -> f64 {
    sanitized::patience(valgrind::patience(seconds))
}
