//! The server's side of one connection.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use weir_rtmp::amf0::{Marker, Reader as Amf, Writer as AmfWriter};
use weir_rtmp::chunk::{Reader, Writer};
use weir_rtmp::flv::{Tag, TagKind};
use weir_rtmp::handshake::PACKET;
use weir_rtmp::message::{Message, MessageKind};

use super::account::{Account, Verdict};
use super::{Call, Frame, Manners, READ_TIMEOUT};

/// Most bytes of a message.
const LARGEST: usize = 8 << 20;
/// Chunk streams of control messages and of commands.
const CONTROL: u32 = 2;
const COMMAND: u32 = 3;

/// Serves a connection to its end, or until `stop` is set.
pub(super) fn run(mut socket: TcpStream, manners: &Manners, call: &Mutex<Call>, stop: &AtomicBool) {
    socket.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
    socket.set_nodelay(true).unwrap();
    if *manners == Manners::Deaf {
        // The kernel must not buffer much for the peer either, whatever the default of this machine is.
        setsockopt(&socket.as_fd(), sockopt::RcvBuf, &65_536).unwrap();
    }
    let session = Session {
        manners,
        call,
        account: match manners {
            Manners::Asks(account) => Some(account.clone()),
            _ => None,
        },
        greeting: Some(Vec::new()),
        reader: Reader::new(LARGEST),
        writer: Writer::new(),
        output: Vec::new(),
    };
    if session.serve(&mut socket, stop).is_some() {
        return;
    }
    match manners {
        Manners::Resets => reset(socket),
        Manners::Deaf => {}
        _ => hang_up(&mut socket, stop),
    }
}

/// Closes with FIN. What still arrives is read: the kernel resets a connection that is closed with unread bytes.
fn hang_up(socket: &mut TcpStream, stop: &AtomicBool) {
    if socket.shutdown(Shutdown::Write).is_err() {
        return;
    }
    let mut buffer = [0; 65_536];
    while !stop.load(Ordering::Relaxed) {
        match socket.read(&mut buffer) {
            Ok(0) => return,
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return,
            _ => {}
        }
    }
}

/// Closes with RST.
fn reset(socket: TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(&socket.as_fd(), sockopt::Linger, &linger).unwrap();
}

struct Session<'s> {
    manners: &'s Manners,
    call: &'s Mutex<Call>,
    account: Option<Account>,
    /// The state of the handshake; `None` after it is complete.
    greeting: Option<Vec<u8>>,
    reader: Reader,
    writer: Writer,
    output: Vec<u8>,
}

impl Session<'_> {
    /// `None` when the peer itself ends it.
    fn serve(mut self, socket: &mut TcpStream, stop: &AtomicBool) -> Option<()> {
        let mut buffer = [0; 65_536];
        while !stop.load(Ordering::Relaxed) {
            if self.is_deaf() {
                // It waits for the end of the test without reading.
                super::super::wait::until_ok(600.0, || stop.load(Ordering::Relaxed));
                return None;
            }
            match socket.read(&mut buffer) {
                Ok(0) => return Some(()),
                Ok(_) if matches!(self.manners, Manners::Silent) => {}
                Ok(count) => {
                    let goes_on = self.receive(&buffer[..count]);
                    // Its last messages are still sent.
                    socket.write_all(&std::mem::take(&mut self.output)).ok()?;
                    goes_on?;
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return Some(()),
            }
        }
        None
    }

    fn is_deaf(&self) -> bool {
        *self.manners == Manners::Deaf && !self.call.lock().unwrap().name.is_empty()
    }

    fn receive(&mut self, bytes: &[u8]) -> Option<()> {
        if *self.manners == Manners::Resets {
            return None;
        }
        match &mut self.greeting {
            Some(greeting) => {
                greeting.extend_from_slice(bytes);
                self.greet();
            }
            None => self.reader.feed(bytes),
        }
        if self.greeting.is_some() || *self.manners == Manners::Mute {
            return Some(());
        }
        while let Some(message) = self.reader.next_message().expect("chunks as they should be") {
            self.take(message)?;
        }
        Some(())
    }

    /// The simple handshake (specification, section 5.2): it answers C0 and C1 immediately, and ignores C2.
    fn greet(&mut self) {
        let Some(greeting) = &mut self.greeting else { return };
        if greeting.len() > PACKET && !greeting.is_empty() && greeting[0] == 3 {
            let theirs = greeting[1..=PACKET].to_vec();
            self.output.push(3);
            self.output.extend([0; PACKET]);
            self.output.extend(theirs);
            greeting[0] = 0;
        }
        if greeting.len() > 2 * PACKET {
            let rest = greeting.split_off(1 + 2 * PACKET);
            self.greeting = None;
            self.reader.feed(&rest);
        }
    }

    fn take(&mut self, message: Message) -> Option<()> {
        if message.kind == MessageKind::COMMAND {
            return self.command(&message);
        }
        let Some(kind) = TagKind::of(message.kind).filter(|kind| *kind != TagKind::Script) else {
            return Some(());
        };
        let tag = Tag { kind, timestamp: message.timestamp, payload: message.payload };
        let mut call = self.call.lock().unwrap();
        call.first_media.get_or_insert_with(Instant::now);
        if !tag.is_header() {
            call.frames.push(Frame { kind, timestamp: tag.timestamp, hash: hash(&tag.payload) });
        }
        (*self.manners != Manners::HangsUp).then_some(())
    }

    fn command(&mut self, message: &Message) -> Option<()> {
        let mut amf = Amf::new(&message.payload);
        let name = text(amf.string().unwrap());
        let transaction = amf.number().unwrap();
        self.call.lock().unwrap().commands.push(name.clone());
        match name.as_str() {
            "connect" => self.connect(&mut amf, transaction),
            "createStream" => {
                self.say("_result", transaction, |w| w.null().number(1.0));
                Some(())
            }
            "publish" => {
                amf.null().unwrap();
                let stream = text(amf.string().unwrap());
                self.publish(stream)
            }
            "play" => {
                amf.null().unwrap();
                self.call.lock().unwrap().name = text(amf.string().unwrap());
                self.status("status", "NetStream.Play.Start", "Start live");
                self.goes_on();
                Some(())
            }
            _ => Some(()),
        }
    }

    fn connect(&mut self, amf: &mut Amf<'_>, transaction: f64) -> Option<()> {
        let (app, tc_url) = app_and_url(amf);
        {
            let mut call = self.call.lock().unwrap();
            (call.app, call.tc_url) = (app.clone(), tc_url);
        }
        if let Some(account) = &self.account
            && let Verdict::No(description) = account.judge(&app)
        {
            let (level, code) = ("error", "NetConnection.Connect.Rejected");
            self.say("_error", transaction, |w| information(w.null(), level, code, &description));
            return None;
        }
        self.send(CONTROL, &Message::number(MessageKind::WINDOW_SIZE, 5_000_000));
        let size = if let Manners::Chunks(size) = self.manners { *size } else { 4096 };
        self.writer.set_chunk_size(size, &mut self.output);
        let (level, code) = ("status", "NetConnection.Connect.Success");
        self.say("_result", transaction, |w| {
            w.begin_object();
            w.key("fmsVer").string(b"FMS/3,0,1,123");
            w.end();
            information(w, level, code, "Connection succeeded.")
        });
        Some(())
    }

    fn publish(&mut self, stream: String) -> Option<()> {
        if let Manners::Rejects(code, description) = self.manners.clone() {
            self.status("error", &code, &description);
            return None;
        }
        match self.manners.clone() {
            Manners::Answers(answer) => answer.iter().for_each(|answer| self.send(5, answer)),
            _ => self.status("status", "NetStream.Publish.Start", "Start publishing"),
        }
        self.call.lock().unwrap().name = stream;
        self.goes_on();
        Some(())
    }

    /// Its messages after the answer.
    fn goes_on(&mut self) {
        match self.manners.clone() {
            Manners::Says(messages) => messages.iter().for_each(|message| self.send(5, message)),
            Manners::Sends(bytes) => self.output.extend(bytes),
            _ => {}
        }
    }

    fn status(&mut self, level: &str, code: &str, description: &str) {
        let message =
            Message::command(1, "onStatus", 0.0, |w| information(w.null(), level, code, description));
        self.send(5, &message);
    }

    fn say(
        &mut self,
        name: &str,
        transaction: f64,
        arguments: impl FnOnce(&mut AmfWriter) -> &mut AmfWriter,
    ) {
        self.send(COMMAND, &Message::command(0, name, transaction, arguments));
    }

    fn send(&mut self, chunk_stream: u32, message: &Message) {
        self.writer.write(chunk_stream, message, &mut self.output);
    }
}

fn information<'w>(w: &'w mut AmfWriter, level: &str, code: &str, description: &str) -> &'w mut AmfWriter {
    w.begin_object();
    w.key("level").string(level.as_bytes());
    w.key("code").string(code.as_bytes());
    w.key("description").string(description.as_bytes());
    w.end()
}

/// Out of the object that `connect` bears.
fn app_and_url(amf: &mut Amf<'_>) -> (String, String) {
    let (mut app, mut tc_url) = (String::new(), String::new());
    amf.begin_object().unwrap();
    while let Some(key) = amf.key().unwrap() {
        let wanted = match key {
            b"app" => &mut app,
            b"tcUrl" => &mut tc_url,
            _ => {
                amf.skip_value().unwrap();
                continue;
            }
        };
        assert_eq!(amf.marker().unwrap(), Marker::String);
        *wanted = text(amf.string().unwrap());
    }
    (app, tc_url)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns a hash to compare payloads.
pub(super) fn hash(payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    payload.hash(&mut hasher);
    hasher.finish()
}
