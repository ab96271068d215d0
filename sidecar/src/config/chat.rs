//! `[chat]`: the chat beside the player.

use std::path::PathBuf;
use std::time::Duration;

use weir_model::front::ChatNames;

use super::check::{Checked, Unfit, absolute, problem, text_or, time};

const DAY: u64 = 86_400;
/// Maximum number of filtered words.
const MOST_WORDS: usize = 1000;

pub(in crate::config) mod raw {
    use serde::Deserialize;
    use toml::Spanned;

    use crate::config::check::Text;

    /// `[chat]`
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub(crate) struct Chat {
        pub enabled: bool,
        pub names: Text,
        pub slow: Text,
        pub words: Option<Spanned<Vec<String>>>,
        pub file: Text,
        pub keep: Text,
    }
}

/// Settings of the chat beside the player.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chat {
    /// Whether the chat is enabled.
    pub enabled: bool,
    /// People who may write.
    pub names: ChatNames,
    /// Minimum time between two messages of one person.
    pub slow: Duration,
    /// Words that the chat replaces with stars; in lower case.
    pub words: Vec<String>,
    /// Database of messages and bans.
    pub file: PathBuf,
    /// Time that messages are kept.
    pub keep: Duration,
}

pub(super) fn chat(raw: raw::Chat) -> Checked<Chat> {
    let names = |text: &str| match text {
        "open" => Ok(ChatNames::Open),
        "token" => Ok(ChatNames::Token),
        _ => Err(Unfit::Remedy("must be \"open\" or \"token\"")),
    };
    let mut words = Vec::new();
    if let Some(written) = &raw.words {
        words = written.get_ref().iter().map(|word| word.trim().to_lowercase()).collect();
        if words.len() > MOST_WORDS || words.iter().any(String::is_empty) {
            return problem(
                written,
                format!("words: must be at most {MOST_WORDS} words, none of them empty"),
            );
        }
    }
    Ok(Chat {
        enabled: raw.enabled,
        names: text_or("names", &raw.names, || ChatNames::Open, names)?,
        slow: time("slow", &raw.slow, 0, 0, 3600)?,
        words,
        file: text_or("file", &raw.file, || "/var/lib/weir/chat.db".into(), absolute)?,
        keep: time("keep", &raw.keep, 30 * DAY, 3600, 3650 * DAY)?,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse;

    #[test]
    fn it_is_off_unless_asked_for() {
        let read = |text: &str| {
            parse(Path::new("weir.toml"), text).map(|config| config.chat).map_err(|error| error.to_string())
        };
        assert!(!read("").unwrap().enabled);
        let chat =
            read("[chat]\nenabled = true\nslow = \"5s\"\nwords = [\"Darn\"]\nnames = \"token\"\n").unwrap();
        assert_eq!((chat.slow.as_secs(), chat.words, chat.names), (5, vec!["darn".into()], ChatNames::Token));
        for (text, why) in [
            ("names = \"all\"", "weir.toml:2: names = \"all\": must be \"open\" or \"token\""),
            ("words = [\" \"]", "weir.toml:2: words: must be at most 1000 words"),
            ("slow = \"2h\"", "weir.toml:2: slow = \"2h\": must be from 0s to 1h"),
        ] {
            let error = read(&format!("[chat]\n{text}\n")).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
