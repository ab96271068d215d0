//! `weir man`: writes one page per command, and weir.toml(5).
//!
//! The arguments of a command come from [`crate::cli`]. Its behaviour, its examples and the keys of weir.toml come from the
//! reference in docs/configuration.md. So neither is written twice.

use std::path::Path;

use clap::{Arg, ArgAction, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use super::{Error, Output};
use crate::cli::{Cli, ManArgs};
use crate::files::PUBLISHED;

mod markdown;

const REFERENCE: &str = include_str!("../../../docs/configuration.md");
/// Files that commands read or write, with their descriptions.
const FILES: [(&str, &str); 5] = [
    ("/etc/weir/weir.toml", "configuration of the daemon, see weir.toml(5)"),
    ("/var/lib/weir", "what the daemon writes: media, recordings, events that are not delivered yet"),
    ("/run/weir/weir.sock", "the daemon's socket, for weir job"),
    ("/var/lib/weir-nginx/state", "keys and push targets of the module, written by nginx"),
    ("/usr/share/doc/weir", "the documentation, with configurations to copy in examples"),
];

pub(super) fn run(args: &ManArgs) -> Result<Output, Error> {
    let failed = |error| Error::file(&args.dir, error);
    PUBLISHED.make_folder(&args.dir).map_err(failed)?;
    let mut root = Cli::command();
    root.build();
    let mut pages = Vec::new();
    collect(&root, &[], &mut pages);
    for (name, text) in pages {
        PUBLISHED.write(&args.dir.join(name), &text).map_err(failed)?;
    }
    Ok(Output::default())
}

/// Adds the pages of a command and its subcommands, with their file names.
fn collect(command: &Command, above: &[&str], pages: &mut Vec<(String, Vec<u8>)>) {
    let path: Vec<&str> = above.iter().copied().chain([command.get_name()]).collect();
    pages.push((format!("{}.1", path.join("-")), page(command, &path)));
    if path.len() == 1 {
        pages.push(("weir.toml.5".into(), configuration()));
    }
    let below = command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help");
    for below in below {
        collect(below, &path, pages);
    }
}

fn page(command: &Command, path: &[&str]) -> Vec<u8> {
    let section = markdown::section(REFERENCE, &format!("### `{}`", path.join(" ")));
    let man = Man::new(command.clone()).title(path.join("-"));
    let mut page = Vec::new();
    // Writing to memory cannot fail.
    let _ = man.render_title(&mut page);
    let mut roff = Roff::new();
    roff.control("SH", ["NAME"]);
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    roff.text([roman(format!("{} - {about}", path.join("-")))]);
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([bold(path.join(" ")), roman(format!(" {}", synopsis(command)))]);
    roff.control("SH", ["DESCRIPTION"]);
    match &section {
        Some(section) => markdown::text(&mut roff, section),
        None => _ = roff.text([roman(format!("{about}."))]),
    }
    let _ = roff.to_writer(&mut page);
    let _ = man.render_options_section(&mut page);
    if path.len() == 1 || command.has_subcommands() {
        let _ = man.render_subcommands_section(&mut page);
    }
    let mut roff = Roff::new();
    if let Some(section) = &section {
        markdown::examples(&mut roff, section);
    }
    end(&mut roff, path);
    let _ = roff.to_writer(&mut page);
    page
}

/// Returns the arguments after the command's name, each option with its value.
fn synopsis(command: &Command) -> String {
    let shown = |argument: &&Arg| !argument.is_hide_set() && !is_for_every_command(argument);
    let mut parts: Vec<String> = Vec::new();
    let arguments = || command.get_arguments().filter(shown);
    for argument in arguments().filter(|argument| argument.is_positional()) {
        parts.push(optional(argument, &value(argument)));
    }
    for argument in arguments().filter(|argument| !argument.is_positional()) {
        let Some(long) = argument.get_long() else { continue };
        let takes_value = argument.get_action().takes_values();
        let text = if takes_value { format!("--{long} {}", value(argument)) } else { format!("--{long}") };
        let more = if matches!(argument.get_action(), ArgAction::Append) { "..." } else { "" };
        parts.push(format!("{}{more}", optional(argument, &text)));
    }
    if command.has_subcommands() {
        parts.push("COMMAND".into());
    }
    parts.join(" ")
}

/// Returns whether an argument exists for every command: `--help`, and the options that weir(1) documents.
fn is_for_every_command(argument: &Arg) -> bool {
    argument.get_id() == "help" || argument.get_id() == "version"
}

fn optional(argument: &Arg, text: &str) -> String {
    if argument.is_required_set() { text.to_owned() } else { format!("[{text}]") }
}

fn value(argument: &Arg) -> String {
    let possible: Vec<String> =
        argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if !possible.is_empty() && argument.get_action().takes_values() {
        return possible.join("|");
    }
    match argument.get_value_names() {
        Some(names) => names.join(" "),
        None => argument.get_id().as_str().to_uppercase(),
    }
}

fn configuration() -> Vec<u8> {
    let mut roff = Roff::new();
    roff.control("TH", ["weir.toml", "5", "", &format!("weir {}", env!("CARGO_PKG_VERSION"))]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("weir.toml - configuration of weir serve")]);
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([italic("/etc/weir/weir.toml")]);
    roff.control("SH", ["DESCRIPTION"]);
    let reference = REFERENCE.split("\n## `weir.toml`\n").nth(1).unwrap_or_default();
    markdown::text(&mut roff, reference.split("\n## ").next().unwrap_or_default());
    roff.control("SH", ["EXAMPLES"]);
    markdown::code(&mut roff, include_str!("../../../nginx-conf/ladder/weir.toml"));
    end(&mut roff, &["weir.toml"]);
    let mut page = Vec::new();
    let _ = roff.to_writer(&mut page);
    page
}

/// Adds FILES and SEE ALSO, which are the same on every page.
fn end(roff: &mut Roff, path: &[&str]) {
    roff.control("SH", ["FILES"]);
    for (file, about) in FILES {
        roff.control("TP", []);
        roff.text([italic(file)]);
        roff.text([roman(about)]);
    }
    roff.control("SH", ["SEE ALSO"]);
    let root = Cli::command();
    let above = path.len().checked_sub(2).map(|_| path[..path.len() - 1].join("-"));
    let mut pages: Vec<String> = Vec::new();
    if path != ["weir"] {
        pages.push("weir(1)".into());
    }
    pages.extend(above.filter(|above| above != "weir").map(|above| format!("{above}(1)")));
    if path == ["weir"] {
        let commands = root.get_subcommands().filter(|command| !command.is_hide_set());
        pages.extend(commands.map(|command| format!("weir-{}(1)", command.get_name())));
    }
    if path == ["weir.toml"] {
        pages.push("weir-serve(1)".into());
    } else {
        pages.push("weir.toml(5)".into());
    }
    pages.push("nginx(8)".into());
    roff.text([roman(pages.join(", "))]);
    let docs = Path::new("/usr/share/doc/weir/docs");
    let list = ["configuration.md", "directives.md", "api.md", "operations.md"];
    let list: Vec<String> = list.iter().map(|page| docs.join(page).display().to_string()).collect();
    roff.text([roman(list.join(", "))]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages() -> Vec<(String, String)> {
        let place = tempfile::tempdir().unwrap();
        run(&ManArgs { dir: place.path().join("man") }).unwrap();
        let files = std::fs::read_dir(place.path().join("man")).unwrap().map(|file| file.unwrap().path());
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        files.map(|path| (name(&path), std::fs::read_to_string(&path).unwrap())).collect()
    }

    #[test]
    fn each_page_says_how_a_command_is_used() {
        let pages = pages();
        assert!(pages.len() > 30, "{}", pages.len());
        for (name, text) in &pages {
            for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "FILES", "\"SEE ALSO\""] {
                assert!(text.contains(&format!("\n.SH {section}\n")), "{name} has no {section}:\n{text}");
            }
            assert!(!text.contains("](") && !text.contains("```"), "{name}:\n{text}");
        }
        let of = |wanted: &str| &pages.iter().find(|(name, _)| name == wanted).unwrap().1;
        let add = of("weir-key-add.1");
        assert!(
            add.contains("APP STREAM [\\-\\-note TEXT] [\\-\\-expires WHEN] [\\-\\-from CIDR]..."),
            "{add}"
        );
        assert!(add.contains("\n.SH EXAMPLES\n") && add.contains("$ weir key add live guest"), "{add}");
        assert!(of("weir.1").contains("weir\\-test\\-stream(1)"));
    }

    #[test]
    fn the_configuration_has_a_page() {
        let pages = pages();
        let page = &pages.iter().find(|(name, _)| name == "weir.toml.5").unwrap().1;
        for text in [".SS [[record]]", "public_name", "min_free", ".SH EXAMPLES"] {
            assert!(page.contains(text), "{text}:\n{page}");
        }
    }
}
