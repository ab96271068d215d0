//! A provider that is a program: `provider = "command"`. docs/fleet.md describes its requests and answers.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::error::CloudError;
use super::price::Price;
use super::process::{self, Failure};
use super::server::{Order, Server};
use crate::config::fleet::Fleet;

/// Time for which a call is repeated.
const PATIENCE: Duration = Duration::from_secs(600);
/// Exit status: another resource has the name.
const TAKEN: i32 = 3;
/// Exit status: try again later.
const BUSY: i32 = 4;

/// The program, for one event.
#[derive(Debug)]
pub(crate) struct Program {
    event: String,
    run: Vec<String>,
    timeout: Duration,
}

/// A server with its event.
#[derive(Debug, Deserialize)]
struct Labelled {
    event: String,
    #[serde(flatten)]
    server: Server,
}

impl Program {
    pub(super) fn new(fleet: &Fleet, run: Vec<String>, timeout: Duration) -> Self {
        Self { event: fleet.event.clone(), run, timeout }
    }

    async fn ask(&self, verb: &str, input: &Value) -> Result<Value, CloudError> {
        let (began, mut failures) = (Instant::now(), 0);
        loop {
            let error = match self.once(verb, input).await {
                Err(error) if !error.is_permanent() && began.elapsed() < PATIENCE => error,
                done => return done,
            };
            let pause = error.wait(failures);
            tracing::warn!("{error}; next try in {} ms, command: {verb}", pause.as_millis());
            sleep(pause).await;
            failures += 1;
        }
    }

    async fn once(&self, verb: &str, input: &Value) -> Result<Value, CloudError> {
        let words: Vec<String> = self.run.iter().cloned().chain([verb.to_owned()]).collect();
        let variables = [("WEIR_EVENT", self.event.clone())];
        let text = match process::run(&words, &variables, &input.to_string(), self.timeout).await {
            Ok(text) => text,
            Err(Failure::Status { status: TAKEN, said }) => return Err(CloudError::Taken(said)),
            Err(Failure::Status { status: BUSY, said }) => {
                return Err(CloudError::Busy {
                    status: 0,
                    code: "status 4".into(),
                    message: said,
                    after: None,
                });
            }
            Err(failure @ Failure::Late(_)) => return Err(CloudError::Away(failure.to_string())),
            Err(failure) => {
                let message = failure.to_string();
                return Err(CloudError::Refused { status: 0, code: format!("command {verb}"), message });
            }
        };
        match text.trim() {
            "" => Ok(Value::Null),
            text => serde_json::from_str(text).map_err(|error| nonsense(verb, &error)),
        }
    }

    /// Reads a server of an answer. Returns `None` if it belongs to another event.
    fn own(&self, verb: &str, value: Value) -> Result<Option<Server>, CloudError> {
        let found: Labelled = serde_json::from_value(value).map_err(|error| nonsense(verb, &error))?;
        Ok((found.event == self.event).then_some(found.server))
    }

    pub(super) async fn list(&self) -> Result<Vec<Server>, CloudError> {
        let mut answer = self.ask("list", &json!({ "event": self.event })).await?;
        let Value::Array(all) = answer["servers"].take() else {
            return Err(CloudError::Nonsense("list: servers is missing".into()));
        };
        all.into_iter().filter_map(|one| self.own("list", one).transpose()).collect()
    }

    pub(super) async fn price(&self) -> Result<Price, CloudError> {
        let answer = self.ask("price", &json!({ "event": self.event })).await?;
        serde_json::from_value(answer).map_err(|error| nonsense("price", &error))
    }

    pub(super) async fn create(&self, fleet: &Fleet, order: &Order) -> Result<Server, CloudError> {
        let asked = &fleet.server;
        let input = json!({
            "event": self.event, "name": order.name, "type": asked.kind, "location": asked.location,
            "image": asked.image, "ssh_keys": asked.ssh_keys, "network": asked.network,
            "firewall": asked.firewall, "user_data": order.user_data.expose(),
        });
        let mut answer = self.ask("create", &input).await?;
        let server = self.own("create", answer["server"].take())?;
        server.ok_or_else(|| CloudError::Nonsense("create: the server is of another event".into()))
    }

    pub(super) async fn delete(&self, server: &Server) -> Result<(), CloudError> {
        let input = json!({ "event": self.event, "id": server.id, "name": server.name });
        self.ask("delete", &input).await.map(|_| ())
    }
}

fn nonsense(verb: &str, error: &serde_json::Error) -> CloudError {
    CloudError::Nonsense(format!("{verb}: {error}"))
}
