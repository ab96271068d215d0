//! docs/configuration.md has a section for each command, and a row for each key of weir.toml. The commands come from clap, and the keys
//! from the program itself, which lists its known keys when it reads an unknown one.
#![allow(clippy::unwrap_used, reason = "all of it is tests, the helpers too")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A key that is in no table.
const PROBE: &str = "not_a_key_of_any_table";

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md")).unwrap()
}

fn headings(page: &str) -> BTreeSet<String> {
    page.lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(|heading| heading.replace('`', ""))
        .collect()
}

/// Returns the commands without subcommands.
fn commands(command: &clap::Command, above: &str) -> BTreeSet<String> {
    let name = format!("{above}{}", command.get_name());
    let below: Vec<_> = command.get_subcommands().filter(|below| below.get_name() != "help").collect();
    if below.is_empty() {
        return BTreeSet::from([name]);
    }
    below.into_iter().flat_map(|below| commands(below, &format!("{name} "))).collect()
}

#[test]
fn every_command_has_a_section() {
    let documented: BTreeSet<String> =
        headings(&page()).into_iter().filter(|heading| heading.starts_with("weir ")).collect();
    assert_eq!(commands(&weir::command(), ""), documented);
}

#[test]
fn every_option_of_a_command_is_in_its_section() {
    let page = page();
    let mut missing = Vec::new();
    for name in commands(&weir::command(), "") {
        let section = page.split(&format!("### `{name}`\n")).nth(1).unwrap().split("\n### ").next().unwrap();
        let tree = weir::command();
        let mut command = &tree;
        for word in name.split(' ').skip(1) {
            command = command.find_subcommand(word).unwrap();
        }
        let options = command.get_arguments().filter(|option| !option.is_hide_set());
        let long = options.filter_map(|option| option.get_long()).filter(|long| *long != "help");
        missing.extend(
            long.filter(|long| !section.contains(&format!("--{long}"))).map(|l| format!("{name} --{l}")),
        );
    }
    assert_eq!(missing, [""; 0], "not in the sections of their commands");
}

/// Returns the keys that the program knows in a table, as `[nginx]` or `[[stream]]` opens it; without a table, the keys of the whole file.
fn keys(folder: &Path, table: &str) -> BTreeSet<String> {
    let file = folder.join("weir.toml");
    std::fs::write(&file, format!("{table}\n{PROBE} = 1\n")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["serve", "--check", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    let known = line.split(&format!("unknown field `{PROBE}`, expected ")).nth(1);
    let known = known.unwrap_or_else(|| panic!("{table}: {line}"));
    known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_key_of_weir_toml_has_a_row() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("docs-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let page = page();
    let tables: BTreeSet<String> =
        headings(&page).into_iter().filter(|heading| heading.starts_with('[')).collect();
    let name = |table: &str| table.trim_matches(['[', ']']).replace(".NAME", "");

    // Tables within tables have sections of their own.
    let names: BTreeSet<String> = tables.iter().map(|table| name(table)).collect();
    let above: BTreeSet<String> =
        names.iter().map(|name| name.split('.').next().unwrap().to_owned()).collect();
    assert_eq!(keys(&folder, ""), above, "tables of the whole file");

    for table in &tables {
        let section = page.split(&format!("### `{table}`\n")).nth(1).unwrap();
        let section = section.split("\n### ").next().unwrap().split("\n## ").next().unwrap();
        let rows = section.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once("` |")?.0));
        let rows: BTreeSet<String> = rows.flat_map(|row| row.split("`, `")).map(str::to_owned).collect();
        let mut known = keys(&folder, &table.replace("NAME", "x"));
        known.retain(|key| !names.contains(&format!("{}.{key}", name(table))));
        assert_eq!(known, rows, "keys of {table}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Returns the tables and keys of a sample, including commented-out ones: `[rung.240p]` becomes `rung.NAME`.
fn in_sample(text: &str) -> BTreeSet<(String, String)> {
    let (mut table, mut found) = (String::new(), BTreeSet::new());
    for line in text.lines().map(|line| line.trim_start_matches('#').trim_start()) {
        let name = line.trim_matches(['[', ']']);
        let parts: Vec<&str> = name.split('.').collect();
        if line.starts_with('[') && line.ends_with(']') && !name.contains(['"', ' ']) {
            table = match parts[..] {
                ["hooks", "admission"] | ["cluster", "edge"] | ["web", "brand"] | [_] => name.to_owned(),
                [.., _] => format!("{}.NAME", parts[..parts.len() - 1].join(".")),
                [] => continue,
            };
        } else if let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| !key.contains([' ', '`'])) {
            found.insert((table.clone(), key.to_owned()));
        }
    }
    found
}

#[test]
fn the_sample_has_every_table_and_key() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("sample-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let sample = include_str!("../../nginx-conf/weir.toml");
    let found = in_sample(sample);
    let tables: BTreeSet<String> =
        headings(&page()).into_iter().filter(|heading| heading.starts_with('[')).collect();
    let mut missing = Vec::new();
    for table in &tables {
        let name = table.trim_matches(['[', ']']);
        let known = keys(&folder, &table.replace("NAME", "x"));
        let inner = |key: &String| tables.iter().any(|other| other.contains(&format!("{name}.{key}")));
        let known = known.into_iter().filter(|key| !inner(key));
        missing.extend(known.map(|key| (name.to_owned(), key)).filter(|key| !found.contains(key)));
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(missing, [], "not in nginx-conf/weir.toml");
}
