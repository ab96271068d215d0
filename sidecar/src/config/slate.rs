//! `[slate]`: the image or clip that viewers see while a publisher is lost.

use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_model::AppName;

use super::check::{Checked, absolute, problem, text_or, time};
use super::pattern::{NamePattern, streams};

pub(in crate::config) mod raw;

/// An image or clip that replaces a lost publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slate {
    /// Applications, and the streams of each.
    pub streams: Vec<(AppName, NamePattern)>,
    /// Image or clip.
    pub file: PathBuf,
    /// Time after the loss during which the slate runs.
    pub time: Duration,
    /// nginx's `weir_secret`; Weir mints publish tokens with it.
    pub secret_file: PathBuf,
    /// Folder for converted files: the file as FLV, one per frame size in use.
    pub folder: PathBuf,
}

impl Slate {
    /// Returns whether the slate replaces a lost publisher of this stream.
    pub(crate) fn fits(&self, app: &str, name: &str) -> bool {
        self.streams.iter().any(|(of, pattern)| of.as_str() == app && pattern.fits(name))
    }
}

/// Checks `[slate]`; returns `None` if it has no `streams`. `secret` is the `secret_file` of `[nginx]`.
pub(super) fn slate(raw: raw::Slate, secret: Option<&Path>) -> Checked<Option<Slate>> {
    let Some(written) = raw.streams else {
        return match [raw.file, raw.r#for, raw.secret_file, raw.folder].into_iter().flatten().next() {
            // A key without effect is a mistake.
            Some(text) => problem(&text, "[slate]: streams are missing, such as streams = [\"live/*\"]"),
            None => Ok(None),
        };
    };
    let path = |key: &str, text, example: &str| {
        let path = text_or(key, text, || None, |text| absolute(text).map(Some))?;
        path.map_or_else(|| problem(&written, format!("{key} is missing, such as {key} = {example:?}")), Ok)
    };
    Ok(Some(Slate {
        streams: written.get_ref().iter().map(streams).collect::<Checked<_>>()?,
        file: path("file", &raw.file, "/etc/weir/slate.png")?,
        time: time("for", &raw.r#for, 60, 1, 86_400)?,
        secret_file: match secret {
            Some(secret) => text_or("secret_file", &raw.secret_file, || secret.to_owned(), absolute)?,
            None => path("secret_file", &raw.secret_file, "/etc/weir/secret")?,
        },
        folder: text_or("folder", &raw.folder, || "/var/lib/weir/slate".into(), absolute)?,
    }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Error, parse};

    fn read(text: &str) -> Result<Option<Slate>, Error> {
        let text = format!("[slate]\n{text}");
        parse(Path::new("weir.toml"), &text).map(|config| config.slate)
    }

    #[test]
    fn streams_and_what_is_shown_for_them() {
        assert_eq!(read(""), Ok(None));
        let text =
            "streams = [\"live/*\", \"a/b/show\"]\nfile = \"/s.png\"\nsecret_file = \"/s\"\nfor = \"2m\"\n";
        let slate = read(text).unwrap().unwrap();
        assert!(slate.fits("live", "any") && slate.fits("a/b", "show"));
        assert!(!slate.fits("a/b", "other") && !slate.fits("ladder", "show"));
        assert_eq!(slate.time, Duration::from_secs(120));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, why) in [
            ("file = \"/s.png\"\n", "weir.toml:2: [slate]: streams are missing"),
            ("streams = [\"live\"]\n", "weir.toml:2: streams: \"live\": write APP/NAME"),
            ("streams = [\"live/a b\"]\n", "weir.toml:2: streams: \"live/a b\""),
            (
                "streams = [\"live/*\"]\n",
                "weir.toml:2: file is missing, such as file = \"/etc/weir/slate.png\"",
            ),
            ("streams = [\"live/*\"]\nfile = \"/s.png\"\n", "secret_file is missing"),
            ("streams = [\"live/*\"]\nfile = \"s.png\"\n", "weir.toml:3: file = \"s.png\""),
            (
                "streams = [\"live/*\"]\nfile = \"/s\"\nsecret_file = \"/s\"\nfor = \"0s\"\n",
                "weir.toml:5: for",
            ),
            ("picture = \"/s.png\"\n", "picture"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
