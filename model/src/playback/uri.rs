//! Finds the stream that a URI of HLS or DASH belongs to.
//!
//! The rule reads the path below a location, decoded and normalised by nginx. The first matching row decides:
//!
//! | path | stream |
//! |---|---|
//! | `APP/NAME/...` with at least one file below, also `ladder/APP/NAME/...` | NAME: ladders, recordings, folders of an application |
//! | `APP/FILE` | as FILE alone |
//! | `NAME/index.m3u8`, `NAME/17.ts`, `NAME/17.key`, `NAME/index.mpd`, `NAME/17.m4v`, `NAME/init.m4a` | NAME: `hls_nested`, `dash_nested` |
//! | `NAME.m3u8`, `NAME.mpd`, `NAME.jpg` | NAME: a playlist, a still |
//! | `NAME-17.ts`, `NAME-17.key`, `NAME-17.m4v`, `NAME-17.m4a`, `NAME-init.m4v`, `NAME-init.m4a` | NAME: a segment is its stream's name, a hyphen, and its number |
//!
//! A playlist never ends with a number of its own, and a segment always does: `show-2.m3u8` is the playlist of the
//! stream `show-2`, `show-2.ts` is segment 2 of `show`, and `show-2-17.ts` is segment 17 of `show-2`. `index.m3u8`,
//! `index.mpd`, `master.m3u8`, `manifest.mpd` and `still.jpg` are names of files, not of streams. The last two rows
//! ignore folders before the file; the third row allows no further folders, because the last folder may be that of a
//! ladder's rendition.
//!
//! A suffix of `hls_variant` is part of the name, unless the location lists the suffix ([`Layout::variants`]). Then
//! `show_low` is a variant of `show`, and a token for either stream is valid for it.

use crate::stream_name::StreamName;

/// The settings of a location about its streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The application. Without one, the path begins with the name of one of `applications`.
    pub app: Option<String>,
    /// Suffixes of nginx-rtmp's `hls_variant`, such as `_low`.
    pub variants: Vec<String>,
}

/// The stream that a URI belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<'u> {
    /// The application.
    pub app: &'u str,
    /// The name as written in the URI.
    pub stream: StreamName,
    /// The stream of which `stream` is a variant.
    pub variant_of: Option<StreamName>,
}

impl Named<'_> {
    /// Returns the stream whose viewers are counted: for a variant, its base stream.
    #[must_use]
    pub fn watched(&self) -> &StreamName {
        self.variant_of.as_ref().unwrap_or(&self.stream)
    }
}

/// Why a URI has no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// The path is not normalised: it has an empty part, `.` or `..`, or a byte that is not printable ASCII.
    #[error("the path is not in its plain form")]
    NotPlain,
    /// There is no `app=`, and the path does not begin with an application.
    #[error("the path does not begin with an application: \"app=\" names it")]
    NoApplication,
    /// The file name has no known form.
    #[error("the path is not that of a stream: \"stream=\" names it")]
    NoStream,
}

/// The folder in which the sample configurations serve ladders.
const LADDER: &str = "ladder";

/// Returns the stream of the path below a location. `applications` knows the applications of nginx.conf, and is used if
/// there is no `app=`. `location` is the path of the location: if it ends with the application's name, the first part
/// of the path is the stream.
pub fn stream_of<'u>(
    location: &[u8],
    path: &'u [u8],
    layout: &'u Layout,
    applications: impl Fn(&str) -> bool,
) -> Result<Named<'u>, UriError> {
    let path = std::str::from_utf8(path).map_err(|_| UriError::NotPlain)?;
    let path = path.strip_prefix('/').unwrap_or(path);
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(UriError::NotPlain);
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(UriError::NotPlain);
    }
    let (app, name) = match &layout.app {
        Some(app) => {
            if is_of_app(location, app) {
                return named(layout, app, in_application(path));
            }
            let below = below_app(path, app);
            // A longer application name that begins with this one has its own streams.
            if below.is_some()
                && below_any(path, &applications).is_some_and(|(longer, _)| longer.len() > app.len())
            {
                return Err(UriError::NoStream);
            }
            (app.as_str(), below.and_then(in_application).or_else(|| by_file(path)))
        }
        None => {
            let (app, rest) = below_any(path, &applications).ok_or(UriError::NoApplication)?;
            (app, in_application(rest))
        }
    };
    named(layout, app, name)
}

fn named<'u>(layout: &Layout, app: &'u str, name: Option<&str>) -> Result<Named<'u>, UriError> {
    let name = name.ok_or(UriError::NoStream)?;
    let stream = StreamName::parse(name.as_bytes()).map_err(|_| UriError::NoStream)?;
    let base = layout.variants.iter().find_map(|suffix| name.strip_suffix(suffix.as_str()));
    let variant_of = base.and_then(|base| StreamName::parse(base.as_bytes()).ok());
    Ok(Named { app, stream, variant_of })
}

/// Returns whether the path of a location ends with the name of the application, as `/ladder/live/` does.
fn is_of_app(location: &[u8], app: &str) -> bool {
    let location = location.strip_suffix(b"/").unwrap_or(location);
    location.strip_suffix(app.as_bytes()).is_some_and(|before| before.ends_with(b"/"))
}

/// Returns the path after `APP/` or `ladder/APP/`.
fn below_app<'u>(path: &'u str, app: &str) -> Option<&'u str> {
    let below = |path: &'u str| path.strip_prefix(app)?.strip_prefix('/');
    below(path).or_else(|| below(path.strip_prefix(LADDER)?.strip_prefix('/')?))
}

/// Returns the application with the longest name that the path begins with, and the rest of the path.
fn below_any<'u>(path: &'u str, applications: &impl Fn(&str) -> bool) -> Option<(&'u str, &'u str)> {
    let longest =
        |path: &str| path.match_indices('/').map(|(at, _)| at).filter(|at| applications(&path[..*at])).last();
    let ladder = path.strip_prefix(LADDER).and_then(|rest| rest.strip_prefix('/'));
    [Some(path), ladder].into_iter().flatten().find_map(|path| {
        let at = longest(path)?;
        Some((&path[..at], &path[at + 1..]))
    })
}

/// Returns the name in the path after `APP/`: a folder of the stream, or a file.
fn in_application(rest: &str) -> Option<&str> {
    match rest.split_once('/') {
        Some((name, _)) => Some(name),
        None => flat(rest),
    }
}

/// Returns the name by the last part, or by the one folder before it. With more folders, the last one may be that of a
/// rendition.
fn by_file(path: &str) -> Option<&str> {
    let (folders, file) = path.rsplit_once('/').map_or((None, path), |(folders, file)| (Some(folders), file));
    if is_nested(file) {
        return folders.filter(|folders| !folders.contains('/'));
    }
    flat(file)
}

/// Returns whether the stream's name is only in the folder of this file, not in its name.
fn is_nested(file: &str) -> bool {
    match file.rsplit_once('.') {
        Some(("index", "m3u8" | "mpd") | ("init", "m4v" | "m4a")) => true,
        Some((number, "ts" | "key" | "m4v" | "m4a")) => is_number(number),
        _ => false,
    }
}

fn flat(file: &str) -> Option<&str> {
    if matches!(file, "index.m3u8" | "index.mpd" | "master.m3u8" | "manifest.mpd" | "still.jpg") {
        return None;
    }
    let (stem, extension) = file.rsplit_once('.')?;
    match extension {
        "m3u8" | "mpd" | "jpg" => Some(stem),
        "ts" | "key" | "m4v" | "m4a" => {
            let (name, last) = stem.rsplit_once('-')?;
            let is_init = last == "init" && matches!(extension, "m4v" | "m4a");
            (is_init || is_number(last)).then_some(name)
        }
        _ => None,
    }
}

/// nginx-rtmp counts segments with 64 bits.
fn is_number(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
