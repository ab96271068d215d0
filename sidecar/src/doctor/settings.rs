//! Finds out how much `weir.toml` sets.

use std::path::Path;

/// The settings of a `weir.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settings {
    /// No key: the file of the packages.
    None,
    /// Only keys of `[nginx]`: with them, the daemon does nothing.
    Nginx,
    /// Other tables, or a file with an error.
    More,
}

impl Settings {
    /// Reads the file. A file that cannot be read may set anything.
    pub(super) fn of_file(path: &Path) -> Self {
        std::fs::read_to_string(path).map_or(Self::More, |text| Self::of(&text))
    }

    fn of(text: &str) -> Self {
        let Ok(file) = toml::from_str::<toml::Table>(text) else { return Self::More };
        if file.keys().any(|name| name != "nginx") {
            return Self::More;
        }
        match file.get("nginx").map(toml::Value::as_table) {
            Some(None) => Self::More,
            Some(Some(table)) if !table.is_empty() => Self::Nginx,
            Some(Some(_)) | None => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_sets() {
        assert_eq!(Settings::of(include_str!("../../../debian/weir.toml")), Settings::None);
        assert_eq!(Settings::of(""), Settings::None);
        assert_eq!(Settings::of("[nginx]\nrtmp = \"rtmp://127.0.0.1:1936\"\n"), Settings::Nginx);
        for more in ["[web]\n", "[nginx]\n[[record]]\napp = \"live\"\n", "nginx = 1\n", "[nginx\n"] {
            assert_eq!(Settings::of(more), Settings::More, "{more}");
        }
    }
}
