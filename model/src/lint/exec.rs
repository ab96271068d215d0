//! Finds `exec` and similar directives that pass client-controlled input to a program as an argument.

use std::collections::HashMap;

use super::advice::{Advice, Severity, listed};
use super::{Directive, reader::all};
use crate::{exec::variables, verdict::Policy};

/// Directives that run on a publish. `$name` is the published name (ngx_rtmp_exec_push_eval, ngx_rtmp_exec_event_eval).
const BY_PUBLISHER: [&str; 5] =
    ["exec", "exec_push", "exec_publish", "exec_publish_done", "exec_record_done"];
/// Directives that run on a play. `$name` is the requested name, live or not.
const BY_PLAYER: [&str; 3] = ["exec_play", "exec_play_done", "exec_pull"];

/// Variables from a `publish` or `play`.
const NAMES: [&str; 2] = ["name", "args"];
/// Variables from a `connect` (ngx_rtmp_eval_session).
const CONNECT: [&str; 4] = ["flashver", "swfurl", "tcurl", "pageurl"];

/// An application with the blocks that contain it, outermost first. A directive in an outer block applies to each
/// application below it.
struct Application<'d> {
    name: &'d str,
    policy: Policy,
    levels: Vec<&'d Directive>,
}

pub(super) fn check(configuration: &[Directive], found: &mut Vec<Advice>) {
    let applications = applications(configuration);
    // Each directive appears once, with the applications that it applies to.
    let mut commands: Vec<(&Directive, Vec<&Application<'_>>)> = Vec::new();
    let mut at: HashMap<*const Directive, usize> = HashMap::new();
    for application in &applications {
        for directive in application.levels.iter().flat_map(|level| &level.block).filter(is_command) {
            let at = *at.entry(std::ptr::from_ref(directive)).or_insert(commands.len());
            match commands.get_mut(at) {
                Some((_, concerned)) => concerned.push(application),
                None => commands.push((directive, vec![application])),
            }
        }
    }
    found.extend(commands.iter().filter_map(|(directive, concerned)| advice(directive, concerned)));
}

/// Returns whether the directive starts a program.
fn is_command(directive: &&Directive) -> bool {
    BY_PUBLISHER.contains(&directive.name()) || BY_PLAYER.contains(&directive.name())
}

fn applications(configuration: &[Directive]) -> Vec<Application<'_>> {
    let mut applications = Vec::new();
    for rtmp in all(configuration, "rtmp") {
        for server in rtmp.all("server") {
            for block in server.all("application") {
                let mut levels = vec![rtmp, server, block];
                let said = levels.iter().rev().find_map(|level| level.all("weir_publish").last());
                let policy = match said.and_then(|directive| directive.argument(0)) {
                    Some("key") => Policy::Key,
                    Some("open") => Policy::Open,
                    _ => Policy::Off,
                };
                levels.extend(block.all("recorder"));
                applications.push(Application {
                    name: block.argument(0).unwrap_or_default(),
                    policy,
                    levels,
                });
            }
        }
    }
    applications
}

/// Returns the advice on a directive that applies to these applications, if there is any.
fn advice(directive: &Directive, applications: &[&Application<'_>]) -> Option<Advice> {
    let mut variables: Vec<&str> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for application in applications {
        let chosen = chosen_by_strangers(directive, application.policy);
        if !chosen.is_empty() {
            names.push(application.name);
        }
        for variable in chosen {
            if !variables.contains(&variable) {
                variables.push(variable);
            }
        }
    }
    if names.is_empty() {
        return None;
    }
    let variables: Vec<_> = variables.iter().map(|variable| format!("${variable}")).collect();
    let (whose, remedy) = match directive.name() {
        "exec_play" => ("player-controlled", "add \"weir_publish key;\" there, or use \"on_play\""),
        "exec_play_done" => ("player-controlled", "add \"weir_publish key;\" there, or use \"on_play_done\""),
        "exec_pull" => {
            ("player-controlled", "add \"weir_publish key;\" there, or write the name of the stream")
        }
        _ => ("client-controlled", "add \"weir_publish key;\" there, or remove the variable"),
    };
    let problem = format!(
        "passes {whose} input ({}) to a program in the application{} {}",
        variables.join(", "),
        if names.len() > 1 { "s" } else { "" },
        listed(&names)
    );
    Some(Advice::new(directive, Severity::Danger, problem, remedy))
}

/// Returns the variables among the arguments whose value a client chooses freely. If `weir_publish` is `key` or `open`,
/// Weir refuses values that have a meaning for a shell ([`exec`](crate::exec)).
fn chosen_by_strangers(directive: &Directive, policy: Policy) -> Vec<&str> {
    let mut chosen: Vec<&str> = Vec::new();
    // nginx-rtmp does not evaluate variables in the command itself (ngx_rtmp_exec_run).
    for variable in directive.words.iter().skip(2).flat_map(|word| variables(word)) {
        let (is_name, is_connect) = (NAMES.contains(&variable), CONNECT.contains(&variable));
        let exposed = match (directive.name(), policy) {
            (_, Policy::Key | Policy::Open) => false,
            // `exec_pull` has two variables, and the other is the application (ngx_rtmp_exec_pull_eval).
            ("exec_pull", _) => variable == "name",
            _ => is_name || is_connect,
        };
        if exposed && !chosen.contains(&variable) {
            chosen.push(variable);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lint, places};
    use super::*;

    #[test]
    fn a_publishers_words_need_name_rules() {
        for directive in BY_PUBLISHER {
            for (rule, found) in [
                ("", true),
                ("weir_publish off;", true),
                ("weir_publish key;", false),
                ("weir_publish open;", false),
            ] {
                let text = format!(
                    "rtmp {{ server {{ application live {{ {directive} sh -c \"a $name\"; {rule} }} }} }}"
                );
                assert_eq!(!places(&text).is_empty(), found, "{text}");
            }
        }
    }

    #[test]
    fn what_counts_in_an_application_without_rules() {
        for (command, found) in [
            ("exec ffmpeg -i rtmp://localhost/live/$name -c copy rtmp://localhost/hls/$name", true),
            ("exec a \"${name}\"", true),
            ("exec a $args", true),
            ("exec a $flashver", true),
            ("exec a $swfurl", true),
            ("exec a $tcurl", true),
            ("exec a $pageurl", true),
            ("exec a $app $addr", false),
            ("exec a $path $basename", false),
            ("exec a \\$name", false),
            ("exec $name", false),
            ("exec a name", false),
            ("exec_static a $name", false),
            ("exec_kill_signal term", false),
            ("on_publish http://127.0.0.1/$name", false),
            ("exec_pull a $name", true),
            ("exec_pull a $args $tcurl", false),
        ] {
            let text = format!("rtmp {{ server {{ application live {{ {command}; }} }} }}");
            assert_eq!(!places(&text).is_empty(), found, "{text}");
        }
    }

    #[test]
    fn words_of_connect_and_of_players_are_harmless_where_names_have_a_rule() {
        for (policy, command, found) in [
            ("key", "exec a $tcurl", false),
            ("open", "exec a $tcurl", false),
            ("off", "exec a $tcurl", true),
            ("open", "exec a $name", false),
            ("open", "exec sh -c \"a $args\"", false),
            ("off", "exec sh -c \"a $args\"", true),
            ("key", "exec_play a $name", false),
            ("off", "exec_play a $name", true),
            ("key", "exec_play_done a $flashver", false),
            ("open", "exec_pull a $name", false),
            ("off", "exec_pull a $name", true),
            ("off", "exec_play a $app", false),
        ] {
            let text =
                format!("rtmp {{ server {{ application live {{ weir_publish {policy}; {command}; }} }} }}");
            assert_eq!(!places(&text).is_empty(), found, "{text}");
        }
    }

    #[test]
    fn outer_blocks_are_inherited() {
        let with = |rtmp: &str, server: &str, app: &str| {
            places(&format!("rtmp {{ {rtmp}\nserver {{ {server}\napplication live {{ {app}\n}} }} }}"))
        };
        assert_eq!(with("exec a $name;", "", ""), ["1 exec"]);
        assert_eq!(with("", "exec a $name;", ""), ["2 exec"]);
        assert_eq!(with("exec a $name;", "", "weir_publish key;"), [""; 0]);
        assert_eq!(with("exec a $name; weir_publish key;", "", ""), [""; 0]);
        assert_eq!(with("weir_publish key;", "weir_publish off;", "exec a $name;"), ["3 exec"]);
        assert_eq!(with("weir_publish off;", "weir_publish key;", "exec a $name;"), [""; 0]);
        assert_eq!(with("weir_publish key;", "", "exec a $name; weir_publish off;"), ["3 exec"]);
        assert_eq!(with("", "", "recorder all { exec_record_done a $name; }"), ["3 exec_record_done"]);
        // Without an application nginx-rtmp runs no program.
        assert_eq!(places("rtmp { exec a $name; server { exec a $name; } }"), [""; 0]);
    }

    #[test]
    fn it_is_said_once_with_the_applications_it_concerns() {
        let text = "rtmp { server { exec a $name $args $name;
            application one { } application two { weir_publish key; } application three { } } }";
        assert_eq!(
            lint(text),
            [
                "/etc/nginx/nginx.conf:1: danger: \"exec\" passes client-controlled input ($name, $args) to a program in the applications \
              \"one\", \"three\": add \"weir_publish key;\" there, or remove the variable"
            ]
        );
        let text = "rtmp { server { application live { exec_play a\n$name; } } }";
        assert_eq!(
            lint(text),
            [
                "/etc/nginx/nginx.conf:1: danger: \"exec_play\" passes player-controlled input ($name) to a program in the application \
              \"live\": add \"weir_publish key;\" there, or use \"on_play\""
            ]
        );
    }
}
