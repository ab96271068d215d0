//! The routes of the JSON API, as one table.

/// A request that the API answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// State of the workers and of the zone.
    Health,
    /// The applications of nginx.conf.
    Applications,
    /// The ticket that the daemon's own players present.
    Ticket,
    /// Every live stream.
    Streams,
    /// Drops the publisher that the arguments name.
    DropStreams,
    /// The RTMP players of a stream.
    Players,
    /// Drops one RTMP player.
    DropPlayer,
    /// One live stream.
    Stream,
    /// Drops the publisher of a stream.
    DropStream,
    /// The viewers of every stream.
    Viewers,
    /// Takes the viewer counts that the daemon reports.
    ReportViewers,
    /// Server-sent events.
    Events,
    /// Every key.
    Keys,
    /// Makes a key.
    AddKey,
    /// Revokes a key.
    RevokeKey,
    /// Gives a key a new secret.
    RotateKey,
    /// Every target.
    Targets,
    /// Makes a target.
    AddTarget,
    /// One target.
    Target,
    /// Changes a target.
    ChangeTarget,
    /// Removes a target.
    RemoveTarget,
    /// Writes the state file.
    SaveState,
    /// Mints a token.
    MintToken,
    /// Makes links to a stream.
    Links,
    /// Revokes tokens.
    RevokeTokens,
    /// The tokens that are revoked.
    Revocations,
    /// Whether this node pushes anything.
    Pushes,
    /// Holds the pushes of this node, or releases them.
    HoldPushes,
    /// All state that the other node of a pair copies.
    Replica,
    /// Copies the state of the other node.
    PutReplica,
}

impl Route {
    /// Whether requests may have arguments after the path.
    pub fn has_arguments(self) -> bool {
        use Route::{DropPlayer, DropStream, DropStreams, Keys, Players, Replica, Stream, Streams};
        matches!(self, Streams | DropStreams | Players | DropPlayer | Stream | DropStream | Keys | Replica)
    }
}

/// Method and path of each route. `{app}` stands for one or more parts, because an application's name may contain
/// slashes; any other name in braces stands for one part. The first matching row decides.
pub const ROUTES: [(&str, &str, Route); 30] = [
    ("GET", "/v1/health", Route::Health),
    ("GET", "/v1/applications", Route::Applications),
    ("GET", "/v1/ticket", Route::Ticket),
    ("GET", "/v1/streams", Route::Streams),
    ("DELETE", "/v1/streams", Route::DropStreams),
    ("GET", "/v1/streams/{app}/{name}/players", Route::Players),
    ("DELETE", "/v1/streams/{app}/{name}/players/{id}", Route::DropPlayer),
    ("GET", "/v1/streams/{app}/{name}", Route::Stream),
    ("DELETE", "/v1/streams/{app}/{name}", Route::DropStream),
    ("GET", "/v1/viewers", Route::Viewers),
    ("PUT", "/v1/viewers", Route::ReportViewers),
    ("GET", "/v1/events", Route::Events),
    ("GET", "/v1/keys", Route::Keys),
    ("POST", "/v1/keys", Route::AddKey),
    ("DELETE", "/v1/keys/{id}", Route::RevokeKey),
    ("POST", "/v1/keys/{id}/rotate", Route::RotateKey),
    ("GET", "/v1/targets", Route::Targets),
    ("POST", "/v1/targets", Route::AddTarget),
    ("GET", "/v1/targets/{id}", Route::Target),
    ("PATCH", "/v1/targets/{id}", Route::ChangeTarget),
    ("DELETE", "/v1/targets/{id}", Route::RemoveTarget),
    ("POST", "/v1/state/save", Route::SaveState),
    ("POST", "/v1/tokens", Route::MintToken),
    ("POST", "/v1/links", Route::Links),
    ("POST", "/v1/tokens/revoke", Route::RevokeTokens),
    ("GET", "/v1/tokens/revocations", Route::Revocations),
    ("GET", "/v1/pushes", Route::Pushes),
    ("PUT", "/v1/pushes", Route::HoldPushes),
    ("GET", "/v1/replica", Route::Replica),
    ("PUT", "/v1/replica", Route::PutReplica),
];

/// A route and the parts of the path that match its braces. Parts that the route does not have are empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'p> {
    /// The route of [`ROUTES`] that fits method and path.
    pub route: Route,
    /// The parts of the application's name.
    pub app: &'p [&'p str],
    /// A stream's name.
    pub name: &'p str,
    /// A key's, target's or player's id.
    pub id: &'p str,
}

/// Why no route matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// No row has the path.
    Path,
    /// Only other methods have the path: these, in the form of the header `Allow`.
    Method(String),
}

/// Finds the route of a request. `HEAD` has the routes of `GET`.
///
/// # Errors
///
/// Returns whether the path or only the method is unknown.
pub fn find<'p>(method: &str, path: &'p [&'p str]) -> Result<Found<'p>, NotFound> {
    let method = if method == "HEAD" { "GET" } else { method };
    let fitting =
        || ROUTES.iter().filter_map(|(of, pattern, route)| Some((*of, fit(pattern, *route, path)?)));
    if let Some((_, found)) = fitting().find(|(of, _)| *of == method) {
        return Ok(found);
    }
    let mut allowed: Vec<&str> = Vec::new();
    for (of, _) in fitting() {
        let named: &[&str] = if of == "GET" { &["GET", "HEAD"] } else { &[of] };
        allowed.extend(named.iter().filter(|method| !allowed.contains(method)).copied().collect::<Vec<_>>());
    }
    if allowed.is_empty() { Err(NotFound::Path) } else { Err(NotFound::Method(allowed.join(", "))) }
}

/// Matches a path with a pattern.
fn fit<'p>(pattern: &str, route: Route, path: &'p [&'p str]) -> Option<Found<'p>> {
    let mut found = Found { route, app: &[], name: "", id: "" };
    let pattern: Vec<&str> = pattern.split('/').skip(1).collect();
    // The number of parts that `{app}` takes beyond the first.
    let surplus = path.len().checked_sub(pattern.len())?;
    let mut at = 0;
    for piece in pattern {
        let part = *path.get(at)?;
        match piece {
            "{app}" => {
                found.app = path.get(at..=at + surplus)?;
                at += surplus;
            }
            "{name}" => found.name = part,
            "{id}" => found.id = part,
            literal if literal == part => {}
            _ => return None,
        }
        at += 1;
    }
    (at == path.len()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_row_that_fits_decides() {
        for (method, path, route, app, name, id) in [
            ("GET", &["v1", "health"][..], Route::Health, &[][..], "", ""),
            ("HEAD", &["v1", "health"], Route::Health, &[], "", ""),
            ("GET", &["v1", "streams", "live", "show"], Route::Stream, &["live"], "show", ""),
            ("GET", &["v1", "streams", "live", "show", "players"], Route::Players, &["live"], "show", ""),
            ("GET", &["v1", "streams", "a", "b", "c"], Route::Stream, &["a", "b"], "c", ""),
            (
                "DELETE",
                &["v1", "streams", "a", "players", "7"],
                Route::DropStream,
                &["a", "players"],
                "7",
                "",
            ),
            (
                "DELETE",
                &["v1", "streams", "a", "b", "c", "players", "7"],
                Route::DropPlayer,
                &["a", "b"],
                "c",
                "7",
            ),
            ("GET", &["v1", "streams", "live", ""], Route::Stream, &["live"], "", ""),
            ("POST", &["v1", "keys", "k1", "rotate"], Route::RotateKey, &[], "", "k1"),
        ] {
            assert_eq!(find(method, path), Ok(Found { route, app, name, id }), "{method} {path:?}");
        }
    }

    #[test]
    fn what_does_not_fit_says_why() {
        let allowed = |methods: &str| Err(NotFound::Method(methods.into()));
        for path in
            [&["v1"][..], &["v1", "nothing"], &["v1", "streams", "live"], &["v1", "keys", "k", "x"], &[]]
        {
            assert_eq!(find("GET", path), Err(NotFound::Path), "{path:?}");
        }
        assert_eq!(find("PUT", &["v1", "streams"]), allowed("GET, HEAD, DELETE"));
        assert_eq!(find("PUT", &["v1", "targets", "t"]), allowed("GET, HEAD, PATCH, DELETE"));
        assert_eq!(find("GET", &["v1", "tokens"]), allowed("POST"));
        assert_eq!(find("POST", &["v1", "events"]), allowed("GET, HEAD"));
    }

    #[test]
    fn each_route_has_one_row() {
        for (at, (method, path, route)) in ROUTES.iter().enumerate() {
            let others = || ROUTES.iter().take(at);
            assert!(others().all(|(_, _, other)| other != route), "{route:?}");
            assert!(others().all(|(of, other, _)| (of, other) != (method, path)), "{method} {path}");
        }
    }
}
