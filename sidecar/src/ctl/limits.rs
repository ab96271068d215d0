//! Limits of the module, in the units of the command line.

use super::Error;
use crate::values::Span;

/// Refuses a duration of an option that exceeds the module's limit.
pub(super) fn check_at_most(option: &str, given: Option<Span>, most_s: u64) -> Result<(), Error> {
    match given.filter(|given| given.seconds() > most_s) {
        Some(given) => Err(Error::Usage(format!("{option} {given}: at most {}", Span::of(most_s)))),
        None => Ok(()),
    }
}
