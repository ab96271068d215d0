//! What anyone on this machine and any client of the API can read, in which tests look for secrets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::Nginx;
use super::process::Process;

/// Returns all events so far.
pub fn events(nginx: &Nginx) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", nginx.http())).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    write!(stream, "GET /api/v1/events HTTP/1.0\r\nHost: localhost\r\nLast-Event-ID: 0\r\n\r\n").unwrap();
    let mut told = Vec::new();
    let mut buffer = [0; 65_536];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        told.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&told).into_owned()
}

/// Returns the command lines of all processes of this machine, as the process list shows them.
pub fn processes() -> String {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.map(|number| Process(number).title() + "\n").collect()
}
