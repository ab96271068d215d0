//! The look of a page at three widths, light and dark: axe-core finds no fault, nothing is cut off, covered or beside the window, and the
//! landmarks have the places and sizes that `tests/looks.txt` states. Pixels are not compared, because fonts differ between machines.
//!
//! With `WEIR_SCREENSHOTS=FOLDER`, the tests save a screenshot of each page. With `WEIR_LOOKS=FILE`, they append the places and sizes to that
//! file instead of comparing them: sort its lines, and put them into `tests/looks.txt`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::browser::Browser;
use super::{products, until, wait};

/// Widths and heights of windows, in pixels: a phone, a tablet, a desktop.
const SIZES: [(u32, u32); 3] = [(360, 740), (768, 1024), (1280, 800)];
/// Maximum time until a page has followed a new size of its window, in seconds.
const SETTLED: f64 = 5.0;
const FINDER: &str = include_str!("look.js");

/// Boxes of landmarks: left, top, width and height, in pixels.
type Boxes = BTreeMap<String, [f64; 4]>;

/// Asserts that a page looks right in each size, light and dark.
#[track_caller]
pub fn look_at(browser: &Browser, name: &str) {
    let mut faults = Vec::new();
    for (width, height) in SIZES {
        browser.resize(width, height);
        for scheme in ["light", "dark"] {
            browser.prefer(scheme);
            keep(browser, &format!("{name}-{width}-{scheme}"));
            let here = faults_of(browser, name, width, scheme == "light");
            faults.extend(here.into_iter().map(|fault| format!("{name} at {width}, {scheme}: {fault}")));
        }
    }
    browser.resize(1280, 900);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Asserts that a page that changes soon looks right on a phone.
#[track_caller]
pub fn glance_at(browser: &Browser, name: &str) {
    let (width, height) = SIZES[0];
    browser.resize(width, height);
    keep(browser, name);
    let faults = faults_of(browser, name, width, true);
    browser.resize(1280, 900);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Returns the faults of the page as it is now.
#[track_caller]
fn faults_of(browser: &Browser, name: &str, width: u32, is_first: bool) -> Vec<String> {
    let looks = std::env::var_os("WEIR_LOOKS");
    let table = looks.is_none().then(|| expected(name, width));
    let mut found = layout(browser, table.as_ref());
    // A page follows a new size of its window some frames later.
    let _ = wait::until_ok(SETTLED, || {
        let before = std::mem::replace(&mut found, layout(browser, table.as_ref()));
        before.0 == found.0 && before.1 == found.1 && (table.is_none() || found.0.is_empty())
    });
    let (mut faults, boxes) = found;
    if let Some(file) = looks.filter(|_| is_first) {
        note(Path::new(&file), name, width, &boxes);
    }
    faults.extend(violations(browser));
    faults
}

/// Returns the faults of the layout, and the landmarks. They are compared with the table, if there is one.
#[track_caller]
fn layout(browser: &Browser, table: Option<&Boxes>) -> (Vec<String>, Boxes) {
    let mut faults = Vec::new();
    let wide = browser.run("return document.documentElement.scrollWidth - innerWidth").as_i64().unwrap();
    if wide > 0 {
        faults.push(format!("{wide} pixels too wide"));
    }
    let found = browser.run(FINDER);
    faults.extend(texts(&found["faults"]));
    let boxes = boxes(&found["boxes"]);
    faults.extend(table.map(|table| differences(table, &boxes)).unwrap_or_default());
    (faults, boxes)
}

/// Returns what axe-core finds, as rule and elements.
#[track_caller]
fn violations(browser: &Browser) -> Vec<String> {
    if browser.run("return Boolean(window.axe)") != true {
        let axe = products::workspace().join("build/npm/node_modules/axe-core/axe.min.js");
        browser.run(&fs::read_to_string(products::tool(&axe.to_string_lossy())).unwrap());
    }
    browser.run(
        "window.found = null; axe.run({ resultTypes: ['violations'] }).then((all) => {
           window.found = all.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).slice(0, 3)}`) })",
    );
    until("axe-core", 60.0, || browser.run("return Boolean(window.found)") == true);
    texts(&browser.run("return window.found"))
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn boxes(found: &Value) -> Boxes {
    let numbers = |list: &Value| std::array::from_fn(|at| list[at].as_f64().unwrap());
    found.as_object().unwrap().iter().map(|(kind, list)| (kind.clone(), numbers(list))).collect()
}

/// Returns the boxes that the table states for a page.
fn expected(name: &str, width: u32) -> Boxes {
    let table = fs::read_to_string(products::workspace().join("tests/looks.txt")).unwrap();
    let start = format!("{name} {width} ");
    let line = table.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_default();
    line.split(' ').filter(|part| !part.is_empty()).map(read).collect()
}

/// Reads `main=0,107,360,900`.
fn read(part: &str) -> (String, [f64; 4]) {
    let (kind, numbers) = part.split_once('=').unwrap();
    let numbers: Vec<f64> = numbers.split(',').map(|number| number.parse().unwrap()).collect();
    (kind.to_owned(), numbers.try_into().unwrap())
}

fn note(file: &Path, name: &str, width: u32, boxes: &Boxes) {
    let text: String = boxes.iter().map(|(kind, [x, y, w, h])| format!(" {kind}={x},{y},{w},{h}")).collect();
    let mut file = File::options().create(true).append(true).open(file).unwrap();
    file.write_all(format!("{name} {width}{text}\n").as_bytes()).unwrap();
}

/// Returns how the landmarks of a page differ from the table. Another font moves what is below a text, and makes it higher: so a place or
/// height may differ by a fifth, and a width by a tenth.
fn differences(expected: &Boxes, boxes: &Boxes) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for kind in expected.keys().filter(|kind| !boxes.contains_key(*kind)) {
        all.push(format!("{kind} is missing"));
    }
    for (kind, now) in boxes {
        let Some(before) = expected.get(kind) else {
            all.push(format!("{kind} is not in tests/looks.txt: {}", json!(now)));
            continue;
        };
        let is_near =
            |at: usize, share: f64| (now[at] - before[at]).abs() <= (before[at].abs() * share).max(24.0);
        if ![(0, 0.1), (1, 0.2), (2, 0.1), (3, 0.2)].iter().all(|(at, share)| is_near(*at, *share)) {
            all.push(format!("{kind} is {}, and not {}", json!(now), json!(before)));
        }
    }
    all
}

/// Saves a screenshot, if the developer asks for it.
pub fn keep(browser: &Browser, name: &str) {
    if let Some(folder) = std::env::var_os("WEIR_SCREENSHOTS") {
        fs::write(Path::new(&folder).join(format!("{name}.png")), browser.screenshot()).unwrap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_more_than_another_font() {
        let boxes = |all: &[&str]| all.iter().map(|part| read(part)).collect::<Boxes>();
        let table = boxes(&["main=0,107,360,900", "h1=16,120,328,36"]);
        for (now, faults) in [
            (&["main=0,120,360,1000", "h1=16,130,328,40"][..], 0),
            (&["main=0,107,360,1300", "h1=16,120,328,36"], 1),
            (&["main=40,107,320,900", "h1=16,120,328,36"], 1),
            (&["main=0,107,360,900"], 1),
            (&["main=0,107,360,900", "h1=16,120,328,36", ".card=0,0,1,1"], 1),
        ] {
            assert_eq!(differences(&table, &boxes(now)).len(), faults, "{now:?}");
        }
    }
}
