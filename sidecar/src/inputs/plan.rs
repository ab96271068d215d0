//! Decides which jobs must run, from the configuration and the due inputs.

use std::collections::BTreeSet;

use crate::config::input::Input;
use crate::config::{Config, RtmpServer};
use crate::streams::StreamId;

/// One ffmpeg that publishes a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InputJob {
    /// `APP/NAME/input`.
    pub id: String,
    /// The `[[input]]` that the job runs.
    pub input: Input,
    /// Server of the publish.
    pub server: RtmpServer,
}

impl InputJob {
    /// Returns `APP/NAME`.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.input.app, self.input.stream)
    }
}

/// Returns the jobs of the due inputs.
pub(crate) fn plan(config: &Config, due: &BTreeSet<StreamId>) -> Vec<InputJob> {
    let is_due = |input: &&Input| due.contains(&(input.app.clone(), input.stream.clone()));
    let job = |input: &Input| InputJob {
        id: format!("{}/{}/input", input.app, input.stream),
        input: input.clone(),
        server: config.nginx.rtmp.clone(),
    };
    config.inputs.iter().filter(is_due).map(job).collect()
}
