//! The list of keys, which the module sends in parts.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, Error, Keys, Nginx};

/// Keys per part.
const PART: usize = 1000;

impl Nginx {
    /// Returns all keys, without secrets.
    pub(crate) async fn keys(&self) -> Result<Answer<Keys>, Error> {
        let mut keys = Vec::new();
        let mut texts = Vec::new();
        let mut after = String::new();
        loop {
            let path = format!("v1/keys?limit={PART}{after}");
            let part: Answer<Keys> = self.ask(Method::GET, &path, None::<&()>).await?;
            texts.extend(rows(&part.text));
            let is_empty = part.value.keys.is_empty();
            keys.extend(part.value.keys);
            match part.value.next.filter(|_| !is_empty) {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        let text = json!({ "keys": texts }).to_string();
        Ok(Answer { text, value: Keys { keys, next: None } })
    }
}

/// Returns the keys as received, including fields that this version does not know.
fn rows(text: &str) -> Vec<Value> {
    let mut answer: Value = serde_json::from_str(text).unwrap_or_default();
    match answer.get_mut("keys").map(Value::take) {
        Some(Value::Array(keys)) => keys,
        _ => Vec::new(),
    }
}
