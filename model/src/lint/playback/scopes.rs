//! Applications and locations with their directives, their own or inherited.

use std::path::{Path, PathBuf};

use super::super::access::Access;
use super::super::{Directive, reader::all};

/// Maximum depth of nested blocks that Weir examines; nginx allows fewer.
const MAX_DEPTH: usize = 64;
/// Directives with which a location serves something other than files.
const ANSWERS: [&str; 9] = [
    "proxy_pass",
    "fastcgi_pass",
    "uwsgi_pass",
    "scgi_pass",
    "grpc_pass",
    "return",
    "weir_api",
    "weir_stat",
    "rtmp_stat",
];

/// An application of nginx-rtmp.
pub(super) struct App<'d> {
    pub block: &'d Directive,
    pub name: &'d str,
    /// `weir_play`.
    play: Option<&'d Directive>,
    /// Whether a `deny` excludes all players.
    pub denies_play: bool,
    /// `weir_max_viewers`.
    pub max_viewers: Option<&'d Directive>,
    /// Whether the application writes HLS or DASH.
    pub has_files: bool,
    /// `hls_path` and `dash_path`, if they are absolute.
    pub folders: Vec<(&'static str, PathBuf)>,
}

impl App<'_> {
    pub(super) fn needs_token(&self) -> bool {
        self.play.is_some_and(|play| play.argument(0) == Some("token"))
    }
}

pub(super) fn applications(configuration: &[Directive]) -> Vec<App<'_>> {
    let mut apps = Vec::new();
    for rtmp in all(configuration, "rtmp") {
        for server in rtmp.all("server") {
            for block in server.all("application") {
                apps.extend(application([block, server, rtmp]));
            }
        }
    }
    apps
}

/// Reads an application from its block and the blocks that contain it, innermost first.
fn application<'d>(blocks: [&'d Directive; 3]) -> Option<App<'d>> {
    let last = |name: &str| blocks.iter().find_map(|block| block.all(name).last());
    let is_on = |name: &str| last(name).is_some_and(|line| line.argument(0) == Some("on"));
    let keeps_out = |line: &&Directive| match (line.argument(0), line.argument(1)) {
        (Some("all"), None) => true,
        (Some("play"), who) => who.is_none_or(|who| who == "all"),
        _ => false,
    };
    let folders = [("hls", "hls_path"), ("dash", "dash_path")].into_iter().filter_map(|(kind, directive)| {
        let path = Path::new(last(directive).filter(|_| is_on(kind))?.argument(0)?);
        path.is_absolute().then(|| (directive, path.components().collect()))
    });
    Some(App {
        block: blocks[0],
        name: blocks[0].argument(0)?,
        play: last("weir_play"),
        denies_play: blocks.iter().any(|block| block.all("deny").any(|line| keeps_out(&line))),
        max_viewers: blocks[0].all("weir_max_viewers").last(),
        has_files: is_on("hls") || is_on("dash"),
        folders: folders.collect(),
    })
}

/// The paths that a `location` matches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Match<'d> {
    /// All paths with this prefix; a server matches all paths.
    Prefix(&'d str),
    /// One path, a regular expression or a name.
    Other,
}

/// A location of `http`, or a server for the requests that no location of it matches.
#[derive(Clone)]
pub(super) struct Location<'d> {
    pub block: &'d Directive,
    matches: Match<'d>,
    /// Number of the server that contains it.
    server: usize,
    /// `weir_play`.
    pub play: Option<&'d Directive>,
    /// `weir_viewers`.
    pub viewers: Option<&'d Directive>,
    /// The `access_log` lines; nginx's default applies if there are none.
    pub logs: Vec<&'d Directive>,
    access: Access,
    /// Whether another module decides who may get the files.
    is_locked: bool,
    /// The folder whose files it serves.
    folder: Option<PathBuf>,
    root: Option<&'d str>,
}

impl<'d> Location<'d> {
    fn of_http(http: &'d Directive) -> Self {
        Self {
            block: http,
            matches: Match::Other,
            server: 0,
            play: None,
            viewers: None,
            logs: Vec::new(),
            access: Access::default(),
            is_locked: false,
            folder: None,
            root: None,
        }
        .within(http, 0)
    }

    /// Returns the location of a block inside this one.
    fn within(&self, block: &'d Directive, server: usize) -> Self {
        let last = |name: &str| block.all(name).last();
        let logs: Vec<_> = block.all("access_log").collect();
        let matches = match block.name() {
            "location" => matched(block),
            "server" => Match::Prefix(""),
            _ => Match::Other,
        };
        let root = last("root").and_then(|root| root.argument(0)).or(self.root);
        let alias = last("alias").and_then(|alias| alias.argument(0));
        let answers = block.block.iter().any(|line| ANSWERS.contains(&line.name()));
        let folder = match (matches, alias, root) {
            (Match::Prefix(_), Some(alias), _) => Some(alias.to_owned()),
            (Match::Prefix(prefix), None, Some(root)) => Some(format!("{root}/{prefix}")),
            _ => None,
        };
        // A path without a leading slash is relative or begins with a variable.
        let folder = folder.filter(|folder| folder.starts_with('/') && !folder.contains('$') && !answers);
        Self {
            block,
            matches,
            server,
            play: last("weir_play").or(self.play),
            viewers: last("weir_viewers").or(self.viewers),
            logs: if logs.is_empty() { self.logs.clone() } else { logs },
            access: self.access.within(block),
            is_locked: self.is_locked || last("secure_link").is_some(),
            folder: folder.map(|folder| Path::new(&folder).components().collect()),
            root,
        }
    }

    pub(super) fn needs_token(&self) -> bool {
        matches!(self.block.name(), "location" | "server")
            && self.play.is_some_and(|play| play.argument(0) == Some("token"))
    }

    /// Returns whether neither Weir nor another module checks the client.
    pub(super) fn is_open(&self) -> bool {
        !self.needs_token() && !self.is_locked && self.access.is_open()
    }

    /// Returns whether a request here gets files of a folder, and no other location matches the request.
    pub(super) fn serves(&self, folder: &Path, all: &[Location<'_>]) -> bool {
        let (Match::Prefix(prefix), Some(own)) = (self.matches, &self.folder) else { return false };
        if own.starts_with(folder) {
            return true;
        }
        let Ok(below) = folder.strip_prefix(own) else { return false };
        let path = format!("{}/{}/", prefix.trim_end_matches('/'), below.display());
        let takes = |other: &&Location<'_>| match other.matches {
            Match::Prefix(longer) => {
                other.server == self.server && longer.len() > prefix.len() && path.starts_with(longer)
            }
            Match::Other => false,
        };
        all.iter().find(takes).is_none()
    }

    /// Returns the folder of an application's HLS or DASH if this location serves exactly that folder, not a parent of
    /// it.
    pub(super) fn folder_of<'a>(&self, app: &'a App<'_>) -> Option<&'a Path> {
        let own = self.folder.as_ref().filter(|_| matches!(self.block.name(), "location" | "server"))?;
        app.folders.iter().map(|(_, folder)| folder.as_path()).find(|folder| folder == own)
    }

    /// Returns the name of the location for a message.
    pub(super) fn shown(&self) -> String {
        match (self.block.name(), self.block.words.get(1..)) {
            ("location", Some(words)) => format!("\"location {}\"", words.join(" ").escape_debug()),
            (name, _) => format!("the \"{name}\" block"),
        }
    }
}

fn matched(location: &Directive) -> Match<'_> {
    match (location.argument(0), location.argument(1)) {
        (Some("^~"), Some(prefix)) => Match::Prefix(prefix),
        (Some(prefix), None) if prefix.starts_with('/') => Match::Prefix(prefix),
        _ => Match::Other,
    }
}

/// Returns the servers of `http` and their locations, each before the locations in it.
pub(super) fn locations(configuration: &[Directive]) -> Vec<Location<'_>> {
    let mut found = Vec::new();
    let mut server = 0;
    for http in all(configuration, "http") {
        let outer = Location::of_http(http);
        for block in http.all("server") {
            server += 1;
            let mut open = vec![(outer.within(block, server), 0)];
            while let Some((location, depth)) = open.pop() {
                let inner =
                    location.block.block.iter().filter(|line| matches!(line.name(), "location" | "if"));
                if depth < MAX_DEPTH {
                    open.extend(inner.map(|block| (location.within(block, server), depth + 1)));
                }
                found.push(location);
            }
        }
    }
    found
}

/// Returns the directives of this name directly in `http`.
pub(super) fn of_http<'d>(
    configuration: &'d [Directive],
    name: &'d str,
) -> impl Iterator<Item = &'d Directive> {
    all(configuration, "http").flat_map(move |http| http.all(name))
}

/// Returns the value of `app=` of a directive.
pub(super) fn app_of(directive: &Directive) -> Option<&str> {
    directive.words.iter().find_map(|word| word.strip_prefix("app="))
}
