//! `[hooks]`: reports events to other programs, and asks an external service before a publisher stays on air.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use toml::Spanned;
use weir_model::AppName;
use weir_model::event::FREQUENT;

use super::check::{Checked, Text, Unfit, absolute, check_name, number, problem, text_or, time};
use super::pattern::{self, NamePattern};
use crate::http::public::host_may_be_public;

pub(in crate::config) mod raw;
#[cfg(test)]
mod tests;

/// All settings below `[hooks]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hooks {
    /// Folder for undelivered events, with one subfolder per webhook.
    pub queue: PathBuf,
    /// `[hooks.webhook.NAME]`, by name.
    pub webhooks: Vec<Webhook>,
    /// `[hooks.command.NAME]`, by name.
    pub commands: Vec<HookCommand>,
    /// `[hooks.admission]`
    pub admission: Option<Admission>,
}

/// Destination of requests, and their signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// URL with `https://`; with `http://` only if private addresses are allowed.
    pub url: Url,
    /// Files with one secret each; every request carries one signature per secret.
    pub secret_files: Vec<PathBuf>,
    /// Maximum duration of one request.
    pub timeout: Duration,
    /// Whether the address may be on loopback or in a private network.
    pub allow_private: bool,
}

/// A receiver of events over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Webhook {
    /// Name of the webhook and of its queue.
    pub name: String,
    /// Destination.
    pub endpoint: Endpoint,
    /// Events to report.
    pub events: Events,
    /// Streams whose events are reported.
    pub streams: Streams,
    /// Longest pause between two attempts.
    pub backoff_max: Duration,
    /// Age at which an event is given up.
    pub give_up: Duration,
    /// Maximum number of waiting events; when it is exceeded, the oldest is dropped.
    pub max_queue: usize,
}

/// A program that Weir starts for events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HookCommand {
    /// Name, for the log.
    pub name: String,
    /// Program and its arguments; Weir uses no shell.
    pub run: Vec<String>,
    /// Events to report.
    pub events: Events,
    /// Streams whose events are reported.
    pub streams: Streams,
    /// Time after which Weir kills the program.
    pub timeout: Duration,
    /// Maximum number of simultaneous runs; further events wait.
    pub max_running: usize,
}

/// External service that decides whether a publisher may stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admission {
    /// Address of the service.
    pub endpoint: Endpoint,
    /// Decision when the service does not answer.
    pub when_down: WhenDown,
}

/// Decision when the service does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenDown {
    /// The publisher stays.
    Allow,
    /// The publisher is refused.
    Deny,
}

/// Names of events: `stream.started`, `stream.*`, `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Events(Vec<String>);

impl Events {
    /// Returns whether this kind of event is included. `*` excludes `viewers` and `chat.message`, because such events are frequent.
    pub(crate) fn include(&self, kind: &str) -> bool {
        self.0.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some("") if FREQUENT.contains(&kind) => false,
            Some(prefix) => kind.starts_with(prefix),
            None => pattern == kind,
        })
    }
}

/// Streams whose events are reported: `live/show`, `live/cam*`, `live/*`; all streams if the list is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Streams(Vec<(AppName, NamePattern)>);

impl Streams {
    /// Returns whether events of this stream are reported.
    pub(crate) fn include(&self, app: &str, name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|(of, pattern)| of.as_str() == app && pattern.fits(name))
    }
}

/// Checks `[hooks]`.
pub(super) fn hooks(raw: raw::Hooks) -> Checked<Hooks> {
    Ok(Hooks {
        queue: text_or("queue", &raw.queue, || "/var/lib/weir/hooks".into(), absolute)?,
        webhooks: raw.webhook.into_iter().map(|(name, raw)| webhook(&name, &raw)).collect::<Checked<_>>()?,
        commands: raw.command.into_iter().map(|(name, raw)| command(&name, &raw)).collect::<Checked<_>>()?,
        admission: raw.admission.map(|raw| admission(&raw)).transpose()?,
    })
}

fn webhook(name: &Spanned<String>, raw: &raw::Webhook) -> Checked<Webhook> {
    check_name("hooks.webhook", name)?;
    let place = format!("[hooks.webhook.{}]", name.get_ref());
    let allow_private = raw.allow_private;
    let timeout = time("timeout", &raw.timeout, 10, 1, 120)?;
    Ok(Webhook {
        name: name.get_ref().clone(),
        endpoint: endpoint(name, &place, &raw.url, raw.secret_files.as_ref(), timeout, allow_private)?,
        events: events(raw.events.as_ref())?,
        streams: streams(raw.streams.as_ref())?,
        backoff_max: time("backoff_max", &raw.backoff_max, 600, 1, 86_400)?,
        give_up: time("give_up", &raw.give_up, 3 * 86_400, 60, 30 * 86_400)?,
        max_queue: number("max_queue", &raw.max_queue, 10_000, 1, 1_000_000)? as usize,
    })
}

fn command(name: &Spanned<String>, raw: &raw::HookCommand) -> Checked<HookCommand> {
    check_name("hooks.command", name)?;
    let run: Vec<String> = match &raw.run {
        Some(run) if run.get_ref().first().is_some_and(|program| !program.is_empty()) => {
            run.get_ref().clone()
        }
        Some(run) => return problem(run, "run: the first word is the program"),
        None => {
            let what = "run is missing, such as [\"/usr/local/bin/on-event\", \"an argument\"]";
            return problem(name, format!("[hooks.command.{}]: {what}", name.get_ref()));
        }
    };
    Ok(HookCommand {
        name: name.get_ref().clone(),
        run,
        events: events(raw.events.as_ref())?,
        streams: streams(raw.streams.as_ref())?,
        timeout: time("timeout", &raw.timeout, 30, 1, 3600)?,
        max_running: number("max_running", &raw.max_running, 4, 1, 1000)? as usize,
    })
}

fn admission(written: &Spanned<raw::Admission>) -> Checked<Admission> {
    let raw = written.get_ref();
    let timeout = time("timeout", &raw.timeout, 3, 1, 9)?;
    let when_down = |text: &str| match text {
        "allow" => Ok(WhenDown::Allow),
        "deny" => Ok(WhenDown::Deny),
        _ => Err(Unfit::Remedy("must be \"allow\" or \"deny\"")),
    };
    let place = "[hooks.admission]";
    Ok(Admission {
        endpoint: endpoint(written, place, &raw.url, raw.secret_files.as_ref(), timeout, raw.allow_private)?,
        when_down: text_or("when_down", &raw.when_down, || WhenDown::Deny, when_down)?,
    })
}

fn endpoint(
    here: &Spanned<impl Sized>,
    place: &str,
    url: &Text,
    secret_files: Option<&Spanned<Vec<String>>>,
    timeout: Duration,
    allow_private: bool,
) -> Checked<Endpoint> {
    let Some(url) = text_or("url", url, || None, |text| self::url(text, allow_private).map(Some))? else {
        return problem(
            here,
            format!("{place}: url is missing, such as \"https://backend.example.org/weir\""),
        );
    };
    let Some(files) = secret_files.filter(|files| !files.get_ref().is_empty()) else {
        let what = "secret_files are missing, such as [\"/etc/weir/webhook.secret\"]; requests are signed";
        return problem(here, format!("{place}: {what}"));
    };
    let absolute =
        |file: &String| absolute(file).or_else(|why| problem(files, format!("secret_files: {why}")));
    let secret_files = files.get_ref().iter().map(absolute).collect::<Checked<_>>()?;
    Ok(Endpoint { url, secret_files, timeout, allow_private })
}

fn url(text: &str, allow_private: bool) -> Result<Url, Unfit> {
    let url = Url::parse(text).map_err(|_| Unfit::Remedy("write it as https://backend.example.org/weir"))?;
    match url.scheme() {
        "https" => {}
        "http" if allow_private => {}
        "http" => return Err(Unfit::Remedy("must be https://; http:// only goes with allow_private = true")),
        _ => return Err(Unfit::Remedy("write it as https://backend.example.org/weir")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Unfit::Remedy("must have no password: requests are signed instead"));
    }
    if !allow_private && !host_may_be_public(&url) {
        return Err(Unfit::Remedy("is no public address; allow_private = true if that is meant"));
    }
    Ok(url)
}

fn streams(written: Option<&Spanned<Vec<Spanned<String>>>>) -> Checked<Streams> {
    let Some(written) = written else { return Ok(Streams::default()) };
    if written.get_ref().is_empty() {
        return problem(
            written,
            "streams: at least one is needed, such as \"live/*\"; leave the key out for all",
        );
    }
    written.get_ref().iter().map(pattern::streams).collect::<Checked<_>>().map(Streams)
}

fn events(written: Option<&Spanned<Vec<String>>>) -> Checked<Events> {
    let Some(written) = written else { return Ok(Events(vec!["*".into()])) };
    for pattern in written.get_ref() {
        let name = pattern.strip_suffix('*').unwrap_or(pattern);
        let fits = name.bytes().all(|byte| byte.is_ascii_lowercase() || b"._".contains(&byte));
        if pattern.is_empty() || !fits {
            let what =
                format!("events: {pattern:?}: write a name as \"stream.started\", \"stream.*\" or \"*\"");
            return problem(written, what);
        }
    }
    if written.get_ref().is_empty() {
        return problem(written, "events: at least one is needed; \"*\" is all");
    }
    Ok(Events(written.get_ref().clone()))
}
