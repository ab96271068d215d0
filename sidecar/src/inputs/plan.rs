//! The configuration and what is due to the jobs that there are to be.

use std::collections::BTreeSet;

use crate::config::input::Input;
use crate::config::{Config, RtmpServer};
use crate::streams::StreamId;

/// One ffmpeg that publishes a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputJob {
    /// `APP/NAME/input`.
    pub id: String,
    /// What it publishes.
    pub input: Input,
    /// Where to.
    pub server: RtmpServer,
}

impl InputJob {
    /// `APP/NAME`.
    pub fn path(&self) -> String {
        format!("{}/{}", self.input.app, self.input.stream)
    }
}

/// The jobs of the inputs that are due.
pub fn plan(config: &Config, due: &BTreeSet<StreamId>) -> Vec<InputJob> {
    let is_due = |input: &&Input| due.contains(&(input.app.clone(), input.stream.clone()));
    let job = |input: &Input| InputJob {
        id: format!("{}/{}/input", input.app, input.stream),
        input: input.clone(),
        server: config.nginx.rtmp.clone(),
    };
    config.inputs.iter().filter(is_due).map(job).collect()
}
