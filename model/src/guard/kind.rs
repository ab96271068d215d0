//! The types of messages that the guard knows (specification, sections 5.4 and 7.1).

use weir_rtmp::message::MessageKind;

pub(super) const SET_CHUNK_SIZE: u8 = MessageKind::SET_CHUNK_SIZE.0;
pub(super) const ABORT: u8 = MessageKind::ABORT.0;
pub(super) const ACKNOWLEDGEMENT: u8 = MessageKind::ACKNOWLEDGEMENT.0;
pub(super) const USER: u8 = MessageKind::USER_CONTROL.0;
pub(super) const WINDOW_SIZE: u8 = MessageKind::WINDOW_SIZE.0;
pub(super) const BANDWIDTH: u8 = MessageKind::PEER_BANDWIDTH.0;
pub(super) const AUDIO: u8 = MessageKind::AUDIO.0;
pub(super) const VIDEO: u8 = MessageKind::VIDEO.0;
pub(super) const DATA_AMF3: u8 = MessageKind::DATA_AMF3.0;
pub(super) const SHARED_AMF3: u8 = MessageKind::SHARED_AMF3.0;
pub(super) const COMMAND_AMF3: u8 = MessageKind::COMMAND_AMF3.0;
pub(super) const DATA: u8 = MessageKind::DATA.0;
pub(super) const SHARED: u8 = MessageKind::SHARED.0;
pub(super) const COMMAND: u8 = MessageKind::COMMAND.0;
pub(super) const AGGREGATE: u8 = MessageKind::AGGREGATE.0;
