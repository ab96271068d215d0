//! One of a list becomes what it is on another node.

/// Why it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is not there any more.
    Gone,
    /// It is another one than was seen.
    Other,
}

/// The one that `is_it` finds becomes `is`, unless it is not `was`. Returns whether anything has changed.
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
