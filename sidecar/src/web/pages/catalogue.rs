//! The texts of the pages: one catalogue per language, and the choice of the language.

use std::sync::LazyLock;

use serde_json::{Map, Value};

/// A language of the pages.
#[derive(Debug)]
pub(in crate::web) struct Language {
    /// Code, such as `en`.
    pub code: &'static str,
    /// Name of the language in that language.
    pub name: &'static str,
    /// Texts by key.
    pub texts: Map<String, Value>,
}

/// All languages. The first is the default.
static LANGUAGES: LazyLock<[Language; 4]> = LazyLock::new(|| {
    [
        language("en", "English", include_str!("texts/en.json")),
        language("de", "Deutsch", include_str!("texts/de.json")),
        language("es", "Español", include_str!("texts/es.json")),
        language("ru", "Русский", include_str!("texts/ru.json")),
    ]
});

/// Parses a catalogue. A test fails if a catalogue is invalid; pages would then show the keys.
fn language(code: &'static str, name: &'static str, json: &str) -> Language {
    Language { code, name, texts: serde_json::from_str(json).unwrap_or_default() }
}

/// Returns all languages.
pub(in crate::web) fn all() -> &'static [Language] {
    &*LANGUAGES
}

/// Returns the language of `?lang=`, or the first that `Accept-Language` prefers (RFC 9110, section 12.5.4).
pub(in crate::web) fn choose(asked: Option<&str>, accepted: Option<&str>) -> &'static Language {
    let known = |tag: &str| {
        let code = tag.split('-').next().unwrap_or_default();
        all().iter().find(|language| language.code.eq_ignore_ascii_case(code))
    };
    if let Some(language) = asked.and_then(known) {
        return language;
    }
    let mut wanted: Vec<(f32, &str)> = accepted
        .unwrap_or_default()
        .split(',')
        .take(20)
        .map(|item| {
            let (tag, weight) = item.split_once(';').unwrap_or((item, "q=1"));
            (weight.trim().strip_prefix("q=").and_then(|q| q.parse().ok()).unwrap_or(0.0), tag.trim())
        })
        .filter(|(weight, _)| *weight > 0.0)
        .collect();
    // The sort is stable: of equal weights, the first language wins.
    wanted.sort_by(|a, b| b.0.total_cmp(&a.0));
    wanted.into_iter().find_map(|(_, tag)| known(tag)).unwrap_or(&all()[0])
}

/// Escapes a text for HTML content and attributes.
pub(in crate::web) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // A brace could be taken for a placeholder of the page.
            '{' => escaped.push_str("&#123;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const PAGES: [&str; 5] = [
        include_str!("index.html"),
        include_str!("watch.html"),
        include_str!("embed.html"),
        include_str!("publish.html"),
        include_str!("missing.html"),
    ];
    const SCRIPTS: [&str; 5] = [
        include_str!("index.js"),
        include_str!("watch.js"),
        include_str!("page.js"),
        include_str!("publish.js"),
        include_str!("texts.js"),
    ];

    #[test]
    fn every_text_is_there_in_every_language_and_is_used() {
        let keys = |language: &Language| language.texts.keys().cloned().collect::<BTreeSet<_>>();
        let english = keys(&all()[0]);
        assert!(english.len() > 50);
        for language in all() {
            assert_eq!(keys(language), english, "{}", language.code);
            for (key, text) in &language.texts {
                let text = text.as_str().unwrap();
                assert!(!text.trim().is_empty(), "{}: {key}", language.code);
                let places = |text: &str| {
                    let mut places: Vec<String> = text
                        .split('{')
                        .skip(1)
                        .map(|rest| rest.split('}').next().unwrap().to_owned())
                        .collect();
                    places.sort();
                    places
                };
                let of_english = all()[0].texts[key].as_str().unwrap();
                assert_eq!(places(text), places(of_english), "{}: {key}", language.code);
            }
        }
        let mut used = BTreeSet::from(["imprint".to_owned(), "privacy".to_owned(), "language".to_owned()]);
        for page in PAGES {
            used.extend(page.split("{t.").skip(1).map(|rest| rest.split('}').next().unwrap().to_owned()));
        }
        for script in SCRIPTS {
            used.extend(script.split('"').filter(|text| english.contains(*text)).map(str::to_owned));
            for call in script.split(" t(\"").skip(1) {
                let key = call.split('"').next().unwrap();
                assert!(english.contains(key), "{key}");
            }
        }
        let missing: Vec<_> = used.difference(&english).collect();
        assert!(missing.is_empty(), "no text: {missing:?}");
        let made = |key: &&String| key.starts_with("viewers_") || key.starts_with("chat_error_");
        let unused: Vec<_> = english.difference(&used).filter(|key| !made(key)).collect();
        assert!(unused.is_empty(), "nobody shows {unused:?}");
    }

    #[test]
    fn the_language_is_the_one_asked_for_or_liked_best() {
        for (asked, accepted, code) in [
            (None, None, "en"),
            (None, Some("fr, de;q=0.5, es;q=0.9"), "es"),
            (None, Some("ru-RU,ru;q=0.9,en;q=0.8"), "ru"),
            (Some("de"), Some("ru"), "de"),
            (Some("xx"), Some("DE-at"), "de"),
            (None, Some("*;q=0.1, de;q=0, \u{0};;;"), "en"),
        ] {
            assert_eq!(choose(asked, accepted).code, code, "{asked:?} {accepted:?}");
        }
    }

    #[test]
    fn nothing_escapes() {
        assert_eq!(escaped("<a href='x'>\"&{root}"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;&#123;root}");
    }
}
