//! Times one publish on a fresh connection. It blocks, so that only the server decides how long it takes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::linux::net::TcpStreamExt;
use std::time::{Duration, Instant};

use weir_rtmp::client::{Client, ClientEvent, Options};
use weir_rtmp::url::Url;

/// The times of one publish.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// From the first byte of the handshake to the answer to `createStream`.
    pub connect: Duration,
    /// From the command `publish` to `NetStream.Publish.Start`.
    pub publish: Duration,
}

/// How the client acknowledges what it receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acknowledge {
    /// Like every encoder: the kernel decides, and delays some acknowledgements by 40 ms.
    Usually,
    /// Immediately, so that no server waits for an acknowledgement, and all servers are equally warm at `publish`.
    AtOnce,
}

/// Publishes `live/NAME` at a port of loopback, and closes the connection before it returns.
pub(super) fn publish(port: u16, name: &str, acknowledge: Acknowledge) -> Timing {
    let url: Url = format!("rtmp://127.0.0.1:{port}/live/{name}").parse().unwrap();
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut client = Client::publish(&url, Options::default());
    let began = Instant::now();
    socket.write_all(&client.take_output()).unwrap();
    let (mut connected, mut asked) = (None, began);
    let mut buffer = [0; 16_384];
    loop {
        if acknowledge == Acknowledge::AtOnce {
            socket.set_quickack(true).unwrap();
        }
        let count = socket.read(&mut buffer).expect("the server answers");
        let now = Instant::now();
        assert!(count > 0, "the server closed the connection of live/{name}");
        client.receive(&buffer[..count]).unwrap();
        while let Some(event) = client.next_event() {
            match event {
                ClientEvent::StreamCreated(_) => connected = Some(now - began),
                ClientEvent::Status(status) if status.code == "NetStream.Publish.Start" => {
                    let timing = Timing { connect: connected.unwrap(), publish: now - asked };
                    leave(socket, client);
                    return timing;
                }
                ClientEvent::Status(status) => panic!("publish refused: {status:?}"),
                _ => {}
            }
        }
        let output = client.take_output();
        asked = Instant::now();
        socket.write_all(&output).unwrap();
    }
}

/// Ends in an orderly manner, and waits until the server has closed, so that its clean-up does not count for the next
/// publish.
fn leave(mut socket: TcpStream, mut client: Client) {
    client.finish();
    socket.write_all(&client.take_output()).unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    let _ = std::io::copy(&mut socket, &mut std::io::sink());
}
