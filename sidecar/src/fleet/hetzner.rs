//! Hetzner Cloud. Its API is described at <https://docs.hetzner.cloud/>.
//!
//! A request that may succeed later is repeated: after 409 `conflict`, 423 `locked`, 429, 5xx, and without an answer. A creation
//! that is repeated cannot create a second server, because the names of a project are unique: the API answers `uniqueness_error`,
//! and the server is found by its name.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use weir_model::Timestamp;

use super::error::CloudError;
use super::plan;
use super::price::{Money, Price, Traffic};
use super::server::{Order, Server};
use crate::clock;
use crate::config::fleet::Fleet;
use crate::http;

/// URL of the API, unless HCLOUD_ENDPOINT gives another.
const ENDPOINT: &str = "https://api.hetzner.cloud/v1";
/// Time for which a request is repeated.
const PATIENCE: Duration = Duration::from_secs(600);
/// Longest answer, in bytes. A page of 50 servers has about 500 KiB.
const MOST_BYTES: usize = 16 << 20;
/// Labels of everything that belongs to an event.
const EVENT: &str = "weir-event";
const MANAGER: (&str, &str) = ("managed-by", "weir");
/// Most servers in a placement group of the type `spread`.
const SPREAD: u32 = 10;
/// Largest user data, in bytes.
const MOST_DATA: usize = 32 << 10;

/// A client of the API, for one event.
pub(crate) struct Hetzner {
    http: reqwest::Client,
    endpoint: String,
    token: HeaderValue,
    event: String,
    kind: String,
    location: String,
}

impl fmt::Debug for Hetzner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hetzner").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// A server, a group or a network, with the fields that are used.
#[derive(Debug, Deserialize)]
struct Resource {
    id: u64,
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    created: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    public_net: Value,
}

impl Hetzner {
    /// Returns a client with the token of the environment.
    pub(crate) fn open(fleet: &Fleet, timeout: Duration) -> Result<Self, CloudError> {
        let token = std::env::var("HCLOUD_TOKEN").unwrap_or_default();
        if token.trim().is_empty() {
            return Err(CloudError::NoToken);
        }
        let mut token = HeaderValue::try_from(format!("Bearer {}", token.trim()))
            .map_err(|_| CloudError::Token("it has characters that no token has".into()))?;
        // A sensitive value is shown neither by `Debug` nor in a log.
        token.set_sensitive(true);
        let endpoint = std::env::var("HCLOUD_ENDPOINT").ok().filter(|text| !text.is_empty());
        Ok(Self {
            http: http::client().timeout(timeout).build()?,
            endpoint: endpoint.as_deref().unwrap_or(ENDPOINT).trim_end_matches('/').to_owned(),
            token,
            event: fleet.event.clone(),
            kind: fleet.server.kind.clone(),
            location: fleet.server.location.clone(),
        })
    }

    fn is_own(&self, resource: &Resource) -> bool {
        let is = |name: &str, value: &str| resource.labels.get(name).is_some_and(|label| label == value);
        is(EVENT, &self.event) && is(MANAGER.0, MANAGER.1)
    }

    fn labels(&self) -> Value {
        json!({ EVENT: self.event, MANAGER.0: MANAGER.1 })
    }

    /// Sends a request, and repeats it until the answer is final.
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, CloudError> {
        let (began, mut failures) = (Instant::now(), 0);
        loop {
            let error = match self.once(method.clone(), path, body).await {
                Err(error) if !error.is_permanent() && began.elapsed() < PATIENCE => error,
                done => return done,
            };
            let pause = error.wait(failures);
            let shown = path.split('?').next().unwrap_or(path);
            tracing::warn!("{error}; next try in {} ms, request: {method} {shown}", pause.as_millis());
            sleep(pause).await;
            failures += 1;
        }
    }

    async fn once(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, CloudError> {
        let url = format!("{}/{path}", self.endpoint);
        let mut request = self.http.request(method, url).header("authorization", self.token.clone());
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = http::body(response, MOST_BYTES).await?;
        let answer: Option<Value> = match body.trim_ascii() {
            b"" => Some(Value::Null),
            text => serde_json::from_slice(text).ok(),
        };
        match (status.is_success(), answer) {
            (true, Some(answer)) => Ok(answer),
            (true, None) => Err(CloudError::Nonsense(format!("status {status} without JSON"))),
            (false, answer) => Err(refusal(status, &headers, &answer.unwrap_or_default())),
        }
    }

    /// Returns all pages of a list.
    async fn all(&self, kind: &str, query: &str) -> Result<Vec<Resource>, CloudError> {
        let (mut found, mut page) = (Vec::new(), 1_u64);
        loop {
            let path = format!("{kind}?{query}&page={page}&per_page=50");
            let mut answer = self.ask(Method::GET, &path, None).await?;
            let listed: Vec<Resource> = parsed(answer[kind].take())?;
            found.extend(listed);
            match answer["meta"]["pagination"]["next_page"].as_u64() {
                Some(next) if next > page => page = next,
                _ => return Ok(found),
            }
        }
    }

    async fn own(&self, kind: &str) -> Result<Vec<Resource>, CloudError> {
        let query = format!("label_selector={EVENT}%3D%3D{},{}%3D%3D{}", self.event, MANAGER.0, MANAGER.1);
        let mut all = self.all(kind, &query).await?;
        // The check is repeated here, in case the selector lets other resources through.
        all.retain(|resource| self.is_own(resource));
        Ok(all)
    }

    /// Returns the resource with this name, of the event or not.
    async fn named(&self, kind: &str, name: &str) -> Result<Option<Resource>, CloudError> {
        let all = self.all(kind, &format!("name={name}")).await?;
        Ok(all.into_iter().find(|resource| resource.name == name))
    }

    pub(super) async fn list(&self) -> Result<Vec<Server>, CloudError> {
        self.own("servers").await?.into_iter().map(server).collect()
    }

    /// Returns the price of the server and its IPv4 address, with taxes.
    pub(super) async fn price(&self) -> Result<Price, CloudError> {
        let answer = self.ask(Method::GET, "pricing", None).await?;
        let pricing = &answer["pricing"];
        let currency = pricing["currency"].as_str().unwrap_or("EUR");
        if currency != "EUR" {
            return Err(CloudError::Nonsense(format!("the prices are in {currency}, and budget is in EUR")));
        }
        let addresses = pricing["primary_ips"].as_array().map(Vec::as_slice).unwrap_or_default();
        let address = addresses.iter().find(|address| address["type"] == "ipv4");
        let address = address.and_then(|address| self.price_of(&address["prices"])).transpose()?;
        let answer = self.ask(Method::GET, &format!("server_types?name={}", self.kind), None).await?;
        let missing = |key, name: &str| CloudError::Missing { key, name: name.to_owned() };
        let kind = answer["server_types"]
            .as_array()
            .and_then(|all| all.iter().find(|kind| kind["name"] == *self.kind));
        let kind = kind.ok_or_else(|| missing("type", &self.kind))?;
        let server = self.price_of(&kind["prices"]).ok_or_else(|| missing("location", &self.location))??;
        let (hourly, monthly) =
            address.map_or_else(Default::default, |price: Price| (price.hourly, price.monthly));
        Ok(Price { hourly: server.hourly + hourly, monthly: server.monthly + monthly, ..server })
    }

    /// Returns the price at the event's location.
    fn price_of(&self, prices: &Value) -> Option<Result<Price, CloudError>> {
        let price = prices.as_array()?.iter().find(|price| price["location"] == *self.location)?;
        let gross = |key: &str| {
            let text = price[key]["gross"].as_str().unwrap_or_default();
            text.parse::<Money>().map_err(|why| CloudError::Nonsense(format!("{key} {text:?}: {why}")))
        };
        let traffic = || {
            let included = price["included_traffic"].as_u64()?;
            Some(gross("price_per_tb_traffic").map(|per_tb| Traffic { included, per_tb }))
        };
        Some(gross("price_hourly").and_then(|hourly| {
            Ok(Price { hourly, monthly: gross("price_monthly")?, traffic: traffic().transpose()? })
        }))
    }

    pub(super) async fn create(&self, fleet: &Fleet, order: &Order) -> Result<Server, CloudError> {
        let data = order.user_data.expose();
        if data.len() > MOST_DATA {
            let message = format!(
                "the user data has {} bytes, {MOST_DATA} is the most: make setup shorter",
                data.len()
            );
            return Err(CloudError::Refused { status: 0, code: "user_data".into(), message });
        }
        let asked = &fleet.server;
        let mut body = json!({
            "name": order.name, "server_type": asked.kind, "location": asked.location, "image": asked.image,
            "labels": self.labels(), "user_data": data, "start_after_create": true, "ssh_keys": asked.ssh_keys,
        });
        if let Some(name) = &asked.network {
            body["networks"] = json!([self.existing("networks", "network", name).await?]);
        }
        if let Some(name) = &asked.firewall {
            body["firewalls"] = json!([{ "firewall": self.existing("firewalls", "firewall", name).await? }]);
        }
        if asked.placement_group {
            body["placement_group"] = json!(self.group(fleet, &order.name).await?);
        }
        match self.ask(Method::POST, "servers", Some(&body)).await {
            Ok(mut answer) => server(parsed(answer["server"].take())?),
            // The server is from an earlier try, or belongs to somebody else.
            Err(CloudError::Taken(message)) => match self.named("servers", &order.name).await? {
                Some(there) if self.is_own(&there) => server(there),
                _ => Err(CloudError::Taken(message)),
            },
            Err(error) => Err(error),
        }
    }

    async fn existing(&self, kind: &str, key: &'static str, name: &str) -> Result<u64, CloudError> {
        let found = self.named(kind, name).await?;
        found.map(|found| found.id).ok_or_else(|| CloudError::Missing { key, name: name.to_owned() })
    }

    /// Returns the placement group of a server. The group is created with its first server.
    async fn group(&self, fleet: &Fleet, server: &str) -> Result<u64, CloudError> {
        let nth = plan::nth(fleet, server).unwrap_or(1);
        let name = format!("{}-spread-{}", self.event, (nth - 1) / SPREAD + 1);
        let kind = "placement_groups";
        if let Some(there) = self.named(kind, &name).await? {
            return self.own_group(there);
        }
        let body = json!({ "name": name, "type": "spread", "labels": self.labels() });
        match self.ask(Method::POST, kind, Some(&body)).await {
            Ok(mut answer) => parsed::<Resource>(answer["placement_group"].take()).map(|group| group.id),
            Err(CloudError::Taken(message)) => match self.named(kind, &name).await? {
                Some(there) => self.own_group(there),
                None => Err(CloudError::Taken(message)),
            },
            Err(error) => Err(error),
        }
    }

    fn own_group(&self, group: Resource) -> Result<u64, CloudError> {
        match self.is_own(&group) {
            true => Ok(group.id),
            false => Err(CloudError::Taken(format!(
                "the placement group {} is not of this event: rename it, or set placement_group = false",
                group.name
            ))),
        }
    }

    pub(super) async fn delete(&self, server: &Server) -> Result<(), CloudError> {
        self.remove("servers", &server.id).await
    }

    async fn remove(&self, kind: &str, id: &str) -> Result<(), CloudError> {
        match self.ask(Method::DELETE, &format!("{kind}/{id}"), None).await {
            Err(CloudError::Refused { status: 404, .. }) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn tidy(&self) -> Result<(), CloudError> {
        for group in self.own("placement_groups").await? {
            self.remove("placement_groups", &group.id.to_string()).await?;
        }
        Ok(())
    }
}

fn parsed<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, CloudError> {
    serde_json::from_value(value).map_err(|error| CloudError::Nonsense(error.to_string()))
}

fn server(resource: Resource) -> Result<Server, CloudError> {
    let created: Timestamp = resource
        .created
        .parse()
        .map_err(|_| CloudError::Nonsense(format!("created = {:?}", resource.created)))?;
    Ok(Server {
        id: resource.id.to_string(),
        address: resource.public_net["ipv4"]["ip"].as_str().and_then(|ip| ip.parse().ok()),
        name: resource.name,
        created,
        state: resource.status,
    })
}

fn refusal(status: StatusCode, headers: &HeaderMap, answer: &Value) -> CloudError {
    let text =
        |key: &str| weir_model::text::clean(answer["error"][key].as_str().unwrap_or_default()).into_owned();
    let (code, message) = (text("code"), text("message"));
    let status = status.as_u16();
    match (status, code.as_str()) {
        // The token is good, but somebody has protected the resource.
        (_, "protected") => CloudError::Refused { status, code, message },
        (401 | 403, _) if code != "resource_limit_exceeded" => {
            CloudError::Token(format!("status {status}: {message}"))
        }
        (409, "uniqueness_error") => CloudError::Taken(message),
        (408 | 409 | 423 | 429 | 500..=599, _) => {
            CloudError::Busy { status, code, message, after: after(headers, clock::now()) }
        }
        _ => CloudError::Refused { status, code, message },
    }
}

/// Returns the wait of `Retry-After` (in seconds), or until `RateLimit-Reset` (in seconds since 1970).
fn after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let reset = || {
        // An unused limit is not the cause of the error.
        (number("ratelimit-remaining").unwrap_or(0) == 0).then_some(())?;
        Some(number("ratelimit-reset")?.saturating_sub(now.as_seconds()))
    };
    number("retry-after").or_else(reset).map(|seconds| Duration::from_secs(seconds.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_is_what_it_is() {
        let answer = |code: &str| json!({ "error": { "code": code, "message": "so\u{1b}" } });
        for (status, code, permanent, part) in [
            (401, "unauthorized", true, "HCLOUD_TOKEN"),
            (403, "resource_limit_exceeded", true, "refuses: so"),
            (403, "protected", true, "(protected, status 403)"),
            (423, "protected", true, "(protected, status 423)"),
            (404, "not_found", true, "status 404"),
            (409, "uniqueness_error", true, "taken"),
            (409, "conflict", false, "busy"),
            (412, "resource_unavailable", true, "resource_unavailable, status 412"),
            (422, "invalid_input", true, "invalid_input"),
            (423, "locked", false, "locked"),
            (429, "rate_limit_exceeded", false, "rate_limit_exceeded"),
            (500, "server_error", false, "status 500"),
        ] {
            let error = refusal(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), &answer(code));
            assert_eq!(error.is_permanent(), permanent, "{status} {code}");
            let said = error.to_string();
            assert!(said.contains(part) && !said.contains('\u{1b}'), "{said}");
        }
    }

    #[test]
    fn the_provider_says_when_to_ask_again() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let headers = |all: &[(&'static str, &str)]| -> HeaderMap {
            all.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
        };
        let seconds = |all: &[(&'static str, &str)]| after(&headers(all), now).map(|after| after.as_secs());
        assert_eq!(seconds(&[("retry-after", "7")]), Some(7));
        assert_eq!(seconds(&[("ratelimit-reset", "1800000012"), ("ratelimit-remaining", "0")]), Some(12));
        assert_eq!(seconds(&[("ratelimit-reset", "1799999999")]), Some(1));
        assert_eq!(seconds(&[("ratelimit-reset", "1800000012"), ("ratelimit-remaining", "9")]), None);
        assert_eq!(seconds(&[]), None);
        let wait = |after| {
            CloudError::Busy { status: 429, code: String::new(), message: String::new(), after }.wait(2)
        };
        assert_eq!(wait(None), Duration::from_secs(2));
        assert_eq!(wait(Some(Duration::from_secs(3))), Duration::from_secs(3));
    }
}
