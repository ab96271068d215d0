//! Server-sent events, as far as `GET /v1/events` needs them.

use std::time::Duration;

use reqwest::header;

use super::{Error, Nginx};

/// The module sends a comment every 15 seconds.
const SILENCE: Duration = Duration::from_secs(40);
/// No event is longer.
const MAX_LINE: usize = 64 << 10;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// For `Last-Event-ID`.
    pub id: Option<String>,
    /// Such as `stream.started`.
    pub kind: String,
    /// JSON.
    pub data: String,
}

/// Events as they come.
#[derive(Debug)]
pub struct Events {
    response: reqwest::Response,
    parser: Parser,
    api: String,
}

impl Nginx {
    /// Listens to events: those after `last_id`, as far as they are still known, and all to come.
    pub async fn events(&self, last_id: Option<&str>) -> Result<Events, Error> {
        let mut request = self.get("v1/events").header(header::ACCEPT, "text/event-stream");
        if let Some(id) = last_id {
            request = request.header("Last-Event-ID", id);
        }
        // The whole takes as long as it takes.
        let request = request.timeout(Duration::from_secs(u64::from(u32::MAX)));
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if !status.is_success() {
            let text = self.body(response).await?;
            return Err(self.refusal(status, &text));
        }
        Ok(Events { response, parser: Parser::default(), api: self.api.to_string() })
    }
}

impl Events {
    /// The next one; may be dropped and called again. An error is the end.
    pub async fn next(&mut self) -> Result<Event, Error> {
        let lost = |why: &str| Error::Unreachable { api: self.api.clone(), why: why.to_owned() };
        loop {
            if let Some(event) = self.parser.next_event() {
                return Ok(event);
            }
            match tokio::time::timeout(SILENCE, self.response.chunk()).await {
                Err(_) => return Err(lost("silence")),
                Ok(Err(error)) => return Err(lost(&super::innermost(&error))),
                Ok(Ok(None)) => return Err(lost("the events ended")),
                Ok(Ok(Some(bytes))) => self.parser.feed(&bytes),
            }
        }
    }
}

/// Lines to events.
#[derive(Debug, Default)]
struct Parser {
    buffer: Vec<u8>,
    event: Event,
}

impl Parser {
    fn feed(&mut self, bytes: &[u8]) {
        if self.buffer.len() < MAX_LINE {
            self.buffer.extend_from_slice(bytes);
        }
    }

    fn next_event(&mut self) -> Option<Event> {
        while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line[..end]);
            let line = line.trim_end_matches('\r');
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => self.event.id = Some(value.to_owned()),
                "event" => value.clone_into(&mut self.event.kind),
                "data" => self.event.data.push_str(value),
                "" if line.is_empty() => {
                    let event = std::mem::take(&mut self.event);
                    if !event.kind.is_empty() {
                        return Some(event);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_apart_wherever_they_are_cut() {
        let text = ": events of weir\n\nid: 17\nevent: stream.started\ndata: {\"a\":1}\n\n:\n\nevent: x\r\ndata:y\r\n\r\nevent: half";
        for step in [1, 5, 1000] {
            let mut parser = Parser::default();
            let mut events = Vec::new();
            for bytes in text.as_bytes().chunks(step) {
                parser.feed(bytes);
                while let Some(event) = parser.next_event() {
                    events.push(event);
                }
            }
            let event = |id: Option<&str>, kind: &str, data: &str| Event {
                id: id.map(str::to_owned),
                kind: kind.into(),
                data: data.into(),
            };
            assert_eq!(events, [event(Some("17"), "stream.started", "{\"a\":1}"), event(None, "x", "y")]);
        }
    }
}
