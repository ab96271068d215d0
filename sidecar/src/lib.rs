//! The `weir` command line.
//!
//! # Layout
//!
//! - [`cli`]: the command line as clap definitions; [`values`]: the types of options and of values in `weir.toml`
//! - [`config`]: reads and checks `weir.toml`
//! - [`ctl`]: the commands, one file per command
//! - [`daemon`]: `weir serve`; [`follow`] and [`streams`] find the live streams, [`jobs`] starts and ends jobs for them, [`events`]
//!   distributes events
//! - [`init`]: writes the files of a new machine from the samples
//! - [`doctor`]: finds faults of an installation
//! - [`web`]: pages and media for viewers, on its own thread; [`webrtc`]: the same over WebRTC, also on its own thread; [`live`]:
//!   the streams that viewers watch
//! - [`cluster`]: the machines that serve viewers together; [`fleet`] rents such machines for an event
//! - [`feed`]: the input of ffmpeg for a live stream
//! - [`demand`]: streams that start when the first viewer asks for them
//! - [`inputs`]: cameras, servers and files that publish without an encoder; [`relay`]: streams of other nodes
//! - [`intake`]: converts media that arrives over WebRTC for nginx
//! - [`outlet`]: publishes the output of ffmpeg to nginx
//! - [`ladder`]: transcodes streams into renditions and delivers the renditions
//! - [`record`]: records streams; [`upload`] uploads recordings, [`keeper`] removes and uploads them by rule
//! - [`context`]: the state that all jobs share
//! - [`slate`]: the image or clip that replaces a lost publisher
//! - [`supervise`]: keeps programs running
//! - [`files`]: sets the modes of folders and files whatever the umask is, and writes files that survive a power failure
//! - [`health`]: the health checks and notifications of keepalived
//! - [`stuck`]: kills nginx workers that hang
//! - [`webhooks`]: reports events over HTTPS or to a program, and asks an external service before a publisher may stay
//! - [`http`]: HTTP clients, and the addresses that they may reach
//! - [`admin`]: accounts of the dashboard
//! - [`history`]: past sessions, viewers and recordings, in [`database`] files
//! - [`chat`]: the chat rooms beside the player
//! - [`nginx`]: the only client of the module's API
//! - [`publisher`]: publishes over RTMP from this process
//! - [`test_stream`]: publishes colour bars, a clock and a beep that ffmpeg generates
//!
//! # Floors
//!
//! The lines are layers: a file imports only from lines below its own.
//!
//! ```floors
//! ctl
//! test_stream
//! cli
//! doctor init fleet
//! daemon
//! web
//! webrtc
//! jobs
//! keeper
//! ladder slate webhooks stuck health upload live inputs cluster
//! record
//! feed follow context outlet demand
//! history chat relay
//! intake
//! publisher supervise streams events
//! config
//! nginx admin
//! database
//! values http clock files shutdown signals
//! ```
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::process::ExitCode;

use clap::CommandFactory;
use clap::error::ErrorKind;

use ctl::{USAGE, WRONG_USAGE};

mod admin;
mod chat;
mod cli;
mod clock;
mod cluster;
mod config;
mod context;
mod ctl;
mod daemon;
mod database;
mod demand;
mod doctor;
mod events;
mod feed;
mod files;
mod fleet;
mod follow;
mod health;
mod history;
mod http;
mod init;
mod inputs;
mod intake;
mod jobs;
mod keeper;
mod ladder;
mod live;
mod nginx;
mod outlet;
mod publisher;
mod record;
mod relay;
mod shutdown;
mod signals;
mod slate;
mod streams;
mod stuck;
mod supervise;
mod test_stream;
mod upload;
mod values;
mod web;
mod webhooks;
mod webrtc;

/// Runs the command that the arguments name and returns its exit status: 0 done, 1 refused or unhealthy, 2 wrong usage. The first
/// argument is the program's own name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match cli::Cli::of(&args) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, wants_json(&args)),
    };
    let json = cli.json.json;
    match ctl::run(cli) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            complain(error.code(), &error.to_string(), json);
            ExitCode::from(error.exit_status())
        }
    }
}

/// Returns the command line with all its commands and options.
pub fn command() -> clap::Command {
    cli::Cli::command()
}

/// Returns whether the command line contains `--json`; used when clap cannot parse the command line.
fn wants_json(args: &[OsString]) -> bool {
    args.iter().take_while(|word| *word != "--").any(|word| word == "--json")
}

/// Prints clap's help or version text as it is, and any other error as one line.
fn usage(error: &clap::Error, json: bool) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A reader that closes the pipe early (`weir --help | head`) is no error.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand && !json {
        let _ = error.print();
    } else {
        complain(USAGE, &one_line(&error.render().to_string()), json);
    }
    ExitCode::from(WRONG_USAGE)
}

/// Writes one line to standard error: plain text, or with `--json` the JSON form of the API's errors.
fn complain(code: &str, message: &str, json: bool) {
    use std::io::Write;
    let line = match json {
        true => serde_json::json!({ "error": { "code": code, "message": message } }).to_string(),
        false => format!("weir: {message}"),
    };
    // Nothing can be reported when standard error is closed.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Returns clap's message as one line, without the usage part.
fn one_line(rendered: &str) -> String {
    let message = rendered.split("\nUsage:").next().unwrap_or_default();
    let message = message.split("\nFor more information").next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(message);
    if !rendered.starts_with("error: ") {
        // Without any command, clap prints its whole help instead of an error.
        return "a command is missing (see --help)".to_owned();
    }
    let lines: Vec<&str> = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    format!("{} (see --help)", lines.join("; ").replace(":; ", ": "))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn where_the_api_is_may_be_given() {
        // The variables of the caller count as given.
        if std::env::var_os("WEIR_API").is_none() && std::env::var_os("WEIR_API_TOKEN_FILE").is_none() {
            let given = |words: &[&str]| {
                let words: Vec<_> = words.iter().map(OsString::from).collect();
                cli::Cli::of(&words).unwrap().api.is_given
            };
            assert!(!given(&["weir", "doctor"]));
            // The default value, but given.
            assert!(given(&["weir", "doctor", "--api", "http://127.0.0.1:8080/api"]));
            assert!(given(&["weir", "--api", "http://127.0.0.1:8080/api", "doctor"]));
            assert!(given(&["weir", "doctor", "--api-token-file", "/t"]));
        }
    }

    #[test]
    fn json_is_seen_wherever_it_stands() {
        let json = |args: &[&str]| wants_json(&args.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(json(&["weir", "--json"]) && json(&["weir", "key", "ad", "--json", "x"]));
        assert!(!json(&["weir", "key", "--", "--json"]) && !json(&["weir", "--jsonx"]));
        for line in [
            &["weir", "--json", "stream", "list"][..],
            &["weir", "stream", "--json", "list"],
            &["weir", "stream", "list", "--json"],
            &["weir", "--json", "top", "--once"],
        ] {
            let cli = cli::Cli::try_parse_from(line).unwrap();
            assert!(cli.json.json, "{line:?}");
            if let cli::Command::Stream(cli::StreamCommand::List(args)) = cli.command {
                assert!(args.json.json, "{line:?}");
            }
        }
    }

    fn complaint(args: &[&str]) -> String {
        let error = cli::Cli::try_parse_from(args.iter().map(OsString::from)).unwrap_err();
        one_line(&error.render().to_string())
    }

    #[test]
    fn wrong_usage_is_one_line_that_says_what_would_be_right() {
        for (args, expected) in [
            (&["weir", "key", "add", "live"][..], "<STREAM>"),
            (&["weir", "key", "revoke", "wk_abc"], "16 hex digits"),
            (&["weir", "key", "list", "--jsn"], "--json"),
            (&["weir", "key", "add", "live", "show", "--expires", "soon"], "2026-12-24T18:00:00Z"),
            (&["weir", "key", "add", "live", "a/b"], "invalid character '/'"),
            (&["weir", "--api", "ftp://x", "key", "list"], "http://127.0.0.1:8080/api"),
            (&["weir", "frobnicate"], "frobnicate"),
        ] {
            let line = complaint(args);
            assert!(line.contains(expected), "{args:?}: {line}");
            assert!(!line.contains('\n') && !line.starts_with("error"), "{line}");
        }
    }
}
