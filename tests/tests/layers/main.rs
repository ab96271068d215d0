//! Each crate has one direction. A crate's documentation lists its floors in a block `floors`, from top to bottom. A file imports only from
//! floors below its own, no files import each other in a circle, and no file is too long. This test reads only the checkout.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

mod source;

use source::{Crate, Import, Name};

/// Crates of the product.
const CRATES: [&str; 9] =
    ["model", "rtmp", "media", "zone", "nginx-files", "durable", "sidecar", "ngx-rtmp", "ngx-module"];

/// Most lines of a file of the product: a reader cannot keep more in mind.
const MOST_LINES: usize = 500;

/// Reason why the floors of a crate are not known.
#[derive(Debug, thiserror::Error)]
enum Misstated {
    #[error("its documentation has no block `floors`")]
    Nowhere,
    #[error("{0} has two floors")]
    Twice(String),
    #[error("no module is {0}, which its floors name")]
    NoModule(String),
    #[error("{0} has no floor")]
    Left(String),
}

/// Rooms, and the number of each room's floor, counted from the top. A room is a module with everything below it that is not a room itself.
struct Floors(BTreeMap<Name, usize>);

impl Floors {
    /// Reads the floors from a crate's documentation. Anything between two rooms that is not the name of a module separates them.
    fn stated(docs: &str) -> Result<Self, Misstated> {
        let block = docs.split("```floors\n").nth(1).and_then(|rest| rest.split("```").next());
        let block = block.ok_or(Misstated::Nowhere)?;
        let mut rooms = BTreeMap::new();
        for (floor, line) in block.lines().filter(|line| !line.trim().is_empty()).enumerate() {
            for room in line.split_whitespace() {
                let name: Name = room.split('/').map(str::to_owned).collect();
                if rooms.insert(name, floor).is_some() {
                    return Err(Misstated::Twice(room.to_owned()));
                }
            }
        }
        Ok(Self(rooms))
    }

    /// Returns the room of a module, and its floor. The crate's root is above all floors.
    fn room<'n>(&self, module: &'n [String]) -> Option<(&'n [String], usize)> {
        (1..=module.len()).rev().find_map(|length| {
            let room = &module[..length];
            self.0.get(room).map(|floor| (room, floor + 1))
        })
    }

    fn points_up(&self, import: &Import) -> bool {
        let top = (&[][..], 0);
        let (from, to) = (self.room(&import.from), self.room(&import.to));
        let ((from, floor), (to, other)) = (from.unwrap_or(top), to.unwrap_or(top));
        from != to && other <= floor
    }
}

/// Faults of a crate.
struct Found {
    upward: Vec<Import>,
    circles: Vec<BTreeSet<Name>>,
    between: Vec<Import>,
}

fn examine(read: &Crate) -> Result<Found, Misstated> {
    let floors = Floors::stated(&read.docs)?;
    let files = read.files();
    for room in floors.0.keys() {
        if !files.contains(room) {
            return Err(Misstated::NoModule(room.join("/")));
        }
    }
    for file in files.iter().filter(|file| !file.is_empty()) {
        floors.room(file).ok_or_else(|| Misstated::Left(file.join("/")))?;
    }
    let imports = read.imports();
    let circles = circles(&files, &imports);
    let inside = |import: &Import| {
        circles.iter().any(|circle| circle.contains(&import.from) && circle.contains(&import.to))
    };
    let (upward, between) = (
        imports.iter().filter(|import| floors.points_up(import)).cloned().collect(),
        imports.iter().filter(|import| inside(import)).cloned().collect(),
    );
    Ok(Found { upward, circles, between })
}

/// Returns groups of files in which each file leads to every other one.
fn circles(files: &BTreeSet<Name>, imports: &[Import]) -> Vec<BTreeSet<Name>> {
    let mut next: BTreeMap<&Name, BTreeSet<&Name>> = BTreeMap::new();
    for import in imports {
        next.entry(&import.from).or_default().insert(&import.to);
    }
    let reached = |from: &Name| {
        let (mut seen, mut left) = (BTreeSet::new(), vec![from]);
        while let Some(file) = left.pop() {
            for to in next.get(file).into_iter().flatten().copied() {
                if seen.insert(to.clone()) {
                    left.push(to);
                }
            }
        }
        seen
    };
    let reach: BTreeMap<&Name, BTreeSet<Name>> = files.iter().map(|file| (file, reached(file))).collect();
    let circle = |file: &Name| -> BTreeSet<Name> {
        let back = |other: &&Name| reach[*other].contains(file);
        reach[file].iter().filter(back).cloned().collect()
    };
    let all: BTreeSet<BTreeSet<Name>> = files.iter().map(circle).filter(|found| !found.is_empty()).collect();
    all.into_iter().collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn file(name: &Name) -> String {
    if name.is_empty() { "lib.rs".into() } else { format!("{}.rs", name.join("/")) }
}

fn lines(imports: &[Import]) -> String {
    let mut lines = String::new();
    for Import { from, to, line, path } in imports {
        writeln!(lines, "  {}:{line}: {path} ({})", file(from), file(to)).unwrap();
    }
    lines
}

#[test]
fn every_crate_has_one_direction() {
    let mut wrong = String::new();
    for name in CRATES {
        let path: PathBuf = root().join(name).join("src/lib.rs");
        let found = match examine(&Crate::read(&path)) {
            Ok(found) => found,
            Err(why) => {
                writeln!(wrong, "{name}: {why}").unwrap();
                continue;
            }
        };
        if !found.upward.is_empty() {
            writeln!(wrong, "{name}: imports that point up:\n{}", lines(&found.upward)).unwrap();
        }
        if !found.circles.is_empty() {
            for circle in &found.circles {
                let names: Vec<String> = circle.iter().map(file).collect();
                writeln!(wrong, "{name}: a circle of {}", names.join(", ")).unwrap();
            }
            writeln!(wrong, "their imports:\n{}", lines(&found.between)).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Returns the Rust files of a folder, each with its text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(sources(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&entry).unwrap();
            found.push((entry, text));
        }
    }
    found
}

#[test]
fn no_file_of_the_product_is_longer_than_a_reader_holds_in_mind() {
    let all = CRATES.iter().flat_map(|name| sources(&root().join(name).join("src")));
    let long: Vec<String> = all
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "more than {MOST_LINES} lines: {long:#?}");
}

/// Returns the last argument of a type that has several; `text` begins behind its `<`.
fn last_argument(text: &str) -> &str {
    let (mut depth, mut begin) = (0, 0);
    for (at, character) in text.char_indices() {
        match character {
            '<' | '(' | '[' => depth += 1,
            '>' if text[..at].ends_with('-') => {}
            '>' | ')' | ']' if depth == 0 && begin == 0 => return "",
            '>' | ')' | ']' if depth == 0 => return text[begin..at].trim(),
            '>' | ')' | ']' => depth -= 1,
            ',' if depth == 0 => begin = at + 1,
            _ => {}
        }
    }
    ""
}

#[test]
fn no_error_is_a_mere_text() {
    assert_eq!(last_argument("Vec<(u8, String)>, String> {"), "String");
    assert_eq!(last_argument("(bool, String), Error>;"), "Error");
    assert_eq!(last_argument("String>;"), "");
    let folders = CRATES
        .iter()
        .chain(&["tests"])
        .flat_map(|name| ["src", "tests"].map(|part| root().join(name).join(part)));
    let mut found = Vec::new();
    for (path, text) in folders.filter(|folder| folder.is_dir()).flat_map(|folder| sources(&folder)) {
        let errors = text.split("Result<").skip(1).map(last_argument);
        found.extend(errors.filter(|error| *error == "String").map(|_| path.display().to_string()));
    }
    assert!(found.is_empty(), "errors that are mere texts: {found:#?}");
}

/// Examines a crate of one file; `body` has its modules.
fn example(floors: &str, body: &str) -> Found {
    let docs: String = floors.lines().map(|line| format!("//! {line}\n")).collect();
    examine(&Crate::of_text(&format!("//! ```floors\n{docs}//! ```\n{body}"))).unwrap()
}

#[test]
fn an_import_that_points_up_is_seen_however_it_is_written() {
    for upward in [
        "use crate::high::Thing;",
        "use super::high::{self, Thing};",
        "fn f() -> crate::high::Thing { todo!() }",
        "fn f() { println!(\"{}\", crate::high::f(1)); }",
        "use crate::high as other;",
        "fn f() { use super::high::f; f() }",
        "#[serde(with = \"crate::high\")] struct S;",
        "use crate::Again;",
    ] {
        let body =
            format!("pub use high::Thing as Again; mod high {{ pub struct Thing; }} mod low {{ {upward} }}");
        let found = example("high\nlow", &body);
        assert_eq!(found.upward.len(), found.upward.iter().filter(|import| import.from == ["low"]).count());
        assert!(!found.upward.is_empty(), "{upward}");
        // Rooms on one floor may not import each other either.
        assert!(!example("high low", &body).upward.is_empty(), "{upward}");
        assert!(example("low\nhigh", &body).upward.is_empty(), "{upward}");
    }
}

#[test]
fn what_is_compiled_for_tests_alone_may_import_anything() {
    let body =
        "mod high { pub struct Thing; } mod low { #[cfg(test)] mod tests { use crate::high::Thing; } }";
    assert!(example("high\nlow", body).upward.is_empty());
}

#[test]
fn a_circle_is_found_within_a_room() {
    let body = "mod room { mod one { pub struct B; } mod two { use super::one::B; } use two::C; }";
    assert!(example("room", body).circles.is_empty());
    let body =
        "mod room { pub struct A; mod one { use super::A; } mod two { use super::one::B; } use one::C; }";
    let found = example("room", body);
    let circle = [vec!["room".to_owned()], vec!["room".to_owned(), "one".to_owned()]];
    assert_eq!(found.circles, [BTreeSet::from(circle)]);
    assert_eq!(found.between.len(), 2);
}

#[test]
fn handing_a_name_on_is_no_import_and_using_it_is() {
    let room = |code: &str| {
        let body = format!(
            "mod room {{ mod one {{ use super::A; pub struct B; }} pub use one::B; pub struct A{code} }}"
        );
        example("room", &body).circles.len()
    };
    assert_eq!(room(";"), 0);
    assert_eq!(room("(B);"), 1);
    assert_eq!(room("; fn f() { println!(\"{}\", B) }"), 1);
}

#[test]
fn a_crate_names_each_of_its_rooms_once() {
    for (floors, why) in [
        ("```floors\na\n```", "b has no floor"),
        ("```floors\na b\na\n```", "a has two floors"),
        ("```floors\na\nb c\n```", "no module is c, which its floors name"),
        ("", "its documentation has no block `floors`"),
    ] {
        let docs: String = floors.lines().map(|line| format!("//! {line}\n")).collect();
        let read = Crate::of_text(&format!("{docs}mod a {{}} mod b {{}}"));
        assert_eq!(examine(&read).err().map(|error| error.to_string()).as_deref(), Some(why));
    }
}
