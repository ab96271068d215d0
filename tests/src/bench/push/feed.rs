//! A publisher of 4 Mbit/s in real time, in the measuring thread.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use weir_rtmp::client::{Client, Options};
use weir_rtmp::flv::TagKind;

use super::super::relay::connect;
use crate::harness::Random;
use crate::harness::media::sample;

/// Frames per second, of which one is a keyframe.
const PICTURES: u32 = 25;
/// Bytes of a video frame, and of its two audio messages: together 4 Mbit/s.
const PICTURE: usize = 19_200;
const SOUND: usize = 320;
/// Seconds of media per round.
const SECONDS: u32 = 2;
/// How long to wait for sent media to arrive.
const PATIENCE: Duration = Duration::from_secs(20);

/// The publisher.
pub(super) struct Feed {
    client: Client,
    socket: TcpStream,
    picture: Vec<u8>,
    sent: u32,
}

impl Feed {
    /// Publishes `live/show`.
    pub(super) fn publish(port: u16) -> Self {
        let url = format!("rtmp://127.0.0.1:{port}/live/show").parse().unwrap();
        let (mut client, socket) =
            connect(Client::publish(&url, Options::default()), port, "NetStream.Publish.Start");
        for tag in &sample().headers {
            client.send_tag(tag.kind, 0, &tag.payload).unwrap();
        }
        socket.set_nonblocking(true).unwrap();
        let mut random = Random::new(1);
        Self { client, socket, picture: random.bytes(PICTURE), sent: 0 }
    }

    /// Runs a round. Returns its seconds, and its number of media messages.
    pub(super) fn round(&mut self) -> (f64, usize) {
        let begin = Instant::now();
        for turn in 0..SECONDS * PICTURES {
            self.rest(begin + Duration::from_secs(1) / PICTURES * turn);
            self.send();
        }
        (f64::from(SECONDS), (SECONDS * PICTURES * 3) as usize)
    }

    /// Sends in real time until the condition holds.
    pub(super) fn send_until(&mut self, condition: impl FnMut() -> bool) {
        self.wait_until(true, condition);
    }

    /// Sends nothing until the condition holds.
    pub(super) fn rest_until(&mut self, condition: impl FnMut() -> bool) {
        self.wait_until(false, condition);
    }

    fn wait_until(&mut self, sends: bool, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < deadline, "the media does not reach the targets");
            if sends {
                self.send();
            }
            self.rest(Instant::now() + Duration::from_secs(1) / PICTURES);
        }
    }

    /// Sends a video frame and its audio.
    pub(super) fn send(&mut self) {
        let timestamp = self.sent * 1000 / PICTURES;
        // A frame of AVC in one NAL unit (FLV specification, E.4.3.1).
        let kind = if self.sent.is_multiple_of(PICTURES) { 0x17 } else { 0x27 };
        self.picture[..5].copy_from_slice(&[kind, 1, 0, 0, 0]);
        self.client.send_tag(TagKind::Video, timestamp, &self.picture).unwrap();
        // AAC (FLV specification, E.4.2.1).
        let sound = [&[0xaf, 1], &self.picture[5..SOUND + 3]].concat();
        for half in 0..2 {
            self.client.send_tag(TagKind::Audio, timestamp + half * 500 / PICTURES, &sound).unwrap();
        }
        self.sent += 1;
        let output = self.client.take_output();
        let mut left = output.as_slice();
        while !left.is_empty() {
            match self.socket.write(left) {
                Ok(count) => left = &left[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wait(PollFlags::POLLOUT, Duration::from_secs(1))
                }
                Err(error) => panic!("the server ended the publisher's connection: {error}"),
            }
        }
    }

    /// Reads the server's messages until the given time.
    pub(super) fn rest(&mut self, until: Instant) {
        let mut buffer = [0; 4096];
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.wait(PollFlags::POLLIN, left);
            match self.socket.read(&mut buffer) {
                Ok(0) => panic!("the server ended the publisher's connection"),
                Ok(count) => self.client.receive(&buffer[..count]).unwrap(),
                Err(_) => {}
            }
        }
    }

    fn wait(&self, flags: PollFlags, time: Duration) {
        let mut sockets = [PollFd::new(self.socket.as_fd(), flags)];
        ppoll(&mut sockets, Some(TimeSpec::from_duration(time)), None).unwrap();
    }
}
