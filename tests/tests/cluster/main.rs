//! Several machines: edges that join, leave and die, and the edges that viewers are sent to. Each file's header says what the file proves.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

mod balancing;
mod caching;
mod certificates;
mod chat;
mod choosing;
mod churn;
mod hostile;
mod init;
mod membership;
mod moving;
mod pair;
mod relaying;
mod samples;
mod strangers;

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use weir_tests::harness::nginx::Config;
use weir_tests::harness::{Nginx, Sidecar};

const SECRET: &str = "fedcba9876543210fedcba9876543210";

/// Starts the nginx of an origin, whose application `live` takes every publisher.
fn nginx() -> Nginx {
    nginx_that("weir_publish open;")
}

/// Starts the nginx of an edge that relays streams: only its daemon publishes, with tokens.
fn nginx_of_edge() -> Nginx {
    nginx_that("weir_publish key;")
}

/// Starts nginx with the configuration of [`config_that`].
fn nginx_that(publishes: &str) -> Nginx {
    config_that(publishes).start()
}

/// Returns the configuration of an nginx with an application `live` and the API, and with all secrets in its folder.
fn config_that(publishes: &str) -> Config {
    Config::weir()
        .main("weir_secret @DIR@/secret;")
        .file("secret", "0123456789abcdef0123456789abcdef")
        .file("cluster.secret", SECRET)
        .with_api()
        .app("live", publishes)
}

/// Configuration of an origin.
const ORIGIN: &str = "[web]\n[cluster]\nsecret_file = \"@DIR@/cluster.secret\"\n";

/// An answer over HTTP.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

fn client() -> reqwest::blocking::Client {
    let builder = reqwest::blocking::Client::builder().no_proxy();
    builder.redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// Asks the origin for the edge of this viewer; `more` has further arguments.
fn edge(origin: &Sidecar, viewer: &str, more: &str) -> Answer {
    let url = format!("http://127.0.0.1:{}/edge?stream=live/show{more}", origin.web());
    take(client().get(url).header("user-agent", viewer).send().unwrap())
}

fn take(response: reqwest::blocking::Response) -> Answer {
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.text().unwrap(),
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Returns a request as an edge signs it: the header and the body.
fn signed(secret: impl AsRef<[u8]>, time: u64, report: &Value) -> (String, String) {
    let (body, nonce) = (report.to_string(), format!("{:032x}", u128::from(time) * 7919));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_ref()).unwrap();
    mac.update(format!("weir-cluster-1\nrequest\n{time}\n{nonce}\n{body}").as_bytes());
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    (format!("Weir-Cluster time={time},nonce={nonce},signature={digits}"), body)
}

/// Sends such a request to the origin.
fn report(origin: &Sidecar, request: &(String, String)) -> Answer {
    report_to(origin.web(), request)
}

/// Sends such a request to the origin whose pages have this port.
fn report_to(web: u16, (header, body): &(String, String)) -> Answer {
    let url = format!("http://127.0.0.1:{web}/v1/edges");
    let request = client().post(url).header("content-type", "application/json").body(body.clone());
    let request = if header.is_empty() { request } else { request.header("authorization", header) };
    take(request.send().unwrap())
}

/// Returns the report of an edge without viewers.
fn idle(id: &str) -> Value {
    json!({ "id": id, "address": format!("https://{id}.example.org"), "bandwidth": 100_000_000, "version": "1" })
}
