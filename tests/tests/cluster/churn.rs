//! Twenty edges join and leave within a minute: with a goodbye, after a drain, or by a crash. The origin sends no viewer to an edge that is
//! not there, and turns no viewer away while an edge is there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use weir_tests::harness::{Sidecar, until};

use super::{ORIGIN, SECRET, client, idle, nginx, report_to, signed, take};

const EDGES: u32 = 20;
/// Time between two joins, and the time for which an edge stays.
const EVERY: Duration = Duration::from_millis(1000);
const STAYS: Duration = Duration::from_millis(5500);
/// Interval of the reports.
const RENEWS: Duration = Duration::from_secs(2);
/// Time in which the origin must have applied a join or a goodbye.
const APPLIED: Duration = Duration::from_secs(1);
/// Time after which a dead edge must not be named.
const GONE: Duration = Duration::from_secs(6);

/// How an edge ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Goodbye,
    Drain,
    Death,
}

/// The times of an edge.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    /// Before its first report, and after the answer to it (`joined`).
    begins: Option<Instant>,
    joined: Option<Instant>,
    /// Before it ends, and the time from which the origin must not name it (`over`).
    ends: Option<Instant>,
    over: Option<Instant>,
}

type Lives = Arc<Mutex<BTreeMap<String, Life>>>;

/// Runs one edge from its first report to its end.
fn live(web: u16, id: &str, end: End, lives: &Lives) {
    let note = |change: &dyn Fn(&mut Life)| {
        change(lives.lock().unwrap_or_else(PoisonError::into_inner).entry(id.to_owned()).or_default());
    };
    let tell = |field: Option<&str>| {
        let mut body = idle(id);
        body["bandwidth"] = 100_000_000_000_u64.into();
        if let Some(field) = field {
            body[field] = true.into();
        }
        let answer = report_to(web, &signed(SECRET, super::now(), &body));
        assert_eq!(answer.status, 200, "{id}: {answer:?}");
    };
    note(&|life| life.begins = Some(Instant::now()));
    let begin = Instant::now();
    let mut last = begin;
    tell(None);
    note(&|life| life.joined = Some(Instant::now()));
    while begin.elapsed() + RENEWS < STAYS {
        thread::sleep(RENEWS);
        last = Instant::now();
        tell(None);
    }
    thread::sleep(STAYS.saturating_sub(begin.elapsed()));
    note(&|life| life.ends = Some(Instant::now()));
    match end {
        End::Goodbye => tell(Some("leaving")),
        End::Drain => {
            tell(Some("draining"));
            note(&|life| life.over = Some(Instant::now() + APPLIED));
            thread::sleep(RENEWS);
            tell(Some("leaving"));
        }
        End::Death => {}
    }
    note(&|life| {
        let over = if end == End::Death { last + GONE } else { Instant::now() + APPLIED };
        life.over.get_or_insert(over);
    });
}

/// Returns the fault of an answer. The times are those of the request and of the answer.
fn fault(answer: &super::Answer, (asked, given): (Instant, Instant), lives: &Lives) -> Option<String> {
    let lives = lives.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if answer.status == 200 {
        let id = answer.json()["edge"].as_str().unwrap().to_owned();
        let Some(life) = lives.get(&id) else { return Some(format!("{id} never joined")) };
        let is_early = life.begins.is_none_or(|begins| begins > given);
        let is_late = life.over.is_some_and(|over| over < asked);
        return (is_early || is_late).then(|| format!("{id} is not there: {life:?}, asked at {asked:?}"));
    }
    let code = answer.json()["error"]["code"].clone();
    if answer.status != 503 || (code != "no_edge" && code != "full") {
        return Some(format!("{answer:?}"));
    }
    let is_there = |life: &&Life| {
        life.joined.is_some_and(|joined| joined + APPLIED < asked)
            && life.ends.is_none_or(|ends| ends > given)
    };
    lives
        .iter()
        .find(|(_, life)| is_there(life))
        .map(|(id, life)| format!("{code} while {id} is there: {life:?}"))
}

#[test]
fn twenty_joins_and_leaves_in_a_minute_leave_no_wrong_answer() {
    let nginx = nginx();
    let origin = Sidecar::start(&nginx, ORIGIN);
    let (web, lives, begin) = (origin.web(), Lives::default(), Instant::now());
    let edges: Vec<_> = (0..EDGES)
        .map(|nth| {
            let lives = lives.clone();
            thread::spawn(move || {
                thread::sleep(EVERY * nth);
                let end = [End::Goodbye, End::Death, End::Drain][nth as usize % 3];
                live(web, &format!("edge-{nth}"), end, &lives);
            })
        })
        .collect();
    let client = client();
    let ask = |viewer: u32| {
        let url = format!("http://127.0.0.1:{web}/edge?stream=live/show");
        take(client.get(url).header("user-agent", format!("viewer-{viewer}")).send().unwrap())
    };
    let (mut asked, mut named) = (0_u32, BTreeMap::<String, u32>::new());
    while edges.iter().any(|edge| !edge.is_finished()) || begin.elapsed() < EVERY * EDGES {
        let at = Instant::now();
        let answer = ask(asked);
        let fault = fault(&answer, (at, Instant::now()), &lives);
        assert_eq!(fault, None, "answer {asked}, {:?} after the start", begin.elapsed());
        asked += 1;
        if let Some(id) = answer.json()["edge"].as_str() {
            *named.entry(id.to_owned()).or_default() += 1;
        }
        thread::sleep(Duration::from_millis(10));
    }
    edges.into_iter().for_each(|edge| edge.join().unwrap());
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
    println!("{asked} answers, {} edges named in {:?}", named.len(), begin.elapsed());
    assert_eq!(named.len(), EDGES as usize, "each edge got viewers: {named:?}");
    // Nothing is left.
    until("no edge is listed", 7.0, || {
        let (status, text, errors) = origin.command(&["edge", "list", "--json"]);
        assert_eq!(status, 0, "{errors}");
        serde_json::from_str::<Value>(&text).unwrap()["edges"].as_array().unwrap().is_empty()
    });
    assert_eq!(ask(0).status, 503);
}
