//! Publishers and players that a test controls message by message, and the streams that they send.

use weir_rtmp::amf0::Writer;
use weir_rtmp::client::{Client, ClientEvent, Options};
use weir_rtmp::flv::{Tag, TagKind};
use weir_rtmp::message::{Message, MessageKind};
use weir_tests::harness::clients::{Connection, Way};
use weir_tests::harness::media::{Enhanced, sample};
use weir_tests::harness::{Nginx, until};

/// A message that a player received: a status with its code, or media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Got {
    Status(String),
    Media(TagKind, u32, Vec<u8>),
}

/// A publisher or player without a thread: it sends and reads only when the test calls it.
pub(super) struct Member {
    pub(super) connection: Connection,
    pub(super) got: Vec<Got>,
    closed: bool,
}

impl Member {
    pub(super) fn new(client: Client, nginx: &Nginx) -> Self {
        let connection = Connection::open(client, &Way::Port(nginx.rtmp(), None)).unwrap();
        Self { connection, got: Vec::new(), closed: false }
    }

    pub(super) fn publisher(nginx: &Nginx, chunk_size: u32) -> Self {
        let url = format!("rtmp://127.0.0.1:{}/live/show", nginx.rtmp()).parse().unwrap();
        let mut member =
            Self::new(Client::publish(&url, Options { chunk_size, ..Options::default() }), nginx);
        member.wait_status("NetStream.Publish.Start");
        member
    }

    /// Starts a player that has requested this stream and has read nothing of it.
    pub(super) fn player_of(nginx: &Nginx, path: &str) -> Self {
        let url = format!("rtmp://127.0.0.1:{}/{path}", nginx.rtmp()).parse().unwrap();
        Self::new(Client::play(&url, Options::default()), nginx)
    }

    pub(super) fn player(nginx: &Nginx) -> Self {
        let mut member = Self::player_of(nginx, "live/show");
        // nginx-rtmp logs the command before it joins the stream, and serves no other connection in between.
        let joined = || nginx.log_lines("play: name='show'").len();
        let before = joined();
        until("the player joins", 10.0, || {
            member.turn();
            joined() > before
        });
        member
    }

    /// Reads what has arrived. Returns whether the connection is open.
    pub(super) fn turn(&mut self) -> bool {
        for event in self.connection.turn() {
            match event {
                ClientEvent::Status(status) => self.got.push(Got::Status(status.code)),
                ClientEvent::Media(tag) => self.got.push(Got::Media(tag.kind, tag.timestamp, tag.payload)),
                ClientEvent::Closed => self.closed = true,
                _ => {}
            }
        }
        !self.closed
    }

    pub(super) fn has(&self, code: &str) -> bool {
        self.got.contains(&Got::Status(code.to_owned()))
    }

    #[track_caller]
    pub(super) fn wait_status(&mut self, code: &str) {
        until(&format!("the status {code}"), 10.0, || {
            self.turn();
            self.has(code)
        });
    }

    /// Waits until the player has received this message.
    #[track_caller]
    pub(super) fn wait_last(&mut self, tag: &Tag) {
        until("the message reaches the player", 10.0, || {
            self.turn();
            self.got.iter().any(|got| matches!(got, Got::Media(_, at, bytes) if *at == tag.timestamp && *bytes == tag.payload))
        });
    }

    pub(super) fn send(&mut self, tags: &[Tag]) {
        for tag in tags {
            self.connection.client.send_tag(tag.kind, tag.timestamp, &tag.payload).unwrap();
        }
        self.turn();
    }

    /// Sends a command that `write` writes.
    pub(super) fn command(&mut self, write: impl FnOnce(&mut Writer)) {
        let mut writer = Writer::new();
        write(&mut writer);
        let message =
            Message { kind: MessageKind::COMMAND, stream_id: 1, timestamp: 0, payload: writer.into_bytes() };
        self.connection.client.send_message(3, &message);
        self.turn();
    }

    pub(super) fn pause(&mut self, on: bool) {
        self.command(|writer| {
            writer.string(b"pause").number(0.0).null().boolean(on).number(0.0);
        });
        self.wait_status(if on { "NetStream.Pause.Notify" } else { "NetStream.Unpause.Notify" });
    }

    /// Requests the stream once more, and waits until nginx-rtmp has read the request.
    pub(super) fn play_again(&mut self, nginx: &Nginx) {
        let plays = || nginx.log_lines("play: name='show'").len();
        let before = plays();
        self.command(|writer| {
            writer.string(b"play").number(0.0).null().string(b"show").number(-2000.0);
        });
        until("nginx-rtmp has the command", 10.0, || plays() > before);
    }
}

pub(super) fn all() -> Vec<Tag> {
    let sample = sample();
    sample.headers.iter().chain(&sample.frames).cloned().collect()
}

pub(super) fn only(kind: TagKind) -> Vec<Tag> {
    all().into_iter().filter(|tag| tag.kind == kind).collect()
}

/// Returns the sample with a text message and changed metadata every few frames.
pub(super) fn with_data() -> Vec<Tag> {
    let mut tags = all();
    for nth in (10..tags.len()).step_by(15).rev() {
        let mut writer = Writer::new();
        writer.string(b"onMetaData").begin_object().key("title").string(nth.to_string().as_bytes()).end();
        tags.insert(
            nth,
            Tag { kind: TagKind::Script, timestamp: tags[nth].timestamp, payload: writer.into_bytes() },
        );
    }
    tags
}

/// Returns the sample with its video in HEVC, as Enhanced RTMP.
pub(super) fn hevc() -> Vec<Tag> {
    let pictures = Enhanced::Hevc.pictures();
    all().into_iter().map(|tag| pictures.replace(tag)).collect()
}

/// Returns the sample with frames of 60 KB, which are larger than any chunk.
pub(super) fn large() -> Vec<Tag> {
    let grow = |mut tag: Tag| {
        if tag.kind == TagKind::Video && !tag.is_header() {
            tag.payload.resize(60_000, 7);
        }
        tag
    };
    all().into_iter().map(grow).collect()
}

#[track_caller]
pub(super) fn assert_same(got: &[Got], expected: &[Got], what: &str) {
    let differs = got.iter().zip(expected).position(|(got, expected)| got != expected);
    let text = |all: &[Got], at: usize| {
        all.get(at).map(|got| match got {
            Got::Status(code) => code.clone(),
            Got::Media(kind, at, bytes) => format!("{kind:?} at {at} of {} bytes", bytes.len()),
        })
    };
    if let Some(at) = differs {
        panic!("{what}: message {at} is {:?} and not {:?}", text(got, at), text(expected, at));
    }
    assert_eq!(got.len(), expected.len(), "{what}");
}
