//! Limits of the module, said in the units that people have typed.

use super::Error;
use crate::values::Span;

/// Refuses a time that an option gives and that is longer than the module takes.
pub(super) fn check_at_most(option: &str, given: Option<Span>, most_s: u64) -> Result<(), Error> {
    match given.filter(|given| given.seconds() > most_s) {
        Some(given) => Err(Error::Usage(format!("{option} {given}: at most {}", Span::of(most_s)))),
        None => Ok(()),
    }
}
