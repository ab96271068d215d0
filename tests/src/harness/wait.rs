//! Waiting for a condition: the only place of the tests that sleeps.

use std::time::{Duration, Instant};

use super::{sanitized, valgrind};

/// What a condition gives: a `bool`, or the thing waited for.
pub trait Condition {
    /// The thing waited for.
    type Found;

    /// It, or `None` when it is not there yet.
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

/// Asks `condition` until it holds, and panics with `what` when it does not within `seconds`.
#[track_caller]
pub fn until<C: Condition>(what: &str, seconds: f64, condition: impl FnMut() -> C) -> C::Found {
    match until_ok(seconds, condition) {
        Some(found) => found,
        None => panic!("waited {seconds} s in vain: {what}"),
    }
}

/// Asks `condition` until it holds; `None` when it does not within `seconds`, or several times as long where nginx is watched.
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

fn patience(seconds: f64) -> f64 {
    sanitized::patience(valgrind::patience(seconds))
}
