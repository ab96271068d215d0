//! The client with a scripted server: the order of commands, pings, acknowledgements, and the orderly end.
#![allow(clippy::unwrap_used)]

use weir_rtmp::amf0::{Reader as Amf, Value};
use weir_rtmp::chunk;
use weir_rtmp::client::{Client, ClientEvent, Error, Options, Status};
use weir_rtmp::flv::{Tag, TagKind};
use weir_rtmp::handshake::PACKET;
use weir_rtmp::message::{Message, MessageKind, user_control};
use weir_rtmp::url::Url;

struct Server {
    reader: chunk::Reader,
    writer: chunk::Writer,
    client: Client,
}

impl Server {
    /// Shakes hands, and gives the first messages of the client.
    fn greet(mut client: Client) -> (Self, Vec<Message>) {
        let hello = client.take_output();
        assert_eq!((hello.len(), hello[0]), (1 + PACKET, 3));
        let mut answer = vec![3];
        answer.extend([9; PACKET]);
        answer.extend_from_slice(&hello[1..]);
        // In two pieces, and C2 is due after S1.
        client.receive(&answer[..PACKET + 7]).unwrap();
        assert_eq!(client.take_output(), [9; PACKET]);
        client.receive(&answer[PACKET + 7..]).unwrap();
        assert_eq!(client.next_event(), Some(ClientEvent::Handshaken));
        let mut server = Self { reader: chunk::Reader::new(1 << 20), writer: chunk::Writer::new(), client };
        let messages = server.messages();
        (server, messages)
    }

    fn messages(&mut self) -> Vec<Message> {
        self.reader.feed(&self.client.take_output());
        std::iter::from_fn(|| self.reader.next_message().unwrap()).collect()
    }

    /// Sends, and gives what the client sends thereupon.
    fn send(&mut self, message: &Message) -> Vec<Message> {
        let mut bytes = Vec::new();
        self.writer.write(3, message, &mut bytes);
        self.client.receive(&bytes).unwrap();
        self.messages()
    }

    fn result(&mut self, transaction: f64, stream_id: Option<f64>) -> Vec<Message> {
        self.send(&Message::command(0, "_result", transaction, |w| match stream_id {
            Some(id) => w.null().number(id),
            None => w.object(&[]).object(&[("code", Value::String(b"NetConnection.Connect.Success"))]),
        }))
    }

    fn status(&mut self, code: &str) -> Vec<Message> {
        self.send(&Message::command(1, "onStatus", 0.0, |w| {
            w.null().object(&[
                ("level", Value::String(b"status")),
                ("code", Value::String(code.as_bytes())),
                ("details", Value::Null),
            ])
        }))
    }
}

/// The commands among `messages`: name, transaction, and the string behind the command object.
fn commands(messages: &[Message]) -> Vec<(String, f64, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    messages
        .iter()
        .filter(|message| message.kind == MessageKind::COMMAND)
        .map(|message| {
            let mut reader = Amf::new(&message.payload);
            let head = (text(reader.string().unwrap()), reader.number().unwrap());
            reader.skip_value().unwrap();
            (head.0, head.1, reader.string().map(text).unwrap_or_default())
        })
        .collect()
}

fn url() -> Url {
    "rtmp://127.0.0.1:1936/live/wk_x?y=1".parse().unwrap()
}

fn command(name: &str, transaction: f64, argument: &str) -> (String, f64, String) {
    (name.to_owned(), transaction, argument.to_owned())
}

#[test]
fn publishing() {
    let (mut server, hello) = Server::greet(Client::publish(&url(), Options::default()));
    assert_eq!(commands(&hello), [command("connect", 1.0, "")]);
    let setup = server.result(1.0, None);
    assert_eq!(setup[0], Message::number(MessageKind::SET_CHUNK_SIZE, 4096));
    let name = "wk_x?y=1";
    assert_eq!(
        commands(&setup),
        [
            command("releaseStream", 2.0, name),
            command("FCPublish", 3.0, name),
            command("createStream", 4.0, "")
        ]
    );
    assert_eq!(commands(&server.result(4.0, Some(1.0))), [command("publish", 5.0, name)]);
    assert_eq!(server.client.send_tag(TagKind::Audio, 0, b"x"), Err(Error::NotPublishing));
    server.status("NetStream.Publish.Start");
    server.client.send_tag(TagKind::Video, 40, &[5; 5000]).unwrap();
    server.client.send_tag(TagKind::Script, 40, b"").unwrap();
    let media = server.messages();
    assert_eq!((media[0].stream_id, media[0].timestamp, media[0].payload.len()), (1, 40, 5000));
    assert_eq!(Amf::new(&media[1].payload).string(), Ok(&b"@setDataFrame"[..]));
    server.client.finish();
    let end = commands(&server.messages());
    assert_eq!(end, [command("FCUnpublish", 6.0, name), command("deleteStream", 7.0, "")]);
    let events: Vec<_> = std::iter::from_fn(|| server.client.next_event()).collect();
    let started =
        Status { code: "NetStream.Publish.Start".into(), level: "status".into(), ..Status::default() };
    assert_eq!(events, [ClientEvent::Connected, ClientEvent::StreamCreated(1), ClientEvent::Status(started)]);
}

#[test]
fn playing() {
    let (mut server, _) = Server::greet(Client::play(&url(), Options::default()));
    let setup = server.result(1.0, None);
    assert_eq!(commands(&setup), [command("createStream", 2.0, "")]);
    let play = server.result(2.0, Some(1.0));
    assert_eq!(commands(&play), [command("play", 3.0, "wk_x?y=1")]);
    assert_eq!(play[1], Message::user_control(user_control::SET_BUFFER_LENGTH, &[1, 1000]));
    while server.client.next_event().is_some() {}
    let media = Message { kind: MessageKind::AUDIO, stream_id: 1, timestamp: 7, payload: vec![1, 2] };
    server.send(&media);
    let tag = Tag { kind: TagKind::Audio, timestamp: 7, payload: vec![1, 2] };
    assert_eq!(server.client.next_event(), Some(ClientEvent::Media(tag)));
    server.client.end_of_input();
    assert_eq!(server.client.next_event(), Some(ClientEvent::Closed));
}

#[test]
fn pings_are_answered_and_bytes_acknowledged() {
    let (mut server, _) = Server::greet(Client::play(&url(), Options::default()));
    let pong = server.send(&Message::user_control(user_control::PING_REQUEST, &[77]));
    assert_eq!(pong, [Message::user_control(user_control::PING_RESPONSE, &[77])]);
    let ack = server.send(&Message::number(MessageKind::WINDOW_SIZE, 1000));
    assert_eq!(ack[0].kind, MessageKind::ACKNOWLEDGEMENT);
    let silent = server.send(&Message::number(MessageKind::PEER_BANDWIDTH, 1));
    assert_eq!(silent, []);
    let ack = server.send(&Message {
        kind: MessageKind::AUDIO,
        stream_id: 1,
        timestamp: 0,
        payload: vec![0; 1000],
    });
    assert_eq!(ack[0].kind, MessageKind::ACKNOWLEDGEMENT);
}

#[test]
fn a_refusal_is_told_with_its_reason() {
    let (mut server, _) = Server::greet(Client::publish(&url(), Options::default()));
    server.send(&Message::command(0, "_error", 1.0, |w| {
        w.null().object(&[
            ("code", Value::String(b"NetConnection.Connect.Rejected")),
            ("description", Value::String(b"no")),
            ("level", Value::String(b"error")),
        ])
    }));
    let status = Status {
        code: "NetConnection.Connect.Rejected".into(),
        description: "no".into(),
        level: "error".into(),
    };
    assert_eq!(server.client.next_event(), Some(ClientEvent::Status(status)));
}

#[test]
fn something_else_than_rtmp_is_an_error() {
    let mut client = Client::publish(&url(), Options::default());
    assert!(matches!(client.receive(b"HTTP/1.1 400"), Err(Error::Handshake(_))));
}

#[test]
fn nothing_printed_shows_the_name() {
    let client = Client::publish(&url(), Options::default());
    assert!(!format!("{client:?}").contains("wk_x"));
}
