//! Both WebSocket endpoints do as RFC 6455 requires: fragments, pings in between, UTF-8 and closes are taken, and each violation ends
//! the connection with the code that names it. A client that closes or goes away is not served any longer.

use std::io::{Read, Write};
use std::net::Shutdown;

use weir_tests::harness::websocket::{Message, masked};
use weir_tests::harness::{Nginx, Publisher, Sidecar, WebSocket, until};

use super::{ask, open, publish};

const PATHS: [&str; 2] = ["/stream/live/show/ws", "/v1/ws"];

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const FIN: u8 = 0x80;

const PROTOCOL: u16 = 1002;
const NOT_UTF8: u16 = 1007;
const TOO_LONG: u16 = 1009;
/// What a close without a code reads as (7.1.5).
const NO_CODE: u16 = 1005;

struct Server {
    sidecar: Sidecar,
    _publisher: Publisher,
    _nginx: Nginx,
}

fn server() -> Server {
    let nginx = open().start();
    let sidecar = Sidecar::start(&nginx, "[web]\n");
    let publisher = publish(&nginx, "show");
    until("a viewer can connect", 20.0, || WebSocket::connect(sidecar.web(), PATHS[0], &[]).is_ok());
    Server { sidecar, _publisher: publisher, _nginx: nginx }
}

impl Server {
    fn connect(&self, path: &str) -> WebSocket {
        WebSocket::connect(self.sidecar.web(), path, &[]).unwrap()
    }
}

fn write(socket: &WebSocket, bytes: &[u8]) {
    let mut stream = socket.stream();
    stream.write_all(bytes).unwrap();
}

/// Returns the next pong or close.
fn control(socket: &mut WebSocket) -> Option<Message> {
    std::iter::from_fn(|| socket.receive())
        .find(|message| matches!(message, Message::Pong(_) | Message::Close(..)))
}

/// Returns the code with which the server closes. The server must also close the connection itself.
#[track_caller]
fn closed(mut socket: WebSocket, after: &str) -> u16 {
    let Some(Message::Close(code, _)) = control(&mut socket) else { panic!("no close after {after}") };
    assert_eq!(socket.receive(), None, "{after}");
    code
}

/// Sends each case on a connection of its own, all at the same time, and compares the codes.
#[track_caller]
fn check(server: &Server, cases: &[(u16, Vec<u8>)]) {
    for path in PATHS {
        let begin = |(_, bytes): &(u16, Vec<u8>)| {
            let socket = server.connect(path);
            write(&socket, bytes);
            socket
        };
        let sockets: Vec<_> = cases.iter().map(begin).collect();
        for (socket, (code, bytes)) in sockets.into_iter().zip(cases) {
            let case = format!("{path}: {:x?}", &bytes[..bytes.len().min(20)]);
            assert_eq!(closed(socket, &case), *code, "{case}");
        }
    }
}

/// Checks that the server still answers.
#[track_caller]
fn is_alive(socket: &mut WebSocket, after: &str) {
    write(socket, &masked(FIN | PING, b"alive"));
    assert_eq!(control(socket), Some(Message::Pong(b"alive".to_vec())), "{after}");
}

fn close(code: u16) -> Vec<u8> {
    masked(FIN | CLOSE, &code.to_be_bytes())
}

#[test]
fn each_violation_ends_the_connection_with_its_code() {
    let server = server();
    let text = |bytes: &[u8]| masked(FIN | TEXT, bytes);
    let mut cases = vec![
        (PROTOCOL, vec![FIN | TEXT, 2, b'h', b'i']),
        (PROTOCOL, vec![FIN | PING, 0]),
        (PROTOCOL, masked(PING, b"fragment")),
        (PROTOCOL, masked(PONG, b"fragment")),
        (PROTOCOL, masked(CLOSE, &1000_u16.to_be_bytes())),
        (PROTOCOL, masked(FIN | PING, &[0; 126])),
        (PROTOCOL, masked(FIN | PONG, &[0; 126])),
        (PROTOCOL, masked(FIN | CLOSE, &[&1000_u16.to_be_bytes()[..], &[b'a'; 124]].concat())),
        (PROTOCOL, masked(FIN | CLOSE, &[3])),
        (PROTOCOL, masked(FIN | CONTINUATION, b"of nothing")),
        (PROTOCOL, masked(CONTINUATION, b"of nothing")),
        (PROTOCOL, [masked(TEXT, b"a"), masked(FIN | TEXT, b"b")].concat()),
        (PROTOCOL, [masked(TEXT, b"a"), masked(BINARY, b"b")].concat()),
        (PROTOCOL, [text(b"a"), masked(FIN | CONTINUATION, b"b")].concat()),
        (NOT_UTF8, text(&[0xce, 0xba, 0xe1, 0xbd, 0xb9, 0xed, 0xa0, 0x80])),
        // Overlong forms, a surrogate, a number above U+10FFFF, bytes that never occur, and the beginning of a character.
        (NOT_UTF8, text(&[0xc0, 0xaf])),
        (NOT_UTF8, text(&[0xe0, 0x80, 0xaf])),
        (NOT_UTF8, text(&[0xed, 0xbf, 0xbf])),
        (NOT_UTF8, text(&[0xf4, 0x90, 0x80, 0x80])),
        (NOT_UTF8, text(&[0xff])),
        (NOT_UTF8, text(&[b'a', 0x80])),
        (NOT_UTF8, text(&[b'a', 0xe2, 0x82])),
        (NOT_UTF8, [masked(TEXT, &[0xe2, 0x82]), masked(FIN | CONTINUATION, b"a")].concat()),
        (NOT_UTF8, masked(FIN | CLOSE, &[&1000_u16.to_be_bytes()[..], &[0xc0, 0xaf]].concat())),
        (TOO_LONG, masked(FIN | BINARY, &vec![0; 70_000])),
        (TOO_LONG, [&[FIN | BINARY, 0xff][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat()),
        (TOO_LONG, [&[FIN | BINARY, 0xff][..], &(1_u64 << 40).to_be_bytes(), &[0; 4]].concat()),
    ];
    for reserved in [0x40, 0x20, 0x10, 0x70] {
        cases.push((PROTOCOL, masked(FIN | reserved | TEXT, b"hi")));
        cases.push((PROTOCOL, masked(FIN | reserved | PING, b"")));
    }
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        cases.push((PROTOCOL, masked(FIN | opcode, b"")));
        cases.push((PROTOCOL, masked(FIN | opcode, b"payload")));
    }
    // 1004 to 1006 and 1015 are never sent, and the rest is not assigned (7.4).
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.push((PROTOCOL, close(code)));
    }
    check(&server, &cases);
}

#[test]
fn a_close_is_answered_with_its_code_and_nothing_follows() {
    let codes = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
    let mut cases: Vec<_> = codes.iter().map(|code| (*code, close(*code))).collect();
    cases.push((NO_CODE, masked(FIN | CLOSE, b"")));
    cases.push((1000, masked(FIN | CLOSE, &[&1000_u16.to_be_bytes()[..], &[b'a'; 123]].concat())));
    cases.push((1000, [close(1000), masked(FIN | PING, b"late"), masked(FIN | TEXT, b"late")].concat()));
    check(&server(), &cases);
}

#[test]
fn pings_fragments_and_single_bytes_are_taken() {
    let server = server();
    for path in PATHS {
        let mut socket = server.connect(path);
        for payload in [&b""[..], b"a", &[0xff, 0xfe, 0x00], &[b'x'; 125]] {
            write(&socket, &masked(FIN | PING, payload));
            assert_eq!(control(&mut socket), Some(Message::Pong(payload.to_vec())), "{path}");
        }
        write(&socket, &masked(FIN | PONG, b"nobody asked"));
        is_alive(&mut socket, "a pong");

        let mut socket = server.connect(path);
        let three: Vec<u8> = (0..3).flat_map(|n| masked(FIN | PING, &[n])).collect();
        write(&socket, &three);
        for n in 0..3 {
            assert_eq!(control(&mut socket), Some(Message::Pong(vec![n])), "{path}");
        }
        for byte in masked(FIN | PING, b"slow") {
            write(&socket, &[byte]);
        }
        assert_eq!(control(&mut socket), Some(Message::Pong(b"slow".to_vec())), "{path}");

        // A character in two fragments, a ping between them, and empty fragments.
        let mut socket = server.connect(path);
        for part in [
            masked(TEXT, &[0xe2, 0x82]),
            masked(FIN | PING, b"between"),
            masked(CONTINUATION, b""),
            masked(FIN | CONTINUATION, &[0xac]),
        ] {
            write(&socket, &part);
        }
        assert_eq!(control(&mut socket), Some(Message::Pong(b"between".to_vec())), "{path}");
        is_alive(&mut socket, "fragments");
        write(&socket, &masked(FIN | BINARY, &[0xff; 200]));
        is_alive(&mut socket, "a binary message");
    }
    // The server understands the message that the fragments make.
    let mut socket = server.connect(PATHS[0]);
    for part in [masked(TEXT, b"pi"), masked(FIN | PING, b""), masked(FIN | CONTINUATION, b"ng")] {
        write(&socket, &part);
    }
    let answer = Message::Text("{\"type\":\"pong\"}".into());
    assert!(std::iter::from_fn(|| socket.receive()).any(|message| message == answer));
}

#[test]
fn a_client_that_ends_its_half_of_the_connection_is_gone() {
    let server = server();
    let watching =
        || ask(server.sidecar.web(), "/v1/live", &[]).json()["streams"][0]["viewers"]["ws"].clone();
    until("nobody watches", 10.0, || watching() == 0);
    for path in PATHS {
        for unfinished in [&b""[..], &[FIN | TEXT, 0x85, 1]] {
            let socket = server.connect(path);
            until("it is counted", 10.0, || path != PATHS[0] || watching() == 1);
            write(&socket, unfinished);
            socket.stream().shutdown(Shutdown::Write).unwrap();
            let mut stream = socket.stream();
            // A reset is an end too: media may be under way.
            let _ = stream.read_to_end(&mut Vec::new());
            until("it is gone", 10.0, || watching() == 0);
        }
    }
}
