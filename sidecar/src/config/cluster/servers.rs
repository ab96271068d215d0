//! `rtmp` of `[edge]`: the nginx of each origin.

use weir_rtmp::url::DEFAULT_PORT;

use crate::config::RtmpServer;
use crate::config::check::{Checked, Problem};
use crate::config::nginx::rtmp_server;

/// Returns the RTMP server of each origin, by its host. An origin without one in `given`, from byte `at` of the file on, has it on its own
/// host.
pub(super) fn of_origins(at: usize, given: &[String], origins: Vec<String>) -> Checked<Vec<RtmpServer>> {
    let default = |host: String| {
        let host = match host.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => host.to_owned(),
            _ => host,
        };
        RtmpServer { host, port: DEFAULT_PORT }
    };
    if given.len() > origins.len() {
        let what = "rtmp: names more servers than origin has addresses".to_owned();
        return Err(Problem { at, what });
    }
    let server = |(nth, origin): (usize, String)| match given.get(nth) {
        Some(text) => {
            rtmp_server(text).map_err(|why| Problem { at, what: format!("rtmp = {text:?}: {why}") })
        }
        None => Ok(default(origin)),
    };
    origins.into_iter().enumerate().map(server).collect()
}
