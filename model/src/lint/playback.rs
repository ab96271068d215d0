//! Finds incomplete protection or counting of playback: tokens in an access log, an open path to the same files beside
//! the one that requires tokens, and directives for applications that do not exist.

use super::Directive;
use super::advice::{Advice, Severity, listed};

mod scopes;

use scopes::{App, Location, applications, locations};

/// Variables that contain input of a viewer, and so the token.
const TELLING: [&str; 8] = [
    "request",
    "request_uri",
    "args",
    "query_string",
    "arg_token",
    "http_referer",
    "http_cookie",
    "http_authorization",
];
/// The variables of [`TELLING`] in nginx's own format `combined`.
const COMBINED: [&str; 2] = ["request", "http_referer"];

pub(super) fn check(configuration: &[Directive], found: &mut Vec<Advice>) {
    let apps = applications(configuration);
    let locations = locations(configuration);
    logs(configuration, &locations, found);
    open_folders(&apps, &locations, found);
    open_applications(&apps, &locations, found);
    unknown_applications(&apps, &locations, found);
    nameless(&apps, &locations, found);
    found.extend(apps.iter().filter_map(|app| uncounted(app, &locations)));
}

/// Finds access logs that contain tokens: one advice per log, not per location.
fn logs(configuration: &[Directive], locations: &[Location<'_>], found: &mut Vec<Advice>) {
    let mut told: Vec<*const Directive> = Vec::new();
    for location in locations.iter().filter(|location| location.needs_token()) {
        let Some(play) = location.play else { continue };
        // Without an `access_log`, nginx writes its default log.
        let default = [play];
        let logs = if location.logs.is_empty() { &default[..] } else { &location.logs[..] };
        for log in logs {
            let telling = telling(configuration, log);
            if telling.is_empty() || told.contains(&std::ptr::from_ref(*log)) {
                continue;
            }
            told.push(std::ptr::from_ref(*log));
            let subject = match log.name() {
                "access_log" => "writes the tokens of viewers to a log",
                _ => "is without an \"access_log\": nginx writes the tokens of viewers to its default log",
            };
            let problem = format!("{subject} ({}) at {}", telling.join(", "), location.shown());
            let remedy =
                "use a \"log_format\" with $weir_masked_request in place of $request, and without the others";
            found.push(Advice::new(log, Severity::Danger, problem, remedy));
        }
    }
}

/// Returns the variables of a log that contain tokens.
fn telling(configuration: &[Directive], log: &Directive) -> Vec<String> {
    let format = match (log.name(), log.argument(0)) {
        ("access_log", Some("off")) => return Vec::new(),
        ("access_log", _) => log.argument(1).filter(|word| !word.contains('=')).unwrap_or("combined"),
        _ => "combined",
    };
    let written = scopes::of_http(configuration, "log_format").find(|line| line.argument(0) == Some(format));
    let holds = |name: &str| match written {
        Some(line) => line.words.iter().skip(2).any(|text| has_variable(text, name)),
        None => format == "combined" && COMBINED.contains(&name),
    };
    TELLING.iter().filter(|name| holds(name)).map(|name| format!("${name}")).collect()
}

/// Returns whether a text contains `$name` or `${name}`.
fn has_variable(text: &str, name: &str) -> bool {
    text.match_indices('$').any(|(at, _)| {
        let rest = &text[at + 1..];
        let (rest, is_braced) = rest.strip_prefix('{').map_or((rest, false), |rest| (rest, true));
        rest.strip_prefix(name).is_some_and(|after| match is_braced {
            true => after.starts_with('}'),
            false => !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'),
        })
    })
}

/// Finds applications whose RTMP requires a token while a location serves the same streams as files without one.
fn open_folders(apps: &[App<'_>], locations: &[Location<'_>], found: &mut Vec<Advice>) {
    let mut told: Vec<*const Directive> = Vec::new();
    for app in apps.iter().filter(|app| app.needs_token()) {
        for (directive, folder) in &app.folders {
            for location in locations.iter().filter(|location| location.is_open()) {
                let place = std::ptr::from_ref(location.block);
                if !location.serves(folder, locations) || told.contains(&place) {
                    continue;
                }
                told.push(place);
                let problem = format!(
                    "lets anyone watch the streams of the application \"{}\" ({directive} {}), which has \"weir_play token;\"",
                    app.name.escape_debug(),
                    folder.display()
                );
                let remedy = format!("add \"weir_play token app={};\" to {}", app.name, location.shown());
                found.push(Advice::new(location.block, Severity::Danger, problem, &remedy));
            }
        }
    }
}

/// Finds applications that anyone may play over RTMP while HTTP requires a token for the same streams.
fn open_applications(apps: &[App<'_>], locations: &[Location<'_>], found: &mut Vec<Advice>) {
    for app in apps.iter().filter(|app| !app.needs_token() && !app.denies_play) {
        let asks = |location: &&Location<'_>| {
            location.needs_token()
                && match location.play.and_then(|play| scopes::app_of(play)) {
                    Some(named) => named == app.name,
                    None => app.folders.iter().any(|(_, folder)| location.serves(folder, locations)),
                }
        };
        if let Some(location) = locations.iter().find(asks) {
            let problem = format!(
                "lets anyone play the streams of \"{}\" over RTMP, while {} needs a token",
                app.name.escape_debug(),
                location.shown()
            );
            let remedy = "add \"weir_play token;\" to the application, or \"deny play all;\" if nobody plays over RTMP";
            found.push(Advice::new(app.block, Severity::Danger, problem, remedy));
        }
    }
}

/// Finds `app=` with an application that does not exist. If an edge has no application at all, its applications are on
/// another machine.
fn unknown_applications(apps: &[App<'_>], locations: &[Location<'_>], found: &mut Vec<Advice>) {
    let mut told: Vec<*const Directive> = Vec::new();
    let names: Vec<&str> = apps.iter().map(|app| app.name).collect();
    for directive in locations.iter().flat_map(|location| [location.play, location.viewers]).flatten() {
        let Some(named) = scopes::app_of(directive) else { continue };
        let place = std::ptr::from_ref(directive);
        if names.is_empty() || names.contains(&named) || told.contains(&place) {
            continue;
        }
        told.push(place);
        let problem =
            format!("has app={}, and no \"rtmp\" server has that application", named.escape_debug());
        let remedy = format!("write the name of one that is there: {}", listed(&names));
        found.push(Advice::new(directive, Severity::Warning, problem, &remedy));
    }
}

/// Finds directives without `app=` on a folder of nginx-rtmp. Without `app=` the path must begin with the application,
/// but such a folder begins with the stream.
fn nameless(apps: &[App<'_>], locations: &[Location<'_>], found: &mut Vec<Advice>) {
    let mut told: Vec<*const Directive> = Vec::new();
    for location in locations {
        for directive in [location.play, location.viewers].into_iter().flatten() {
            let place = std::ptr::from_ref(directive);
            if directive.argument(0) == Some("off")
                || scopes::app_of(directive).is_some()
                || told.contains(&place)
            {
                continue;
            }
            let Some((app, folder)) = apps.iter().find_map(|app| Some((app, location.folder_of(app)?)))
            else {
                continue;
            };
            told.push(place);
            let problem = format!(
                "has no \"app=\", so it takes the application from the path; {} serves {}, where paths begin with the stream",
                location.shown(),
                folder.display()
            );
            let remedy = format!("write \"app={}\"", app.name);
            found.push(Advice::new(directive, Severity::Warning, problem, &remedy));
        }
    }
}

/// Finds `weir_max_viewers` of an application whose HTTP viewers no location counts.
fn uncounted(app: &App<'_>, locations: &[Location<'_>]) -> Option<Advice> {
    let limit = app.max_viewers.filter(|_| app.has_files)?;
    let counts = |location: &Location<'_>| {
        let line = location.viewers.filter(|line| line.argument(0) != Some("off"));
        line.is_some_and(|line| scopes::app_of(line).is_none_or(|named| named == app.name))
    };
    if locations.iter().any(counts) {
        return None;
    }
    let problem = format!(
        "does not limit the viewers of HLS and DASH: no location counts those of the application \"{}\"",
        app.name.escape_debug()
    );
    let remedy = format!("add \"weir_viewers app={};\" to the locations that serve them", app.name);
    Some(Advice::new(limit, Severity::Warning, problem, &remedy))
}

#[cfg(test)]
mod tests;
