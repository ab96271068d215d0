//! Enables or disables the push targets of a restream server.

use std::fmt;
use std::time::Duration;

use super::Role;
use crate::nginx::{self, Nginx, Target};
use crate::values::vrrp::Selection;

/// First and longest pause before a request to the API is repeated.
pub(crate) const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

fn has(selection: &Selection, target: &Target) -> bool {
    match selection {
        Selection::All => true,
        Selection::Note(note) => target.note.as_ref() == Some(note),
        Selection::Ids(ids) => ids.contains(&target.id),
    }
}

/// Result of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Number of targets that were changed.
    pub changed: usize,
    /// Number of targets that already had the state.
    pub kept: usize,
    /// Ids of targets of nginx.conf, which the API cannot change.
    pub fixed: Vec<String>,
    /// `Some` if the node belongs to a pair: all pushes were held or released, and no target was changed.
    pub held: Option<bool>,
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(held) = self.held {
            return f.write_str(if held { "pushes held" } else { "pushes released" });
        }
        write!(f, "{} targets changed, {} unchanged", self.changed, self.kept)?;
        match self.fixed.as_slice() {
            [] => Ok(()),
            fixed => write!(f, "; cannot be changed: {}", fixed.join(", ")),
        }
    }
}

/// Enables or disables the selected targets; other targets are not touched. A node of a pair holds or releases all of its pushes instead,
/// because both nodes have the same targets.
pub(crate) async fn bring(nginx: &Nginx, selection: &Selection, role: Role) -> Result<Changed, nginx::Error> {
    let enabled = role == Role::Active;
    if nginx.pushes().await?.is_some_and(|pushes| pushes.paired) {
        nginx.hold_pushes(!enabled).await?;
        return Ok(Changed { held: Some(!enabled), ..Changed::default() });
    }
    let mut outcome = Changed::default();
    for target in nginx.targets().await?.value.targets {
        if !has(selection, &target) {
            continue;
        }
        if target.enabled == enabled {
            outcome.kept += 1;
            continue;
        }
        match nginx.enable_target(&target.id, enabled).await {
            Ok(_) => outcome.changed += 1,
            // The target was removed after the list was read.
            Err(nginx::Error::Refused { code, .. }) if code == "not_found" => {}
            Err(nginx::Error::Refused { code, .. }) if code == "conflict" => outcome.fixed.push(target.id),
            Err(error) => return Err(error),
        }
    }
    Ok(outcome)
}

/// Returns whether a later request may succeed.
pub(crate) fn is_transient(error: &nginx::Error) -> bool {
    match error {
        nginx::Error::Unreachable { .. } => true,
        nginx::Error::Refused { status, .. } | nginx::Error::NotTheApi { status, .. } => {
            status.is_server_error()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
