//! `[[stream]]`: the renditions of streams, and their delivery to viewers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use weir_model::AppName;

use super::check::{Checked, Problem, Unfit, absolute, parsed, problem, text_or, time};
use super::pattern::{NamePattern, pattern};
use super::rungs::Ladder;

pub(in crate::config) mod raw {
    use serde::Deserialize;

    use crate::config::check::Text;

    /// `[[stream]]`
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub(crate) struct Stream {
        pub app: Text,
        pub stream: Text,
        pub ladder: Text,
        pub deliver: Text,
        pub folder: Text,
        pub segment: Text,
        pub window: Text,
        pub linger: Text,
        pub keep: Text,
        pub to_app: Text,
        pub secret_file: Text,
    }
}

/// A rule: the renditions of certain streams.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rule {
    /// Application of nginx-rtmp.
    pub app: AppName,
    /// Streams of the application.
    pub stream: NamePattern,
    /// The renditions.
    pub ladder: Ladder,
    /// Delivery of the renditions.
    pub delivery: Delivery,
}

/// Returns, for the name of a rendition, its rule, its source stream and its rung; `None` if the stream is no rendition.
pub(crate) fn rendition_of<'a>(
    rules: &'a [Rule],
    app: &str,
    name: &'a str,
) -> Option<(&'a Rule, &'a str, &'a str)> {
    let (source, rung) = name.rsplit_once('_')?;
    let makes = |rule: &&Rule| {
        matches!(&rule.delivery, Delivery::Rtmp(to) if to.app.as_str() == app)
            && rule.stream.fits(source)
            && rule.ladder.rungs.iter().any(|known| known.name == rung)
    };
    rules.iter().find(makes).map(|rule| (rule, source, rung))
}

/// Delivery of renditions to viewers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// `deliver = "files"`
    Files(Files),
    /// `deliver = "rtmp"`
    Rtmp(ToRtmp),
}

/// HLS and DASH as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Files {
    /// Folder; the files of a stream are in `FOLDER/APP/NAME/`.
    pub folder: PathBuf,
    /// Minimum length of a segment; a segment ends at the next keyframe.
    pub segment: Duration,
    /// Duration that a playlist covers.
    pub window: Duration,
    /// Time within which a publisher may reconnect without interrupting its viewers.
    pub linger: Duration,
    /// Time that the files of an ended stream are kept.
    pub keep: Duration,
}

/// Renditions published as `NAME_RUNG`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToRtmp {
    /// Application to publish to.
    pub app: AppName,
    /// nginx's `weir_secret`; Weir mints publish tokens with it.
    pub secret_file: PathBuf,
}

/// Checks a rule. `secret` is the `secret_file` of `[nginx]`.
pub(super) fn rule(
    written: Spanned<raw::Stream>,
    ladders: &BTreeMap<String, Ladder>,
    secret: Option<&Path>,
) -> Checked<Rule> {
    let here = Spanned::new(written.span(), ());
    let raw = written.into_inner();
    let missing = |key: &str, example: &str| Problem {
        at: here.span().start,
        what: format!("[[stream]]: {key} is missing, such as {key} = {example}"),
    };
    let app: Option<AppName> = text_or("app", &raw.app, || None, |text| parsed(text).map(Some))?;
    let app = app.ok_or_else(|| missing("app", "\"live\""))?;
    let stream = text_or("stream", &raw.stream, || None, |text| pattern(text).map(Some))?;
    let stream = stream.ok_or_else(|| missing("stream", "\"*\""))?;
    let ladder = text_or(
        "ladder",
        &raw.ladder,
        || None,
        |text| match ladders.get(text) {
            Some(ladder) => Ok(Some(ladder.clone())),
            None => Err(Unfit::Unknown(format!("ladder.{text}"))),
        },
    )?;
    let ladder = ladder.ok_or_else(|| missing("ladder", "\"two\", and [ladder.two] beside it"))?;
    let to_files = match raw.deliver.as_ref().map(|text| (text, text.get_ref().as_str())) {
        None | Some((_, "files")) => true,
        Some((_, "rtmp")) => false,
        Some((text, other)) => {
            return problem(text, format!("deliver = {other:?}: must be \"files\" or \"rtmp\""));
        }
    };
    only_what_belongs(&raw, to_files)?;
    let delivery = if to_files {
        let folder = text_or("folder", &raw.folder, || "/var/lib/weir/media".into(), absolute)?;
        let segment = time("segment", &raw.segment, 2, 1, 30)?;
        let window = time("window", &raw.window, 20, 4, 86_400)?;
        if window < segment * 3 {
            let at = raw.window.as_ref().or(raw.segment.as_ref()).map_or(0, |text| text.span().start);
            return Err(Problem { at, what: "window: must be at least three times segment".into() });
        }
        let linger = time("linger", &raw.linger, 10, 0, 600)?;
        Delivery::Files(Files {
            folder,
            segment,
            window,
            linger,
            keep: time("keep", &raw.keep, 60, 0, 86_400)?,
        })
    } else {
        Delivery::Rtmp(
            to_rtmp(&raw, &app, secret)?.ok_or_else(|| missing("to_app", "\"ladder\" (and secret_file)"))?,
        )
    };
    Ok(Rule { app, stream, ladder, delivery })
}

fn to_rtmp(raw: &raw::Stream, from: &AppName, secret: Option<&Path>) -> Checked<Option<ToRtmp>> {
    let app: Option<AppName> = text_or("to_app", &raw.to_app, || None, |text| parsed(text).map(Some))?;
    let default = || secret.map(Path::to_owned);
    let secret = text_or("secret_file", &raw.secret_file, default, |text| absolute(text).map(Some))?;
    let (Some(app), Some(secret_file)) = (app, secret) else { return Ok(None) };
    if app == *from {
        let at = raw.to_app.as_ref().map_or(0, |text| text.span().start);
        let what = format!(
            "to_app = \"{app}\": renditions would be transcoded again; another application is needed"
        );
        return Err(Problem { at, what });
    }
    Ok(Some(ToRtmp { app, secret_file }))
}

/// Rejects keys of the other delivery: a key without effect is a mistake.
fn only_what_belongs(raw: &raw::Stream, to_files: bool) -> Checked<()> {
    let of_files = [
        ("folder", &raw.folder),
        ("segment", &raw.segment),
        ("window", &raw.window),
        ("linger", &raw.linger),
        ("keep", &raw.keep),
    ];
    let of_rtmp = [("to_app", &raw.to_app), ("secret_file", &raw.secret_file)];
    let (foreign, other) = if to_files { (&of_rtmp[..], "rtmp") } else { (&of_files[..], "files") };
    for (key, value) in foreign {
        if let Some(value) = value {
            return problem(value, format!("{key}: only goes with deliver = \"{other}\""));
        }
    }
    Ok(())
}
