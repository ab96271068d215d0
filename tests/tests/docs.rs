//! The docs agree with the code: directives, API routes, events, errors, commands, reasons, samples and links; also two rules of the
//! project that a text search can check. This test reads only the checkout, and needs neither nginx nor a build.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use weir_model::api::ApiError;
use weir_model::api::route::ROUTES;
use weir_model::directive::DIRECTIVES;
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::hooks::HookEvent;
use weir_model::event::{self, Event};
use weir_model::front::{FrontMessage, MediaMessage};
use weir_model::guard::Violation;
use weir_model::health::Reason;
use weir_model::lint::{self, Files};
use weir_model::publish::RESERVED;
use weir_model::push::LastError;
use weir_model::refusal::Refusal;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns every file of the project with one of these endings, as a path from the root. Built, fetched and vendored files are left out.
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

/// Returns each text between `begin` and the next `end`.
fn all_between<'t>(text: &'t str, begin: &str, end: &str) -> Vec<&'t str> {
    text.split(begin).skip(1).filter_map(|rest| rest.split_once(end)).map(|(found, _)| found).collect()
}

fn between<'t>(text: &'t str, begin: &str, end: &str) -> &'t str {
    all_between(text, begin, end)
        .first()
        .copied()
        .unwrap_or_else(|| panic!("nothing between {begin:?} and {end:?}"))
}

/// Returns the headings of a page that begin with `prefix`, without the prefix and without backticks.
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
    let docs = read("docs/directives.md");
    let directives: BTreeSet<String> = DIRECTIVES.iter().map(|name| (*name).to_owned()).collect();
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

#[test]
fn every_route_of_the_api_has_a_section() {
    let docs = read("docs/api.md");
    let routes: BTreeSet<String> =
        ROUTES.iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    let methods = ["GET ", "POST ", "PUT ", "PATCH ", "DELETE "];
    let is_route = |heading: &String| methods.iter().any(|method| heading.starts_with(method));
    assert_same("routes", &routes, &headings(&docs, "## ").into_iter().filter(is_route).collect());
    for route in routes {
        assert!(docs.contains(&format!("| [`{route}`](")), "{route} is not in the table of requests");
    }
}

#[test]
fn every_error_of_the_api_is_in_its_table() {
    let errors: BTreeSet<String> =
        ApiError::KINDS.iter().map(|(status, code)| format!("{status} {code}")).collect();
    let docs = read("docs/api.md");
    let table = docs.split("## Errors").nth(1).unwrap();
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let (status, code) = (cells.next()?, cells.next()?);
        status.parse::<u16>().ok().map(|status| format!("{status} {}", code.replace('`', "")))
    };
    assert_same("errors", &errors, &table.lines().filter_map(row).collect());
}

/// Returns the part of a page under a heading of level 2.
fn section<'d>(docs: &'d str, heading: &str) -> &'d str {
    let section = docs.split(&format!("## {heading}\n")).nth(1).unwrap_or_else(|| panic!("no {heading:?}"));
    section.split("\n## ").next().unwrap()
}

/// Returns each text between backticks in one column of a section's tables.
fn in_cell(section: &str, cell: usize) -> Vec<String> {
    let cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").nth(cell));
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// Returns whether a documented text matches a text of the code: `...` matches any text, `N` any number.
fn stands_for(documented: &str, text: &str) -> bool {
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    let numbered = |text: &str| -> String {
        text.split(' ').map(|word| if is_number(word) { "N" } else { word }).collect::<Vec<_>>().join(" ")
    };
    let (documented, text) = (numbered(documented), numbered(text));
    let mut pieces = documented.split("...");
    let mut rest = text.strip_prefix(pieces.next().unwrap_or_default());
    for piece in pieces {
        rest =
            if piece.is_empty() { Some("") } else { rest.and_then(|rest| Some(rest.split_once(piece)?.1)) };
    }
    rest == Some("")
}

/// Asserts that each text of the code has a documented text, and the reverse.
fn assert_explained(what: &str, in_code: &[String], in_docs: &[String]) {
    assert!(!in_docs.is_empty(), "{what}: none is documented");
    for text in in_code {
        assert!(
            in_docs.iter().any(|documented| stands_for(documented, text)),
            "{what}: {text:?} is not explained"
        );
    }
    for documented in in_docs {
        let real = in_code.iter().any(|text| stands_for(documented, text));
        assert!(real, "{what}: {documented:?} is documented, and not in the code");
    }
}

fn texts<T: ToString>(all: impl IntoIterator<Item = T>) -> Vec<String> {
    all.into_iter().map(|one| one.to_string()).collect()
}

#[test]
fn every_reason_to_refuse_is_explained() {
    let docs = read("docs/directives.md");
    // A refused `connect` is not in the table of reasons for publishers.
    let connects = [Refusal::KeyInServer, Refusal::NoApplication];
    let (elsewhere, publishers): (Vec<Refusal>, Vec<Refusal>) =
        Refusal::one_of_each().into_iter().partition(|refusal| connects.contains(refusal));
    let section = section(&docs, "Refusals");
    assert_explained("reasons to refuse", &texts(publishers), &in_cell(section, 1));
    for reason in texts(elsewhere) {
        assert!(section.contains(&format!("`{reason}`")), "{reason:?} is not explained");
    }
    for name in RESERVED {
        assert!(docs.contains(&format!("`{name}`")), "the reserved argument {name} is not listed");
    }
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
    let docs = read("docs/directives.md");
    let mut rows = in_cell(section(&docs, "weir_push"), 0);
    rows.retain(|row| row != "last_error");
    assert_explained("errors of a push", &texts(LastError::one_of_each()), &rows);
}

#[test]
fn every_reason_of_the_health_is_explained() {
    let docs = read("docs/api.md");
    let reasons = in_cell(section(&docs, "`GET /v1/health`"), 0);
    assert_explained("reasons of /v1/health", &texts(Reason::one_of_each()), &reasons);
}

#[test]
fn every_event_is_in_its_table() {
    let events: BTreeSet<String> = Event::KINDS.iter().map(|kind| (*kind).to_owned()).collect();
    let docs = read("docs/api.md");
    let table = docs.split("| event | when |").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows = table.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()));
    assert_same("events", &events, &rows.collect());
}

#[test]
fn the_events_of_the_docs_are_those_of_the_code() {
    let docs = read("docs/api.md");
    let lines: Vec<&str> = section(&docs, "`GET /v1/events`").lines().collect();
    let mut shown = 0;
    for pair in lines.windows(2) {
        let [Some(kind), Some(data)] = [pair[0].strip_prefix("event: "), pair[1].strip_prefix("data: ")]
        else {
            continue;
        };
        let fields: Value = serde_json::from_str(data).unwrap();
        let event = Event::read(kind, &fields).unwrap_or_else(|error| panic!("{kind}: {error}"));
        let mut text = String::new();
        event::append(
            &mut text,
            None,
            fields["at"].as_str().map(|at| at.parse().unwrap()),
            kind,
            &event.fields(),
        );
        assert_eq!(text, format!("{}\n{}\n\n", pair[0], pair[1]));
        shown += 1;
    }
    assert!(shown >= 3, "{shown} events");
}

/// Returns the rows of the table with this head: the texts between backticks in the first cell, and the whole row.
fn rows<'d>(docs: &'d str, head: &str) -> Vec<(Vec<&'d str>, &'d str)> {
    let table = docs.split(&format!("| {head} |\n")).nth(1).unwrap().split("\n\n").next().unwrap();
    let rows = table.lines().filter_map(|line| Some((line.strip_prefix("| ")?.split(" | ").next()?, line)));
    rows.map(|(cell, row)| (cell.split('`').skip(1).step_by(2).collect(), row)).collect()
}

#[test]
fn every_event_of_the_daemon_is_in_a_table_with_its_fields() {
    let (serve, api) = (read("docs/configuration.md"), read("docs/api.md"));
    let mut table = rows(&serve, "event | when");
    table.extend(rows(&api, "event | `action` | more fields"));
    let kinds = |all: &[&str]| all.iter().map(|kind| (*kind).to_owned()).collect::<BTreeSet<String>>();
    let documented: Vec<&str> = table.iter().flat_map(|(kinds, _)| kinds.clone()).collect();
    assert_same("events of the daemon", &kinds(DaemonEvent::KINDS), &kinds(&documented));
    let common = ["at", "app", "name", "stream", "session", "who", "action"];
    for event in DaemonEvent::one_of_each() {
        let (_, row) = table.iter().find(|(kinds, _)| kinds.contains(&event.kind())).unwrap();
        let fields = json!(event);
        let rare = fields.as_object().unwrap().keys().filter(|field| !common.contains(&field.as_str()));
        for word in rare.map(String::as_str).chain(fields["action"].as_str()) {
            assert!(row.contains(&format!("`{word}`")), "{}: {word}", event.kind());
        }
    }
}

#[test]
fn every_event_of_hooks_is_explained_with_its_fields() {
    let docs = read("docs/configuration.md");
    for event in HookEvent::one_of_each() {
        let line = between(section(&docs, "`[hooks]`"), &format!("- `{}`:", event.kind()), "\n- ");
        for field in json!(event).as_object().unwrap().keys() {
            assert!(line.contains(&format!("`{field}`")), "{}: {field}", event.kind());
        }
    }
}

#[test]
fn the_messages_of_the_docs_are_those_of_the_code() {
    let docs = read("docs/api.md");
    let of_ws = rows(section(&docs, "`/v1/ws`"), "message | meaning");
    let of_chat = rows(section(&docs, "Chat"), "from the server | meaning");
    let of_media = rows(section(&docs, "`/stream/APP/NAME/ws`"), "message | meaning");
    let shown: Vec<&str> = of_ws.iter().chain(&of_chat).flat_map(|(texts, _)| texts.clone()).collect();
    let type_of = |message: Value| message["type"].as_str().unwrap().to_owned();
    for kind in FrontMessage::one_of_each().iter().map(|message| type_of(json!(message))) {
        let is_shown = |text: &str| text == kind || text.contains(&format!("{{\"type\":\"{kind}\""));
        assert!(shown.iter().any(|text| is_shown(text)), "{kind}");
    }
    // An example that is cut off is no JSON.
    let examples: Vec<Value> = shown.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
    assert!(examples.len() >= 11, "{examples:?}");
    for mut example in examples {
        let message: FrontMessage = {
            let mut whole = json!({ "app": "live", "stream": "show" });
            whole.as_object_mut().unwrap().extend(example.as_object().unwrap().clone());
            serde_json::from_value(whole).unwrap_or_else(|error| panic!("{example}: {error}"))
        };
        let written = json!(message);
        for field in ["app", "stream"].into_iter().filter(|field| written.get(field).is_some()) {
            example[field] = written[field].clone();
        }
        assert_eq!(written, example);
    }
    let shown: Vec<Value> = of_media
        .iter()
        .flat_map(|(texts, _)| texts)
        .filter_map(|text| serde_json::from_str(text).ok())
        .collect();
    let in_code = MediaMessage::one_of_each().map(|message| message.text().parse::<Value>().unwrap());
    assert_eq!(shown, in_code);
}

#[test]
fn every_configuration_is_introduced() {
    let readme = read("nginx-conf/README.md");
    for path in files(&[".conf"]).iter().filter_map(|path| path.strip_prefix("nginx-conf/")) {
        assert!(readme.contains(path), "nginx-conf/README.md does not mention {path}");
    }
}

/// The samples of the checkout; files of the machine that they include count as empty.
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

/// Returns the anchor that a forge makes of a heading.
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
    // A dash continues the word, because the Content-Security-Policy has words with this one in them.
    let is_letter = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    for path in files(&[".rs"]).into_iter().filter(|path| !path.starts_with("ngx-rtmp/")) {
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

/// Returns the make targets that a text calls.
fn make_targets(text: &str) -> BTreeSet<String> {
    let calls =
        text.lines().filter_map(|line| line.trim().trim_start_matches("- run: ").strip_prefix("make "));
    calls.filter_map(|call| call.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn the_workflow_and_the_local_check_call_the_same_targets() {
    let (local, workflow) = (make_targets(&read(".ci/run")), make_targets(&read(".github/workflows/ci.yml")));
    assert!(local.len() >= 3, "{local:?}");
    let missing: Vec<_> = local.difference(&workflow).collect();
    assert!(missing.is_empty(), "the workflow does not call {missing:?}");
    let makefile = read("Makefile");
    let known: BTreeSet<String> =
        between(&makefile, ".PHONY:", "\n\n").split([' ', '\n', '\t', '\\']).map(str::to_owned).collect();
    for target in workflow {
        assert!(known.contains(&target), "make {target} does not exist");
    }
}

#[test]
fn every_action_is_pinned_by_its_commit() {
    let workflow = read(".github/workflows/ci.yml");
    let actions = all_between(&workflow, "uses: ", "\n");
    assert!(!actions.is_empty());
    for action in actions {
        let (commit, version) =
            action.split_once('@').and_then(|(_, rest)| rest.split_once(" # v")).unwrap_or_default();
        let pinned = commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit());
        assert!(pinned && !version.is_empty(), "{action}: expected OWNER/NAME@COMMIT # vX.Y.Z");
    }
}

#[test]
fn every_crate_has_the_facts_of_the_workspace() {
    let workspace = read("Cargo.toml");
    let members = between(&workspace, "members = [", "]");
    for member in members.split('"').skip(1).step_by(2) {
        let manifest = read(&format!("{member}/Cargo.toml"));
        for fact in ["version", "edition", "rust-version", "authors", "license", "keywords"] {
            assert!(manifest.contains(&format!("\n{fact}.workspace = true\n")), "{member}: {fact}");
        }
        assert!(
            manifest.contains("\ndescription = \"") && manifest.contains("\n[lints]\nworkspace = true\n")
        );
    }
}
