//! Proves that the docs say what the code does: directives, API routes, events, errors, commands, reasons, samples and links; and
//! two rules of the house that a text search can hold. It reads the checkout alone, and needs neither nginx nor a build.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use weir_model::guard::Violation;
use weir_model::lint::{self, Files};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file of the project with one of these endings, as a path from the root. What is built, fetched or vendored is not
/// ours.
fn files(endings: &[&str]) -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let foreign = ["target", "build", "vendor", "node_modules"].contains(&name.as_str());
            let hidden = name.starts_with('.') && name != ".ci" && name != ".cargo";
            if path.is_dir() && !foreign && !hidden {
                walk(&path, found);
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(root(), &mut found);
    let relative = |path: PathBuf| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
    let mut found: Vec<String> = found.into_iter().map(relative).collect();
    found.retain(|path| endings.iter().any(|ending| path.ends_with(ending)));
    found.sort();
    assert!(!found.is_empty(), "no file ends with any of {endings:?}");
    found
}

/// What stands between `begin` and the next `end`, each time.
fn all_between<'t>(text: &'t str, begin: &str, end: &str) -> Vec<&'t str> {
    text.split(begin).skip(1).filter_map(|rest| rest.split_once(end)).map(|(found, _)| found).collect()
}

fn between<'t>(text: &'t str, begin: &str, end: &str) -> &'t str {
    all_between(text, begin, end)
        .first()
        .copied()
        .unwrap_or_else(|| panic!("nothing between {begin:?} and {end:?}"))
}

/// The headings of a page that begin with `prefix`, without it and without backticks.
fn headings(text: &str, prefix: &str) -> BTreeSet<String> {
    text.lines().filter_map(|line| line.strip_prefix(prefix)).map(|rest| rest.replace('`', "")).collect()
}

fn assert_same(what: &str, in_code: &BTreeSet<String>, in_docs: &BTreeSet<String>) {
    assert!(!in_code.is_empty(), "{what}: none was found in the code");
    let missing: Vec<_> = in_code.difference(in_docs).collect();
    let invented: Vec<_> = in_docs.difference(in_code).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "{what}: undocumented {missing:?}, not in the code {invented:?}"
    );
}

#[test]
fn every_directive_has_a_section() {
    let code = read("ngx-module/src/directives.rs");
    let docs = read("docs/directives.md");
    let directives: BTreeSet<String> =
        all_between(&code, "c\"weir_", "\"").iter().map(|name| format!("weir_{name}")).collect();
    let sections =
        headings(&docs, "## ").into_iter().filter(|heading| heading.starts_with("weir_")).collect();
    assert_same("directives", &directives, &sections);
    for directive in directives {
        let section = section(&docs, &directive);
        for line in [&format!("    Syntax:  {directive}"), "    Default: ", "    Context: "] {
            assert!(section.contains(line), "{directive}: no line {line:?}");
        }
    }
}

/// `["v1", "streams", app @ .., name]` as `/v1/streams/{app}/{name}`.
fn path_of(pattern: &str) -> String {
    let part = |part: &str| match part.trim().strip_prefix('"') {
        Some(word) => format!("/{}", word.trim_end_matches('"')),
        None => format!("/{{{}}}", part.split_whitespace().next().unwrap()),
    };
    pattern.split(',').map(part).collect()
}

#[test]
fn every_route_of_the_api_has_a_section() {
    let code = read("ngx-module/src/api.rs");
    let docs = read("docs/api.md");
    let table = between(&code, "fn route(", "\n}");
    let route = |arm: &&str| {
        let (method, pattern) = arm.split_once("\", [")?;
        Some(format!("{method} {}", path_of(pattern.split_once(']')?.0)))
    };
    let arms: Vec<&str> = table.split("(\"").skip(1).collect();
    let routes: BTreeSet<String> = arms.iter().filter_map(route).collect();
    let methods = ["GET ", "POST ", "PUT ", "PATCH ", "DELETE "];
    let is_route = |heading: &String| methods.iter().any(|method| heading.starts_with(method));
    assert_same("routes", &routes, &headings(&docs, "## ").into_iter().filter(is_route).collect());
    for route in routes {
        assert!(docs.contains(&format!("| [`{route}`](")), "{route} is not in the table of requests");
    }
}

#[test]
fn every_error_of_the_api_is_in_its_table() {
    let code = read("model/src/api.rs");
    let kinds = between(&code, "kinds! {", "\n    }");
    let errors = kinds.lines().filter_map(|line| line.trim().strip_suffix(';')?.split_once(" = "));
    let errors: BTreeSet<String> = errors.map(|(code, status)| format!("{status} {code}")).collect();
    let docs = read("docs/api.md");
    let table = docs.split("## Errors").nth(1).unwrap();
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let (status, code) = (cells.next()?, cells.next()?);
        status.parse::<u16>().ok().map(|status| format!("{status} {}", code.replace('`', "")))
    };
    assert_same("errors", &errors, &table.lines().filter_map(row).collect());
}

/// The commands below an enum of the command line: each variant is a command, or holds the enum of its own commands.
fn commands(code: &str, name: &str, above: &str) -> BTreeSet<String> {
    let body = between(code, &format!("pub enum {name} {{"), "\n}");
    let mut found = BTreeSet::new();
    for line in body.lines().map(str::trim).filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
    {
        let (variant, inner) = line.trim_end_matches([')', ',']).split_once('(').unwrap_or((line, ""));
        let word: String = variant.chars().enumerate().fold(String::new(), |word, (at, letter)| {
            let dash = if at > 0 && letter.is_ascii_uppercase() { "-" } else { "" };
            format!("{word}{dash}{}", letter.to_ascii_lowercase())
        });
        let command = format!("{above} {word}");
        if code.contains(&format!("pub enum {inner} {{")) {
            found.extend(commands(code, inner, &command));
        } else {
            found.insert(command);
        }
    }
    found
}

#[test]
fn every_command_has_a_section() {
    let sources = files(&[".rs"]).into_iter().filter(|path| path.starts_with("sidecar/src/cli"));
    let code: String = sources.map(|path| read(&path)).collect();
    let commands = commands(&code, "Command", "weir");
    let sections = headings(&read("docs/configuration.md"), "### ");
    assert_same(
        "commands",
        &commands,
        &sections.into_iter().filter(|heading| heading.starts_with("weir ")).collect(),
    );
}

#[test]
fn every_key_of_weir_toml_has_a_row() {
    let files = ["raw.rs", "hooks/raw.rs", "record/raw.rs", "slate/raw.rs"];
    let code: String = files.iter().map(|file| read(&format!("sidecar/src/config/{file}"))).collect();
    let docs = read("docs/configuration.md");
    let tables: Vec<&str> = code.split("\n/// `[").skip(1).collect();
    assert!(tables.len() >= 6, "{tables:?}");
    for table in tables {
        let (name, body) = table.split_once('`').unwrap();
        let heading = format!("\n### `[{name}`\n");
        let section = docs.split(&heading).nth(1).unwrap_or_else(|| panic!("no section {heading:?}"));
        let section = section.split("\n### ").next().unwrap().split("\n## ").next().unwrap();
        // A table inside a table has a section of its own.
        let own = |line: &&str| !line.contains("BTreeMap") && !line.contains("Spanned<Admission>");
        let body: String = body.split("\n}").next().unwrap().split_inclusive('\n').filter(own).collect();
        let keys: BTreeSet<String> = all_between(&body, "    pub ", ":")
            .iter()
            .map(|key| key.trim_start_matches("r#").to_owned())
            .collect();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
        assert_same(&format!("keys of [{name}"), &keys, &rows.map(|(key, _)| key.to_owned()).collect());
    }
}

#[test]
fn every_reason_to_refuse_is_explained() {
    let code = read("model/src/refusal.rs");
    let docs = read("docs/directives.md");
    let section = docs.split("## Refusals").nth(1).unwrap().split("\n## ").next().unwrap();
    // What a message fills in differs; "..." and N stand for it.
    let explained = section.replace("...", "").replace(" N ", "  ").replace(" N`", " `").to_lowercase();
    let reasons = all_between(&code, "#[error(\"", "\")]");
    assert!(reasons.len() > 20, "{reasons:?}");
    for reason in reasons.into_iter().filter(|reason| *reason != "{0}") {
        let reason = reason.replace("\\\"", "\"");
        let fixed: String = reason.split('{').map(|part| part.rsplit('}').next().unwrap()).collect();
        assert!(explained.contains(&fixed.trim().to_lowercase()), "{reason:?} is not explained");
    }
    for name in all_between(between(&read("model/src/publish.rs"), "const RESERVED", "];"), "    \"", "\"") {
        assert!(docs.contains(&format!("`{name}`")), "the reserved argument {name} is not listed");
    }
}

/// The section of a directive.
fn section<'d>(docs: &'d str, directive: &str) -> &'d str {
    let section = docs.split(&format!("## {directive}\n")).nth(1).unwrap();
    section.split("\n## ").next().unwrap()
}

#[test]
fn every_reason_of_the_guard_is_explained() {
    let docs = read("docs/directives.md");
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split("` | `");
        Some(format!("{}: {}", cells.next()?, cells.next()?.split("` | ").next()?))
    };
    let rows = section(&docs, "weir_guard").lines().filter_map(row).collect();
    let reasons = Violation::ALL.iter().map(|reason| format!("{}: {reason}", reason.label())).collect();
    assert_same("reasons of the guard", &reasons, &rows);
}

#[test]
fn every_error_of_a_push_is_explained() {
    let code = read("model/src/push/error.rs");
    let errors =
        all_between(&code, "#[error(\"", "\")]").into_iter().map(|error| error.replace("{0}", "..."));
    let docs = read("docs/directives.md");
    let row = |line: &str| Some(line.strip_prefix("| `")?.split_once("` | ")?.0.to_owned());
    let rows =
        section(&docs, "weir_push").lines().filter_map(row).filter(|row| row != "last_error").collect();
    assert_same("errors of a push", &errors.collect(), &rows);
}

#[test]
fn every_event_is_in_its_table() {
    let subjects = ["stream", "publish", "key", "target", "guard"];
    let is_event = |word: &&str| {
        let (subject, change) = word.split_once('.').unwrap_or_default();
        subjects.contains(&subject) && !change.is_empty() && change.bytes().all(|b| b.is_ascii_lowercase())
    };
    let mut events = BTreeSet::from(["missed".to_owned()]);
    let tells = |path: &&String| path.starts_with("ngx-module/src/") || path.starts_with("zone/src/");
    for path in files(&[".rs"]).iter().filter(tells) {
        events.extend(read(path).split('"').filter(is_event).map(str::to_owned));
    }
    let docs = read("docs/api.md");
    let table = docs.split("| event | when |").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows = table.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()));
    assert_same("events", &events, &rows.collect());
}

#[test]
fn every_configuration_is_introduced() {
    let readme = read("nginx-conf/README.md");
    for path in files(&[".conf"]).iter().filter_map(|path| path.strip_prefix("nginx-conf/")) {
        assert!(readme.contains(path), "nginx-conf/README.md does not mention {path}");
    }
}

/// The samples as they lie here; what they include of a machine's own is empty.
struct Samples;

impl Files for Samples {
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        if path.starts_with(root()) { fs::read(path) } else { Ok(Vec::new()) }
    }

    fn matching(&self, pattern: &Path) -> std::io::Result<Vec<PathBuf>> {
        let (folder, ending) = (pattern.parent().unwrap(), pattern.extension().unwrap_or_default());
        if !folder.starts_with(root()) {
            return Ok(Vec::new());
        }
        let found = fs::read_dir(folder)?.map(|entry| entry.unwrap().path());
        Ok(found.filter(|path| path.extension() == Some(ending)).collect())
    }
}

#[test]
fn no_sample_needs_advice() {
    for path in files(&["nginx.conf"]).iter().filter(|path| path.starts_with("nginx-conf/")) {
        let sample = lint::read(&root().join(path), &Samples).unwrap();
        let found: Vec<_> = lint::check(&sample).iter().map(ToString::to_string).collect();
        assert!(found.is_empty(), "{found:#?}");
    }
}

/// The anchor that a forge makes of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

#[test]
fn every_link_leads_somewhere() {
    for page in files(&[".md"]) {
        let text = read(&page);
        for link in all_between(&text, "](", ")") {
            if link.starts_with("https://") || link.starts_with("http://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                root().join(&page)
            } else {
                root().join(&page).parent().unwrap().join(file)
            };
            assert!(target.exists(), "{page}: {link} does not exist");
            if !heading.is_empty() {
                let known = anchors(&fs::read_to_string(&target).unwrap());
                assert!(known.contains(heading), "{page}: {link} has no such heading, only {known:?}");
            }
        }
    }
}

#[test]
fn every_page_is_linked_from_the_readme() {
    let readme = read("README.md");
    for page in files(&[".md"]).iter().filter(|page| *page != "README.md") {
        assert!(readme.contains(&format!("]({page})")), "README.md does not link to {page}");
    }
}

#[test]
fn code_that_the_compiler_does_not_check_is_behind_the_fence() {
    let word = concat!("un", "safe");
    // With the dash, as a word of a Content-Security-Policy is another one.
    let is_letter = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    for path in files(&[".rs"]).into_iter().filter(|path| !path.starts_with("ngx-module/src/ffi/")) {
        for (number, line) in (1..).zip(read(&path).lines()) {
            let code = line.split(" //").next().unwrap().trim_start();
            if code.starts_with("//") {
                continue;
            }
            let is_attribute = code.starts_with("#[") || code.starts_with("#![");
            let found = code.split(|c| !is_letter(c)).any(|found| found == word);
            assert!(is_attribute || !found, "{path}:{number}: {line}");
        }
    }
}

#[test]
fn nothing_names_a_package_registry_or_a_machine_of_its_makers() {
    let registries = [
        concat!("crates", ".io"),
        concat!("npmjs", ".org"),
        concat!("npmjs", ".com"),
        concat!("pypi", ".org"),
    ];
    let homes = [concat!("/ho", "me/"), concat!("/Us", "ers/")];
    let mut forbidden: Vec<String> = registries.iter().chain(&homes).map(|text| (*text).to_owned()).collect();
    // This very checkout, unless it lies where the docs tell a reader to put things.
    let here = root().to_str().unwrap();
    let documented =
        ["/srv/", "/usr/", "/var/", "/etc/", "/opt/"].iter().any(|place| here.starts_with(place));
    if !documented && here.matches('/').count() > 1 {
        forbidden.push(here.to_owned());
    }
    let sources = [".md", ".rs", ".sh", ".toml", ".conf", ".html", ".css", ".js", ".ci/run", "Makefile"];
    for path in files(&sources) {
        let text = read(&path);
        for forbidden in &forbidden {
            assert!(!text.contains(forbidden.as_str()), "{path} names {forbidden}");
        }
    }
}
