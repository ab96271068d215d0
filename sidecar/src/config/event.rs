//! `[[event]]`: planned events, for the public pages.

use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use weir_model::{AppName, StreamName, Timestamp};

use super::check::{Checked, Unfit, absolute, parsed, problem, text_or, time};

/// Maximum length of a title and of a description, in characters.
const MOST_TITLE: usize = 200;
const MOST_DESCRIPTION: usize = 4000;

pub(in crate::config) mod raw {
    use serde::Deserialize;

    use crate::config::check::Text;

    /// `[[event]]`
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub(crate) struct Event {
        pub app: Text,
        pub stream: Text,
        pub title: Text,
        pub start: Text,
        pub length: Text,
        pub description: Text,
        pub poster: Text,
    }
}

/// A planned event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlannedEvent {
    /// Application of nginx-rtmp.
    pub app: AppName,
    /// Public name of the stream.
    pub stream: StreamName,
    /// Title.
    pub title: String,
    /// Start time.
    pub start: Timestamp,
    /// Duration, for calendars.
    pub length: Duration,
    /// Description; may be empty.
    pub description: String,
    /// Image file.
    pub poster: Option<PathBuf>,
}

/// Checks all events and sorts them by start time.
pub(super) fn events(raw: Vec<Spanned<raw::Event>>) -> Checked<Vec<PlannedEvent>> {
    let mut events = raw.into_iter().map(event).collect::<Checked<Vec<_>>>()?;
    events.sort_by_key(|event| event.start);
    Ok(events)
}

fn event(written: Spanned<raw::Event>) -> Checked<PlannedEvent> {
    let here = written.span();
    let raw = written.into_inner();
    let missing = |key: &str, example: &str| {
        problem(
            &Spanned::new(here.clone(), ()),
            format!("[[event]]: {key} is missing, such as {key} = {example:?}"),
        )
    };
    let Some(app) = &raw.app else { return missing("app", "live") };
    let Some(stream) = &raw.stream else { return missing("stream", "show") };
    let Some(title) = &raw.title else { return missing("title", "Sunday service") };
    let Some(start) = &raw.start else { return missing("start", "2026-12-24T18:00:00+01:00") };
    let short = |most: usize| {
        move |text: &str| match text.chars().count() {
            count if count <= most => Ok(text.to_owned()),
            _ => Err(Unfit::Value(format!("must have at most {most} characters"))),
        }
    };
    let start = text_or("start", &Some(start.clone()), Timestamp::default, |text| {
        text.parse()
            .map_err(|_| Unfit::Remedy("write it as 2026-12-24T18:00:00Z or 2026-12-24T19:00:00+01:00"))
    })?;
    let app: AppName = parsed(app.get_ref())
        .or_else(|why: Unfit| problem(app, format!("app = {:?}: {why}", app.get_ref())))?;
    let stream: StreamName = parsed(stream.get_ref())
        .or_else(|why: Unfit| problem(stream, format!("stream = {:?}: {why}", stream.get_ref())))?;
    Ok(PlannedEvent {
        app,
        stream,
        title: text_or("title", &Some(title.clone()), String::new, short(MOST_TITLE))?,
        start,
        length: time("length", &raw.length, 7200, 60, 30 * 86_400)?,
        description: text_or("description", &raw.description, String::new, short(MOST_DESCRIPTION))?,
        poster: text_or("poster", &raw.poster, || None, |text| absolute(text).map(Some))?,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::parse;

    #[test]
    fn what_comes_next_and_what_is_wrong_with_it() {
        let read = |text: &str| {
            parse(Path::new("weir.toml"), text).map(|config| config.events).map_err(|error| error.to_string())
        };
        let good = "[[event]]\napp = \"live\"\nstream = \"show\"\ntitle = \"A\"\nstart = \"2026-12-24T19:00:00+01:00\"\n";
        let events = read(&format!("{good}{}", good.replace("24T", "23T"))).unwrap();
        assert_eq!(events[1].start.to_string(), "2026-12-24T18:00:00Z");
        assert!(events[0].start < events[1].start);
        for (from, to, why) in [
            (
                "title = \"A\"\n",
                "",
                "weir.toml:1: [[event]]: title is missing, such as title = \"Sunday service\"",
            ),
            (
                "2026-12-24T19:00:00+01:00",
                "tomorrow",
                "weir.toml:5: start = \"tomorrow\": write it as 2026-12-24T18:00:00Z",
            ),
            ("\"show\"", "\"../x\"", "weir.toml:3: stream = \"../x\": "),
        ] {
            let error = read(&good.replace(from, to)).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
