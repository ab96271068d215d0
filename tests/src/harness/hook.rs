//! An HTTP server that receives the requests of `on_publish` and similar hooks, and webhooks.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{ports::Port, wait};

/// The server; it serves until the test ends.
pub struct Hook {
    port: Port,
    requests: Arc<Mutex<Vec<Request>>>,
    answer: Arc<Mutex<Answer>>,
}

/// A received request.
#[derive(Debug, Clone)]
pub struct Request {
    head: String,
    /// The body.
    pub body: String,
}

impl Request {
    /// Returns a header's value; empty if there is none.
    pub fn header(&self, name: &str) -> String {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(':'));
        let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 200.
    Yes,
    /// 200, after this many milliseconds.
    Late(u32),
    /// 403.
    No,
    /// 403, after this many milliseconds.
    LateNo(u32),
    /// 503.
    Trouble,
    /// No answer, so that the client waits.
    Never,
    /// 302 to this location, which renames the stream.
    Redirect(String),
}

impl Hook {
    /// Serves in a thread.
    pub fn start(answer: Answer) -> Self {
        let port = Port::reserve();
        let listener = TcpListener::bind(("127.0.0.1", port.number())).unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::new(Mutex::new(answer));
        let (shared, current) = (requests.clone(), answer.clone());
        std::thread::spawn(move || {
            // Connections without an answer stay open until the test ends.
            let mut open = Vec::new();
            for connection in listener.incoming().flatten() {
                if let Some((connection, request)) = take(connection) {
                    shared.lock().unwrap().push(request);
                    let answer = current.lock().unwrap().clone();
                    match answer {
                        Answer::Late(ms) => wait_and_give(connection, ms, Answer::Yes),
                        Answer::LateNo(ms) => wait_and_give(connection, ms, Answer::No),
                        answer => open.extend(give(connection, &answer)),
                    }
                }
            }
        });
        Self { port, requests, answer }
    }

    /// Changes the answer.
    pub fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// Returns all requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Returns its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port.number())
    }

    /// Returns the bodies of all requests so far.
    pub fn bodies(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.body).collect()
    }

    /// Returns the number of requests with `part` in their body.
    pub fn count(&self, part: &str) -> usize {
        self.bodies().iter().filter(|body| body.contains(part)).count()
    }
}

/// Reads one request with a body of the announced length.
fn take(mut connection: TcpStream) -> Option<(TcpStream, Request)> {
    connection.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return Some((connection, Request { head: head.to_owned(), body: body.to_owned() }));
            }
        }
        match connection.read(&mut buffer).ok()? {
            0 => return None,
            count => request.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Answers in a separate thread, so that other requests are answered meanwhile.
fn wait_and_give(connection: TcpStream, ms: u32, answer: Answer) {
    std::thread::spawn(move || {
        wait::until_ok(f64::from(ms) / 1000.0, || false);
        give(connection, &answer);
    });
}

fn give(mut connection: TcpStream, answer: &Answer) -> Option<TcpStream> {
    let status = match answer {
        Answer::Yes | Answer::Late(_) => "200 OK".to_owned(),
        Answer::Trouble => "503 Service Unavailable".to_owned(),
        Answer::No | Answer::LateNo(_) => "403 Forbidden".to_owned(),
        Answer::Redirect(to) => format!("302 Found\r\nLocation: {to}"),
        Answer::Never => return Some(connection),
    };
    let _ = write!(connection, "HTTP/1.0 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    None
}
