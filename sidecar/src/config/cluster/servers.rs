//! `rtmp` of `[edge]`: the nginx of each origin.

use toml::Spanned;
use weir_model::link::Base;
use weir_rtmp::url::DEFAULT_PORT;

use super::{host_of, raw};
use crate::config::RtmpServer;
use crate::config::check::{Checked, Problem};
use crate::config::nginx::rtmp_server;

/// Returns the RTMP server of each origin. An origin without one in `written` has it on its own host.
pub(super) fn of_origins(
    written: Option<&Spanned<raw::Origins>>,
    origins: &[Base],
) -> Checked<Vec<RtmpServer>> {
    let default = |origin: &Base| {
        let host = host_of(origin);
        let host = match host.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => host.to_owned(),
            _ => host,
        };
        RtmpServer { host, port: DEFAULT_PORT }
    };
    let at = written.map_or(0, |servers| servers.span().start);
    let given = written.map_or(&[][..], |servers| servers.get_ref().all());
    if given.len() > origins.len() {
        let what = "rtmp: names more servers than origin has addresses".to_owned();
        return Err(Problem { at, what });
    }
    let server = |(nth, origin): (usize, &Base)| match given.get(nth) {
        Some(text) => {
            rtmp_server(text).map_err(|why| Problem { at, what: format!("rtmp = {text:?}: {why}") })
        }
        None => Ok(default(origin)),
    };
    origins.iter().enumerate().map(server).collect()
}
