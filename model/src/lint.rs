//! Finds dangerous settings in an nginx-rtmp configuration, for `weir lint` and for the warnings when nginx starts.
//!
//! [`read`] parses the configuration into a tree, and [`check`] examines the tree. An [`Advice`] names a place, the
//! problem and the remedy. It repeats no argument of a directive except names of applications, hosts and variables,
//! because other arguments may contain keys.

use std::path::Path;

mod access;
mod advice;
mod codecs;
mod exec;
#[cfg(test)]
mod fixture;
mod lexer;
mod playback;
mod reader;
mod relay;
mod space;
mod stack;
mod streams;

pub use advice::{Advice, Severity};
pub use codecs::codecs;
pub use lexer::SyntaxError;
pub use reader::{Directive, Files, ReadError, read};
pub use space::{FileSystem, small_file_systems};
pub use stack::small_stack;

/// Returns all advice on a configuration, ordered by place.
pub fn check(configuration: &[Directive]) -> Vec<Advice> {
    let mut found = Vec::new();
    exec::check(configuration, &mut found);
    access::check(configuration, &mut found);
    relay::check(configuration, &mut found);
    streams::check(configuration, &mut found);
    playback::check(configuration, &mut found);
    found.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    found
}

/// Returns the advice to log when nginx starts: dangers, and settings that have no effect.
pub fn at_start(main_file: &Path, files: &impl Files) -> Result<Vec<Advice>, ReadError> {
    let mut found = check(&read(main_file, files)?);
    found.retain(|advice| matches!(advice.severity, Severity::Danger | Severity::Warning));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::advice::listed;
    use super::fixture::Memory;
    use super::*;
    use proptest::prelude::*;

    pub(super) const MAIN: &str = "/etc/nginx/nginx.conf";

    /// Returns all advice on a text, one line each.
    pub(super) fn lint(text: &str) -> Vec<String> {
        let tree = read(Path::new(MAIN), &Memory::new(&[(MAIN, text)])).unwrap();
        check(&tree).iter().map(Advice::to_string).collect()
    }

    /// Returns the directives that have advice, with their lines.
    pub(super) fn places(text: &str) -> Vec<String> {
        let tree = read(Path::new(MAIN), &Memory::new(&[(MAIN, text)])).unwrap();
        check(&tree).iter().map(|advice| format!("{} {}", advice.line, advice.directive)).collect()
    }

    #[test]
    fn advice_is_ordered_by_place_and_names_the_file() {
        let files = Memory::new(&[
            (MAIN, "http { include sites/*; }\nrtmp { server { include live.conf; } }"),
            ("/etc/nginx/live.conf", "application live {\n push rtmp://a.example/x;\n exec a $name;\n}"),
            ("/etc/nginx/sites/1", "server {\n location /c {\n  rtmp_control all;\n } }"),
        ]);
        let found = check(&read(Path::new(MAIN), &files).unwrap());
        let shown: Vec<_> = found
            .iter()
            .map(|a| format!("{}:{} {} {}", a.file.display(), a.line, a.directive, a.severity.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                "/etc/nginx/live.conf:2 push hint",
                "/etc/nginx/live.conf:3 exec danger",
                "/etc/nginx/sites/1:3 rtmp_control danger"
            ]
        );
        let at_start = at_start(Path::new(MAIN), &files).unwrap();
        assert_eq!(at_start, found[1..]);
        assert_eq!(
            at_start[0].log_line(),
            "weir: \"exec\" in /etc/nginx/live.conf:3 passes client-controlled input ($name) to a program in the application \
             \"live\": add \"weir_publish key;\" there, or remove the variable"
        );
        assert_eq!(
            at_start[0].to_string(),
            "/etc/nginx/live.conf:3: danger: \"exec\" passes client-controlled input ($name) to a program in the application \
             \"live\": add \"weir_publish key;\" there, or remove the variable"
        );
    }

    #[test]
    fn nothing_is_said_of_what_cannot_be_read() {
        assert!(at_start(Path::new(MAIN), &Memory::new(&[(MAIN, "rtmp {")])).is_err());
        assert_eq!(lint(""), [""; 0]);
        assert_eq!(
            lint("events {} http { server { location / { } } } rtmp { server { application a { } } }"),
            [""; 0]
        );
    }

    #[test]
    fn lists_of_names() {
        assert_eq!(listed(&["a", "b\n"]), "\"a\", \"b\\n\"");
        assert_eq!(listed(&["a", "b", "c", "d", "e"]), "\"a\", \"b\", \"c\" and 2 more");
    }

    proptest! {
        #[test]
        fn any_configuration_is_checked(
            words in prop::collection::vec(
                prop::sample::select(vec![
                    "rtmp", "http", "server", "application", "location", "recorder", "exec", "exec_play", "push", "pull",
                    "rtmp_control", "rtmp_stat", "allow", "deny", "all", "auth_basic", "off", "weir_publish", "key", "open",
                    "$name", "${args}", "$", "${", "rtmp://", "rtmp://[::1", "max_message", "1k", "weir_play", "token", "app=live", "weir_viewers", "access_log", "root", "hls", "hls_path", "/", "rtmp_auto_push", "on", "x",
                    "{", "}", ";", ";", ";", "{", "}",
                ]),
                0..60,
            ),
        ) {
            let text = words.join(" ");
            if let Ok(tree) = read(Path::new(MAIN), &Memory::new(&[(MAIN, &text)])) {
                check(&tree);
            }
        }
    }
}
