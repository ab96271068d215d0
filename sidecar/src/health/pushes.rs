//! The push targets of a restream server, taken over or released.

use std::fmt;
use std::time::Duration;

use super::Role;
use crate::nginx::{self, Nginx, Target};
use crate::values::vrrp::Selection;

/// The first and the longest pause before the API is asked again.
pub const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

fn has(selection: &Selection, target: &Target) -> bool {
    match selection {
        Selection::All => true,
        Selection::Note(note) => target.note.as_ref() == Some(note),
        Selection::Ids(ids) => ids.contains(&target.id),
    }
}

/// What was changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Targets that were not as they should be, and are now.
    pub changed: usize,
    /// Targets that already had the state.
    pub kept: usize,
    /// Ids of targets that the API does not let be changed: those of nginx.conf.
    pub fixed: Vec<String>,
    /// All pushes of a node of a pair were held or let go, and no target was changed.
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

/// Enables the selected targets, or disables them; others are not touched. A node of a pair has the same targets as the other
/// one, and holds all of its pushes instead.
pub async fn bring(nginx: &Nginx, selection: &Selection, role: Role) -> Result<Changed, nginx::Error> {
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
            // Removed since it was listed.
            Err(nginx::Error::Refused { code, .. }) if code == "not_found" => {}
            Err(nginx::Error::Refused { code, .. }) if code == "conflict" => outcome.fixed.push(target.id),
            Err(error) => return Err(error),
        }
    }
    Ok(outcome)
}

/// Whether the same question may be answered otherwise in a while.
pub fn is_transient(error: &nginx::Error) -> bool {
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
