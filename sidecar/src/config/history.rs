//! `[history]`: the file of the history, and the retention time.

use std::path::PathBuf;
use std::time::Duration;

use super::check::{Checked, absolute, text_or, time};

const DAY: u64 = 86_400;

pub(in crate::config) mod raw {
    use serde::Deserialize;

    use crate::config::check::Text;

    /// `[history]`
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub(crate) struct History {
        pub file: Text,
        pub keep: Text,
    }
}

/// File of the history, and the retention time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct History {
    /// Database; `None` if it is `"off"`.
    pub file: Option<PathBuf>,
    /// Retention time; older entries are removed.
    pub keep: Duration,
}

pub(super) fn history(raw: raw::History) -> Checked<History> {
    let file = |text: &str| if text == "off" { Ok(None) } else { absolute(text).map(Some) };
    Ok(History {
        file: text_or("file", &raw.file, || Some("/var/lib/weir/history.db".into()), file)?,
        keep: time("keep", &raw.keep, 400 * DAY, DAY, 36_500 * DAY)?,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse;

    #[test]
    fn defaults_values_and_mistakes() {
        let read = |text: &str| {
            parse(Path::new("weir.toml"), text)
                .map(|config| config.history)
                .map_err(|error| error.to_string())
        };
        let keep = Duration::from_secs(400 * DAY);
        assert_eq!(read(""), Ok(History { file: Some("/var/lib/weir/history.db".into()), keep }));
        assert_eq!(read("[history]\nfile = \"off\"\n"), Ok(History { file: None, keep }));
        for (text, why) in [
            ("file = \"history.db\"", "weir.toml:2: file = \"history.db\": write a path that begins with /"),
            ("keep = \"1h\"", "weir.toml:2: keep = \"1h\": must be from 1d to 36500d"),
            ("days = 1", "weir.toml:2: unknown field `days`"),
        ] {
            let error = read(&format!("[history]\n{text}\n")).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
