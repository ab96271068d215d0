//! Processes a server's commands.

use super::{Client, ClientEvent, Error, Role, Status};
use crate::amf0::Reader;
use crate::message::Message;

impl Client {
    /// Processes `_result`, `_error` and `onStatus`. Other commands (`onBWDone`, `onFCPublish`) require no action of a
    /// client.
    pub(super) fn on_command(&mut self, message: &Message) -> Result<(), Error> {
        let mut reader = Reader::new(&message.payload);
        let name = reader.string()?;
        let transaction = reader.number()?;
        match name {
            b"_result" if self.connecting == Some(transaction) => {
                self.connecting = None;
                self.on_connected();
            }
            b"_result" if self.creating == Some(transaction) => {
                self.creating = None;
                reader.skip_value()?;
                let stream_id = reader.number()?;
                self.on_stream_created(stream_id as u32);
            }
            b"_error" | b"onStatus" => {
                let status = Status::read(reader.rest());
                if self.role != Role::Play && status.code == "NetStream.Publish.Start" {
                    self.publishing = true;
                }
                self.events.push_back(ClientEvent::Status(status));
            }
            _ => {}
        }
        Ok(())
    }
}
