//! `plan` shows the costs of an event and creates nothing; the sample of the docs has a valid plan; the budget and the number of servers
//! are never exceeded.

use serde_json::{Value, json};
use weir_tests::harness::{files, products};

use super::hetzner::Hetzner;
use super::machine::Hall;
use super::{Event, at_home, nginx, origin};

#[test]
fn the_sample_is_planned() {
    let nginx = nginx().start();
    let daemon = origin(&nginx);
    let hetzner = Hetzner::start(Box::new(|name, _| panic!("plan creates {name}")));
    let event = Event::new(&daemon, &hetzner.url(), &at_home(&daemon), "edges = 1", "");
    std::fs::write(event.file(), files::text(&products::workspace().join("nginx-conf/fleet/event.toml")))
        .unwrap();
    let (text, _) = event.done("plan", &[]);
    for part in [
        "3 x cx33 in fsn1: gala-1 to gala-3",
        "create   2026-12-24T16:30:00Z",
        "0.0110 EUR per hour",
        "total    0.2310 EUR",
        // 8 servers send 2.745 TB each, of which 2 TB are included.
        "traffic  at most 7.0924 EUR on top",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let plan: Value = serde_json::from_str(&event.done("plan", &["--json"]).0).unwrap();
    // Between 17:30 and 23:36, seven billed hours begin.
    assert_eq!(
        (&plan["each"], &plan["total"], &plan["most"]),
        (&"0.0770".into(), &"0.2310".into(), &"0.6160".into())
    );
    assert_eq!(plan["servers"], json!(["gala-1", "gala-2", "gala-3"]));
    event.edit("max_edges = 8", "max_edges = 500");
    event.edit("edges = 3", "edges = 400");
    event.edit("min = 3\nmax = 8", "min = 3");
    let (status, text, _) = event.run("plan", &[]);
    assert!(
        status == 1 && text.contains("total    30.8000 EUR, more than the budget of 25.0000 EUR"),
        "{status} {text}"
    );
    event.edit("budget = 25", "budget = \"much\"");
    let (status, _, log) = event.run("plan", &[]);
    assert!(status == 1 && log.contains("event.toml:16: budget: invalid type: string"), "{status} {log}");
    let asked = hetzner.requests();
    assert!(asked.iter().all(|request| request.starts_with("GET ")), "{asked:?}");
}

#[test]
fn the_budget_and_the_number_hold() {
    let nginx = nginx().start();
    let daemon = origin(&nginx);
    let hall = Hall::open(daemon.web());
    let hetzner = Hetzner::start(Box::new(move |name, _| Box::new(hall.boot(name))));
    // Each server costs two hours of 0.0110 EUR, and at most the price of a month: 100 servers for 28 days cost more than 5 EUR.
    let event = Event::new(&daemon, &hetzner.url(), &at_home(&daemon), "edges = 3", "");
    event.edit("[server]", "max_edges = 3\n[server]");
    event.done("up", &["--no-wait"]);
    assert_eq!((hetzner.names().len(), hetzner.groups()), (3, 1));
    event.done("up", &[]);
    assert_eq!(hetzner.peak(), (3, 3), "the second run finds all of them");
    let end = super::moment(27 * 86_400);
    let text = files::text(&event.file());
    let old = text.lines().find(|line| line.starts_with("end = ")).unwrap().to_owned();
    event.edit(&old, &format!("end = \"{end}\""));
    event.edit("budget = 5", "budget = 20");
    event.edit("max_edges = 3", "max_edges = 50");
    event.edit("\nedges = 3", "\nedges = 4");
    // Three servers exist, at 6.60 EUR each.
    let (status, _, log) = event.run("up", &["--no-wait"]);
    assert!(
        status == 1 && log.contains("1 servers are wanted and 0 fit: budget is 20 EUR"),
        "{status} {log}"
    );
    event.edit("budget = 20", "budget = 27");
    event.done("up", &["--no-wait"]);
    assert_eq!(hetzner.peak(), (4, 4));
    let (text, _) = event.done("status", &[]);
    assert!(text.contains("gala-4") && text.contains("26.4000 EUR until"), "{text}");
    event.done("down", &["--now"]);
    // Past costs stay in the total.
    let status: Value = serde_json::from_str(&event.done("status", &["--json"]).0).unwrap();
    assert_eq!((&status["cost"], &status["servers"]), (&"0.0440".into(), &json!([])));
    assert!(hetzner.names().is_empty() && hetzner.groups() == 0);
}
