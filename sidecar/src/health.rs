//! Health checks for keepalived, and its notices.
//!
//! # Layout
//!
//! - `rtmp`, `http`, `hls`, `node`: one check each, which [`check`] runs with a time limit
//! - `web`: HTTP for the checks; `hls/playlist`: parses a playlist
//! - [`notice`](Notice): a notice of keepalived, from the arguments of a script or a line of its FIFO
//! - [`pushes`]: enables or disables push targets
//! - [`turn`]: scripts that run at the same time determine which of them is the newest
//! - [`fifo`]: follows keepalived's notify FIFO

use std::cell::Cell;
use std::time::Duration;

#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod fifo;
mod hls;
mod http;
mod node;
mod notice;
pub(crate) mod pushes;
mod rtmp;
pub(crate) mod turn;
mod web;

pub(crate) use hls::check as hls;
pub(crate) use http::check as http;
pub(crate) use node::check as node;
pub(crate) use node::full as full_disks;
pub(crate) use notice::{Notice, NoticeError, Role};
pub(crate) use rtmp::check as rtmp;
pub(crate) use web::{Papers, WebUrl};

/// Reason why something is not healthy, on one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{subject}: {why}")]
pub(crate) struct Unhealthy {
    /// The checked object, without secrets.
    subject: String,
    why: String,
}

/// The step that a check waits for. Its name is part of the error if the time is over.
pub(crate) struct Step(Cell<&'static str>);

impl Step {
    /// Sets the current step.
    fn is(&self, what: &'static str) {
        self.0.set(what);
    }
}

/// Runs a check for at most `limit`. Returns a few words about the result, or the reason why the object is not healthy.
pub(crate) async fn check<E: ToString>(
    subject: &str,
    limit: Duration,
    look: impl AsyncFnOnce(&Step) -> Result<String, E>,
) -> Result<String, Unhealthy> {
    let step = Step(Cell::new("result"));
    let found = match tokio::time::timeout(limit, look(&step)).await {
        Ok(found) => found.map_err(|why| why.to_string()),
        Err(_) => Err(format!("no {} within {}", step.0.get(), shown(limit))),
    };
    match found {
        Ok(found) => Ok(format!("{subject}: {found}")),
        // A server's message may have more than one line.
        Err(why) => {
            Err(Unhealthy { subject: subject.to_owned(), why: weir_model::text::clean(&why).into_owned() })
        }
    }
}

/// Returns a time in the syntax of options.
fn shown(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{} s", time.as_secs()),
        _ => format!("{} ms", time.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_check_ends_in_time_and_says_what_it_waited_for() {
        let limit = Duration::from_millis(30);
        let stuck = check("rtmp://h/live", limit, async |step| {
            step.is("answer");
            std::future::pending::<Result<String, &str>>().await
        });
        assert_eq!(stuck.await.unwrap_err().to_string(), "rtmp://h/live: no answer within 30 ms");
        let said = check("x", limit, async |_| Err("one\nline")).await;
        assert_eq!(said.unwrap_err().to_string(), "x: one line");
        assert_eq!(check("x", limit, async |_| Ok::<_, &str>("up".into())).await.unwrap(), "x: up");
    }
}
