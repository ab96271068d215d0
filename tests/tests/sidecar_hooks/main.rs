//! Webhooks, commands and admission of `weir serve`, beside stock nginx with Weir's module and a real HTTP server. Each file's header says
//! what the file proves.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

mod admission;
mod commands;
mod delivery;
mod streams;

use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;
use weir_tests::harness::hook::Request;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Hook, Nginx, Publisher, wait};

/// Secret of the tests: 24 bytes.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

/// Returns an nginx where anybody may publish to `live`.
fn open() -> Config {
    Config::weir().with_api().app("live", "weir_publish open;")
}

#[track_caller]
fn publish(nginx: &Nginx, name: &str) -> Publisher {
    Publisher::to(nginx.rtmp(), &format!("live/{name}")).start().started()
}

/// A folder with secrets, for queues and for the files of commands.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("weir-hooks-").tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), format!("{SECRET}\n")).unwrap();
        std::fs::write(folder.path().join("other"), OTHER_SECRET).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Returns `[hooks]` with its queue in this folder.
    fn hooks(&self) -> String {
        format!("[hooks]\nqueue = {:?}\n", self.path("queue"))
    }

    /// Returns the section of a webhook that leads to `hook`.
    fn webhook(&self, name: &str, hook: &Hook, more: &str) -> String {
        format!(
            "[hooks.webhook.{name}]\nurl = \"{}{name}\"\nsecret_files = [{:?}]\nallow_private = true\nbackoff_max = \"1s\"\n{more}\n",
            hook.url(),
            self.path("secret")
        )
    }

    /// Returns how many events wait for a webhook.
    fn waiting(&self, name: &str) -> usize {
        let files = std::fs::read_dir(self.path("queue").join(name)).into_iter().flatten().flatten();
        files.filter(|file| file.path().extension().is_some_and(|extension| extension == "json")).count()
    }
}

/// Returns the kinds of the events that arrived, in order.
fn kinds(hook: &Hook) -> Vec<String> {
    hook.requests().iter().map(kind).collect()
}

fn kind(request: &Request) -> String {
    let body: Value = serde_json::from_str(&request.body).unwrap();
    body["type"].as_str().unwrap().to_owned()
}

/// Waits until an event of this kind arrives, and returns the first one.
#[track_caller]
fn arrived(hook: &Hook, wanted: &str) -> Request {
    wait::until(&format!("{wanted} arrives"), 15.0, || {
        hook.requests().into_iter().find(|request| kind(request) == wanted)
    })
}
