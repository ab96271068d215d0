//! Converts the Markdown of the reference to roff: only headings, paragraphs, lists, tables and examples.

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

/// Returns the section of a heading, up to the next heading of the same or a higher level.
pub(super) fn section(page: &str, heading: &str) -> Option<String> {
    let level = heading.bytes().take_while(|byte| *byte == b'#').count();
    let mut lines = page.lines().skip_while(|line| *line != heading);
    lines.next()?;
    let depth = |line: &str| line.bytes().take_while(|byte| *byte == b'#').count();
    let is_end = |line: &&str| (1..=level).contains(&depth(line)) && line[depth(line)..].starts_with(' ');
    Some(lines.take_while(|line| !is_end(line)).flat_map(|line| [line, "\n"]).collect())
}

/// Converts a section, without the synopsis and the examples.
pub(super) fn text(roff: &mut Roff, markdown: &str) {
    let mut lines = markdown.lines().peekable();
    let mut paragraph = String::new();
    // Whether the second column of the table is the default.
    let mut has_defaults = false;
    while let Some(line) = lines.next() {
        let is_prose = !line.is_empty() && !line.starts_with(['#', '|', ' ', '-', '`', '>']);
        if is_prose || (line.starts_with('`') && !line.starts_with("```")) {
            paragraph.push_str(line);
            paragraph.push('\n');
            continue;
        }
        flush(roff, &mut paragraph);
        if let Some(fence) = line.strip_prefix("```") {
            let shown: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
            if fence != "console" {
                code(roff, &shown.join("\n"));
            }
        } else if line.starts_with('#') {
            roff.control("SS", [without_marks(line.trim_start_matches(['#', ' '])).as_str()]);
        } else if line.starts_with('|') {
            if let [_, second, _] = cells(line)[..]
                && lines.peek().is_some_and(|next| next.starts_with("|--"))
            {
                has_defaults = second == "default";
            }
            row(roff, line, has_defaults);
        } else if let Some(item) = line.strip_prefix("- ") {
            let mut item = item.to_owned();
            while let Some(more) = lines.next_if(|line| line.starts_with("  ")) {
                item.push(' ');
                item.push_str(more.trim());
            }
            roff.control("IP", ["\\(bu", "2"]);
            roff.text(inlines(&item));
        } else if line.starts_with("    ")
            && !line.starts_with("    weir ")
            && !line.trim_start().starts_with('[')
        {
            let mut shown = vec![line];
            while let Some(more) = lines.next_if(|line| line.starts_with("    ") || line.is_empty()) {
                shown.push(more);
            }
            code(roff, &shown.join("\n"));
        }
    }
    flush(roff, &mut paragraph);
}

/// Converts the blocks with commands and their output.
pub(super) fn examples(roff: &mut Roff, markdown: &str) {
    let blocks: Vec<&str> =
        markdown.split("```console\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0)).collect();
    if !blocks.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
    }
    blocks.into_iter().for_each(|block| code(roff, block));
}

/// Writes a text unchanged.
pub(super) fn code(roff: &mut Roff, text: &str) {
    roff.control("PP", []);
    roff.control("nf", []);
    for line in text.lines() {
        roff.text([roman(line.strip_prefix("    ").unwrap_or(line))]);
    }
    roff.control("fi", []);
}

fn flush(roff: &mut Roff, paragraph: &mut String) {
    if !paragraph.is_empty() {
        roff.control("PP", []);
        roff.text(inlines(paragraph));
        paragraph.clear();
    }
}

/// Converts a table row: the first cell, and below it the other cells.
fn row(roff: &mut Roff, line: &str, has_defaults: bool) {
    let cells = cells(line);
    let is_rule = |cell: &&str| !cell.is_empty() && cell.bytes().all(|byte| b"-:| ".contains(&byte));
    let Some((first, others)) = cells.split_first() else { return };
    // The header row names no key.
    if is_rule(first) || !first.contains('`') && !first.chars().any(|c| c.is_ascii_digit()) {
        return;
    }
    roff.control("TP", []);
    roff.text([bold(without_marks(first))]);
    match others {
        [default, about] if has_defaults && !default.is_empty() => {
            let mut line = inlines(about);
            let stop = if about.ends_with('.') { "" } else { "." };
            line.push(roman(format!("{stop} Default: {}", without_marks(default))));
            roff.text(line);
        }
        others => {
            let others: Vec<&str> = others.iter().copied().filter(|cell| !cell.is_empty()).collect();
            roff.text(inlines(&others.join("; ")));
        }
    }
}

/// Splits a row into cells; a bar inside of code is no border.
fn cells(line: &str) -> Vec<&str> {
    let mut in_code = false;
    let cells = line.trim().trim_matches('|').split(|c| {
        in_code ^= c == '`';
        c == '|' && !in_code
    });
    cells.map(str::trim).collect()
}

/// Converts inline Markdown: code becomes italic, and links lose their addresses.
fn inlines(text: &str) -> Vec<Inline> {
    let text = without_addresses(text.trim_end());
    let part = |(at, part): (usize, &str)| match at % 2 {
        0 => roman(part.replace("**", "")),
        _ => italic(part),
    };
    text.split('`').enumerate().filter(|(_, part)| !part.is_empty()).map(part).collect()
}

fn without_marks(text: &str) -> String {
    without_addresses(text).replace(['`', '*'], "")
}

/// Replaces `[text](address)` with its text.
fn without_addresses(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("](") {
        let (before, behind) = rest.split_at(at);
        match before.rfind('[') {
            Some(open) => {
                out.push_str(&before[..open]);
                out.push_str(&before[open + 1..]);
            }
            None => out.push_str(before),
        }
        rest = behind.split_once(')').map_or("", |(_, rest)| rest);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# T
### `weir x`

    weir x A

Does [that](a.md#b) with `y`,
on **one** page.

| key | default | |
|---|---|---|
| `a` | `\"1\"` | first |
| `b` | | only |

```console
$ weir x
.done
```

| file | for | says |
|---|---|---|
| `c` | one | first |

- an item
  of two lines

## Next
no
";

    #[test]
    fn a_section_becomes_roff() {
        let section = section(PAGE, "### `weir x`").unwrap();
        assert!(!section.contains("Next"));
        let mut roff = Roff::new();
        text(&mut roff, &section);
        examples(&mut roff, &section);
        let said = roff.to_roff();
        for wanted in [
            "Does that with \\fIy\\fR,\non one page.",
            ".TP\n\\fBa\\fR\nfirst. Default: \"1\"",
            ".TP\n\\fBb\\fR\nonly",
            ".TP\n\\fBc\\fR\none; first",
            ".IP \\(bu 2\nan item of two lines",
            ".SH EXAMPLES\n.PP\n.nf\n$ weir x\n\\&.done\n.fi",
        ] {
            assert!(said.contains(wanted), "{wanted}\n---\n{said}");
        }
        assert!(!said.contains("weir x A") && super::section(PAGE, "### `weir z`").is_none());
    }
}
