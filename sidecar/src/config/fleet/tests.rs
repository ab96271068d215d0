use std::path::Path;

use super::{Error, Fleet, Provider, parse};

/// The sample of the documentation must be valid.
const SAMPLE: &str = include_str!("../../../../nginx-conf/fleet/event.toml");

fn read(text: &str) -> Result<Fleet, Error> {
    parse(Path::new("event.toml"), text)
}

#[test]
fn the_sample_holds() {
    let fleet = read(SAMPLE).unwrap();
    assert_eq!((fleet.event.as_str(), fleet.edges, fleet.max_edges, fleet.budget), ("gala", 3, 8, 25));
    assert!(matches!(fleet.provider, Provider::Hetzner { .. }));
    assert_eq!(fleet.autoscale.unwrap().viewers_per_edge, Some(800));
    let own = SAMPLE
        .replace("provider = \"hetzner\"", "provider = \"command\"\ncommand = [\"/opt/cloud\", \"--x\"]");
    assert!(matches!(read(&own).unwrap().provider, Provider::Command { run, .. } if run.len() == 2));
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let line = |part: &str| SAMPLE.lines().position(|line| line.contains(part)).unwrap() + 1;
    for (from, to, why) in [
        ("event = \"gala\"", "event = \"Gala Night\"", "event = \"Gala Night\": must be 1 to 40 of a-z"),
        ("budget = 25", "budget = 0", "budget = 0: must be from 1 to 1000000"),
        (
            "budget = 25",
            "budget = 0.1",
            "budget: invalid type: floating point `0.1`, expected whole euros, such as 3",
        ),
        ("budget = 25", "", "event.toml:1: budget is missing, such as budget = 3"),
        ("T23:30:00+01:00", "T17:00:00+01:00", "end: must be after start, by at most 28d"),
        ("max_edges = 8", "max_edges = 2", "max_edges = 2: must be from 3 to 500"),
        ("provider = \"hetzner\"", "provider = \"aws\"", "must be \"hetzner\" or \"command\""),
        ("provider = \"hetzner\"", "provider = \"command\"", "command is missing, such as"),
        ("\"https://origin.example.org/tv\"", "\"http://origin.example.org/tv\"", "must begin with https://"),
        ("\"http://{ip}:8080\"", "\"http://edge:8080\"", "must contain {ip} or {name}"),
        ("\"live/test\"", "\"test\"", "write it as APP/NAME"),
        ("bandwidth = \"1g\"", "bandwith = \"1g\"", "unknown field `bandwith`"),
        ("viewers_per_edge = 800", "viewers_per_edge = 0", "viewers_per_edge = 0: must be from 1"),
        ("#sha256=", "#sha=", "https://ADDRESS.deb#sha256=64-HEX-DIGITS"),
    ] {
        assert!(SAMPLE.contains(from), "{from}");
        let error = read(&SAMPLE.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(why), "{from}: {error}");
        if !to.is_empty() && !why.contains("is missing") && from != "#sha256=" {
            assert!(error.starts_with(&format!("event.toml:{}: ", line(from))), "{error}");
        }
    }
    let (before, rest) = SAMPLE.split_once("packages = [").unwrap();
    let empty = format!("{before}packages = []{}", rest.split_once("\n]").unwrap().1);
    let error = read(&empty).unwrap_err().to_string();
    let expected = format!("event.toml:{}: packages = []: must name a package", line("packages = ["));
    assert!(error.starts_with(&expected), "{error}");
    let script = SAMPLE.replace("\"https://", "\"$(reboot)https://");
    assert!(read(&script).is_err());
}
