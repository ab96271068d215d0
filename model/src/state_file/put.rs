//! Replaces an entry of a list with its form on another node.

/// Why an entry is not replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The entry does not exist any more.
    Gone,
    /// The entry has changed.
    Other,
}

/// Replaces the entry that `is_it` finds with `is`, if the entry equals `was`. Returns whether anything has changed.
pub(super) fn put<T: Clone + PartialEq>(
    list: &mut Vec<T>,
    is_it: impl Fn(&T) -> bool,
    was: Option<&T>,
    is: &T,
) -> Result<bool, Refused> {
    let here = list.iter_mut().find(|one| is_it(one));
    match here {
        Some(here) if here == is => Ok(false),
        Some(here) if Some(&*here) == was => {
            here.clone_from(is);
            Ok(true)
        }
        Some(_) => Err(Refused::Other),
        None if was.is_some() => Err(Refused::Gone),
        None => {
            list.push(is.clone());
            Ok(true)
        }
    }
}
