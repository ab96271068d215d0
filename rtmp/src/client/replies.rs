//! What a server's commands mean for the session.

use super::{Client, Error, Event, Role, Status};
use crate::amf0::{self, Marker, Reader};
use crate::message::Message;

impl Client {
    /// `_result`, `_error` and `onStatus`; other commands (`onBWDone`, `onFCPublish`) ask nothing of a client.
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
                let status = read_status(&mut reader)?;
                if self.role != Role::Play && status.code == "NetStream.Publish.Start" {
                    self.publishing = true;
                }
                self.events.push_back(Event::Status(status));
            }
            _ => {}
        }
        Ok(())
    }
}

/// The first object that has a code, among what follows name and transaction.
fn read_status(reader: &mut Reader<'_>) -> Result<Status, amf0::Error> {
    let mut status = Status::default();
    while !reader.is_empty() && status.code.is_empty() {
        if !matches!(reader.marker()?, Marker::Object | Marker::EcmaArray) {
            reader.skip_value()?;
            continue;
        }
        reader.begin_object()?;
        while let Some(key) = reader.key()? {
            let field = match key {
                b"code" => &mut status.code,
                b"description" => &mut status.description,
                b"level" => &mut status.level,
                _ => {
                    reader.skip_value()?;
                    continue;
                }
            };
            match reader.string() {
                Ok(text) => *field = String::from_utf8_lossy(text).into_owned(),
                Err(_) => reader.skip_value()?,
            }
        }
    }
    Ok(status)
}
