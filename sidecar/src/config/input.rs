//! `[[input]]`: streams that the daemon fetches or receives and publishes, without an encoder.

use std::path::{Path, PathBuf};

use toml::Spanned;
use weir_model::{AppName, StreamName};

use super::check::{Checked, Problem, Unfit, absolute, parsed, problem, text_or};

mod source;
#[cfg(test)]
mod tests;

pub(crate) use source::{Remote, Source, Transport};

pub(in crate::config) mod raw {
    use serde::Deserialize;

    use crate::config::check::Text;

    /// `[[input]]`
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub(crate) struct Input {
        pub app: Text,
        pub stream: Text,
        pub url: Text,
        pub start: Text,
        pub transcode: bool,
        pub secret_file: Text,
        pub streamid: Text,
    }
}

/// A stream that the daemon fetches and publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Input {
    /// Application of nginx-rtmp to publish to.
    pub app: AppName,
    /// Public name to publish as.
    pub stream: StreamName,
    /// Source of the stream.
    pub source: Source,
    /// Times at which the input runs.
    pub start: Start,
    /// H.264 and AAC are made of whatever it is; otherwise nothing is decoded.
    pub transcode: bool,
    /// The sender's `streamid` is the stream key to publish with.
    pub is_keyed: bool,
    /// nginx's `weir_secret`: publish tokens are minted with it.
    pub secret_file: PathBuf,
}

/// Times at which an input runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// All the time.
    Always,
    /// Runs while the stream has viewers.
    OnDemand,
    /// Runs daily from one minute of the local day to another, which may be on the next day.
    Daily {
        /// First minute, 0 to 1439.
        from: u16,
        /// Minute by which the input has ended, 0 to 1439.
        until: u16,
    },
}

impl Start {
    /// Returns whether the input runs at this minute of the day; false for [`Start::OnDemand`].
    pub(crate) fn is_due(self, minute: u16) -> bool {
        match self {
            Self::Always => true,
            Self::OnDemand => false,
            Self::Daily { from, until } if from < until => (from..until).contains(&minute),
            Self::Daily { from, until } => minute >= from || minute < until,
        }
    }
}

/// Checks all inputs. `secret` is the `secret_file` of `[nginx]`.
pub(super) fn inputs(written: Vec<Spanned<raw::Input>>, secret: Option<&Path>) -> Checked<Vec<Input>> {
    let mut inputs: Vec<Input> = Vec::new();
    for raw in written {
        let at = raw.span().start;
        let next = input(raw, secret)?;
        if inputs.iter().any(|known| (&known.app, &known.stream) == (&next.app, &next.stream)) {
            let what = format!(
                "[[input]]: stream = \"{}\" of app = \"{}\" has an input already: each needs a stream of its own",
                next.stream, next.app
            );
            return Err(Problem { at, what });
        }
        if let Some(other) = inputs.iter().find(|known| share_a_port(known, &next)) {
            let what = format!(
                "[[input]]: url: the input of \"{}\" of app = \"{}\" receives at the same address: each needs a port of its own",
                other.stream, other.app
            );
            return Err(Problem { at, what });
        }
        inputs.push(next);
    }
    Ok(inputs)
}

/// Returns whether both inputs wait for senders at the same address while one of them always runs.
fn share_a_port(one: &Input, other: &Input) -> bool {
    let place = |input: &Input| match &input.source {
        Source::Remote(remote) if remote.waits => {
            let url = remote.url.expose();
            Some(url.split('?').next().unwrap_or(url).trim_end_matches('/').to_owned())
        }
        _ => None,
    };
    (one.start == Start::Always || other.start == Start::Always)
        && place(one).is_some_and(|here| Some(here) == place(other))
}

fn input(written: Spanned<raw::Input>, secret: Option<&Path>) -> Checked<Input> {
    let at = written.span().start;
    let raw = written.into_inner();
    let missing = |key: &str, example: &str| Problem {
        at,
        what: format!("[[input]]: {key} is missing, such as {key} = {example:?}"),
    };
    let app = text_or("app", &raw.app, || None, |text| parsed(text).map(Some))?;
    let stream = text_or("stream", &raw.stream, || None, |text| parsed(text).map(Some))?;
    let source = match &raw.url {
        None => None,
        // The URL may contain a password, so the error does not repeat it.
        Some(text) => Some(
            source::source(text.get_ref(), app.as_ref(), stream.as_ref())
                .or_else(|why| problem(text, format!("url: {why}")))?,
        ),
    };
    if let (true, Some(Source::Node(_))) = (raw.transcode, &source) {
        let what = "[[input]]: transcode = true: a stream of another node comes as it is; transcode it with a ladder";
        return Err(Problem { at, what: what.into() });
    }
    let is_keyed = text_or("streamid", &raw.streamid, || false, streamid)?;
    let takes_senders =
        matches!(&source, Some(Source::Remote(remote)) if remote.transport == Transport::Srt && remote.waits);
    if is_keyed && !takes_senders {
        let what = "[[input]]: streamid = \"key\": only an SRT listener has it, such as url = \"srt://:9000?mode=listener\"";
        return Err(Problem { at, what: what.into() });
    }
    let default = || secret.map(Path::to_owned);
    let secret_file = text_or("secret_file", &raw.secret_file, default, |text| absolute(text).map(Some))?;
    Ok(Input {
        app: app.ok_or_else(|| missing("app", "live"))?,
        stream: stream.ok_or_else(|| missing("stream", "camera"))?,
        source: source.ok_or_else(|| missing("url", "rtsp://192.0.2.10/stream1"))?,
        start: text_or("start", &raw.start, || Start::Always, start)?,
        transcode: raw.transcode,
        is_keyed,
        secret_file: secret_file.ok_or_else(|| Problem {
            at,
            what: "[[input]]: secret_file is missing: write secret_file = \"/etc/weir/secret\" under [nginx], a file with the \
                   secret of weir_secret"
                .into(),
        })?,
    })
}

fn streamid(text: &str) -> Result<bool, Unfit> {
    match text {
        "key" => Ok(true),
        "any" => Ok(false),
        _ => Err(Unfit::Remedy("write \"key\": the sender's streamid must be the stream key; or \"any\"")),
    }
}

fn start(text: &str) -> Result<Start, Unfit> {
    const HOW: Unfit = Unfit::Remedy("write \"always\", \"on-demand\", or times such as \"08:00..18:30\"");
    match text {
        "always" => return Ok(Start::Always),
        "on-demand" => return Ok(Start::OnDemand),
        _ => {}
    }
    let (from, until) = text.split_once("..").ok_or(HOW)?;
    let (from, until) =
        (minute(from).ok_or(HOW)?, minute(if until == "24:00" { "00:00" } else { until }).ok_or(HOW)?);
    if from == until {
        return Err(Unfit::Remedy("begins when it ends; write \"always\" for the whole day"));
    }
    Ok(Start::Daily { from, until })
}

/// Parses `HH:MM` into minutes since midnight.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |digits: &str| {
        let fits = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        fits.then(|| digits.parse::<u16>().ok())?
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}
