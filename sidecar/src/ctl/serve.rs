//! `weir serve`

use std::path::Path;

use nix::unistd::Uid;

use super::{Error, Output};
use crate::cli::daemon::ServeArgs;
use crate::config::{self, Config};
use crate::daemon;
use crate::daemon::preflight::{self, Finding};
use crate::daemon::unit::{self, Unit};

pub(super) fn run(args: &ServeArgs) -> Result<Output, Error> {
    if args.check {
        return check(&args.config);
    }
    super::runtime()?.block_on(daemon::run(&args.config))?;
    Ok(Output::default())
}

/// Checks whether the daemon can start with this file. Root permanently becomes the unit's user for the check, so nothing may
/// follow.
fn check(path: &Path) -> Result<Output, Error> {
    let config = load(path)?;
    let ours = preflight::findings(&config);
    if !ours.is_empty() {
        return Err(refusal(path, &ours));
    }
    let mut output = Output::from(format!("{}: {}\n", path.display(), summary(&config)));
    output.stderr = config.without_streams().map(|what| warn(&what)).unwrap_or_default();
    if Uid::effective().is_root() {
        output.stderr += &for_unit(path, &config)?;
    }
    Ok(output)
}

fn warn(what: &str) -> String {
    format!("weir: warning: {what}\n")
}

/// Checks the requirements as the user of the unit. Problems are an error for the file that the unit names, otherwise a warning.
fn for_unit(path: &Path, config: &Config) -> Result<String, Error> {
    let unit = Unit::installed();
    match unit.become_user() {
        Ok(()) => {}
        Err(error @ (unit::Error::NoUser(_) | unit::Error::NoGroup(_))) => {
            return Ok(for_nobody_else(config, &error));
        }
        Err(error) => return Ok(warn(&format!("checked for root only: {error}"))),
    }
    let found = load(path).map(|config| preflight::findings(&config));
    let is_units = path == Path::new(config::DEFAULT_PATH);
    match found {
        Ok(found) if found.is_empty() => Ok(String::new()),
        Ok(found) if is_units => Err(refusal(path, &found)),
        Err(error) if is_units => Err(error),
        Ok(found) => Ok(found.iter().map(|finding| warn(&format!("for the unit: {finding}"))).collect()),
        Err(error) => Ok(warn(&format!("for the unit's user {}: {error}", unit.user))),
    }
}

/// Warns if the unit's user does not exist. Then only files that root alone can read are known to be inaccessible.
fn for_nobody_else(config: &Config, error: &unit::Error) -> String {
    let files = preflight::for_root_alone(config);
    if files.is_empty() {
        return String::new();
    }
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    format!(
        "weir: warning: only root can read {}, and weir.service runs the daemon as another user ({error}: see \
         \"The user weir\" in docs/operations.md)\n",
        files.join(", ")
    )
}

fn load(path: &Path) -> Result<Config, Error> {
    Ok(config::load(path)?)
}

fn refusal(path: &Path, found: &[Finding]) -> Error {
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    Error::Check { path: path.into(), problems: lines.join("; ") }
}

fn summary(config: &Config) -> String {
    let count = |number: usize, one: &str| match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {one}s"),
    };
    let mut parts = vec![count(config.rules.len(), "stream rule")];
    for (number, one) in [
        (config.inputs.len(), "input"),
        (config.records.len(), "recording"),
        (config.thumbnails.len(), "thumbnail"),
        (config.hooks.webhooks.len(), "webhook"),
        (config.hooks.commands.len(), "command"),
    ] {
        if number > 0 {
            parts.push(count(number, one));
        }
    }
    format!("OK: {}", parts.join(", "))
}
