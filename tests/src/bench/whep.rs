//! The cost of a packet over WebRTC: for `weir serve`, and for a loop that encrypts the same packets and sends them with `sendmmsg` and UDP
//! GSO. Also the memory per viewer.

use std::io::{IoSlice, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, sendmmsg};
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};
use weir_rtmp::client::{Client, Options};
use weir_rtmp::flv::TagKind;

use super::own_time;
use super::players::more_files;
use super::relay::connect;
use super::report::{Report, Verdict};
use super::table::{self, Arm, Table, Target};
use crate::harness::media::sample;
use crate::harness::nginx::Config;
use crate::harness::ports::Port;
use crate::harness::{Nginx, Random, Sidecar, wait};

const VIEWERS: usize = 40;
/// Viewers whose memory is measured.
const MANY: usize = 200;
/// Frames per second, with a keyframe each second, and bytes of a frame: 2 Mbit/s.
const PICTURES: u32 = 25;
const PICTURE: usize = 10_000;
/// Seconds of media per round.
const SECONDS: u32 = 4;
const ROUNDS: usize = 5;
/// The least part of the packets that must reach each viewer.
const ARRIVED: f64 = 0.95;
/// A packet without its payload: headers of RTP and of H.264 in fragments, and the tag of AES-GCM, in bytes.
const HEADER: usize = 12;
const TAG: usize = 16;

/// Measures both.
pub(super) fn whep() -> Report {
    more_files();
    let mut report = cost();
    report.append(memory());
    report
}

/// A publisher of video, which sends when it is told to.
struct Source {
    client: Client,
    socket: TcpStream,
    random: Random,
    sent: u32,
}

impl Source {
    fn publish(port: u16) -> Self {
        let url = format!("rtmp://127.0.0.1:{port}/live/show").parse().unwrap();
        let publish = Client::publish(&url, Options { chunk_size: 4096, ..Options::default() });
        let (mut client, mut socket) = connect(publish, port, "NetStream.Publish.Start");
        for tag in sample().headers.iter().filter(|tag| tag.kind == TagKind::Video) {
            client.send_tag(tag.kind, 0, &tag.payload).unwrap();
        }
        socket.write_all(&client.take_output()).unwrap();
        Self { client, socket, random: Random::new(1), sent: 0 }
    }

    fn send(&mut self) {
        // A frame of AVC in one NAL unit (FLV specification, E.4.3.1; ITU-T H.264, 7.3.1).
        let is_key = self.sent.is_multiple_of(PICTURES);
        let (kind, unit) = if is_key { (0x17, 0x65) } else { (0x27, 0x41) };
        let length = (PICTURE as u32).to_be_bytes();
        let mut unit = [&[unit], self.random.bytes(PICTURE - 1).as_slice()].concat();
        // Zeros could begin another unit.
        unit.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = 1);
        let picture = [&[kind, 1, 0, 0, 0], &length[..], &unit].concat();
        self.client.send_tag(TagKind::Video, self.sent * 1000 / PICTURES, &picture).unwrap();
        self.socket.write_all(&self.client.take_output()).unwrap();
        self.sent += 1;
    }
}

/// A viewer over WebRTC.
struct Viewer {
    rtc: Rtc,
    socket: UdpSocket,
    own: SocketAddr,
    deadline: Instant,
    is_connected: bool,
    /// Packets of media, and their bytes.
    packets: usize,
    bytes: usize,
}

impl Viewer {
    /// Begins a session; `None` if the server does not begin it now.
    fn start(http: &reqwest::blocking::Client, web: u16) -> Option<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let (own, now) = (socket.local_addr().unwrap(), Instant::now());
        let crypto = std::sync::Arc::new(str0m::crypto::from_feature_flags());
        let mut rtc =
            RtcConfig::new().set_crypto_provider(crypto).clear_codecs().enable_h264(true).build(now);
        rtc.add_local_candidate(Candidate::builder().udp().host(own).build().unwrap());
        let mut changes = rtc.sdp_api();
        changes.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        let (offer, pending) = changes.apply().unwrap();
        let request = http.post(format!("http://127.0.0.1:{web}/stream/live/show/whep"));
        let answer = request.header("content-type", "application/sdp").body(offer.to_sdp_string()).send();
        let answer = answer.unwrap();
        if answer.status() != 201 {
            return None;
        }
        let answer = SdpAnswer::from_sdp_string(&answer.text().unwrap()).unwrap();
        rtc.sdp_api().accept_answer(pending, answer).unwrap();
        Some(Self { rtc, socket, own, deadline: now, is_connected: false, packets: 0, bytes: 0 })
    }

    /// Handles all that has arrived or is due.
    fn turn(&mut self) {
        let mut buffer = [0; 2000];
        while let Ok((length, source)) = self.socket.recv_from(&mut buffer) {
            // RTP, but not RTCP (RFC 7983, 7; RFC 5761, 4).
            if (128..192).contains(&buffer[0]) && !(192..224).contains(&buffer[1]) {
                self.packets += 1;
                self.bytes += length;
            }
            let Ok(contents) = buffer[..length].try_into() else { continue };
            let receive = Receive { proto: Protocol::Udp, source, destination: self.own, contents };
            self.rtc.handle_input(Input::Receive(Instant::now(), receive)).unwrap();
            self.settle();
        }
        if Instant::now() >= self.deadline {
            self.rtc.handle_input(Input::Timeout(Instant::now())).unwrap();
            self.settle();
        }
    }

    fn settle(&mut self) {
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(at) => return self.deadline = at,
                Output::Transmit(packet) => {
                    self.socket.send_to(&packet.contents, packet.destination).unwrap();
                }
                Output::Event(event) => self.is_connected |= matches!(event, Event::Connected),
            }
        }
    }
}

struct Weir {
    sidecar: Sidecar,
    source: Source,
    viewers: Vec<Viewer>,
    http: reqwest::blocking::Client,
    nginx: Nginx,
    _port: Port,
}

impl Weir {
    fn start() -> Self {
        // The guard would disconnect a publisher while the other arm is measured.
        let config = Config::weir().with_api().server("weir_guard off;").app("live", "weir_publish open;");
        let (nginx, port) = (config.start(), Port::reserve());
        let settings = format!(
            "[web]\n[webrtc]\nlisten = \"127.0.0.1:{}\"\nmax_sessions = 1000\nmax_sessions_per_address = 1000\n",
            port.number()
        );
        let sidecar = Sidecar::start(&nginx, &settings);
        let source = Source::publish(nginx.rtmp());
        let http = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
        Self { sidecar, source, viewers: Vec::new(), http, nginx, _port: port }
    }

    /// Connects viewers until there are this many.
    fn connect(&mut self, count: usize) {
        while self.viewers.len() < count {
            let (http, web) = (self.http.clone(), self.sidecar.web());
            self.source.send();
            let mut viewer = wait::until("a session begins", 20.0, || {
                let begun = Viewer::start(&http, web);
                if begun.is_none() {
                    // The daemon may have missed the keyframe; it asks nginx for the stream only now.
                    (0..PICTURES).for_each(|_| self.source.send());
                }
                begun
            });
            while !viewer.is_connected {
                viewer.turn();
            }
            self.viewers.push(viewer);
            self.viewers.iter_mut().for_each(Viewer::turn);
        }
    }

    /// Plays some seconds in real time. Returns the packets of the viewers and their bytes.
    fn play(&mut self, seconds: u32) -> (usize, usize) {
        let total = |viewers: &[Viewer]| {
            viewers.iter().fold((0, 0), |(packets, bytes), one| (packets + one.packets, bytes + one.bytes))
        };
        let (before, begin) = (total(&self.viewers), Instant::now());
        for frame in 0..seconds * PICTURES {
            self.source.send();
            let due = begin + Duration::from_secs(1) / PICTURES * (frame + 1);
            while Instant::now() < due {
                self.viewers.iter_mut().for_each(Viewer::turn);
            }
        }
        let after = total(&self.viewers);
        (after.0 - before.0, after.1 - before.1)
    }

    /// Returns the daemon's microseconds per packet.
    fn round(&mut self) -> f64 {
        // The first second after a pause is not measured.
        self.play(1);
        let process = self.sidecar.process();
        let before = process.time_of_group();
        let (packets, bytes) = self.play(SECONDS);
        let used = process.time_of_group() - before;
        let sent = SECONDS * PICTURES * PICTURE as u32;
        let arrived = bytes as f64 / (f64::from(sent) * self.viewers.len() as f64);
        assert!(arrived > ARRIVED, "only {arrived} of the media reached the viewers");
        used.as_secs_f64() * 1e6 / packets as f64
    }
}

/// Encrypts the packets of each frame for each viewer, and sends the frame to all with one `sendmmsg`, in this thread.
struct Floor {
    socket: UdpSocket,
    viewers: Vec<UdpSocket>,
    key: LessSafeKey,
    /// Packets per frame, and bytes of a packet.
    count: usize,
    size: usize,
    sealed: u64,
}

impl Floor {
    fn start((packets, bytes): (usize, usize)) -> Self {
        let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let viewers: Vec<_> = (0..VIEWERS).map(|_| bind()).collect();
        viewers.iter().for_each(|viewer| viewer.set_nonblocking(true).unwrap());
        let count = (packets as f64 / f64::from(PICTURES) / VIEWERS as f64).round() as usize;
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &[7; 16]).unwrap());
        Self { socket: bind(), viewers, key, count, size: bytes / packets, sealed: 0 }
    }

    fn frame(&mut self, media: &[u8]) {
        let addresses: Vec<_> = self
            .viewers
            .iter()
            .map(|viewer| match viewer.local_addr().unwrap() {
                SocketAddr::V4(at) => Some(SockaddrIn::from(SocketAddrV4::new(*at.ip(), at.port()))),
                SocketAddr::V6(_) => unreachable!("bound to an address of IPv4"),
            })
            .collect();
        let mut buffers = Vec::with_capacity(self.viewers.len());
        for _ in 0..self.viewers.len() {
            let mut buffer = Vec::with_capacity(self.count * self.size);
            for packet in media.chunks(self.size - HEADER - TAG).take(self.count) {
                self.sealed += 1;
                let mut nonce = [0; 12];
                nonce[4..].copy_from_slice(&self.sealed.to_be_bytes());
                let header = [0x80; HEADER];
                let begin = buffer.len();
                buffer.extend(header);
                buffer.extend(packet);
                let nonce = Nonce::assume_unique_for_key(nonce);
                let payload = &mut buffer[begin + HEADER..];
                let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(header), payload).unwrap();
                buffer.extend(tag.as_ref());
            }
            buffers.push(buffer);
        }
        let slices: Vec<_> = buffers.iter().map(|buffer| [IoSlice::new(buffer)]).collect();
        let size = u16::try_from(self.size).unwrap();
        let mut headers = MultiHeaders::preallocate(slices.len(), Some(cmsg_space!(u16)));
        let control = [ControlMessage::UdpGsoSegments(&size)];
        let mut rest = 0;
        while rest < slices.len() {
            let sent = sendmmsg(
                self.socket.as_raw_fd(),
                &mut headers,
                &slices[rest..],
                &addresses[rest..],
                control,
                MsgFlags::empty(),
            );
            rest += sent.unwrap().count();
        }
    }

    /// Returns microseconds per packet.
    fn round(&mut self) -> f64 {
        let mut random = Random::new(2);
        let (mut used, mut packets, mut buffer) = (Duration::ZERO, 0, vec![0; 2000]);
        for _ in 0..SECONDS * PICTURES {
            let media = random.bytes(self.count * self.size);
            let before = own_time();
            self.frame(&media);
            used += own_time() - before;
            for viewer in &self.viewers {
                while viewer.recv(&mut buffer).is_ok() {
                    packets += 1;
                }
            }
        }
        let sent = SECONDS as usize * PICTURES as usize * self.count * self.viewers.len();
        assert!(packets as f64 > ARRIVED * sent as f64, "only {packets} of {sent} packets arrived");
        used.as_secs_f64() * 1e6 / packets as f64
    }
}

enum Load {
    Floor(Floor),
    Weir(Box<Weir>),
}

impl Load {
    fn round(&mut self) -> f64 {
        match self {
            Self::Floor(floor) => floor.round(),
            Self::Weir(weir) => weir.round(),
        }
    }
}

/// Measures the time per packet.
fn cost() -> Report {
    let mut weir = Weir::start();
    weir.connect(VIEWERS);
    super::part([&weir.nginx].into_iter());
    super::pin_all(weir.sidecar.process());
    weir.play(1);
    let seen = weir.play(1);
    let floor = Floor::start(seen);
    let text = format!(
        "{VIEWERS} viewers of 2 Mbit/s, {} packets of {} bytes per frame; time per packet:\n\n",
        floor.count, floor.size
    );
    let mut arms = vec![Arm::new("AES-128-GCM and `sendmmsg` with GSO"), Arm::new("`weir serve`")];
    let mut loads = vec![Load::Floor(floor), Load::Weir(Box::new(weir))];
    table::take_turns(ROUNDS, &mut arms, &mut loads, Load::round);
    let mut report = Report::of(text);
    report.append(table::report(&Table {
        arms,
        targets: vec![Target::AtMost { ours: 1, peer: 0, ratio: 2.0 }],
    }));
    report
}

/// Measures the memory per viewer.
fn memory() -> Report {
    let mut weir = Weir::start();
    weir.connect(1);
    weir.play(2);
    let before = weir.sidecar.process().memory();
    weir.connect(MANY + 1);
    weir.play(2);
    let each = weir.sidecar.process().memory().saturating_sub(before) as f64 / MANY as f64 / 1000.0;
    let mut report = Report::of(format!(
        "| {MANY} viewers over WebRTC | memory per viewer |\n|---|---|\n| `weir serve` | {each:.1} kB |\n\n"
    ));
    report.judge(Verdict::of_value("`weir serve`, per viewer", each, 300.0, "kB"));
    report
}
