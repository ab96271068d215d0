//! `POST /v1/admission`: passes nginx-rtmp's `on_publish` request to the operator's backend as a signed request. nginx-rtmp sends it
//! after the key was accepted and the name is public.

use std::sync::Arc;

use reqwest::Url;
use serde_json::{Map, Value};
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::fields::{AdmissionFailed, AdmissionFailure};

use super::body::body;
use super::sender::{SendError, Sender};
use crate::clock;
use crate::config::hooks::{Admission, WhenDown};
use crate::events::Bus;

/// `type` of the request for the backend.
const KIND: &str = "admission.publish";
/// nginx-rtmp's fields about a session and a publish, and their names for the backend. All other fields are the publisher's arguments.
const FIELDS: [(&str, Option<&str>); 10] = [
    ("call", None),
    ("app", Some("app")),
    ("name", Some("name")),
    ("addr", Some("addr")),
    ("flashver", Some("flash_version")),
    ("clientid", None),
    ("type", None),
    ("swfurl", None),
    ("pageurl", None),
    // May contain a client's secret.
    ("tcurl", None),
];
/// Arguments that the backend does not need.
const SECRET: [&str; 2] = ["key", "token"];

/// Answer for nginx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// 200
    Allow,
    /// 403
    Deny,
    /// 400: the request is not from `on_publish`.
    Misplaced,
}

/// Client of one backend.
#[derive(Debug)]
pub(crate) struct Asker {
    sender: Sender,
    when_down: WhenDown,
    bus: Arc<Bus>,
}

impl Asker {
    /// Returns an asker that has asked nothing yet.
    pub(crate) fn new(admission: &Admission, sender: Sender, bus: Arc<Bus>) -> Self {
        Self { sender, when_down: admission.when_down, bus }
    }

    /// Passes nginx-rtmp's form to the backend, and returns the verdict.
    pub(crate) async fn ask(&self, form: &str) -> Verdict {
        let Some(data) = question(form) else {
            tracing::warn!("admission request is not from on_publish");
            return Verdict::Misplaced;
        };
        let at = clock::now();
        let id = format!("weir_{}", clock::next_number());
        let answer = self.sender.send(&id, &body(KIND, at, &data)).await;
        let (verdict, reason) = decide(&answer, self.when_down);
        let who = format!("app: {}, stream: {}, client: {}", data["app"], data["name"], data["addr"]);
        match (&answer, verdict) {
            (Ok(()), _) => tracing::debug!("publisher admitted, {who}"),
            (Err(error), Verdict::Allow) => {
                tracing::warn!("publisher admitted without an answer: {error}, {who}")
            }
            (Err(error), _) => tracing::warn!("publisher not admitted: {error}, {who}"),
        }
        if let Some(reason) = reason {
            let text = |field: &str| data[field].as_str().unwrap_or_default().to_owned();
            let failed = AdmissionFailed {
                at,
                addr: text("addr"),
                admitted: verdict == Verdict::Allow,
                app: text("app"),
                name: text("name"),
                reason,
            };
            self.bus.tell(&match reason {
                AdmissionFailure::Refused => DaemonEvent::AdmissionRefused(failed),
                AdmissionFailure::BackendDown => DaemonEvent::AdmissionUnanswered(failed),
            });
        }
        verdict
    }
}

fn decide(answer: &Result<(), SendError>, when_down: WhenDown) -> (Verdict, Option<AdmissionFailure>) {
    match (answer, when_down) {
        (Ok(()), _) => (Verdict::Allow, None),
        (Err(error), _) if error.is_refusal() => (Verdict::Deny, Some(AdmissionFailure::Refused)),
        (Err(_), WhenDown::Allow) => (Verdict::Allow, Some(AdmissionFailure::BackendDown)),
        (Err(_), WhenDown::Deny) => (Verdict::Deny, Some(AdmissionFailure::BackendDown)),
    }
}

/// Converts nginx-rtmp's form to the backend's format. Returns `None` if the text is not such a form. nginx-rtmp appends the publisher's
/// arguments to its own fields, so the first field of a name is the true one.
fn question(form: &str) -> Option<Value> {
    let mut url = Url::parse("http://weir/").ok()?;
    url.set_query(Some(form));
    let mut data = Map::new();
    let mut arguments = Map::new();
    let mut call = None;
    for (name, value) in url.query_pairs() {
        match FIELDS.iter().find(|(field, _)| *field == name) {
            Some(("call", _)) => call = call.or(Some(value.into_owned())),
            Some((_, Some(field))) => {
                data.entry(*field).or_insert_with(|| value.into_owned().into());
            }
            Some((_, None)) => {}
            None if SECRET.contains(&&*name) || name.is_empty() => {}
            None => {
                arguments.entry(name).or_insert_with(|| value.into_owned().into());
            }
        }
    }
    let complete = ["app", "name", "addr"].iter().all(|field| data.contains_key(*field));
    if call.as_deref() != Some("publish") || !complete {
        return None;
    }
    data.insert("arguments".into(), arguments.into());
    Some(data.into())
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use serde_json::json;

    use super::*;

    #[test]
    fn nginx_s_form_is_read_and_arguments_do_not_replace_its_fields() {
        let form = "app=live&flashver=FMLE%2F3.0&swfurl=&tcurl=rtmp://h/live%3Fkey=k&pageurl=&addr=192.0.2.7&clientid=3\
                    &call=publish&name=show&type=live&name=other&app=admin&user=a%20b&key=secret&token=secret";
        let expected = json!({ "app": "live", "name": "show", "addr": "192.0.2.7", "flash_version": "FMLE/3.0",
            "arguments": { "user": "a b" } });
        assert_eq!(question(form).unwrap(), expected);
        assert_eq!(question(&form.replace("call=publish", "call=play&call=publish")), None);
        assert_eq!(question("call=publish&app=live"), None);
        assert_eq!(question(""), None);
    }

    #[test]
    fn a_refusal_is_told_from_a_backend_that_is_down() {
        let status = |status| Err(SendError::Status { status, retry_after: None });
        for (answer, expected) in [
            (Ok(()), (Verdict::Allow, Verdict::Allow)),
            (status(StatusCode::FORBIDDEN), (Verdict::Deny, Verdict::Deny)),
            (status(StatusCode::GONE), (Verdict::Deny, Verdict::Deny)),
            (status(StatusCode::TOO_MANY_REQUESTS), (Verdict::Allow, Verdict::Deny)),
            (status(StatusCode::BAD_GATEWAY), (Verdict::Allow, Verdict::Deny)),
            (status(StatusCode::FOUND), (Verdict::Allow, Verdict::Deny)),
            (Err(SendError::Unreachable("timed out".into())), (Verdict::Allow, Verdict::Deny)),
        ] {
            let got = (decide(&answer, WhenDown::Allow).0, decide(&answer, WhenDown::Deny).0);
            assert_eq!(got, expected, "{answer:?}");
        }
    }
}
