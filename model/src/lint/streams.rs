//! Finds gaps in `allow` and `deny`, and applications that several servers have.

use std::collections::BTreeMap;

use super::advice::{Advice, Severity};
use super::{Directive, reader::all};

pub(super) fn check(configuration: &[Directive], found: &mut Vec<Advice>) {
    let mut applications: BTreeMap<&str, Vec<&Directive>> = BTreeMap::new();
    for rtmp in all(configuration, "rtmp") {
        for server in rtmp.all("server") {
            for application in server.all("application") {
                found.extend(allowed_without_deny([rtmp, server, application]));
                if let Some(name) = application.argument(0) {
                    applications.entry(name).or_default().push(application);
                }
            }
        }
    }
    found.extend(applications.into_values().filter_map(|places| same_name(&places)));
}

/// Finds an `allow publish` in an application without a `deny`: nginx-rtmp admits clients that match no line
/// (ngx_rtmp_access_found).
fn allowed_without_deny(blocks: [&Directive; 3]) -> Vec<Advice> {
    let application = blocks[2];
    let missing = |what: &'static str| {
        let lines = |name: &'static str| {
            let of = move |directive: &&Directive| matches!(directive.argument(0), Some(word) if word == what || !is_action(word));
            blocks.into_iter().flat_map(move |block| block.all(name)).filter(of)
        };
        let denied = lines("deny").next().is_some();
        let allows = application.all("allow").find(|allow| {
            allow.argument(0) == Some(what) && allow.argument(1).is_some_and(|who| who != "all")
        });
        allows.filter(|_| !denied).map(|allow| {
            let problem = format!("excludes nobody: without a \"deny\", anyone may {what}");
            let remedy = format!("add \"deny {what} all;\" after it");
            Advice::new(allow, Severity::Hint, problem, &remedy)
        })
    };
    ["publish", "play"].into_iter().filter_map(missing).collect()
}

fn is_action(word: &str) -> bool {
    matches!(word, "publish" | "play")
}

/// Finds an application name that several servers have.
fn same_name(places: &[&Directive]) -> Option<Advice> {
    let [first, others @ ..] = places else { return None };
    let last = others.last()?;
    let problem = format!(
        "{} \"server\" blocks have an application \"{}\" (first in {}:{}): one stream name can be live in each of them, \
         and they write to the same files where their folders are the same",
        places.len(),
        last.argument(0)?.escape_debug(),
        first.file.display(),
        first.line
    );
    Some(Advice::new(last, Severity::Hint, problem, "give each application its own name, or its own folders"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lint, places};

    #[test]
    fn who_is_allowed_and_nobody_denied() {
        for (rules, found) in [
            ("allow publish 127.0.0.1;", true),
            ("allow publish 127.0.0.1; deny publish all;", false),
            ("allow publish 127.0.0.1; deny all;", false),
            ("allow publish 127.0.0.1; deny play all;", true),
            ("allow play 192.0.2.0/24; deny publish all;", true),
            ("allow publish all;", false),
            ("allow 127.0.0.1;", false),
            ("deny publish all;", false),
        ] {
            let text = format!("rtmp {{ server {{ application live {{ {rules} }} }} }}");
            assert_eq!(!places(&text).is_empty(), found, "{rules}");
        }
        let outer = "rtmp { deny publish all; server { application live { allow publish 127.0.0.1; } } }";
        assert_eq!(places(outer), [""; 0]);
        assert_eq!(
            lint("rtmp { server { application live { allow publish 127.0.0.1; } } }"),
            [
                "/etc/nginx/nginx.conf:1: hint: \"allow\" excludes nobody: without a \"deny\", anyone may publish: add \
                 \"deny publish all;\" after it"
            ]
        );
    }

    #[test]
    fn an_application_in_several_servers() {
        let text = "rtmp { server { application live { } application a { } }\nserver { application live { } application b { } } }";
        assert_eq!(places(text), ["2 application"]);
        assert!(
            lint(text)[0].contains(
                "2 \"server\" blocks have an application \"live\" (first in /etc/nginx/nginx.conf:1)"
            )
        );
    }
}
