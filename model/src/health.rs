//! Reasons for `degraded` in `GET /v1/health`.

/// The share of the zone in use, in percent, at which the zone counts as nearly full.
///
/// The API creates keys and targets until an eighth of the zone is left for streams, so this is less than seven eighths.
const NEARLY_FULL: u64 = 85;

/// A reason. Displays as the sentence in `reasons`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The event loop of a worker hangs.
    #[error("worker {pid} has been stuck for {ms} ms")]
    StuckWorker {
        /// Its process id.
        pid: u32,
        /// For how long, in milliseconds.
        ms: u64,
    },
    /// The zone is nearly full.
    #[error("the zone is {percent} % full")]
    ZoneFull {
        /// The share in use, in percent.
        percent: u64,
    },
    /// More viewers watch over HTTP than the zone can count.
    #[error("more viewers than the zone can count: the counts are too low, use a larger \"weir_zone\"")]
    ViewersSaturated,
    /// The last write of the state file failed.
    #[error("the state file cannot be written: no key or target can be added, changed or removed for good")]
    StateFile,
    /// `weir_min_free` stops HLS, DASH and `record` of an application.
    #[error("less than \"weir_min_free\" is free: application \"{app}\" writes no files")]
    DiskFull {
        /// The application.
        app: String,
    },
    /// The file system of a folder of an application does not answer.
    #[error("a file system does not answer: application \"{app}\" writes no files")]
    DiskSilent {
        /// The application.
        app: String,
    },
}

impl Reason {
    /// Returns the reason of a nearly full zone, of which `used` of `all` bytes are in use, or `None`.
    pub fn of_zone(used: u64, all: u64) -> Option<Reason> {
        (used * 100 >= all * NEARLY_FULL).then(|| Reason::ZoneFull { percent: used * 100 / all.max(1) })
    }

    /// Returns one reason of each kind, for the documentation's test.
    pub fn one_of_each() -> [Reason; 6] {
        // A new kind does not compile until it is added here and below.
        match Reason::StateFile {
            Reason::StuckWorker { .. }
            | Reason::ZoneFull { .. }
            | Reason::ViewersSaturated
            | Reason::StateFile
            | Reason::DiskFull { .. }
            | Reason::DiskSilent { .. } => [
                Reason::StuckWorker { pid: 27439, ms: 2410 },
                Reason::ZoneFull { percent: 91 },
                Reason::ViewersSaturated,
                Reason::StateFile,
                Reason::DiskFull { app: "live".into() },
                Reason::DiskSilent { app: "live".into() },
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_nearly_full_from_85_percent_on() {
        assert_eq!(Reason::of_zone(849, 1000), None);
        assert_eq!(Reason::of_zone(850, 1000), Some(Reason::ZoneFull { percent: 85 }));
        assert_eq!(Reason::of_zone(1000, 1000), Some(Reason::ZoneFull { percent: 100 }));
        assert_eq!(Reason::of_zone(1, 0), Some(Reason::ZoneFull { percent: 100 }));
    }
}
