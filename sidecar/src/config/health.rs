//! `[health]`: the time after which Weir kills nginx workers that hang.

use std::time::Duration;

use super::check::{Checked, Text, time};

pub(in crate::config) mod raw {
    use serde::Deserialize;

    use crate::config::check::Text;

    /// `[health]`
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub(crate) struct Health {
        pub restart_stuck_worker: Text,
    }
}

/// Parses `off` or the time that a worker may hang.
pub(super) fn stuck(written: &Text) -> Checked<Option<Duration>> {
    match written {
        None => Ok(None),
        Some(text) if text.get_ref() == "off" => Ok(None),
        Some(_) => time("restart_stuck_worker", written, 30, 5, 600).map(Some),
    }
}
