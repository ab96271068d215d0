//! A client of the module's API.

use std::time::Duration;

use reqwest::Method;
use reqwest::blocking::{Client, RequestBuilder};
use serde_json::{Value, json};

/// An answer: its status, and its JSON (`null` if it is not JSON).
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body, parsed.
    pub json: Value,
    /// The body as received.
    pub text: String,
}

impl Answer {
    /// Asserts the status, and returns the body.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json
    }

    /// Asserts an error with this status and code, and returns its message.
    #[track_caller]
    pub fn error(self, status: u16, code: &str) -> String {
        assert_eq!((self.status, self.json["error"]["code"].as_str()), (status, Some(code)), "{}", self.text);
        self.json["error"]["message"].as_str().unwrap().to_owned()
    }
}

/// A client of one API.
pub struct Api {
    base: String,
    token: Option<String>,
    client: Client,
}

/// A key as the API returns it after its creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The id.
    pub id: String,
    /// The secret itself.
    pub key: String,
}

impl Api {
    /// The API below `base`, such as `http://127.0.0.1:8080/api`.
    pub fn new(base: &str) -> Self {
        // Each request uses a separate connection, because a draining worker closes idle connections.
        let client = Client::builder().timeout(Duration::from_secs(20)).no_proxy().pool_max_idle_per_host(0);
        let client = client.build().unwrap();
        Self { base: base.to_owned(), token: None, client }
    }

    /// Adds `Authorization: Bearer`.
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Returns a request that the caller completes; `path` begins with a slash.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request, and reads the whole answer.
    #[track_caller]
    pub fn send(&self, request: RequestBuilder) -> Answer {
        Self::try_send(request).unwrap()
    }

    /// Sends a request to a server that may not answer.
    pub fn try_send(request: RequestBuilder) -> reqwest::Result<Answer> {
        let response = request.send()?;
        let status = response.status().as_u16();
        let text = response.text()?;
        Ok(Answer { status, json: serde_json::from_str(&text).unwrap_or_default(), text })
    }

    /// GET.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path))
    }

    /// POST of a JSON body.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request("POST", path).json(body))
    }

    /// Sends DELETE, with the content type that changes require.
    #[track_caller]
    pub fn delete(&self, path: &str) -> Answer {
        self.send(self.request("DELETE", path).header("Content-Type", "application/json"))
    }

    /// Creates a key for `app` and `stream`.
    #[track_caller]
    pub fn create_key(&self, app: &str, stream: &str) -> Key {
        self.create_key_with(&json!({ "app": app, "stream": stream }))
    }

    /// Creates a key from a whole request body.
    #[track_caller]
    pub fn create_key_with(&self, body: &Value) -> Key {
        Key::of(&self.post("/v1/keys", body).expect(201))
    }

    /// Returns the live streams.
    #[track_caller]
    pub fn streams(&self) -> Vec<Value> {
        self.get("/v1/streams").expect(200)["streams"].as_array().unwrap().clone()
    }

    /// Returns the live stream of that name, if there is one.
    #[track_caller]
    pub fn stream(&self, app: &str, name: &str) -> Option<Value> {
        self.streams().into_iter().find(|stream| stream["app"] == app && stream["name"] == name)
    }
}

impl Key {
    /// Reads the key from the answer to its creation or rotation.
    #[track_caller]
    pub fn of(answer: &Value) -> Self {
        let text =
            |field: &str| answer[field].as_str().unwrap_or_else(|| panic!("no {field}: {answer}")).to_owned();
        Self { id: text("id"), key: text("key") }
    }
}
