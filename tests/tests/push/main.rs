//! Push targets of live streams: what a target receives, how a target can fail, and that no other target is affected. Each file's header
//! says what the file proves.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

mod accounts;
mod answers;
mod changes;
mod failures;
mod lives;
mod many;
mod merged;
mod names;
mod relay;
mod sample;
mod secrecy;
mod stranger;
mod tls;
mod wakes;

use serde_json::{Value, json};
use weir_rtmp::flv::TagKind;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::peer::{Call, assert_unbroken};
use weir_tests::harness::process::Process;
use weir_tests::harness::{Api, Nginx, Peer, Publisher, until};

/// Returns a configuration with a zone, the API, and an application `live` whose streams may be pushed.
fn source(app: &str) -> Config {
    Config::weir().with_api().app("live", &format!("weir_publish open; weir_push on; {app}"))
}

/// A live stream `show`, and a target that accepts it, the witness: other targets must affect neither of them.
struct Stage {
    nginx: Nginx,
    api: Api,
    publisher: Publisher,
    witness: Peer,
    workers: Vec<Process>,
}

impl Stage {
    #[track_caller]
    fn set(config: Config) -> Self {
        let nginx = config.start();
        let (api, witness) = (nginx.api(), Peer::takes());
        add(&api, "show", &witness.url("app/witness"));
        let publisher = Publisher::to(nginx.rtmp(), "live/show").start().started();
        until("pictures at the witness", 10.0, || {
            witness
                .open("witness")
                .iter()
                .any(|call| call.frames.iter().any(|frame| frame.kind == TagKind::Video))
        });
        let workers = nginx.workers();
        Self { nginx, api, publisher, witness, workers }
    }

    /// Adds a target for the stream, and returns its id.
    #[track_caller]
    fn add(&self, url: &str) -> String {
        add(&self.api, "show", url)
    }

    /// Returns the stream's session at a target.
    #[track_caller]
    fn session(&self, id: &str) -> Value {
        session(&self.api, id)
    }

    /// Waits until the target waits for this reason.
    #[track_caller]
    fn wait_error(&self, id: &str, reason: &str) -> Value {
        wait_error(&self.api, id, reason)
    }

    #[track_caller]
    fn wait_state(&self, id: &str, state: &str) -> Value {
        wait_state(&self.api, id, state)
    }

    /// Asserts that publisher and witness have lost nothing and that no worker died; returns the call that the witness saw.
    #[track_caller]
    fn is_undisturbed(&self) -> Call {
        let goal = self.publisher.sent_ms();
        let sent = |call: &Call| call.frames.last().is_some_and(|frame| frame.timestamp + 100 >= goal);
        let call =
            until("the witness has what was sent", 5.0, || self.witness.open("witness").pop().filter(sent));
        assert_eq!(self.witness.calls().len(), 1, "the witness was connected to again");
        assert_unbroken(&call.frames);
        assert!(!self.publisher.is_closed());
        assert_eq!(self.nginx.workers(), self.workers);
        call
    }
}

/// Adds a target, and returns its id.
#[track_caller]
fn add(api: &Api, stream: &str, url: &str) -> String {
    let body = json!({"app": "live", "stream": stream, "url": url});
    api.post("/v1/targets", &body).expect(201)["id"].as_str().unwrap().to_owned()
}

/// Changes a target.
#[track_caller]
fn patch(api: &Api, id: &str, change: &Value) -> Value {
    api.send(api.request("PATCH", &format!("/v1/targets/{id}")).json(change)).expect(200)
}

#[track_caller]
fn remove(api: &Api, id: &str) {
    api.delete(&format!("/v1/targets/{id}")).expect(200);
}

/// Returns the session of the stream `show` at a target; `null` if there is none.
#[track_caller]
fn session(api: &Api, id: &str) -> Value {
    session_of(api, id, "show")
}

/// Returns the session of a stream at a target; `null` if there is none.
#[track_caller]
fn session_of(api: &Api, id: &str, stream: &str) -> Value {
    let target = api.get(&format!("/v1/targets/{id}")).expect(200);
    let sessions = target["sessions"].as_array().unwrap();
    sessions.iter().find(|session| session["stream"] == stream).cloned().unwrap_or_default()
}

#[track_caller]
fn wait_state(api: &Api, id: &str, state: &str) -> Value {
    let mut last = Value::Null;
    let found = weir_tests::harness::until_ok(15.0, || {
        last = session(api, id);
        (last["state"] == state).then(|| last.clone())
    });
    found.unwrap_or_else(|| panic!("waited in vain for {state}, it is {last}"))
}

/// Waits until the stream waits at this target, with an error that begins with `reason`.
#[track_caller]
fn wait_error(api: &Api, id: &str, reason: &str) -> Value {
    let waiting = wait_state(api, id, "waiting");
    let said = waiting["last_error"].as_str().unwrap_or_default();
    assert!(said.starts_with(reason), "expected {reason:?}, it is {said:?}");
    assert!(waiting["retry_in_ms"].as_u64().is_some_and(|ms| ms <= 60_000), "{waiting}");
    waiting
}
