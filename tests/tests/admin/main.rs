//! The dashboard of `weir serve` and its accounts, tested with the command line, over HTTP, and in Chromium. Each file's header says what
//! the file proves.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

mod accounts;
mod chat;
mod clock;
mod dialogs;
mod edges;
mod graphs;
mod history;
mod hostile;
mod hour;
mod interactive;
mod keyboard;
mod large;
mod look;
mod nodes;
mod notices;
mod pages;
mod requests;
mod restart;
mod second_factor;
mod undo;
mod unsuitable;
mod uploads;

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use reqwest::blocking::{Client, RequestBuilder};
use serde_json::{Value, json};
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Nginx, Sidecar, products};

const PASSWORD: &str = "correct horse";
const WEB: &str = "[web]\nadmins_file = \"@MEDIA@/state/admins\"\n";

/// Starts an nginx whose application `live` requires a key.
fn nginx() -> Nginx {
    Config::weir()
        .main("weir_secret @DIR@/secret;")
        .file("secret", "0123456789abcdef0123456789abcdef")
        .with_api()
        .app("live", "weir_publish key; weir_push on; weir_push_allow all;")
        .start()
}

/// Runs `weir admin ...` for the accounts of a daemon, with `input` on standard input.
#[track_caller]
fn admin(sidecar: &Sidecar, args: &[&str], input: &str) -> Output {
    let mut command = Command::new(products::weir());
    command.arg("admin").args(args).arg("--config").arg(sidecar.configuration());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that refuses early does not read its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Creates an account.
#[track_caller]
fn add(sidecar: &Sidecar, name: &str, role: &str) {
    let output = admin(sidecar, &["add", name, "--role", role], PASSWORD);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A client of the dashboard's API that keeps its cookie as a browser on this machine does.
struct Visitor {
    client: Client,
    base: String,
    cookie: Option<String>,
}

impl Visitor {
    fn new(base: &str) -> Self {
        let client = Client::builder().timeout(Duration::from_secs(30)).no_proxy().build().unwrap();
        Self { client, base: base.to_owned(), cookie: None }
    }

    fn at(sidecar: &Sidecar) -> Self {
        Self::new(&format!("http://127.0.0.1:{}/admin/api", sidecar.web()))
    }

    #[track_caller]
    fn logged_in(sidecar: &Sidecar, name: &str) -> Self {
        let mut visitor = Self::at(sidecar);
        let (status, answer) = visitor.log_in(name, PASSWORD);
        assert_eq!(status, 200, "{answer}");
        visitor
    }

    fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let request = self.client.request(method.parse().unwrap(), format!("{}/{path}", self.base));
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }

    /// Returns status and JSON of a request with a JSON body.
    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = self.request(method, path).header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().unwrap();
        (answer.status().as_u16(), answer.json().unwrap_or_default())
    }

    #[track_caller]
    fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.request("GET", path).send().unwrap();
        (answer.status().as_u16(), answer.json().unwrap_or_default())
    }

    #[track_caller]
    fn log_in(&mut self, name: &str, password: &str) -> (u16, Value) {
        self.log_in_with(&json!({ "name": name, "password": password }))
    }

    #[track_caller]
    fn log_in_with(&mut self, body: &Value) -> (u16, Value) {
        let request = self.request("POST", "login").header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().unwrap();
        if let Some(cookie) = answer.headers().get("set-cookie") {
            self.cookie = Some(cookie.to_str().unwrap().split(';').next().unwrap().to_owned());
        }
        (answer.status().as_u16(), answer.json().unwrap_or_default())
    }
}
